//! Which idempotency key (or provider response, or payment) led to which effect (L6).
//!
//! Keys are hashes: one table ordered by key would be written at a random page for each of them,
//! and a commit of a thousand writes would write a thousand pages. So keys are kept as a log with
//! generations:
//!
//! 1. the newest generation is in memory, and each commit appends its entries as one row;
//! 2. a full generation is sorted once, beside the writer, and moved, a slice per commit, into a
//!    table of blocks ordered by (generation, first key): written from left to right, each page
//!    once; then its rows of the log are cleared away, some per commit;
//! 3. a moved generation is looked up only where its [filter](filter) says that it may hold the
//!    key, which for a new key it almost never does.
//!
//! No commit does much more than another. Memory is four bytes per key. Must not know what an
//! effect is.

pub mod filter;
mod moving;

use filter::{Filters, Mask};
use moving::{Clearing, Moving};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A hash of org and key: see [`super::write`].
pub type Key = [u8; 16];
/// The id of an effect.
pub type EffectId = [u8; 16];

/// Entries of a full generation.
const GENERATION: usize = 1 << 18;
/// Entries that a commit moves at least, while a generation waits to be moved.
const SLICE: usize = 2_048;
/// Bytes of a key and its effect.
pub const ENTRY: usize = 32;
/// Entries of a block: about half a page.
const BLOCK: usize = 96;

/// The index over all keys.
#[derive(Debug)]
pub struct Dedupe {
    full_at: usize,
    generation: i64,
    commit: i64,
    recent: Keys,
    /// Entries since the last commit, as bytes.
    pending: Vec<u8>,
    moving: Option<Moving>,
    clearing: Option<Clearing>,
    filters: Filters,
}

/// Where each key led.
type Keys = HashMap<Key, EffectId, BuildHasherDefault<KeyHasher>>;

/// Keys are hashes already: any eight of their bytes will do.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
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
        // What has a filter was moved whole: its rows of the log only wait to be cleared away.
        let moved = filters.newest().unwrap_or_default();
        let mut generations: Vec<(i64, i64, Keys)> = Vec::new();
        let mut statement = connection.prepare(
            "SELECT generation, \"commit\", entries FROM dedupe_recent
             WHERE generation > ?1 ORDER BY generation, \"commit\"",
        )?;
        let mut rows = statement.query([moved])?;
        while let Some(row) = rows.next()? {
            let (generation, commit) = (row.get(0)?, row.get(1)?);
            if generations.last().is_none_or(|last| last.0 != generation) {
                generations.push((generation, 0, Keys::default()));
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
        let (generation, commit, recent) = generations
            .pop()
            .unwrap_or_else(|| (moved.saturating_add(1), 0, Keys::default()));
        let moving = match generations.pop() {
            None => None,
            Some((generation, _, entries)) => {
                let moved: i64 = connection.query_row(
                    "SELECT coalesce(sum(length(entries)), 0) FROM dedupe_entries
                     WHERE generation = ?1",
                    [generation],
                    |row| row.get(0),
                )?;
                let moved = usize::try_from(moved).unwrap_or_default() / ENTRY;
                Some(Moving::start(generation, entries, moved, &filters))
            }
        };
        Ok(Self {
            full_at,
            generation,
            commit,
            recent,
            pending: Vec::new(),
            moving,
            clearing: (moved > 0).then_some(Clearing { upto: moved }),
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
            let in_time = self.recent.len() < self.full_at / 2;
            moving.advance(connection, new.saturating_mul(2).max(SLICE), in_time)?;
            if let Some(bits) = moving.finish(connection)? {
                self.filters.add(moving.generation(), &bits);
                self.clearing = Some(Clearing {
                    upto: moving.generation(),
                });
                self.moving = None;
            }
        } else if self.recent.len() >= self.full_at {
            let room = Keys::with_capacity_and_hasher(self.full_at, BuildHasherDefault::default());
            let entries = std::mem::replace(&mut self.recent, room);
            self.moving = Some(Moving::start(self.generation, entries, 0, &self.filters));
            self.generation = self.generation.saturating_add(1);
            self.commit = 0;
        }
        if let Some(clearing) = &self.clearing
            && clearing.advance(connection)?
        {
            self.clearing = None;
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
