//! The end of a list: entries that are not in the database yet.

use super::super::rows::cbor::Out;
use super::{BYTES, ENTRIES, List, Place, format};
use rusqlite::{Connection, params};

/// A list that is written to. Entries are durable after [`flush`](Self::flush) and commit.
#[derive(Debug)]
pub struct OpenList {
    list: List,
    chunk: i64,
    entries: Vec<u8>,
    ends: Vec<u32>,
}

impl OpenList {
    /// Goes on after the last chunk.
    pub fn load(connection: &Connection, list: List) -> rusqlite::Result<Self> {
        let sql = format!("SELECT coalesce(max(chunk), 0) FROM {}", list.table());
        let last: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        Ok(Self {
            list,
            chunk: last.saturating_add(1),
            entries: Vec::new(),
            ends: Vec::with_capacity(ENTRIES),
        })
    }

    /// Appends the entry that `put` writes.
    pub fn add(
        &mut self,
        connection: &Connection,
        put: impl FnOnce(&mut Out),
    ) -> rusqlite::Result<Place> {
        if self.ends.len() >= ENTRIES || self.entries.len() >= BYTES {
            self.flush(connection)?;
        }
        let mut out = Out::onto(std::mem::take(&mut self.entries));
        put(&mut out);
        self.entries = out.into_bytes();
        let place = Place::new(self.chunk, self.ends.len());
        self.ends
            .push(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        Ok(place)
    }

    /// Writes what is open as a chunk. Before each commit, and before the list is read within one.
    pub fn flush(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.ends.is_empty() {
            return Ok(());
        }
        let bytes = format::encode(&self.entries, &self.ends);
        let table = self.list.table();
        connection
            .prepare_cached(&format!("INSERT OR FAIL INTO {table} VALUES (?1, ?2)"))?
            .execute(params![self.chunk, bytes])?;
        self.chunk = self.chunk.saturating_add(1);
        self.entries.clear();
        self.ends.clear();
        Ok(())
    }
}
