//! Copies of a database as of one moment, beside whoever serves from it. What is copied is only read.

use super::connection::{self, failure};
use super::migrate::{self, MigrateError};
use crate::service::ledger::failure::StorageError;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::path::Path;
use std::sync::Arc;

/// Copies one moment of `source` to a fresh file at `target`.
///
/// # Errors
/// Either cannot be used, or the disk is full.
pub fn to_file(source: &Connection, target: &Path) -> Result<Connection, StorageError> {
    let mut copy = connection::copy(target)?;
    pages(source, &mut copy)?;
    // One file, with nothing beside it.
    copy.execute_batch("PRAGMA journal_mode = DELETE")
        .map_err(failure)?;
    Ok(copy)
}

/// Copies one moment of `source` and brings the copy to the schema of this program. The copy is gone
/// with its connection.
///
/// # Errors
/// `Newer`, else `Storage`.
pub fn migrated(source: &Connection) -> Result<Connection, MigrateError> {
    let mut copy = connection::nameless_copy()?;
    pages(source, &mut copy)?;
    migrate::migrate(&mut copy)?;
    copy.execute_batch("PRAGMA query_only = ON")
        .map_err(failure)?;
    Ok(copy)
}

fn pages(source: &Connection, target: &mut Connection) -> Result<(), StorageError> {
    let backup = Backup::new(source, target).map_err(failure)?;
    // All pages in one step: one moment, however busy the source is.
    match backup.step(-1).map_err(failure)? {
        StepResult::Done => Ok(()),
        _ => {
            let unfinished = std::io::Error::other("the copy was not finished");
            Err(StorageError::Other(Arc::new(unfinished)))
        }
    }
}
