//! Reading entries, one by one or all in order.

use super::super::connection::{DamagedRow, damaged, failure};
use super::{Chunk, List, Place};
use crate::service::ledger::failure::StorageError;
use rusqlite::{Connection, OptionalExtension};

/// Reads entries by place. Keeps the chunks it read last: neighbours are often read together.
#[derive(Debug)]
pub struct ChunkReader<'c> {
    connection: &'c Connection,
    list: List,
    /// A few: they are looked through.
    kept: Vec<(i64, Chunk)>,
    keep: usize,
}

impl<'c> ChunkReader<'c> {
    /// A reader of a list that follows links.
    pub fn new(connection: &'c Connection, list: List) -> Self {
        Self::keeping(connection, list, 1)
    }

    /// A reader that goes back and forth among so many chunks.
    pub fn keeping(connection: &'c Connection, list: List, keep: usize) -> Self {
        Self {
            connection,
            list,
            kept: Vec::new(),
            keep,
        }
    }

    /// The entry at a place, if there is one.
    pub fn entry(&mut self, place: Place) -> Result<Option<&[u8]>, StorageError> {
        let number = place.chunk();
        let known = self.kept.iter().position(|(kept, _)| *kept == number);
        let at = match known {
            Some(at) => at,
            None => {
                let Some(chunk) = self.load(number)? else {
                    return Ok(None);
                };
                if self.kept.len() >= self.keep {
                    self.kept.clear();
                }
                self.kept.push((number, chunk));
                self.kept.len().saturating_sub(1)
            }
        };
        let kept = self.kept.get(at);
        Ok(kept.and_then(|(_, chunk)| chunk.get(place.slot())))
    }

    fn load(&self, number: i64) -> Result<Option<Chunk>, StorageError> {
        let table = self.list.table();
        self.connection
            .prepare_cached(&format!("SELECT entries FROM {table} WHERE chunk = ?1"))
            .map_err(failure)?
            .query_row([number], |row| {
                Ok(Chunk::decode(row.get_ref(0)?.as_blob()?))
            })
            .optional()
            .map_err(failure)?
            .transpose()
            .map_err(damaged)
    }
}

/// A chunk's number, and the chunk where it can be read.
type Numbered = (i64, Result<Chunk, DamagedRow>);

/// All entries of a list, in order.
#[derive(Debug)]
pub struct Entries<'c> {
    connection: &'c Connection,
    list: List,
    chunk: Option<(i64, Chunk)>,
    slot: usize,
    after: i64,
}

/// What stands at the next place.
#[derive(Debug)]
pub enum Seen<'e> {
    /// An entry.
    Entry(Place, &'e [u8]),
    /// A chunk that cannot be read.
    Unreadable(i64),
}

impl<'c> Entries<'c> {
    /// From the first entry on.
    pub const fn new(connection: &'c Connection, list: List) -> Self {
        Self {
            connection,
            list,
            chunk: None,
            slot: 0,
            after: 0,
        }
    }

    /// The next entry.
    pub fn next(&mut self) -> Result<Option<Seen<'_>>, StorageError> {
        let read_all = |(_, chunk): &(i64, Chunk)| self.slot >= chunk.len();
        if self.chunk.as_ref().is_none_or(read_all) {
            self.slot = 0;
            self.chunk = match self.advance()? {
                None => return Ok(None),
                Some((number, Err(_))) => return Ok(Some(Seen::Unreadable(number))),
                Some((number, Ok(chunk))) => Some((number, chunk)),
            };
        }
        let slot = self.slot;
        self.slot = slot.saturating_add(1);
        Ok(self.chunk.as_ref().map(|(number, chunk)| {
            let entry = chunk.get(slot).unwrap_or_default();
            Seen::Entry(Place::new(*number, slot), entry)
        }))
    }

    fn advance(&mut self) -> Result<Option<Numbered>, StorageError> {
        let table = self.list.table();
        let next = self
            .connection
            .prepare_cached(&format!(
                "SELECT chunk, entries FROM {table} WHERE chunk > ?1 ORDER BY chunk LIMIT 1"
            ))
            .map_err(failure)?
            .query_row([self.after], |row| {
                let bytes = row.get_ref(1)?.as_blob()?;
                Ok((row.get(0)?, Chunk::decode(bytes)))
            })
            .optional()
            .map_err(failure)?;
        if let Some((number, _)) = &next {
            self.after = *number;
        }
        Ok(next)
    }
}

/// The last chunk that begins before what is looked for, in a list whose entries are in that order:
/// what is looked for stands there or later. The first chunk where all begin later; zero without any.
pub fn first_at_or_after(
    connection: &Connection,
    list: List,
    is_before: impl Fn(&[u8]) -> Result<bool, StorageError>,
) -> Result<i64, StorageError> {
    let table = list.table();
    let ends = format!("SELECT coalesce(min(chunk), 0), coalesce(max(chunk), 0) FROM {table}");
    let (mut before, newest): (i64, i64) = connection
        .query_row(&ends, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failure)?;
    let reader = ChunkReader::new(connection, list);
    let mut after = newest.saturating_add(1);
    while after.saturating_sub(before) > 1 {
        let middle = before.midpoint(after);
        // Numbers follow each other; where one is missing, what is before it decides.
        let begins_before = match reader.load(middle)? {
            Some(chunk) => is_before(chunk.get(0).unwrap_or_default())?,
            None => false,
        };
        if begins_before {
            before = middle;
        } else {
            after = middle;
        }
    }
    Ok(before)
}

/// The last entry of a list.
pub fn last<T>(
    connection: &Connection,
    list: List,
    read: impl FnOnce(&[u8]) -> Result<T, StorageError>,
) -> Result<Option<T>, StorageError> {
    let sql = format!("SELECT max(chunk) FROM {}", list.table());
    let number: Option<i64> = connection
        .query_row(&sql, [], |row| row.get(0))
        .map_err(failure)?;
    let Some(number) = number else {
        return Ok(None);
    };
    let chunk = ChunkReader::new(connection, list).load(number)?;
    chunk
        .as_ref()
        .and_then(|chunk| chunk.get(chunk.len().checked_sub(1)?))
        .map(read)
        .transpose()
}
