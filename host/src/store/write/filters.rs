//! Filters of a component: rows that are written once.

use super::releases::By;
use super::statement::{exists, run};
use crate::service::ledger::failure::StorageError;
use crate::service::policy::Digest;
use rusqlite::{Connection, params};

/// Adds to a component the filters that were not known to belong to it.
pub fn keep(
    connection: &Connection,
    component: &Digest,
    filters: &[Digest],
    by: By<'_>,
) -> Result<(), StorageError> {
    for filter in filters {
        let known = "SELECT 1 FROM filters WHERE component = ?1 AND filter = ?2";
        if exists(connection, known, params![component.0, filter.0])? {
            continue;
        }
        let sql = "INSERT INTO filters VALUES (?1, ?2, ?3, ?4)";
        let row = params![component.0, filter.0, by.at_ms, by.actor];
        run(connection, sql, row)?;
    }
    Ok(())
}
