//! Which idempotency key (or provider response, or payment) led to which effect (L6).
//!
//! Keys are hashes: one table ordered by key would be written at a random page for each of them,
//! and a commit of a thousand writes would write a thousand pages. So keys are kept as a log with
//! generations:
//!
//! 1. the newest generation is in memory, and each commit appends its entries as one row;
//! 2. a full generation is sorted once and moved, a slice per commit, into a table of blocks
//!    ordered by (generation, first key): written from left to right, each page once;
//! 3. a moved generation is looked up only where its [filter](filter) says that it may hold the
//!    key, which for a new key it almost never does.
//!
//! Time per key and bytes per key stay flat; memory is two bytes per key. Must not know what an
//! effect is.

pub mod filter;

use filter::{Filters, Mask};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

/// A hash of org and key: see [`super::write`].
pub type Key = [u8; 16];
/// The id of an effect.
pub type EffectId = [u8; 16];

/// Entries of a full generation.
const GENERATION: usize = 1 << 17;
/// Entries that a commit moves at least, while a generation waits to be moved.
const SLICE: usize = 2_048;
const ENTRY: usize = 32;
/// Entries of a block: about half a page.
const BLOCK: usize = 96;

/// The index over all keys.
#[derive(Debug)]
pub struct Dedupe {
    full_at: usize,
    generation: i64,
    commit: i64,
    recent: HashMap<Key, EffectId>,
    /// Entries since the last commit, as bytes.
    pending: Vec<u8>,
    moving: Option<Moving>,
    filters: Filters,
}

/// A full generation on its way into the table.
#[derive(Debug)]
struct Moving {
    generation: i64,
    /// In the order of keys.
    entries: Vec<(Key, EffectId)>,
    moved: usize,
}

