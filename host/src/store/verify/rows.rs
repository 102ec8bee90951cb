//! What can be wrong with rows: the file, the guards, what stands beside a transaction.

use super::super::chunks::{ChunkReader, Entries, List, Place, Seen};
use super::super::migrate::guard_triggers;
use super::super::read::{blob, get, query, query_one};
use super::super::rows::cbor::Error;
use super::super::rows::records::{self, ReceiptRecord, TransactionRecord, UsageRecord};
use super::super::rows::usage::{detail_digest, note_digest, receipt, usage as usage_body};
use super::finding::{Problem, Report};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::receipt::{Pricing, Receipt};
use farebox_ledger::account::Account;
use farebox_ledger::hold::Dimensions;
use farebox_ledger::ids::{ChargeId, Digest};
use farebox_ledger::transaction::{Transaction, TransactionKind};
use farebox_pricing::exact;
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The last transaction seen of an org.
#[derive(Clone, Copy, Debug, Default)]
pub struct Last {
    pub place: Option<Place>,
    pub hash: Digest,
}

/// A transaction's entry, and what stands beside it.
#[derive(Debug)]
pub struct Entry {
    pub place: Place,
    pub record: TransactionRecord,
    pub beside: Beside,
}

/// What stands beside a transaction, where it does.
#[derive(Debug, Default)]
pub struct Beside {
    note: Option<String>,
    usage: Option<UsageRecord>,
    receipt: Option<ReceiptRecord>,
}

impl Beside {
    /// What people said of it.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// What the charge was for, where its usage event is there.
    pub fn dimensions(&self) -> Option<&Dimensions> {
        self.usage.as_ref().map(|usage| &*usage.dimensions)
    }
}

/// The next entry of a list that can be read; what cannot is reported.
pub fn next<T>(
    entries: &mut Entries<'_>,
    list: List,
    report: &mut Report,
    read: impl Fn(&[u8]) -> Result<T, Error>,
) -> Result<Option<(Place, T)>, StorageError> {
    loop {
        let chunk = match entries.next()? {
            None => return Ok(None),
            Some(Seen::Unreadable(chunk)) => chunk,
            Some(Seen::Entry(place, bytes)) => match read(bytes) {
                Ok(record) => return Ok(Some((place, record))),
                Err(_) => place.chunk(),
            },
        };
        let table = list.table();
        report.add("L4", None, Problem::Unreadable { table, chunk });
    }
}

/// The file itself, as SQLite checks it.
pub fn file(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    let messages = query(connection, "PRAGMA quick_check(100)", [], |row| {
        get::<String>(row, 0)
    })?;
    for message in messages.into_iter().filter(|message| message != "ok") {
        report.add("file", None, Problem::File(message));
    }
    Ok(())
}

/// L4: components, books and their texts are what their digests say: a release is named by them.
pub fn contents(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    let sql = "SELECT digest, bytes FROM contents";
    let wrong = query(connection, sql, [], |row| {
        let digest: [u8; 32] = get(row, 0)?;
        let found: [u8; 32] = Sha256::digest(blob(row, 1)?).into();
        Ok((found != digest).then(|| hex::encode(digest)))
    })?;
    for digest in wrong.into_iter().flatten() {
        report.add("L4", None, Problem::Content(digest));
    }
    Ok(())
}

/// L4: the guards stand as they were made.
pub fn guards(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
    let stored: BTreeMap<String, String> =
        query(connection, sql, [], |row| Ok((get(row, 0)?, get(row, 1)?)))?
            .into_iter()
            .collect();
    for (name, sql) in guard_triggers() {
        if stored.get(&name) != Some(&sql) {
            report.add("L4", None, Problem::Guard(name));
        }
    }
    Ok(())
}

/// Every transaction in the order they were posted in, with what stands beside it.
pub struct Journal<'c> {
    connection: &'c Connection,
    transactions: Entries<'c>,
    receipts: Receipts<'c>,
    usage: ChunkReader<'c>,
}

impl<'c> Journal<'c> {
    pub fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            transactions: Entries::new(connection, List::Transactions),
            receipts: Receipts::new(connection),
            usage: ChunkReader::new(connection, List::Usage),
        }
    }

    /// The next transaction.
    pub fn next(&mut self, report: &mut Report) -> Result<Option<Entry>, StorageError> {
        let list = List::Transactions;
        let read = records::transaction;
        let Some((place, record)) = next(&mut self.transactions, list, report, read)? else {
            self.receipts.finish(report)?;
            return Ok(None);
        };
        let mut beside = Beside::default();
        if let TransactionKind::Charge { event, .. } = record.transaction.kind {
            beside.receipt = self.receipts.of(place, report)?;
            if let Some(receipt) = &beside.receipt {
                // What cannot be read is reported where usage events are looked at.
                let entry = self.usage.entry(receipt.usage).ok().flatten();
                beside.usage = entry
                    .and_then(|entry| records::usage(entry).ok())
                    .filter(|usage| usage.id == event && usage.org == record.transaction.org);
            }
        } else {
            let sql = "SELECT note FROM notes WHERE \"transaction\" = ?1";
            let id = record.transaction.id.to_bytes();
            beside.note = query_one(self.connection, sql, [id], |row| get(row, 0))?;
        }
        Ok(Some(Entry {
            place,
            record,
            beside,
        }))
    }
}

