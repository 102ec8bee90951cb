//! What rules of the price book counted of charges, counted again from their receipts (T4): a free
//! unit that is not counted is given twice, one that is counted twice was paid for.
//!
//! The receipt names the release; its book is a row of this database, and what it counts of an event
//! is arithmetic of the domain. So this needs no policy, and no part of the service that counts.
//! Memory grows with the books that count, not with charges.

use super::super::connection::failure;
use super::super::read::{blob, get, query_one, usage};
use super::finding::{Problem, Report};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::receipt::Receipt;
use crate::service::policy::Digest;
use farebox_ledger::ids::{ChargeId, OrgId};
use farebox_pricing::book::Per;
use farebox_pricing::canonical::BookView;
use farebox_pricing::rating::{self, Count};
use rusqlite::{Connection, OptionalExtension, Statement, params};
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The books of receipts, and what they count.
pub struct Rules<'c> {
    connection: &'c Connection,
    row: Statement<'c>,
    /// Absent: it counts nothing.
    books: BTreeMap<Digest, Option<BookView>>,
    /// Rows that a receipt explains.
    explained: u64,
}

impl<'c> Rules<'c> {
    /// No book is read before a receipt names it.
    pub fn new(connection: &'c Connection) -> Result<Self, StorageError> {
        let sql = "SELECT quantity FROM counts
             WHERE org = ?1 AND rule = ?2 AND period = ?3 AND charge = ?4";
        Ok(Self {
            connection,
            row: connection.prepare(sql).map_err(failure)?,
            books: BTreeMap::new(),
            explained: 0,
        })
    }

    /// The next charge: each rule of its book counted it, and as much as its receipt says.
    pub fn charge(
        &mut self,
        org: OrgId,
        receipt: &Receipt,
        report: &mut Report,
    ) -> Result<(), StorageError> {
        let charge = receipt.charge;
        for count in self.counts(receipt, report)? {
            let period = period_of(count.per, receipt.pricing.facts.occurred_at_ms);
            let key = params![org.to_bytes(), count.rule, period, charge.to_bytes()];
            let row: Option<String> = self
                .row
                .query_row(key, |row| row.get(0))
                .optional()
                .map_err(failure)?;
            let rule = count.rule.into();
            let Some(row) = row else {
                let problem = Problem::Uncounted {
                    rule,
                    period,
                    charge,
                };
                report.add("T4", Some(org), problem);
                continue;
            };
            self.explained = self.explained.saturating_add(1);
            if Decimal::from_str_exact(&row) != Ok(count.quantity) {
                let problem = Problem::Counted {
                    rule,
                    period,
                    charge,
                    row,
                    receipt: count.quantity.normalize(),
                };
                report.add("T4", Some(org), problem);
            }
        }
        Ok(())
    }

    /// What the receipt's book counts of it. Nothing where the book cannot price the event: a
    /// policy of somebody's own may.
    fn counts(
        &mut self,
        receipt: &Receipt,
        report: &mut Report,
    ) -> Result<Vec<Count>, StorageError> {
        let pricing = &receipt.pricing;
        let Some(release) = pricing.release else {
            return Ok(Vec::new());
        };
        let book = match self.books.entry(release.book) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(counting_book(self.connection, release.book, report)?)
            }
        };
        Ok(book
            .as_ref()
            .and_then(|book| {
                rating::counts(book, &receipt.event, &pricing.facts, pricing.price_usd).ok()
            })
            .unwrap_or_default())
    }

    /// After the last charge: what no receipt explains is named.
    pub fn finish(mut self, report: &mut Report) -> Result<(), StorageError> {
        let all: i64 = self
            .connection
            .query_row("SELECT count(*) FROM counts", [], |row| row.get(0))
            .map_err(failure)?;
        if u64::try_from(all) == Ok(self.explained) {
            return Ok(());
        }
        let mut statement = self
            .connection
            .prepare("SELECT org, rule, period, charge FROM counts")
            .map_err(failure)?;
        let mut rows = statement.query([]).map_err(failure)?;
        while let Some(row) = rows.next().map_err(failure)? {
            let org = OrgId::from_bytes(get(row, 0)?);
            let (rule, period): (String, String) = (get(row, 1)?, get(row, 2)?);
            let charge = ChargeId::from_bytes(get(row, 3)?);
            if !self.explains(org, charge, &rule, &period, report)? {
                let problem = Problem::CountAlone {
                    rule,
                    period,
                    charge,
                };
                report.add("T4", Some(org), problem);
            }
        }
        Ok(())
    }

    fn explains(
        &mut self,
        org: OrgId,
        charge: ChargeId,
        rule: &str,
        period: &str,
        report: &mut Report,
    ) -> Result<bool, StorageError> {
        // A receipt that cannot be read was reported, and explains nothing.
        let Ok(Some(receipt)) = usage::receipt(self.connection, org, charge) else {
            return Ok(false);
        };
        let at_ms = receipt.pricing.facts.occurred_at_ms;
        let counts = self.counts(&receipt, report)?;
        Ok(counts
            .iter()
            .any(|count| *count.rule == *rule && period_of(count.per, at_ms) == period))
    }
}

/// The book with this digest, if it counts anything. One that is gone or changed is reported: no
/// receipt that names it can be priced again.
fn counting_book(
    connection: &Connection,
    digest: Digest,
    report: &mut Report,
) -> Result<Option<BookView>, StorageError> {
    let sql = "SELECT bytes FROM contents WHERE digest = ?1";
    let bytes = query_one(connection, sql, [digest.0], |row| {
        blob(row, 0).map(<[u8]>::to_vec)
    })?;
    let book = bytes
        .filter(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)) == digest.0)
        .and_then(|bytes| BookView::open(bytes).ok());
    if book.is_none() {
        report.add("L10", None, Problem::Book(digest));
    }
    Ok(book.filter(|book| {
        let sale = book.terms().sale.as_deref();
        sale.is_some_and(farebox_pricing::book::Sale::counts)
    }))
}

/// The UTC day or month of a moment, `2026-11-21` or `2026-11`.
fn period_of(per: Per, at_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    let format = match per {
        Per::Day => "%Y-%m-%d",
        Per::Month | Per::Call => "%Y-%m",
    };
    at.strftime(format).to_string()
}
