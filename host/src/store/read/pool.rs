//! A few connections that cannot write, shared by all readers.

use super::super::connection;
use crate::service::ledger::failure::StorageError;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Connections kept open between reads; a burst opens more and closes them again.
const KEPT: usize = 8;

/// The readers' connections.
#[derive(Debug)]
pub struct Pool {
    database: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// A pool over this database.
    pub fn new(database: PathBuf) -> Self {
        Self {
            database,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Reads with one connection. Everything read in one call is of one moment.
    pub fn read<T, E: From<StorageError>>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connection::reader(&self.database)?,
        };
        connection
            .execute_batch("BEGIN")
            .map_err(connection::failure)?;
        let answer = read(&connection);
        // Ends the moment that was read. Where even that fails the connection is not kept.
        if connection.execute_batch("COMMIT").is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEPT {
                idle.push(connection);
            }
        }
        answer
    }
}
