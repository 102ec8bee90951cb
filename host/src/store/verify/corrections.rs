//! Corrections beside the transactions that posted them: what a repair believes was corrected already
//! must have been.

use super::super::connection::failure;
use super::super::read::{count, query_one};
use super::finding::{Problem, Report};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::write::corrected_charge;
use farebox_ledger::account::Account;
use farebox_ledger::transaction::{Transaction, TransactionKind};
use rusqlite::{Connection, OptionalExtension, Statement};

/// The rows of corrections.
pub struct Corrections<'c> {
    connection: &'c Connection,
    row: Statement<'c>,
    explained: u64,
}

impl<'c> Corrections<'c> {
    /// None seen yet.
    pub fn new(connection: &'c Connection) -> Result<Self, StorageError> {
        let sql = "SELECT amount_nanos, returned FROM corrections
            WHERE charge = ?1 AND \"transaction\" = ?2";
        Ok(Self {
            connection,
            row: connection.prepare(sql).map_err(failure)?,
            explained: 0,
        })
    }

    /// The next transaction, and its note. A note that people wrote in the words of a correction has
    /// no row, and is none.
    pub fn transaction(
        &mut self,
        transaction: &Transaction,
        note: Option<&str>,
        report: &mut Report,
    ) -> Result<(), StorageError> {
        let Some(charge) = note.and_then(corrected_charge) else {
            return Ok(());
        };
        let key = [charge.to_bytes(), transaction.id.to_bytes()];
        let row: Option<(i64, bool)> = self
            .row
            .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(failure)?;
        let Some(row) = row else { return Ok(()) };
        self.explained = self.explained.saturating_add(1);
        let posted = match transaction.kind {
            TransactionKind::ChargeRefund { charge: of, .. } => {
                (of == charge).then(|| (transaction.postings.on(Account::Revenue), false))
            }
            kind @ (TransactionKind::Deduction | TransactionKind::Grant { .. }) => {
                let taken = transaction.postings.on(Account::Wallet).saturating_neg();
                Some((taken, kind != TransactionKind::Deduction))
            }
            _ => None,
        };
        if posted != Some(row) {
            let id = transaction.id;
            let problem = Problem::Correction { charge, id };
            report.add("B5", Some(transaction.org), problem);
        }
        Ok(())
    }

    /// After the last transaction.
    pub fn finish(self, report: &mut Report) -> Result<(), StorageError> {
        let sql = "SELECT count(*) FROM corrections";
        let expected = query_one(self.connection, sql, [], |row| count(row, 0))?;
        let (expected, found) = (expected.unwrap_or_default(), self.explained);
        if expected != found {
            report.add("B5", None, Problem::Corrections { expected, found });
        }
        Ok(())
    }
}
