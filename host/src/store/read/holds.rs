//! Holds, active and over.

use super::super::connection::damaged;
use super::super::rows::ledger::{end_from_code, hold};
use super::{blob, get, known, nanos, query, query_one};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::view::HoldView;
use farebox_ledger::hold::{EndedHold, Hold};
use farebox_ledger::ids::{HoldId, OrgId};
use rusqlite::{Connection, Row, params};

/// Active holds, of one org or of all.
pub fn active(
    connection: &Connection,
    org: Option<OrgId>,
) -> Result<Vec<(OrgId, Hold)>, StorageError> {
    let sql = "SELECT org, id, body FROM holds_active WHERE ?1 IS NULL OR org = ?1";
    query(connection, sql, [org.map(OrgId::to_bytes)], |row| {
        let id = HoldId::from_bytes(get(row, 1)?);
        let hold = hold(id, blob(row, 2)?).map_err(damaged)?;
        Ok((OrgId::from_bytes(get(row, 0)?), hold))
    })
}

/// One hold.
pub fn one(
    connection: &Connection,
    org: OrgId,
    id: HoldId,
) -> Result<Option<HoldView>, StorageError> {
    let ids = params![id.to_bytes(), org.to_bytes()];
    let sql = "SELECT body FROM holds_active WHERE id = ?1 AND org = ?2";
    let active = query_one(connection, sql, ids, |row| {
        Ok(HoldView {
            hold: hold(id, blob(row, 0)?).map_err(damaged)?,
            ended: None,
        })
    })?;
    if active.is_some() {
        return Ok(active);
    }
    let sql = "SELECT id, body, \"end\", ended_at_ms, captured_nanos, returned_nanos
         FROM holds_ended WHERE id = ?1 AND org = ?2";
    let ended = query_one(connection, sql, ids, ended)?;
    Ok(ended.map(|(hold, ended)| HoldView {
        hold,
        ended: Some(ended),
    }))
}

/// The columns of an ended hold: its id and body, then how it ended.
pub fn ended(row: &Row<'_>) -> Result<(Hold, EndedHold), StorageError> {
    let id = HoldId::from_bytes(get(row, 0)?);
    let hold = hold(id, blob(row, 1)?).map_err(damaged)?;
    let ended = EndedHold {
        id,
        end: known(end_from_code(get(row, 2)?), "end of a hold")?,
        ended_at_ms: get(row, 3)?,
        captured: nanos(row, 4)?,
        returned: nanos(row, 5)?,
    };
    Ok((hold, ended))
}
