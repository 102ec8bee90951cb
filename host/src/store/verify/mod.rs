//! `verify`: proves the ledger's invariants on any data directory, and says exactly what is broken.
//!
//! Reads only, so it runs beside a serving process. Two threads share the work: one follows the
//! journal with the auditors, the other proves lists, ids, holds that are over and keys, each on one
//! moment of the ledger. Of a ledger with an older schema they prove a migrated copy, in turn.
//! Rows are streamed in the order of their places, and ids in the order of ids: memory grows with
//! orgs, lots, refunds and active holds, and with commits by four bytes up to a bound, not with
//! charges, usage events or ended holds. The auditor shares no code with the
//! writer, so one mistake is not made twice.
//!
//! | invariant | what is proved |
//! |---|---|
//! | L1, L2, L3, L7, L8 | [`farebox_ledger::verify`], from the journal alone |
//! | L2 | also: what budgets and months have counted is what the journal charged |
//! | L4 | the guards stand; every chunk can be read; no usage event is missing; releases are what their digests say |
//! | L5 | the chain, up to its head and to every exported head; each receipt, usage event and note is the one that was chained |
//! | L6 | charges, events, refunds count once; every key is there once and leads to an effect |
//! | L7 | also: no hold is active and over; what is over is found by its id |
//! | L10 | each price is its receipt's, rounded once, and its lines' sum; the books that receipts name are there; [`crate::service::rerate::proof`] prices all again |
//! | B5 | each correction names the charge, and has the amount, of the transaction that posted it |
//! | T4 | what rules of the book counted is what the receipts say |

mod corrections;
mod counts;
mod finding;
mod keys;
mod lists;
mod rows;
mod rules;

pub use finding::{Finding, Problem, Report, VerifyError};

use super::connection::{self, DamagedRow, failure};
use super::copy;
use super::directory::DataDirectory;
use super::migrate::{self, MigrateError};
use super::read::{grants, holds, wallets};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::view::SignedHead;
use ed25519_dalek::{Signature, VerifyingKey};
use farebox_ledger::chain::head_message;
use farebox_ledger::ids::OrgId;
use farebox_ledger::transaction::TransactionKind;
use farebox_ledger::verify::Auditor;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What to hold the ledger to, besides its own rows.
#[derive(Debug, Default)]
pub struct Evidence<'e> {
    /// Heads that were exported earlier: the journal must still pass through them.
    pub heads: &'e [SignedHead],
}

/// An audit under way: one auditor per org.
struct Audit {
    auditors: BTreeMap<OrgId, Auditor>,
    report: Report,
}

/// Proves the invariants on a data directory. One that an older program wrote is proved as this one
/// would serve it: on a copy that is migrated and then thrown away. The directory stays as it is.
///
/// # Errors
/// [`VerifyError`] when it cannot be read at all. What is broken in it is no error: it is in the
/// report.
pub fn verify(directory: &DataDirectory, evidence: Evidence<'_>) -> Result<Report, VerifyError> {
    directory.must_exist()?;
    verify_file(&directory.database(), evidence)
}

/// The same for a database file.
///
/// # Errors
/// As [`verify`].
pub(super) fn verify_file(path: &Path, evidence: Evidence<'_>) -> Result<Report, VerifyError> {
    let connection = moment(path)?;
    match migrate::must_be_current(&connection) {
        Ok(()) => at_once(path, &connection, evidence),
        Err(MigrateError::Older { .. }) => {
            let copy = copy::migrated(&connection)?;
            let report = audited(&copy, evidence)?;
            Ok(joined(report, lists_of(&copy)?))
        }
        Err(error) => Err(error.into()),
    }
}

