//! What can be wrong with usage events, holds, and the tables that say where things stand.

use super::super::chunks::{ChunkReader, Entries, List, Place};
use super::super::connection::failure;
use super::super::read::{blob, count, get, query};
use super::super::rows::records::{self, HoldFact, ReceiptRecord, UsageRecord};
use super::finding::{Problem, Report};
use super::rows::next;
use crate::service::ledger::failure::StorageError;
use farebox_ledger::hold::{EndedHold, Hold};
use farebox_ledger::ids::{HoldId, OrgId};
use rusqlite::{CachedStatement, Connection};
use std::collections::BTreeMap;

/// Chunks kept while holds are looked up: those that ended together began together.
const KEEP: usize = 256;

/// No usage event is missing (L4) or out of the org's list (L5), and none was dropped: it is
/// charged, settled, or waits (L6).
pub fn usage(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    let mut tails: BTreeMap<OrgId, (u64, Option<Place>)> = BTreeMap::new();
    let mut entries = Entries::new(connection, List::Usage);
    let mut receipts = Entries::new(connection, List::Receipts);
    let mut receipt: Option<ReceiptRecord> = None;
    let mut waits = Waits::new(connection)?;
    let mut quiet = Report::default();
    while let Some((place, event)) = next(&mut entries, List::Usage, report, records::usage)? {
        let (found, last) = tails.entry(event.org).or_default();
        *found = found.saturating_add(1);
        if event.previous != *last || event.seq != *found {
            let problem = Problem::UsageLink(event.id);
            report.add("L5", Some(event.org), problem);
        }
        *last = Some(place);
        // Receipts of usage that was charged at once stand in the same order; those of usage that
        // was settled later lead back, and are passed over.
        while receipt.as_ref().is_none_or(|receipt| receipt.usage < place) {
            match next(&mut receipts, List::Receipts, &mut quiet, records::receipt)? {
                Some((_, next)) => receipt = Some(next),
                None => break,
            }
        }
        let kept = match event.charge {
            Some((charge, ..)) => receipt
                .as_ref()
                .is_some_and(|receipt| receipt.usage == place && receipt.charge == charge),
            None => waits.keeps(&event)?,
        };
        if !kept {
            report.add("L6", Some(event.org), Problem::UsageDropped(event.id));
        }
    }
    let sql = "SELECT org, usage_seq, usage_head FROM wallets";
    let rows = query(connection, sql, [], |row| {
        let head: Option<Place> = get(row, 2)?;
        Ok((OrgId::from_bytes(get(row, 0)?), count(row, 1)?, head))
    })?;
    for (org, expected, head) in rows {
        let (found, last) = tails.remove(&org).unwrap_or_default();
        report.usage_events = report.usage_events.saturating_add(found);
        if expected != found || head != last {
            report.add("L4", Some(org), Problem::UsageMissing { expected, found });
        }
    }
    for org in tails.into_keys() {
        report.orphan(org, &"a usage event");
    }
    Ok(())
}

/// Looks up usage that had no price at first.
struct Waits<'c> {
    settled: CachedStatement<'c>,
    unpriced: CachedStatement<'c>,
}

impl<'c> Waits<'c> {
    fn new(connection: &'c Connection) -> Result<Self, StorageError> {
        let prepare = |sql| connection.prepare_cached(sql).map_err(failure);
        Ok(Self {
            settled: prepare("SELECT 1 FROM settlements WHERE event = ?1")?,
            unpriced: prepare("SELECT 1 FROM unpriced WHERE event = ?1")?,
        })
    }

    fn keeps(&mut self, event: &UsageRecord) -> Result<bool, StorageError> {
        let id = event.id.to_bytes();
        Ok(self.settled.exists([id]).map_err(failure)?
            || self.unpriced.exists([id]).map_err(failure)?)
    }
}

