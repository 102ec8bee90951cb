//! What can be wrong with rows: the file, the guards, what stands beside a transaction, usage that
//! nobody charged, keys that lead nowhere.

use super::super::connection::{damaged, failure};
use super::super::dedupe::EffectId;
use super::super::migrate::guard_triggers;
use super::super::read::journal::{self, JournalRow};
use super::super::read::{blob, count, get, holds, query};
use super::super::rows::usage::{detail_digest, note_digest, receipt, usage as usage_body};
use super::super::write::outcome::Place;
use super::Reprice;
use super::finding::{Problem, Report};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::receipt::{Pricing, Receipt};
use farebox_ledger::account::Account;
use farebox_ledger::hold::{EndedHold, Hold};
use farebox_ledger::ids::{ChargeId, Digest, EventId, OrgId, TransactionId};
use farebox_ledger::transaction::{Transaction, TransactionKind};
use farebox_pricing::exact;
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::BTreeMap;

/// The last transaction seen of an org.
#[derive(Clone, Copy, Debug, Default)]
pub struct Last {
    pub id: Option<TransactionId>,
    pub hash: Digest,
}

/// A transaction's row, and the rows beside it.
#[derive(Debug)]
pub struct Entry {
    pub row: JournalRow,
    pub beside: Beside,
}

