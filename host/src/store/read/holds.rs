//! Holds, active and over.

use super::super::chunks::{ChunkReader, List, Place};
use super::super::connection::{DamagedRow, damaged};
use super::super::rows::records::{HoldFact, HoldRecord, hold};
use super::{get, query, query_one};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::view::HoldView;
use farebox_ledger::hold::{EndedHold, Hold};
use farebox_ledger::ids::{HoldId, OrgId};
use rusqlite::{Connection, params};

/// An active hold, whose it is, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveHold {
    pub org: OrgId,
    pub hold: Hold,
    pub place: Place,
}

/// Active holds, of one org or of all, oldest first.
pub fn active(
    connection: &Connection,
    org: Option<OrgId>,
) -> Result<Vec<ActiveHold>, StorageError> {
    let sql = "SELECT org, id, place FROM holds_active WHERE ?1 IS NULL OR org = ?1 ORDER BY id";
    let rows = query(connection, sql, [org.map(OrgId::to_bytes)], |row| {
        let org = OrgId::from_bytes(get(row, 0)?);
        let id = HoldId::from_bytes(get(row, 1)?);
        Ok((org, id, get(row, 2)?))
    })?;
    let mut entries = ChunkReader::new(connection, List::Holds);
    rows.into_iter()
        .map(|(org, id, place)| {
            let hold = as_it_was(&mut entries, org, id, place)?;
            Ok(ActiveHold { org, hold, place })
        })
        .collect()
}

/// A hold as it was when it was placed or changed at this place.
fn as_it_was(
    entries: &mut ChunkReader<'_>,
    org: OrgId,
    id: HoldId,
    place: Place,
) -> Result<Hold, StorageError> {
    let record = entry(entries, id, place)?;
    match record {
        HoldRecord {
            id: found,
            org: of,
            what: HoldFact::Active(hold),
        } if found == id && of == org => Ok(*hold),
        _ => Err(astray(id)),
    }
}

fn entry(
    entries: &mut ChunkReader<'_>,
    id: HoldId,
    place: Place,
) -> Result<HoldRecord, StorageError> {
    let bytes = entries.entry(place)?.ok_or_else(|| astray(id))?;
    hold(bytes).map_err(damaged)
}

fn astray(id: HoldId) -> StorageError {
    damaged(DamagedRow(format!(
        "the place of hold `{id}` holds something else"
    )))
}

/// One hold.
pub fn one(
    connection: &Connection,
    org: OrgId,
    id: HoldId,
) -> Result<Option<HoldView>, StorageError> {
    let ids = params![id.to_bytes(), org.to_bytes()];
    let sql = "SELECT place FROM holds_active WHERE id = ?1 AND org = ?2";
    if let Some(place) = query_one(connection, sql, ids, |row| get(row, 0))? {
        let mut entries = ChunkReader::new(connection, List::Holds);
        let hold = as_it_was(&mut entries, org, id, place)?;
        return Ok(Some(HoldView { hold, ended: None }));
    }
    Ok(ended(connection, org, id)?.map(|(hold, ended)| HoldView {
        hold,
        ended: Some(ended),
    }))
}

/// One hold that is over: as it was, and how it ended.
pub fn ended(
    connection: &Connection,
    org: OrgId,
    id: HoldId,
) -> Result<Option<(Hold, EndedHold)>, StorageError> {
    let sql = "SELECT place FROM holds_ended WHERE id = ?1";
    let Some(place) = query_one(connection, sql, [id.to_bytes()], |row| get(row, 0))? else {
        return Ok(None);
    };
    let mut entries = ChunkReader::new(connection, List::Holds);
    let record = entry(&mut entries, id, place)?;
    if record.org != org {
        return Ok(None);
    }
    match record.what {
        HoldFact::Ended(ended, before) if record.id == id => {
            let hold = as_it_was(&mut entries, org, id, before)?;
            Ok(Some((hold, ended)))
        }
        _ => Err(astray(id)),
    }
}

/// Whether there is a hold with this id that is over.
pub fn is_over(connection: &Connection, id: HoldId) -> Result<bool, StorageError> {
    let sql = "SELECT 1 FROM holds_ended WHERE id = ?1";
    query_one(connection, sql, [id.to_bytes()], |_| Ok(())).map(|row| row.is_some())
}
