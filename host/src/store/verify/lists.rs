//! What can be wrong with usage events, holds, and the tables that say where things stand.

use super::super::chunks::{ChunkReader, Entries, List, Place};
use super::super::connection::failure;
use super::super::read::{blob, count, get, query};
use super::super::rows::cbor::Error;
use super::super::rows::records::{self, HoldFact, UsageLink};
use super::finding::{Problem, Report};
use super::rows::next;
use crate::service::ledger::failure::StorageError;
use farebox_ledger::hold::EndedHold;
use farebox_ledger::ids::{ChargeId, EventId, HoldId, OrgId};
use farebox_pricing::money::Nanos;
use rusqlite::{CachedStatement, Connection};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

/// Chunks kept while holds are looked up: those that ended together began together.
const KEEP: usize = 256;

/// No usage event is missing (L4) or out of the org's list (L5), and none was dropped: it is
/// charged, settled, or waits (L6). What has an id is found by it, and nothing else is.
///
/// Only the beginnings of entries are read: the rest of what was charged is read where it is
/// compared with the chain.
pub fn usage(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    let mut tails: BTreeMap<OrgId, (u64, Option<Place>)> = BTreeMap::new();
    let mut entries = Entries::new(connection, List::Usage);
    let mut receipts = ReceiptLinks::new(connection);
    let mut events = Bag::default();
    let mut waits = Waits::new(connection)?;
    while let Some((place, event)) = next(&mut entries, List::Usage, report, usage_link)? {
        events.add(event.id.to_bytes(), place);
        let (found, last) = tails.entry(event.org).or_default();
        *found = found.saturating_add(1);
        if event.previous != *last || event.seq != *found {
            let problem = Problem::UsageLink(event.id);
            report.add("L5", Some(event.org), problem);
        }
        *last = Some(place);
        let kept = match event.charge {
            Some(charge) => receipts.charged(place)? == Some(charge),
            None => waits.keeps(event.id)?,
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
    let charges = receipts.finish()?;
    places_of(connection, List::Usage, &events, report, |entry| {
        usage_link(entry).ok().map(|usage| usage.id.to_bytes())
    })?;
    places_of(connection, List::Receipts, &charges, report, |entry| {
        let (charge, _) = records::receipt_link(entry).ok()?;
        Some(charge.to_bytes())
    })
}

/// What was charged is read whole elsewhere; what waits is nowhere else.
fn usage_link(bytes: &[u8]) -> Result<UsageLink, Error> {
    let link = records::usage_link(bytes)?;
    if link.charge.is_none() {
        records::usage(bytes)?;
    }
    Ok(link)
}

/// Receipts beside their usage events.
struct ReceiptLinks<'c> {
    entries: Entries<'c>,
    last: Option<(ChargeId, Place)>,
    seen: Bag,
    /// What is wrong with receipts is said where they are read whole.
    quiet: Report,
}

impl<'c> ReceiptLinks<'c> {
    fn new(connection: &'c Connection) -> Self {
        Self {
            entries: Entries::new(connection, List::Receipts),
            last: None,
            seen: Bag::default(),
            quiet: Report::default(),
        }
    }

    fn advance(&mut self) -> Result<bool, StorageError> {
        let read = records::receipt_link;
        let next = next(&mut self.entries, List::Receipts, &mut self.quiet, read)?;
        if let Some((place, (charge, usage))) = next {
            self.seen.add(charge.to_bytes(), place);
            self.last = Some((charge, usage));
        }
        Ok(next.is_some())
    }

    /// The charge of the usage event at a place. Receipts of usage that was charged at once stand
    /// in the order of the events; those of usage that was settled later lead back, and are passed
    /// over.
    fn charged(&mut self, event: Place) -> Result<Option<ChargeId>, StorageError> {
        while self.last.is_none_or(|(_, usage)| usage < event) {
            if !self.advance()? {
                break;
            }
        }
        Ok(self
            .last
            .filter(|(_, usage)| *usage == event)
            .map(|(charge, _)| charge))
    }

    /// All receipts.
    fn finish(mut self) -> Result<Bag, StorageError> {
        while self.advance()? {}
        Ok(self.seen)
    }
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

    fn keeps(&mut self, event: EventId) -> Result<bool, StorageError> {
        let id = event.to_bytes();
        Ok(self.settled.exists([id]).map_err(failure)?
            || self.unpriced.exists([id]).map_err(failure)?)
    }
}

/// Every hold that is over: what it put aside, and how it ended. What ended is found by its id.
pub fn ended_holds(
    connection: &Connection,
    report: &mut Report,
    mut see: impl FnMut(&mut Report, OrgId, Nanos, &EndedHold),
) -> Result<(), StorageError> {
    let mut entries = Entries::new(connection, List::Holds);
    let mut before = ChunkReader::keeping(connection, List::Holds, KEEP);
    let mut bag = Bag::default();
    while let Some((place, record)) = next(&mut entries, List::Holds, report, records::hold)? {
        let HoldFact::Ended(ended, active) = record.what else {
            continue;
        };
        bag.add(record.id.to_bytes(), place);
        let was = before.entry(active).ok().flatten();
        match was.and_then(|was| records::hold_amount(was).ok()) {
            Some((id, Some(amount))) if id == record.id => {
                see(report, record.org, amount, &ended);
            }
            _ => report.add("L7", Some(record.org), Problem::HoldGone(record.id)),
        }
    }
    ended_places(connection, &bag, report)
}

/// Where entries with an id should be found: how many there are, and the sum of keyed hashes over
/// id and place. Two such bags are equal only if their contents are, however they are ordered, but
/// for a chance of 2⁻⁶⁴ that nobody can improve: the key is made anew by each run.
#[derive(Default)]
struct Bag {
    key: RandomState,
    count: u64,
    sum: u64,
}

impl Bag {
    /// Empty, and comparable with `self`.
    fn emptied(&self) -> Self {
        Self {
            key: self.key.clone(),
            count: 0,
            sum: 0,
        }
    }

    fn add(&mut self, id: [u8; 16], place: Place) {
        self.count = self.count.saturating_add(1);
        let number = (u128::from_be_bytes(id), place.number());
        self.sum = self.sum.wrapping_add(self.key.hash_one(number));
    }

    const fn is(&self, other: &Self) -> bool {
        self.count == other.count && self.sum == other.sum
    }
}

/// The table of ids leads to exactly these entries, in order and once.
fn places_of(
    connection: &Connection,
    list: List,
    expected: &Bag,
    report: &mut Report,
    id_of: impl Fn(&[u8]) -> Option<[u8; 16]>,
) -> Result<(), StorageError> {
    let mut found = expected.emptied();
    let mut disorder = 0_u64;
    let mut last = [0; 16];
    let mut statement = connection
        .prepare("SELECT entries FROM ids WHERE list = ?1 ORDER BY upto")
        .map_err(failure)?;
    let mut rows = statement.query([list.code()]).map_err(failure)?;
    while let Some(row) = rows.next().map_err(failure)? {
        for (id, place) in id_entries(blob(row, 0)?) {
            disorder = disorder.saturating_add(u64::from(id <= last));
            last = id;
            found.add(id, place);
        }
    }
    let sql = "SELECT id, place FROM ids_late WHERE list = ?1";
    for (id, place) in query(connection, sql, [list.code()], |row| {
        Ok((get::<[u8; 16]>(row, 0)?, get(row, 1)?))
    })? {
        found.add(id, place);
    }
    if disorder > 0 || !found.is(expected) {
        let problem = Problem::Places {
            table: list.table(),
            expected: expected.count,
            found: found.count,
            astray: astray(connection, list, id_of)?.max(disorder),
        };
        report.add("L6", None, problem);
    }
    Ok(())
}

fn id_entries(row: &[u8]) -> impl Iterator<Item = ([u8; 16], Place)> {
    let (entries, _) = row.as_chunks::<24>();
    entries.iter().filter_map(|entry| {
        let place = i64::from_be_bytes(*entry.last_chunk()?);
        Some((*entry.first_chunk()?, Place::from_number(place)))
    })
}

/// How many ids lead to something else than what has them: looked up one by one, because something
/// is wrong.
fn astray(
    connection: &Connection,
    list: List,
    id_of: impl Fn(&[u8]) -> Option<[u8; 16]>,
) -> Result<u64, StorageError> {
    let mut entries = ChunkReader::keeping(connection, list, KEEP);
    let mut astray = 0_u64;
    let mut look_up = |id: [u8; 16], place: Place| {
        let entry = entries.entry(place).ok().flatten();
        astray = astray.saturating_add(u64::from(entry.and_then(&id_of) != Some(id)));
    };
    let mut statement = connection
        .prepare("SELECT entries FROM ids WHERE list = ?1")
        .map_err(failure)?;
    let mut rows = statement.query([list.code()]).map_err(failure)?;
    while let Some(row) = rows.next().map_err(failure)? {
        for (id, place) in id_entries(blob(row, 0)?) {
            look_up(id, place);
        }
    }
    let sql = "SELECT id, place FROM ids_late WHERE list = ?1";
    for (id, place) in query(connection, sql, [list.code()], |row| {
        Ok((get(row, 0)?, get(row, 1)?))
    })? {
        look_up(id, place);
    }
    Ok(astray)
}

fn ended_places(
    connection: &Connection,
    expected: &Bag,
    report: &mut Report,
) -> Result<(), StorageError> {
    let mut found = expected.emptied();
    let mut statement = connection
        .prepare("SELECT id, place FROM holds_ended ORDER BY id")
        .map_err(failure)?;
    let mut rows = statement.query([]).map_err(failure)?;
    while let Some(row) = rows.next().map_err(failure)? {
        found.add(get(row, 0)?, get(row, 1)?);
    }
    if !found.is(expected) {
        let problem = Problem::Places {
            table: List::Holds.table(),
            expected: expected.count,
            found: found.count,
            astray: ended_astray(connection)?,
        };
        report.add("L7", None, problem);
    }
    Ok(())
}

fn ended_astray(connection: &Connection) -> Result<u64, StorageError> {
    let mut entries = ChunkReader::keeping(connection, List::Holds, KEEP);
    let mut astray = 0_u64;
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
        astray = astray.saturating_add(u64::from(!there));
    }
    Ok(astray)
}
