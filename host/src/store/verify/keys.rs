//! What can be wrong with idempotency keys, provider responses and payments (L6): one that leads
//! nowhere, one that is there twice.
//!
//! Generations are sorted, so all keys can be seen in order by merging them: memory holds one
//! block of each generation, the newest generation, which is bounded, and how long the effects of
//! each commit are. What a restart would read is what is looked at: a generation that is being
//! moved counts where it comes from until it is moved whole.

use super::super::connection::{DamagedRow, damaged, failure};
use super::super::dedupe::{ENTRY, EffectId, Key};
use super::super::read::{blob, get, query};
use super::super::write::outcome::Place;
use super::finding::{Problem, Report};
use crate::service::ledger::failure::StorageError;
use rusqlite::{Connection, OptionalExtension, Statement, params};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The generations that were moved whole have a filter; of the others the log counts.
const MOVED: &str = "SELECT generation FROM dedupe_filters ORDER BY generation";

/// No key is there twice, and each leads to an effect that is there.
pub fn check(connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
    let moved: Vec<i64> = query(connection, MOVED, [], |row| get(row, 0))?;
    let mut runs = vec![Run::of(recent(connection, moved.last().copied())?)];
    runs.extend(moved.into_iter().map(Run::of_generation));
    let mut heap = BinaryHeap::with_capacity(runs.len());
    for (number, run) in runs.iter_mut().enumerate() {
        heap.extend(run.next(connection)?.map(|entry| Reverse((entry, number))));
    }
    let mut effects = Effects::new(connection)?;
    let mut last: Option<Key> = None;
    let (mut twice, mut lost) = (0_u64, 0_u64);
    while let Some(mut first) = heap.peek_mut() {
        let Reverse(((key, effect), number)) = *first;
        twice = twice.saturating_add(u64::from(last == Some(key)));
        last = Some(key);
        lost = lost.saturating_add(u64::from(!effects.is_there(Place::from_bytes(effect))?));
        let next = match runs.get_mut(number) {
            Some(run) => run.next(connection)?,
            None => None,
        };
        match next {
            // Sinks to its place when it is let go.
            Some(entry) => *first = Reverse((entry, number)),
            None => drop(std::collections::binary_heap::PeekMut::pop(first)),
        }
    }
    if lost > 0 {
        report.add("L6", None, Problem::Effects(lost));
    }
    if twice > 0 {
        report.add("L6", None, Problem::KeysTwice(twice));
    }
    Ok(())
}

/// A key, and the effect it leads to.
type Entry = (Key, EffectId);

/// The entries of the log after this generation, in order.
fn recent(connection: &Connection, moved: Option<i64>) -> Result<Vec<Entry>, StorageError> {
    let sql = "SELECT entries FROM dedupe_recent WHERE generation > ?1";
    let rows = query(connection, sql, [moved.unwrap_or_default()], |row| {
        entries_of(blob(row, 0)?)
    })?;
    let mut entries = rows.concat();
    entries.sort_unstable();
    Ok(entries)
}

fn entries_of(row: &[u8]) -> Result<Vec<Entry>, StorageError> {
    let (entries, rest) = row.as_chunks::<ENTRY>();
    if !rest.is_empty() {
        return Err(damaged(DamagedRow("a row of keys is cut off".to_owned())));
    }
    let entry = |entry: &[u8; ENTRY]| Some((*entry.first_chunk()?, *entry.last_chunk()?));
    Ok(entries.iter().filter_map(entry).collect())
}

/// Sorted entries, read a block at a time.
struct Run {
    generation: Option<i64>,
    block: std::vec::IntoIter<Entry>,
    /// The first key of the block; nothing sorts before all of them.
    after: Vec<u8>,
}

impl Run {
    fn of(entries: Vec<Entry>) -> Self {
        Self {
            generation: None,
            block: entries.into_iter(),
            after: Vec::new(),
        }
    }

    fn of_generation(generation: i64) -> Self {
        Self {
            generation: Some(generation),
            ..Self::of(Vec::new())
        }
    }

    fn next(&mut self, connection: &Connection) -> Result<Option<Entry>, StorageError> {
        if let Some(entry) = self.block.next() {
            return Ok(Some(entry));
        }
        let Some(generation) = self.generation else {
            return Ok(None);
        };
        let sql = "SELECT first_key, entries FROM dedupe_entries
             WHERE generation = ?1 AND first_key > ?2 ORDER BY first_key LIMIT 1";
        let block = connection
            .prepare_cached(sql)
            .map_err(failure)?
            .query_row(params![generation, self.after], |row| {
                Ok((row.get(0)?, entries_of(row.get_ref(1)?.as_blob()?)))
            })
            .optional()
            .map_err(failure)?;
        let Some((first, entries)) = block else {
            return Ok(None);
        };
        self.after = first;
        self.block = entries?.into_iter();
        Ok(self.block.next())
    }
}

/// How long the effects of each commit are: keys come in no order of commits, so asking the
/// database for each would read a page for each.
struct Effects<'c> {
    /// By number of the commit.
    lengths: Vec<u32>,
    beyond: Statement<'c>,
}

impl<'c> Effects<'c> {
    /// Commits whose lengths are kept, four bytes each; of later ones the database is asked.
    const KEPT: usize = 1 << 24;

    fn new(connection: &'c Connection) -> Result<Self, StorageError> {
        let mut lengths = Vec::new();
        let mut statement = connection
            .prepare("SELECT \"commit\", length(entries) FROM effects ORDER BY \"commit\"")
            .map_err(failure)?;
        let mut rows = statement.query([]).map_err(failure)?;
        while let Some(row) = rows.next().map_err(failure)? {
            let (commit, length): (i64, i64) = (get(row, 0)?, get(row, 1)?);
            let Ok(commit) = usize::try_from(commit) else {
                continue;
            };
            if commit >= Self::KEPT {
                break;
            }
            // What is between stands nowhere, and is as long as nothing.
            lengths.resize(commit, 0);
            lengths.push(u32::try_from(length).unwrap_or(u32::MAX));
        }
        let sql = "SELECT length(entries) FROM effects WHERE \"commit\" = ?1";
        Ok(Self {
            lengths,
            beyond: connection.prepare(sql).map_err(failure)?,
        })
    }

    fn is_there(&mut self, place: Place) -> Result<bool, StorageError> {
        let end = u64::from(place.offset).saturating_add(u64::from(place.length));
        let kept = usize::try_from(place.commit).unwrap_or(usize::MAX);
        let length = if kept < Self::KEPT {
            self.lengths.get(kept).copied()
        } else {
            self.beyond
                .query_row([place.commit], |row| row.get(0))
                .optional()
                .map_err(failure)?
        };
        let length = length.map(u64::from);
        // No effect is empty.
        Ok(place.length > 0 && length.is_some_and(|length| end <= length))
    }
}