/// Receipts in the order of their transactions.
struct Receipts<'c> {
    entries: Entries<'c>,
    waiting: Option<ReceiptRecord>,
}

impl<'c> Receipts<'c> {
    const fn new(connection: &'c Connection) -> Self {
        Self {
            entries: Entries::new(connection, List::Receipts),
            waiting: None,
        }
    }

    /// The receipt of the transaction at a place. Places only rise.
    fn of(
        &mut self,
        transaction: Place,
        report: &mut Report,
    ) -> Result<Option<ReceiptRecord>, StorageError> {
        loop {
            let next = match self.waiting.take() {
                Some(waiting) => waiting,
                None => match self.read(report)? {
                    None => return Ok(None),
                    Some(next) => next,
                },
            };
            match next.transaction.cmp(&transaction) {
                std::cmp::Ordering::Equal => return Ok(Some(next)),
                std::cmp::Ordering::Greater => {
                    self.waiting = Some(next);
                    return Ok(None);
                }
                std::cmp::Ordering::Less => alone(&next, report),
            }
        }
    }

    fn read(&mut self, report: &mut Report) -> Result<Option<ReceiptRecord>, StorageError> {
        let read = next(&mut self.entries, List::Receipts, report, records::receipt)?;
        Ok(read.map(|(_, record)| record))
    }

    fn finish(&mut self, report: &mut Report) -> Result<(), StorageError> {
        if let Some(waiting) = self.waiting.take() {
            alone(&waiting, report);
        }
        while let Some(more) = self.read(report)? {
            alone(&more, report);
        }
        Ok(())
    }
}

fn alone(receipt: &ReceiptRecord, report: &mut Report) {
    let charge = receipt.charge;
    report.add("L5", Some(receipt.org), Problem::ReceiptAlone { charge });
}

/// What stands beside a transaction is what was chained with it (L5), and its price is the
/// receipt's (L10). The receipt of a charge, where it can be read.
pub fn beside(transaction: &Transaction, beside: &Beside, report: &mut Report) -> Option<Receipt> {
    let (org, id) = (Some(transaction.org), transaction.id);
    let TransactionKind::Charge { charge, event, .. } = transaction.kind else {
        if note_digest(beside.note.as_deref()) != transaction.detail_digest {
            let problem = match beside.note {
                Some(_) => Problem::BesideChanged { id },
                None => Problem::BesideMissing { id },
            };
            report.add("L5", org, problem);
        }
        return None;
    };
    let (Some(usage), Some(receipted)) = (&beside.usage, &beside.receipt) else {
        report.add("L5", org, Problem::BesideMissing { id });
        return None;
    };
    report.receipts = report.receipts.saturating_add(1);
    let digest = detail_digest(&usage.body, usage.raw.as_deref(), &receipted.body);
    let same = (receipted.charge, receipted.event) == (charge, event)
        && Some(receipted.org) == org
        && usage.charge.is_none_or(|(of_usage, ..)| of_usage == charge);
    if !same || digest != transaction.detail_digest {
        report.add("L5", org, Problem::BesideChanged { id });
    }
    let read =
        usage_body(&usage.body).and_then(|usage| Ok((usage.event, receipt(&receipted.body)?)));
    let (event_body, pricing) = match read {
        Ok(read) => read,
        Err(error) => {
            let why = error.to_string();
            report.add("L10", org, Problem::Receipt { charge, why });
            return None;
        }
    };
    check_price(transaction, charge, &pricing, report);
    Some(Receipt {
        charge,
        event_id: event,
        event: event_body,
        pricing,
    })
}

fn check_price(
    transaction: &Transaction,
    charge: ChargeId,
    pricing: &Pricing,
    report: &mut Report,
) {
    let org = Some(transaction.org);
    let posted_nanos = transaction.postings.on(Account::Revenue);
    let receipt_nanos = pricing.price.get();
    if posted_nanos != receipt_nanos {
        let problem = Problem::Price {
            charge,
            posted_nanos,
            receipt_nanos,
        };
        report.add("L10", org, problem);
    }
    let amounts = pricing.lines.iter().map(|line| line.amount_usd);
    let sum = amounts
        .into_iter()
        .try_fold(rust_decimal::Decimal::ZERO, exact::add);
    if sum != Ok(pricing.price_usd) {
        report.add("L10", org, Problem::Lines { charge });
    }
    if pricing.peg.to_nanos(pricing.price_usd, pricing.rounding) != Ok(pricing.price) {
        report.add("L10", org, Problem::Rounded { charge });
    }
}
