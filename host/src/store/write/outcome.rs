//! Retries: whether a write took effect before, and what it is answered with then.

use super::super::connection::{DamagedRow, damaged, failure};
use super::super::dedupe::EffectId;
use super::super::rows::usage::{FirstEffect, effect, effect_body};
use super::memory::Memory;
use super::prepare::{Prepared, Ready};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::write::{Acknowledged, WriteError};
use rusqlite::{Connection, OptionalExtension, params};

/// Where a first effect stands: in which commit's row, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub commit: i64,
    pub offset: u32,
    pub length: u32,
}

impl Place {
    /// As the dedupe tables hold it.
    pub fn to_bytes(self) -> EffectId {
        let number = (u128::from(self.commit.unsigned_abs()) << 64)
            | (u128::from(self.offset) << 32)
            | u128::from(self.length);
        number.to_be_bytes()
    }

    /// From [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: EffectId) -> Self {
        let number = u128::from_be_bytes(bytes);
        let low = |number: u128| u32::try_from(number & u128::from(u32::MAX)).unwrap_or_default();
        Self {
            commit: i64::try_from(number >> 64).unwrap_or(i64::MAX),
            offset: low(number >> 32),
            length: low(number),
        }
    }
}

/// The effects of the commit under way, and the number of its row.
#[derive(Debug)]
pub struct Effects {
    commit: i64,
    pending: Vec<u8>,
}

impl Effects {
    /// Goes on after the last row.
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT coalesce(max(\"commit\"), 0) FROM effects";
        let last: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        Ok(Self {
            commit: last.saturating_add(1),
            pending: Vec::new(),
        })
    }

    /// Adds an effect. Durable after [`flush`](Self::flush) and commit.
    pub fn add(&mut self, effect: &FirstEffect) -> Place {
        let body = effect_body(effect);
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let place = Place {
            commit: self.commit,
            offset: size(&self.pending),
            length: size(&body),
        };
        self.pending.extend_from_slice(&body);
        place
    }

    /// Writes the commit's row. Before each commit.
    pub fn flush(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        connection
            .prepare_cached("INSERT OR FAIL INTO effects VALUES (?1, ?2)")?
            .execute(params![self.commit, self.pending])?;
        self.commit = self.commit.saturating_add(1);
        self.pending.clear();
        Ok(())
    }

    fn read(&self, connection: &Connection, place: Place) -> Result<Vec<u8>, StorageError> {
        let (offset, length) = (i64::from(place.offset), i64::from(place.length));
        let pending = || {
            let begin = usize::try_from(place.offset).ok()?;
            let end = begin.checked_add(usize::try_from(place.length).ok()?)?;
            self.pending.get(begin..end).map(<[u8]>::to_vec)
        };
        let body = if place.commit == self.commit {
            pending()
        } else {
            connection
                .prepare_cached("SELECT substr(entries, ?2, ?3) FROM effects WHERE \"commit\" = ?1")
                .map_err(failure)?
                .query_row(
                    params![place.commit, offset.saturating_add(1), length],
                    |row| row.get(0),
                )
                .optional()
                .map_err(failure)?
        };
        body.ok_or_else(|| {
            let commit = place.commit;
            damaged(DamagedRow(format!(
                "the effects of commit {commit} are gone"
            )))
        })
    }
}

/// What is known of a write before it is applied.
#[derive(Debug)]
pub enum Known {
    /// It is new.
    New,
    /// It took effect before.
    Before(Box<Acknowledged>),
    /// Its key took effect with another request.
    Conflict,
}

impl From<Known> for Option<Result<Acknowledged, WriteError>> {
    fn from(known: Known) -> Self {
        match known {
            Known::New => None,
            Known::Before(first) => Some(Ok(*first)),
            Known::Conflict => Some(Err(WriteError::IdempotencyConflict)),
        }
    }
}

/// Looks a write up by its idempotency key, then by what counts once (L6).
pub fn known(
    connection: &Connection,
    memory: &Memory,
    write: &Prepared,
) -> Result<Known, StorageError> {
    if let Some(key) = &write.key {
        let found = memory.dedupe.find(connection, key).map_err(failure)?;
        if let Some(id) = found {
            return first_effect(connection, memory, write, id, true);
        }
    }
    if let Some(once) = &write.once {
        let found = memory.dedupe.find(connection, once).map_err(failure)?;
        if let Some(id) = found {
            return first_effect(connection, memory, write, id, false);
        }
    }
    Ok(Known::New)
}

fn first_effect(
    connection: &Connection,
    memory: &Memory,
    write: &Prepared,
    id: EffectId,
    same_request: bool,
) -> Result<Known, StorageError> {
    let place = Place::from_bytes(id);
    let body = memory.effects.read(connection, place)?;
    let FirstEffect {
        id,
        request_digest,
        at_ms,
        made,
        outcome,
    } = effect(&body).map_err(damaged)?;
    let asks_only = matches!(write.action, Ready::Recall);
    if same_request && !asks_only && request_digest != write.request_digest {
        return Ok(Known::Conflict);
    }
    Ok(Known::Before(Box::new(Acknowledged {
        replayed: true,
        id,
        at_ms,
        made,
        outcome,
        wallet: write
            .org
            .and_then(|org| memory.state.org(org))
            .map(|org| *org.wallet()),
        alerts: Vec::new(),
    })))
}
