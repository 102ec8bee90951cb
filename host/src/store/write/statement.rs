//! One statement of the directory's rows, prepared once per connection.

use super::super::connection::failure;
use crate::service::ledger::failure::StorageError;
use rusqlite::{Connection, Params};

/// Whether a row is found.
pub fn exists(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<bool, StorageError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.exists(params))
        .map_err(failure)
}

/// Runs it.
pub fn run(connection: &Connection, sql: &str, params: impl Params) -> Result<(), StorageError> {
    changed(connection, sql, params).map(drop)
}

/// Runs it; how many rows were changed.
pub fn changed(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, StorageError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params))
        .map_err(failure)
}
