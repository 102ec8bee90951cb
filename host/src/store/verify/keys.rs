//! What can be wrong with idempotency keys, provider responses and payments (L6): one that leads
//! nowhere, one that is there twice.
//!
//! Generations are sorted, so all keys can be seen in order by merging them: memory holds one
//! block of each generation, and the newest generation, which is bounded.

use super::super::connection::{DamagedRow, damaged, failure};
use super::super::dedupe::{ENTRY, EffectId, Key};
use super::super::read::{blob, get, query};
use super::super::write::outcome::Place;
use super::finding::{Problem, Report};
use crate::service::ledger::failure::StorageError;
use rusqlite::{Connection, OptionalExtension, params};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The generations that were moved whole have a filter; of the others the log counts.
const MOVED: &str = "SELECT generation FROM dedupe_filters ORDER BY generation";

/// No key is there twice.
pub fn once(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    let moved: Vec<i64> = query(connection, MOVED, [], |row| get(row, 0))?;
    let mut runs = vec![Run::of(recent(connection, moved.last().copied())?)];
    runs.extend(moved.into_iter().map(Run::of_generation));
    let mut heap = BinaryHeap::new();
    for (number, run) in runs.iter_mut().enumerate() {
        heap.extend(run.next(connection)?.map(|key| Reverse((key, number))));
    }
    let mut last: Option<Key> = None;
    let mut twice = 0_u64;
    while let Some(Reverse((key, number))) = heap.pop() {
        twice = twice.saturating_add(u64::from(last == Some(key)));
        last = Some(key);
        if let Some(run) = runs.get_mut(number) {
            heap.extend(run.next(connection)?.map(|key| Reverse((key, number))));
        }
    }
    if twice > 0 {
        report.add("L6", None, Problem::KeysTwice(twice));
    }
    Ok(())
}

/// The keys of the log after this generation, in order.
fn recent(connection: &Connection, moved: Option<i64>) -> Result<Vec<Key>, StorageError> {
    let sql = "SELECT entries FROM dedupe_recent WHERE generation > ?1";
    let rows = query(connection, sql, [moved.unwrap_or_default()], |row| {
        Ok(keys_of(blob(row, 0)?).collect::<Vec<_>>())
    })?;
    let mut keys = rows.concat();
    keys.sort_unstable();
    Ok(keys)
}

fn keys_of(entries: &[u8]) -> impl Iterator<Item = Key> {
    let (entries, _) = entries.as_chunks::<ENTRY>();
    entries
        .iter()
        .filter_map(|entry| entry.first_chunk().copied())
}

/// Sorted keys, read a block at a time.
struct Run {
    generation: Option<i64>,
    block: std::vec::IntoIter<Key>,
    after: Option<Key>,
}

impl Run {
    fn of(keys: Vec<Key>) -> Self {
        Self {
            generation: None,
            block: keys.into_iter(),
            after: None,
        }
    }

    fn of_generation(generation: i64) -> Self {
        Self {
            generation: Some(generation),
            ..Self::of(Vec::new())
        }
    }

    fn next(&mut self, connection: &Connection) -> Result<Option<Key>, StorageError> {
        if let Some(key) = self.block.next() {
            return Ok(Some(key));
        }
        let Some(generation) = self.generation else {
            return Ok(None);
        };
        let sql = "SELECT first_key, entries FROM dedupe_entries
             WHERE generation = ?1 AND (?2 IS NULL OR first_key > ?2) ORDER BY first_key LIMIT 1";
        let block = connection
            .prepare_cached(sql)
            .map_err(failure)?
            .query_row(params![generation, self.after], |row| {
                let keys: Vec<Key> = keys_of(row.get_ref(1)?.as_blob()?).collect();
                Ok((row.get(0)?, keys))
            })
            .optional()
            .map_err(failure)?;
        let Some((first, keys)) = block else {
            return Ok(None);
        };
        self.after = Some(first);
        self.block = keys.into_iter();
        Ok(self.block.next())
    }
}

/// L6: every key leads to an effect that is there.
pub fn lead_somewhere(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
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
        let (entries, rest) = blob(row, 0)?.as_chunks::<ENTRY>();
        if !rest.is_empty() {
            return Err(damaged(DamagedRow("a row of keys is cut off".to_owned())));
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
