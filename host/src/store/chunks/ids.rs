//! Where the things stand that callers name by id: usage events and charges.
//!
//! Ids sort by the time they were made, and things are recorded soon after. So the ids of a commit
//! are one sorted row, and these rows follow each other without overlap: the row that may hold an
//! id is the first that ends at or after it. The few ids that were made before the last row's end
//! but recorded after it are **late**, and stand in a table of their own. Derived from the
//! journal; `verify` checks it against the journal.

use super::super::connection::{DamagedRow, failure};
use super::{List, Place};
use crate::service::ledger::failure::StorageError;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

const ENTRY: usize = 24;

/// The ids of a list that are not in the database yet.
#[derive(Debug)]
pub struct NewIds {
    list: List,
    /// Where the last row ends.
    upto: u128,
    fresh: Vec<(u128, Place)>,
}

impl NewIds {
    /// Goes on after the last row.
    pub fn load(connection: &Connection, list: List) -> rusqlite::Result<Self> {
        let sql = "SELECT max(upto) FROM ids WHERE list = ?1";
        let upto: Option<[u8; 16]> = connection.query_row(sql, [list.code()], |row| row.get(0))?;
        Ok(Self {
            list,
            upto: upto.map_or(0, u128::from_be_bytes),
            fresh: Vec::new(),
        })
    }

    /// Remembers where this stands. Durable after [`flush`](Self::flush) and commit.
    pub fn add(&mut self, id: u128, place: Place) {
        self.fresh.push((id, place));
    }

    /// Writes what is new. Before each commit, and before the list is read within one.
    ///
    /// # Errors
    /// `Constraint` when an id stands somewhere already (L6), else what storage says.
    pub fn flush(&mut self, connection: &Connection) -> Result<(), StorageError> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.sort_unstable();
        if fresh.windows(2).any(|pair| match pair {
            [one, two] => one.0 == two.0,
            _ => false,
        }) {
            return Err(twice());
        }
        let late = fresh.partition_point(|(id, _)| *id <= self.upto);
        let (late, row) = fresh.split_at(late);
        for (id, place) in late {
            self.write_late(connection, *id, *place)?;
        }
        if let Some((upto, _)) = row.last() {
            let mut entries = Vec::with_capacity(row.len().saturating_mul(ENTRY));
            for (id, place) in row {
                entries.extend_from_slice(&id.to_be_bytes());
                entries.extend_from_slice(&place.number().to_be_bytes());
            }
            connection
                .prepare_cached("INSERT INTO ids VALUES (?1, ?2, ?3)")
                .and_then(|mut insert| {
                    insert.execute(params![self.list.code(), upto.to_be_bytes(), entries])
                })
                .map_err(failure)?;
            self.upto = *upto;
        }
        fresh.clear();
        self.fresh = fresh;
        Ok(())
    }

    fn write_late(
        &self,
        connection: &Connection,
        id: u128,
        place: Place,
    ) -> Result<(), StorageError> {
        if find(connection, self.list, id)?.is_some() {
            return Err(twice());
        }
        connection
            .prepare_cached("INSERT INTO ids_late VALUES (?1, ?2, ?3)")
            .and_then(|mut insert| {
                insert.execute(params![self.list.code(), id.to_be_bytes(), place])
            })
            .map(drop)
            .map_err(failure)
    }
}

fn twice() -> StorageError {
    let why = DamagedRow("an id stands in the journal already".to_owned());
    StorageError::Constraint(Arc::new(why))
}

/// Where an id stands in a list.
pub fn find(connection: &Connection, list: List, id: u128) -> Result<Option<Place>, StorageError> {
    let key = params![list.code(), id.to_be_bytes()];
    let found = connection
        .prepare_cached(
            "SELECT entries FROM ids WHERE list = ?1 AND upto >= ?2 ORDER BY upto LIMIT 1",
        )
        .map_err(failure)?
        .query_row(key, |row| Ok(find_in(row.get_ref(0)?.as_blob()?, id)))
        .optional()
        .map_err(failure)?
        .flatten();
    if found.is_some() {
        return Ok(found);
    }
    connection
        .prepare_cached("SELECT place FROM ids_late WHERE list = ?1 AND id = ?2")
        .map_err(failure)?
        .query_row(key, |row| row.get(0))
        .optional()
        .map_err(failure)
}

fn find_in(row: &[u8], id: u128) -> Option<Place> {
    let (entries, _) = row.as_chunks::<ENTRY>();
    let place = entries
        .binary_search_by_key(&Some(id.to_be_bytes()), |entry| {
            entry.first_chunk().copied()
        })
        .ok()?;
    let number = entries.get(place)?.last_chunk().copied()?;
    Some(Place::from_number(i64::from_be_bytes(number)))
}