/// Every hold that is over: as it was, and how it ended.
pub fn ended_holds(
    connection: &Connection,
    report: &mut Report,
    mut see: impl FnMut(&mut Report, OrgId, &Hold, &EndedHold),
) -> Result<(), StorageError> {
    let mut entries = Entries::new(connection, List::Holds);
    let mut before = ChunkReader::keeping(connection, List::Holds, KEEP);
    while let Some((_, record)) = next(&mut entries, List::Holds, report, records::hold)? {
        let HoldFact::Ended(ended, place) = record.what else {
            continue;
        };
        let was = before.entry(place).ok().flatten();
        match was
            .and_then(|was| records::hold(was).ok())
            .map(|was| (was.id, was.what))
        {
            Some((id, HoldFact::Active(hold))) if id == record.id => {
                see(report, record.org, &hold, &ended);
            }
            _ => report.add("L7", Some(record.org), Problem::HoldGone(record.id)),
        }
    }
    Ok(())
}

/// What has an id is found by it, and nothing else is.
pub fn places(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    places_of(connection, List::Usage, report, |entry| {
        records::usage(entry).ok().map(|usage| usage.id.to_bytes())
    })?;
    places_of(connection, List::Receipts, report, |entry| {
        let receipt = records::receipt(entry).ok()?;
        Some(receipt.charge.to_bytes())
    })?;
    ended_places(connection, report)
}

fn places_of(
    connection: &Connection,
    list: List,
    report: &mut Report,
    id_of: impl Fn(&[u8]) -> Option<[u8; 16]>,
) -> Result<(), StorageError> {
    let mut entries = ChunkReader::keeping(connection, list, KEEP);
    let mut leads_astray = |id: &[u8], place: Place| {
        let entry = entries.entry(place).ok().flatten();
        entry.and_then(&id_of).as_ref().map(<[u8; 16]>::as_slice) != Some(id)
    };
    let (mut found, mut astray) = (0_u64, 0_u64);
    let mut last = [0; 16];
    let mut statement = connection
        .prepare("SELECT entries FROM ids WHERE list = ?1 ORDER BY upto")
        .map_err(failure)?;
    let mut rows = statement.query([list.code()]).map_err(failure)?;
    while let Some(row) = rows.next().map_err(failure)? {
        let (ids, _) = blob(row, 0)?.as_chunks::<24>();
        for entry in ids {
            let (Some(id), Some(number)) = (entry.first_chunk(), entry.last_chunk()) else {
                continue;
            };
            found = found.saturating_add(1);
            let place = Place::from_number(i64::from_be_bytes(*number));
            astray = astray.saturating_add(u64::from(*id <= last || leads_astray(id, place)));
            last = *id;
        }
    }
    let sql = "SELECT id, place FROM ids_late WHERE list = ?1";
    for (id, place) in query(connection, sql, [list.code()], |row| {
        Ok((get::<[u8; 16]>(row, 0)?, get(row, 1)?))
    })? {
        found = found.saturating_add(1);
        astray = astray.saturating_add(u64::from(leads_astray(&id, place)));
    }
    let expected = entries_in(connection, list)?;
    if astray > 0 || found != expected {
        let table = list.table();
        let problem = Problem::Places {
            table,
            expected,
            found,
            astray,
        };
        report.add("L6", None, problem);
    }
    Ok(())
}

fn entries_in(connection: &Connection, list: List) -> Result<u64, StorageError> {
    let mut entries = Entries::new(connection, list);
    let mut all = 0_u64;
    while entries.next()?.is_some() {
        all = all.saturating_add(1);
    }
    Ok(all)
}

fn ended_places(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    let mut entries = ChunkReader::keeping(connection, List::Holds, KEEP);
    let (mut found, mut astray) = (0_u64, 0_u64);
    let mut statement = connection
        .prepare("SELECT id, place FROM holds_ended ORDER BY id")
        .map_err(failure)?;
    let mut rows = statement.query([]).map_err(failure)?;
    while let Some(row) = rows.next().map_err(failure)? {
        let id = HoldId::from_bytes(get(row, 0)?);
        let entry = entries.entry(get(row, 1)?).ok().flatten();
        let record = entry.and_then(|entry| records::hold(entry).ok());
        let there = record
            .is_some_and(|record| record.id == id && matches!(record.what, HoldFact::Ended(..)));
        found = found.saturating_add(1);
        astray = astray.saturating_add(u64::from(!there));
    }
    let expected = report.holds_ended;
    if astray > 0 || found != expected {
        let table = "holds";
        let problem = Problem::Places {
            table,
            expected,
            found,
            astray,
        };
        report.add("L7", None, problem);
    }
    Ok(())
}
