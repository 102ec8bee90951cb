//! Which filters belong to which components.

use super::{get, query};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::releases::FilterRecord;
use crate::service::policy::Digest;
use rusqlite::Connection;

/// Every filter with its component, in the order of both.
pub fn all(connection: &Connection) -> Result<Vec<(Digest, FilterRecord)>, StorageError> {
    let sql = "SELECT component, filter, at_ms, actor FROM filters ORDER BY component, filter";
    query(connection, sql, [], |row| {
        let filter = FilterRecord {
            digest: Digest(get(row, 1)?),
            at_ms: get(row, 2)?,
            by: get(row, 3)?,
        };
        Ok((Digest(get(row, 0)?), filter))
    })
}

/// The filters of a component, in order.
pub fn of(connection: &Connection, component: &Digest) -> Result<Vec<Digest>, StorageError> {
    let sql = "SELECT filter FROM filters WHERE component = ?1 ORDER BY filter";
    query(connection, sql, [component.0], |row| {
        Ok(Digest(get(row, 0)?))
    })
}
