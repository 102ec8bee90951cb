//! How a connection is opened, and which failure is which.
//!
//! Every connection gets the same settings here and nowhere else. `synchronous=FULL` in WAL mode
//! syncs each commit before it is acknowledged (L9).

use crate::service::ledger::failure::StorageError;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::ffi::c_int;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

/// Which failure of the database is which.
pub fn failure(error: rusqlite::Error) -> StorageError {
    let code = error.sqlite_error_code();
    let damaged = matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    );
    let cause = Arc::new(error);
    match code {
        Some(ErrorCode::DiskFull) => StorageError::DiskFull(cause),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            StorageError::Io(cause)
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StorageError::Damaged(cause),
        Some(ErrorCode::ConstraintViolation) => StorageError::Constraint(cause),
        _ if damaged => StorageError::Damaged(cause),
        _ => StorageError::Other(cause),
    }
}

/// A body that is not what was written.
pub fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> StorageError {
    StorageError::Damaged(Arc::new(error))
}

/// A row that is not what was written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DamagedRow(pub String);

/// Switches off SQLite's own statistics of memory, which nobody reads and which take a lock for
/// every allocation. Only possible before the first connection; later it changes nothing.
fn without_memory_statistics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let off: c_int = 0;
        // SAFETY: this option takes one int. SQLite answers MISUSE where it comes too late.
        unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, off) };
    });
}

/// The one connection that writes. Creates the file.
pub fn writer(path: &Path) -> Result<Connection, StorageError> {
    without_memory_statistics();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failure)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(failure)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection
        .execute_batch(
            "PRAGMA page_size = 8192;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA recursive_triggers = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -32768;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(failure)?;
    #[cfg(test)]
    tests::limit_pages(&connection);
    Ok(connection)
}

/// A connection that cannot write.
pub fn reader(path: &Path) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failure)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(failure)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection
        .execute_batch(
            "PRAGMA query_only = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -4096;",
        )
        .map_err(failure)?;
    Ok(connection)
}

/// A connection to a copy that is being made, in a fresh file at `path`.
pub fn copy(path: &Path) -> Result<Connection, StorageError> {
    without_memory_statistics();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failure)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection
        .execute_batch(
            "PRAGMA foreign_keys = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -32768;",
        )
        .map_err(failure)?;
    Ok(connection)
}

/// The same in a file without a name, in the folder for temporary files. Nobody else can open it,
/// and it is gone with the connection, however the process ends.
pub fn nameless_copy() -> Result<Connection, StorageError> {
    copy(Path::new(""))
}

#[cfg(test)]
pub mod tests {
    //! A disk with a limit, for the tests of what happens at it.

    use rusqlite::Connection;
    use std::cell::RefCell;

    thread_local! {
        /// The most pages of databases that this thread opens to write.
        pub static PAGES_MAX: RefCell<Option<u32>> = const { RefCell::new(None) };
    }

    pub fn limit_pages(connection: &Connection) {
        if let Some(pages) = PAGES_MAX.with_borrow(|limit| *limit) {
            connection
                .execute_batch(&format!("PRAGMA max_page_count = {pages}"))
                .unwrap();
        }
    }
}