/// Both halves of the proof at once, the second on a connection of its own.
fn at_once(
    path: &Path,
    connection: &Connection,
    evidence: Evidence<'_>,
) -> Result<Report, VerifyError> {
    std::thread::scope(|scope| {
        let lists = std::thread::Builder::new()
            .name("verify-lists".into())
            .spawn_scoped(scope, || lists_of(&moment(path)?))
            .map_err(|error| StorageError::Other(Arc::new(error)))?;
        let report = audited(connection, evidence)?;
        // What it would have found must not be missing in silence.
        let lists = lists.join().unwrap_or_else(|_| {
            let defect = DamagedRow("a thread of the verifier ended early".to_owned());
            Err(StorageError::Other(Arc::new(defect)).into())
        })?;
        Ok(joined(report, lists))
    })
}

fn joined(mut report: Report, lists: Report) -> Report {
    report.merge(lists);
    report
}

/// A connection that reads one moment of the ledger.
fn moment(path: &Path) -> Result<Connection, VerifyError> {
    let connection = connection::reader(path)?;
    connection.execute_batch("BEGIN").map_err(failure)?;
    Ok(connection)
}

/// The half of the proof that follows the journal.
fn audited(connection: &Connection, evidence: Evidence<'_>) -> Result<Report, VerifyError> {
    let mut audit = Audit {
        auditors: BTreeMap::new(),
        report: Report::default(),
    };
    audit.run(connection, evidence)?;
    let Audit {
        auditors,
        mut report,
    } = audit;
    for auditor in auditors.into_values() {
        report.extend(auditor.finish());
    }
    Ok(report)
}

/// The half of the proof that follows no journal: the file, the tables that say where things stand,
/// and holds that are over. Each of its checks compares rows of one moment; which moment is no
/// matter.
fn lists_of(connection: &Connection) -> Result<Report, VerifyError> {
    let mut report = Report::default();
    rows::file(connection, &mut report)?;
    rows::guards(connection, &mut report)?;
    rows::contents(connection, &mut report)?;
    lists::usage(connection, &mut report)?;
    ended_holds(connection, &mut report)?;
    keys::check(connection, &mut report)?;
    Ok(report)
}

/// What is over says all that must be known of it, so its auditors need not have seen the journal.
fn ended_holds(connection: &Connection, report: &mut Report) -> Result<(), VerifyError> {
    let mut auditors: BTreeMap<OrgId, Auditor> = wallets::all(connection)?
        .into_iter()
        .map(|row| (row.org, Auditor::streaming(row.org, row.wallet)))
        .collect();
    lists::ended_holds(connection, report, |report, org, amount, ended| {
        report.holds = report.holds.saturating_add(1);
        report.holds_ended = report.holds_ended.saturating_add(1);
        match auditors.get_mut(&org) {
            Some(auditor) => {
                auditor.ended_hold(amount, ended);
                report.extend(auditor.take_findings());
            }
            None => report.orphan(org, &ended.id),
        }
    })?;
    Ok(())
}

impl Audit {
    fn run(&mut self, connection: &Connection, evidence: Evidence<'_>) -> Result<(), VerifyError> {
        self.wallets(connection)?;
        self.heads(evidence.heads);
        for (org, grant) in grants::every(connection)? {
            match self.auditors.get_mut(&org) {
                Some(auditor) => auditor.grant(&grant),
                None => self.report.orphan(org, &grant.id()),
            }
        }
        self.journal(connection)?;
        for active in holds::active(connection, None)? {
            self.report.holds = self.report.holds.saturating_add(1);
            if holds::is_over(connection, active.hold.id)? {
                let problem = Problem::HoldTwice(active.hold.id);
                self.report.add("L7", Some(active.org), problem);
            }
            match self.auditors.get_mut(&active.org) {
                Some(auditor) => auditor.active_hold(&active.hold),
                None => self.report.orphan(active.org, &active.hold.id),
            }
        }
        Ok(())
    }

