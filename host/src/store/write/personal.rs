//! Who made a call, beside the call: kept by the chunk and slot of its usage event, and erasable.

use super::super::chunks::{Chunk, ChunkReader, List, Place, encode};
use super::super::connection::{damaged, failure};
use super::super::rows::cbor::{Error, In, Out};
use super::super::rows::records;
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::write::Personal;
use farebox_ledger::ids::OrgId;
use rusqlite::{Connection, OptionalExtension, params};

/// The row beside the open chunk of usage events.
#[derive(Debug, Default)]
pub struct PersonalSlots {
    chunk: i64,
    entries: Vec<u8>,
    ends: Vec<u32>,
}

impl PersonalSlots {
    /// Keeps who made the call at this place. Places only rise.
    pub fn add(
        &mut self,
        connection: &Connection,
        place: Place,
        personal: &Personal,
    ) -> rusqlite::Result<()> {
        if place.chunk() != self.chunk {
            self.flush(connection)?;
            self.chunk = place.chunk();
        }
        if personal.is_empty() {
            return Ok(());
        }
        self.fill(place.slot());
        let mut out = Out::onto(std::mem::take(&mut self.entries));
        out.put(&personal.client_ip).put(&personal.user_agent);
        self.entries = out.into_bytes();
        self.end();
        Ok(())
    }

    /// Empty slots up to this one.
    fn fill(&mut self, slot: usize) {
        while self.ends.len() < slot {
            self.end();
        }
    }

    fn end(&mut self) {
        let end = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.ends.push(end);
    }

    /// Writes the row, where anybody is known.
    pub fn flush(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.ends.is_empty() {
            return Ok(());
        }
        connection
            .prepare_cached("INSERT INTO usage_personal VALUES (?1, ?2)")?
            .execute(params![self.chunk, encode(&self.entries, &self.ends)])?;
        self.entries.clear();
        self.ends.clear();
        Ok(())
    }
}

/// Who made the calls of a chunk of usage events.
pub fn of_chunk(connection: &Connection, chunk: i64) -> Result<Option<Chunk>, StorageError> {
    connection
        .prepare_cached("SELECT entries FROM usage_personal WHERE chunk = ?1")
        .map_err(failure)?
        .query_row([chunk], |row| Ok(Chunk::decode(row.get_ref(0)?.as_blob()?)))
        .optional()
        .map_err(failure)?
        .transpose()
        .map_err(damaged)
}

/// One slot of such a chunk; nobody where it is empty.
///
/// # Errors
/// The bytes are not such a slot.
pub fn personal(bytes: &[u8]) -> Result<Personal, Error> {
    if bytes.is_empty() {
        return Ok(Personal::default());
    }
    let mut input = In::of(bytes);
    let personal = Personal {
        client_ip: input.get()?,
        user_agent: input.get()?,
    };
    input.end()?;
    Ok(personal)
}

/// Forgets who made the calls at these places.
pub fn erase(connection: &Connection, mut places: Vec<Place>) -> Result<(), StorageError> {
    places.sort_unstable();
    for of_one in places.chunk_by(|one, two| one.chunk() == two.chunk()) {
        let Some(number) = of_one.first().map(|place| place.chunk()) else {
            continue;
        };
        let Some(chunk) = of_chunk(connection, number)? else {
            continue;
        };
        let mut kept = PersonalSlots {
            chunk: number,
            ..PersonalSlots::default()
        };
        for slot in 0..chunk.len() {
            let entry = chunk.get(slot).unwrap_or_default();
            if !entry.is_empty() && !of_one.iter().any(|place| place.slot() == slot) {
                kept.fill(slot);
                kept.entries.extend_from_slice(entry);
                kept.end();
            }
        }
        connection
            .prepare_cached("DELETE FROM usage_personal WHERE chunk = ?1")
            .and_then(|mut delete| delete.execute([number]))
            .map_err(failure)?;
        kept.flush(connection).map_err(failure)?;
    }
    Ok(())
}

/// The places of an org's usage events, from its newest on.
pub fn places_of(
    connection: &Connection,
    org: OrgId,
    newest: Option<Place>,
) -> Result<Vec<Place>, StorageError> {
    let mut usage = ChunkReader::new(connection, List::Usage);
    let mut places = Vec::new();
    let mut next = newest;
    while let Some(place) = next {
        next = match usage.entry(place)? {
            None => None,
            Some(entry) => {
                let record = records::usage(entry).map_err(damaged)?;
                (record.org == org).then(|| places.push(place));
                record.previous
            }
        };
    }
    Ok(places)
}