impl Dedupe {
    /// The index as the database has it.
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        Self::load_with(connection, GENERATION)
    }

    fn load_with(connection: &Connection, full_at: usize) -> rusqlite::Result<Self> {
        let mut filters = Filters::new(full_at);
        let mut statement = connection
            .prepare("SELECT generation, bits FROM dedupe_filters ORDER BY generation")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            filters.add(row.get(0)?, row.get_ref(1)?.as_blob()?);
        }
        let mut generations: Vec<(i64, i64, HashMap<Key, EffectId>)> = Vec::new();
        let mut statement = connection.prepare(
            "SELECT generation, \"commit\", entries FROM dedupe_recent
             ORDER BY generation, \"commit\"",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (generation, commit) = (row.get(0)?, row.get(1)?);
            if generations.last().is_none_or(|last| last.0 != generation) {
                generations.push((generation, 0, HashMap::new()));
            }
            if let Some((_, last_commit, entries)) = generations.last_mut() {
                *last_commit = commit;
                let (chunks, _) = row.get_ref(2)?.as_blob()?.as_chunks::<ENTRY>();
                entries.extend(chunks.iter().filter_map(|chunk| {
                    let (key, effect) = chunk.split_first_chunk::<16>()?;
                    Some((*key, effect.try_into().ok()?))
                }));
            }
        }
        let (generation, commit, recent) = generations.pop().unwrap_or_else(|| {
            (
                filters
                    .newest()
                    .map_or(1, |newest| newest.saturating_add(1)),
                0,
                HashMap::new(),
            )
        });
        let moving = match generations.pop() {
            None => None,
            Some((generation, _, entries)) => {
                let moved: i64 = connection.query_row(
                    "SELECT coalesce(sum(length(entries)), 0) FROM dedupe_entries
                     WHERE generation = ?1",
                    [generation],
                    |row| row.get(0),
                )?;
                let mut moving = Moving::new(generation, entries);
                moving.moved = usize::try_from(moved).unwrap_or_default() / ENTRY;
                Some(moving)
            }
        };
        Ok(Self {
            full_at,
            generation,
            commit,
            recent,
            pending: Vec::new(),
            moving,
            filters,
        })
    }

    /// The effect this key led to.
    pub fn find(&self, connection: &Connection, key: &Key) -> rusqlite::Result<Option<EffectId>> {
        if let Some(effect) = self.recent.get(key) {
            return Ok(Some(*effect));
        }
        if let Some(effect) = self.moving.as_ref().and_then(|moving| moving.find(key)) {
            return Ok(Some(effect));
        }
        for generation in self.filters.may_hold(&Mask::of(key)) {
            let found = connection
                .prepare_cached(
                    "SELECT entries FROM dedupe_entries
                     WHERE generation = ?1 AND first_key <= ?2 ORDER BY first_key DESC LIMIT 1",
                )?
                .query_row(params![generation, key], |row| {
                    Ok(find_in(row.get_ref(0)?.as_blob()?, key))
                })
                .optional()?
                .flatten();
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Remembers where this new key led. Durable after [`flush`](Self::flush) and commit.
    pub fn insert(&mut self, key: Key, effect: EffectId) {
        self.recent.insert(key, effect);
        self.pending.extend_from_slice(&key);
        self.pending.extend_from_slice(&effect);
    }

    /// Writes what is new, and moves a slice of what is old. Before each commit.
    pub fn flush(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.commit = self.commit.saturating_add(1);
        connection
            .prepare_cached("INSERT INTO dedupe_recent VALUES (?1, ?2, ?3)")?
            .execute(params![self.generation, self.commit, self.pending])?;
        let new = self.pending.len() / ENTRY;
        self.pending.clear();
        if let Some(moving) = &mut self.moving {
            // Twice as fast as keys arrive, so a generation is gone before the next is full.
            moving.advance(connection, new.saturating_mul(2).max(SLICE))?;
            if moving.is_done() {
                moving.finish(connection, &mut self.filters)?;
                self.moving = None;
            }
        } else if self.recent.len() >= self.full_at {
            let entries = std::mem::take(&mut self.recent);
            self.moving = Some(Moving::new(self.generation, entries));
            self.generation = self.generation.saturating_add(1);
            self.commit = 0;
        }
        Ok(())
    }
}

/// The effect of a key in a block.
fn find_in(block: &[u8], key: &Key) -> Option<EffectId> {
    let (entries, _) = block.as_chunks::<ENTRY>();
    let place = entries
        .binary_search_by(|entry| entry.first_chunk::<16>().cmp(&Some(key)))
        .ok()?;
    entries.get(place)?.last_chunk().copied()
}

impl Moving {
    fn new(generation: i64, entries: HashMap<Key, EffectId>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_unstable();
        Self {
            generation,
            entries,
            moved: 0,
        }
    }

    fn find(&self, key: &Key) -> Option<EffectId> {
        let place = self
            .entries
            .binary_search_by(|entry| entry.0.cmp(key))
            .ok()?;
        self.entries.get(place).map(|entry| entry.1)
    }

    fn advance(&mut self, connection: &Connection, count: usize) -> rusqlite::Result<()> {
        let mut insert =
            connection.prepare_cached("INSERT INTO dedupe_entries VALUES (?1, ?2, ?3)")?;
        let end = self.moved.saturating_add(count);
        let mut block = Vec::with_capacity(BLOCK.saturating_mul(ENTRY));
        // Blocks are whole, so the next slice begins where this one ended.
        while self.moved < end && !self.is_done() {
            block.clear();
            let entries = self.entries.iter().skip(self.moved).take(BLOCK);
            let mut first = None;
            for (key, effect) in entries {
                first.get_or_insert(key);
                block.extend_from_slice(key);
                block.extend_from_slice(effect);
            }
            insert.execute(params![self.generation, first, block])?;
            self.moved = self.moved.saturating_add(block.len() / ENTRY);
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.moved >= self.entries.len()
    }

    fn finish(&self, connection: &Connection, filters: &mut Filters) -> rusqlite::Result<()> {
        let bits = filters.bits(self.entries.iter().map(|entry| &entry.0));
        connection.execute(
            "INSERT INTO dedupe_filters VALUES (?1, ?2)",
            params![self.generation, bits],
        )?;
        connection.execute(
            "DELETE FROM dedupe_recent WHERE generation = ?1",
            [self.generation],
        )?;
        filters.add(self.generation, &bits);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn key(number: u32) -> Key {
        Sha256::digest(number.to_be_bytes())[..16]
            .try_into()
            .unwrap()
    }

    fn effect(number: u32) -> EffectId {
        u128::from(number).to_be_bytes()
    }

    #[test]
    fn keys_are_found_in_every_stage_and_after_every_restart() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::migrate::migrate(&mut connection).unwrap();
        let full_at = 4_096;
        let mut dedupe = Dedupe::load_with(&connection, full_at).unwrap();
        let mut known = 0;
        for round in 0..120_u32 {
            for _ in 0..=(round * 37 % 400) {
                assert_eq!(dedupe.find(&connection, &key(known)).unwrap(), None);
                dedupe.insert(key(known), effect(known));
                known += 1;
            }
            dedupe.flush(&connection).unwrap();
            if round % 10 == 9 {
                dedupe = Dedupe::load_with(&connection, full_at).unwrap();
            }
        }
        for number in 0..known {
            assert_eq!(
                dedupe.find(&connection, &key(number)).unwrap(),
                Some(effect(number)),
                "{number}"
            );
        }
        let moved: i64 = connection
            .query_row(
                "SELECT sum(length(entries)) / 32 FROM dedupe_entries",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert!(moved > 3 * 4_096, "only {moved} of {known} keys were moved");
    }
}