    /// What is held is no column: it is what the active holds put aside. So the auditor is given
    /// that, and proves it against lots and limits.
    fn wallets(&mut self, connection: &Connection) -> Result<(), VerifyError> {
        let mut by_org: BTreeMap<OrgId, Vec<_>> = BTreeMap::new();
        for active in holds::active(connection, None)? {
            by_org.entry(active.org).or_default().push(active.hold);
        }
        for row in wallets::all(connection)? {
            let mut wallet = row.wallet;
            let holds = by_org.remove(&row.org).unwrap_or_default();
            match super::load::held(&holds) {
                Some((held, on_credit)) => {
                    wallet.held = held;
                    wallet.held_on_credit = on_credit;
                }
                None => self.report.add("L2", Some(row.org), Problem::HeldRange),
            }
            self.report.orgs = self.report.orgs.saturating_add(1);
            let auditor = Auditor::streaming(row.org, wallet);
            self.auditors.insert(row.org, auditor);
        }
        Ok(())
    }

    fn heads(&mut self, heads: &[SignedHead]) {
        for signed in heads {
            let org = signed.head.org;
            let message = head_message(&signed.head, signed.signed_at_ms);
            let genuine = VerifyingKey::from_bytes(&signed.public_key).is_ok_and(|key| {
                let signature = Signature::from_bytes(&signed.signature);
                key.verify_strict(&message, &signature).is_ok()
            });
            match self.auditors.get_mut(&org) {
                _ if !genuine => {
                    let seq = signed.head.seq;
                    self.report.add("L5", Some(org), Problem::Signature { seq });
                }
                Some(auditor) => auditor.expect_head(&signed.head),
                None if signed.head.seq == 0 => {}
                None => self.report.orphan(org, &"an exported head"),
            }
        }
    }

    fn journal(&mut self, connection: &Connection) -> Result<(), VerifyError> {
        let mut last: BTreeMap<OrgId, rows::Last> = BTreeMap::new();
        let mut counts = counts::Counts::new(connection)?;
        let mut rules = rules::Rules::new(connection)?;
        let mut corrections = corrections::Corrections::new(connection)?;
        let mut journal = rows::Journal::new(connection);
        while let Some(entry) = journal.next(&mut self.report)? {
            let record = entry.record;
            let mut transaction = record.transaction;
            let org = transaction.org;
            self.report.transactions = self.report.transactions.saturating_add(1);
            let last = last.entry(org).or_default();
            transaction.prev_hash = last.hash;
            if record.previous != last.place {
                let id = transaction.id;
                self.report.add("L5", Some(org), Problem::Link { id });
            }
            *last = rows::Last {
                place: Some(entry.place),
                hash: transaction.hash,
            };
            let refunded = match transaction.kind {
                TransactionKind::ChargeRefund { charge, .. } => {
                    counts::refunded(connection, org, charge)?.map(|past| (charge, past))
                }
                _ => None,
            };
            if let Some((_, past)) = &refunded {
                counts.refund(entry.place, &transaction, past);
            }
            corrections.transaction(&transaction, entry.beside.note(), &mut self.report)?;
            if let Some(dimensions) = entry.beside.dimensions() {
                counts.charge(entry.place, &transaction, dimensions);
            }
            match self.auditors.get_mut(&org) {
                None => self.report.orphan(org, &transaction.id),
                Some(auditor) => {
                    if let Some((charge, past)) = &refunded {
                        auditor.charged(*charge, past.price);
                    }
                    match record.unbalanced {
                        Some(error) => auditor.unbalanced(
                            transaction.id,
                            transaction.seq,
                            transaction.hash,
                            error,
                        ),
                        None => auditor.transaction(&transaction),
                    }
                    let found = auditor.take_findings();
                    self.report.extend(found);
                }
            }
            if let Some(receipt) = rows::beside(&transaction, &entry.beside, &mut self.report) {
                rules.charge(org, &receipt, &mut self.report)?;
            }
        }
        counts.finish(connection, &mut self.report)?;
        rules.finish(&mut self.report)?;
        corrections.finish(&mut self.report)?;
        Ok(())
    }
}
