//! Retries: whether a write took effect before, and what it is answered with then.

use super::super::connection::{DamagedRow, damaged, failure};
use super::super::dedupe::EffectId;
use super::super::rows::usage::effect;
use super::memory::Memory;
use super::prepare::Prepared;
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::write::{Acknowledged, WriteError};
use farebox_ledger::ids::TransactionId;
use rusqlite::{Connection, OptionalExtension};

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
    let row: Option<(Option<[u8; 32]>, i64, Vec<u8>)> = connection
        .prepare_cached("SELECT request_digest, at_ms, body FROM effects WHERE id = ?1")
        .map_err(failure)?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .map_err(failure)?;
    let Some((request_digest, at_ms, body)) = row else {
        let id = TransactionId::from_bytes(id);
        return Err(damaged(DamagedRow(format!(
            "the effect of write `{id}` is gone"
        ))));
    };
    if same_request && request_digest != write.request_digest {
        return Ok(Known::Conflict);
    }
    let (made, outcome) = effect(&body).map_err(damaged)?;
    Ok(Known::Before(Box::new(Acknowledged {
        replayed: true,
        id: TransactionId::from_bytes(id),
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