/// What stands beside a transaction, where it does.
#[derive(Debug, Default)]
pub struct Beside {
    note: Option<String>,
    usage: Option<Vec<u8>>,
    raw: Option<Vec<u8>>,
    receipt: Option<Vec<u8>>,
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

/// Every transaction in the order of ids, which is the order they were posted in.
pub fn journal(connection: &Connection, mut see: impl FnMut(Entry)) -> Result<(), StorageError> {
    let sql = format!(
        "SELECT {}, n.note, u.body, u.raw, r.body FROM transactions t
         LEFT JOIN notes n ON n.\"transaction\" = t.id
         LEFT JOIN usage_events u ON t.kind = 4 AND u.id = t.second
         LEFT JOIN receipts r ON t.kind = 4 AND r.charge = t.subject
         ORDER BY t.id",
        journal::COLUMNS
    );
    let mut statement = connection.prepare(&sql).map_err(failure)?;
    let mut rows = statement.query([]).map_err(failure)?;
    while let Some(row) = rows.next().map_err(failure)? {
        see(Entry {
            row: journal::read(row)?,
            beside: Beside {
                note: get(row, 14)?,
                usage: get(row, 15)?,
                raw: get(row, 16)?,
                receipt: get(row, 17)?,
            },
        });
    }
    Ok(())
}

/// What stands beside a transaction is what was chained with it (L5), and its price is the
/// receipt's (L10).
pub fn beside(
    transaction: &Transaction,
    beside: &Beside,
    report: &mut Report,
    reprice: &mut Option<&mut Reprice<'_>>,
) {
    let (org, id) = (Some(transaction.org), transaction.id);
    let TransactionKind::Charge { charge, event, .. } = transaction.kind else {
        if note_digest(beside.note.as_deref()) != transaction.detail_digest {
            let problem = match beside.note {
                Some(_) => Problem::BesideChanged { id },
                None => Problem::BesideMissing { id },
            };
            report.add("L5", org, problem);
        }
        return;
    };
    let (Some(usage), Some(receipt_bytes)) = (&beside.usage, &beside.receipt) else {
        report.add("L5", org, Problem::BesideMissing { id });
        return;
    };
    report.receipts = report.receipts.saturating_add(1);
    let digest = detail_digest(usage, beside.raw.as_deref(), receipt_bytes);
    if digest != transaction.detail_digest {
        report.add("L5", org, Problem::BesideChanged { id });
    }
    let read = usage_body(usage).and_then(|usage| Ok((usage.event, receipt(receipt_bytes)?)));
    let (event_body, pricing) = match read {
        Ok(read) => read,
        Err(error) => {
            let why = error.to_string();
            report.add("L10", org, Problem::Receipt { charge, why });
            return;
        }
    };
    check_price(transaction, charge, &pricing, report);
    if let Some(reprice) = reprice.as_deref_mut() {
        let receipt = Receipt {
            charge,
            event_id: event,
            event: event_body,
            pricing,
        };
        report.repriced = report.repriced.saturating_add(1);
        if let Err(difference) = reprice(transaction.org, &receipt) {
            report.add("L10", org, Problem::Repriced { charge, difference });
        }
    }
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

/// Every ended hold.
pub fn ended_holds(
    connection: &Connection,
    mut see: impl FnMut(OrgId, Hold, EndedHold),
) -> Result<(), StorageError> {
    let sql = "SELECT id, body, \"end\", ended_at_ms, captured_nanos, returned_nanos, org
         FROM holds_ended";
    let mut statement = connection.prepare(sql).map_err(failure)?;
    let mut rows = statement.query([]).map_err(failure)?;
    while let Some(row) = rows.next().map_err(failure)? {
        let (hold, ended) = holds::ended(row)?;
        see(OrgId::from_bytes(get(row, 6)?), hold, ended);
    }
    Ok(())
}

/// No usage event is missing (L4), and none was dropped: it is charged, settled, or waits.
pub fn usage(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    let sql = "SELECT u.org, u.id FROM usage_events u WHERE CASE
         WHEN u.charge IS NULL THEN NOT EXISTS (SELECT 1 FROM settlements WHERE event = u.id)
           AND NOT EXISTS (SELECT 1 FROM unpriced WHERE event = u.id)
         ELSE NOT EXISTS (SELECT 1 FROM receipts WHERE charge = u.charge) END";
    let dropped = query(connection, sql, [], |row| {
        Ok((id_of(row)?, EventId::from_bytes(get(row, 1)?)))
    })?;
    for (org, event) in dropped {
        report.add("L6", Some(org), Problem::UsageDropped(event));
    }
    let sql = "SELECT w.org, w.usage_seq, coalesce(u.found, 0) FROM wallets w LEFT JOIN
         (SELECT org, count(*) AS found FROM usage_events GROUP BY org) u ON u.org = w.org";
    let counts = query(connection, sql, [], |row| {
        Ok((id_of(row)?, count(row, 1)?, count(row, 2)?))
    })?;
    for (org, expected, found) in counts {
        report.usage_events = report.usage_events.saturating_add(found);
        if expected != found {
            report.add("L4", Some(org), Problem::UsageMissing { expected, found });
        }
    }
    Ok(())
}

fn id_of(row: &Row<'_>) -> Result<OrgId, StorageError> {
    Ok(OrgId::from_bytes(get(row, 0)?))
}

/// L6: every key leads to an effect that is there.
pub fn keys(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    let mut length = connection
        .prepare("SELECT length(entries) FROM effects WHERE \"commit\" = ?1")
        .map_err(failure)?;
    let mut is_there = |effect: EffectId| -> Result<bool, StorageError> {
        let place = Place::from_bytes(effect);
        let length: Option<i64> = length
            .query_row([place.commit], |row| row.get(0))
            .optional()
            .map_err(failure)?;
        let end = i64::from(place.offset).saturating_add(i64::from(place.length));
        Ok(length.is_some_and(|length| end <= length))
    };
    let mut lost = 0_u64;
    let mut statement = connection
        .prepare("SELECT entries FROM dedupe_recent UNION ALL SELECT entries FROM dedupe_entries")
        .map_err(failure)?;
    let mut rows = statement.query([]).map_err(failure)?;
    while let Some(row) = rows.next().map_err(failure)? {
        let (entries, rest) = blob(row, 0)?.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(damaged(super::super::connection::DamagedRow(
                "a row of keys is cut off".to_owned(),
            )));
        }
        for entry in entries {
            let effect = entry.last_chunk().copied().unwrap_or_default();
            lost = lost.saturating_add(u64::from(!is_there(effect)?));
        }
    }
    if lost > 0 {
        report.add("L6", None, Problem::Effects(lost));
    }
    Ok(())
}
