//! What readers ask, in SQL that names the org itself: no caller can forget to.
//!
//! Every function works on any connection, so the server's readers, the verifier and the loading
//! of the writer's memory read rows in the same way.

pub mod audit;
pub mod budgets;
pub mod corrections;
pub mod counts;
pub mod directory;
pub mod filters;
pub mod grants;
pub mod groups;
pub mod holds;
pub mod journal;
pub mod past;
pub mod pool;
pub mod releases;
pub mod signatures;
pub mod trials;
pub mod usage;
pub mod wallets;

use super::connection::failure;
use crate::service::ledger::failure::StorageError;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

/// A query whose rows are read by `read`, which may fail for reasons of its own.
pub fn query<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, StorageError>,
) -> Result<Vec<T>, StorageError> {
    let mut statement = prepare(connection, sql)?;
    let mut rows = statement.query(params).map_err(failure)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(failure)? {
        all.push(read(row)?);
    }
    Ok(all)
}

/// As [`query`], for at most one row.
pub fn query_one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, StorageError>,
) -> Result<Option<T>, StorageError> {
    prepare(connection, sql)?
        .query_row(params, |row| Ok(read(row)))
        .optional()
        .map_err(failure)?
        .transpose()
}

fn prepare<'c>(connection: &'c Connection, sql: &str) -> Result<CachedStatement<'c>, StorageError> {
    connection.prepare_cached(sql).map_err(failure)
}

/// The bytes of a blob column.
pub fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8], StorageError> {
    row.get_ref(column)
        .map_err(failure)?
        .as_blob()
        .map_err(super::connection::damaged)
}

/// A column as any type that SQLite's values become.
pub fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: usize) -> Result<T, StorageError> {
    row.get(column).map_err(failure)
}

/// An amount that is never negative.
pub fn nanos(row: &Row<'_>, column: usize) -> Result<farebox_pricing::money::Nanos, StorageError> {
    farebox_pricing::money::Nanos::new(get(row, column)?).ok_or_else(|| {
        super::connection::damaged(super::connection::DamagedRow(
            "a stored amount is negative".to_owned(),
        ))
    })
}

/// A count that is never negative.
pub fn count(row: &Row<'_>, column: usize) -> Result<u64, StorageError> {
    u64::try_from(get::<i64>(row, column)?).map_err(super::connection::damaged)
}

/// A value that the row's text or number must stand for.
pub fn known<T>(value: Option<T>, what: &str) -> Result<T, StorageError> {
    value.ok_or_else(|| {
        super::connection::damaged(super::connection::DamagedRow(format!(
            "a row has an unknown {what}"
        )))
    })
}
