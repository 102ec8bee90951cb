//! A full generation on its way from the log into the table of blocks.

use super::filter::Filters;
use super::{BLOCK, ENTRY, EffectId, Key, Keys};
use rusqlite::{Connection, params};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Rows of the log that a commit clears away. A commit adds one.
const CLEAR: i64 = 8;

/// A full generation. Found in as it was filled, until it is sorted; then in its order.
#[derive(Debug)]
pub struct Moving {
    generation: i64,
    moved: usize,
    keys: Arc<Keys>,
    order: Order,
}

#[derive(Debug)]
enum Order {
    Sorting(Option<JoinHandle<Sorted>>),
    Sorted(Sorted),
}

/// In the order of keys, with its filter.
#[derive(Debug)]
struct Sorted {
    entries: Vec<(Key, EffectId)>,
    bits: Vec<u8>,
}

impl Sorted {
    fn of(keys: &Keys, blocks: usize) -> Self {
        let mut entries: Vec<_> = keys.iter().map(|(key, effect)| (*key, *effect)).collect();
        entries.sort_unstable();
        let bits = Filters::bits(blocks, entries.iter().map(|entry| &entry.0));
        Self { entries, bits }
    }
}

impl Moving {
    /// Begins to sort. `moved`: how many of its entries are in the table already.
    pub fn start(generation: i64, keys: Keys, moved: usize, filters: &Filters) -> Self {
        let keys = Arc::new(keys);
        let (unsorted, blocks) = (Arc::clone(&keys), filters.blocks());
        let thread = std::thread::Builder::new()
            .name("ledger-sorter".into())
            .spawn(move || Sorted::of(&unsorted, blocks));
        let order = match thread {
            Ok(thread) => Order::Sorting(Some(thread)),
            Err(_) => Order::Sorted(Sorted::of(&keys, blocks)),
        };
        Self {
            generation,
            moved,
            keys,
            order,
        }
    }

    pub const fn generation(&self) -> i64 {
        self.generation
    }

    pub fn find(&self, key: &Key) -> Option<EffectId> {
        self.keys.get(key).copied()
    }

    /// Moves a slice, once the order is known. `in_time`: it need not be known yet.
    pub fn advance(
        &mut self,
        connection: &Connection,
        count: usize,
        in_time: bool,
    ) -> rusqlite::Result<()> {
        if let Order::Sorting(thread) = &mut self.order {
            if in_time && thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
                return Ok(());
            }
            let sorted = thread.take().and_then(|thread| thread.join().ok());
            // A filter of this size says "may hold" for every key, which is never wrong.
            let again = || Sorted::of(&self.keys, 1);
            self.order = Order::Sorted(sorted.unwrap_or_else(again));
        }
        let Order::Sorted(sorted) = &self.order else {
            return Ok(());
        };
        let mut insert =
            connection.prepare_cached("INSERT INTO dedupe_entries VALUES (?1, ?2, ?3)")?;
        let end = self.moved.saturating_add(count);
        let mut block = Vec::with_capacity(BLOCK.saturating_mul(ENTRY));
        // Blocks are whole, so the next slice begins where this one ended.
        while self.moved < end && self.moved < sorted.entries.len() {
            block.clear();
            let entries = sorted.entries.iter().skip(self.moved).take(BLOCK);
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

    /// Where all is moved: writes the filter, which says so, and gives its bits.
    pub fn finish(&self, connection: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
        match &self.order {
            Order::Sorted(sorted) if self.moved >= sorted.entries.len() => {
                connection.execute(
                    "INSERT INTO dedupe_filters VALUES (?1, ?2)",
                    params![self.generation, sorted.bits],
                )?;
                Ok(Some(sorted.bits.clone()))
            }
            _ => Ok(None),
        }
    }
}

/// Rows of the log that stand in the table by now.
#[derive(Debug)]
pub struct Clearing {
    /// The last generation that was moved.
    pub upto: i64,
}

impl Clearing {
    /// Clears some away; whether that was all.
    pub fn advance(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let mut clear = connection.prepare_cached(
            "DELETE FROM dedupe_recent WHERE (generation, \"commit\") IN
             (SELECT generation, \"commit\" FROM dedupe_recent WHERE generation <= ?1
              ORDER BY generation, \"commit\" LIMIT ?2)",
        )?;
        let cleared = clear.execute(params![self.upto, CLEAR])?;
        Ok(i64::try_from(cleared).unwrap_or(CLEAR) < CLEAR)
    }
}
