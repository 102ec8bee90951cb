//! Backup and restore of a data directory.
//!
//! A backup is one file: the database as of one moment, taken beside a serving process without
//! stopping it. The signing key is not in it: whoever holds a backup cannot sign heads.

use super::connection::{self, failure};
use super::directory::{DataDirectory, DirectoryError};
use super::migrate::{self, MigrateError};
use super::verify::{Evidence, Report, VerifyError, verify};
use crate::service::ledger::failure::StorageError;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no backup, or no restored ledger.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target exists: nothing is ever overwritten.
    #[error("`{path}` exists already")]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("`{path}` cannot be used")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The file has another schema.
    #[error(transparent)]
    Schema(#[from] MigrateError),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The restored ledger cannot be verified.
    #[error("the restored ledger cannot be verified")]
    Verify(#[from] VerifyError),
    /// The restored ledger is broken; it was taken away again.
    #[error("the backup is broken: {} findings", .0.findings.len())]
    Broken(Box<Report>),
}

fn io(path: &Path, source: std::io::Error) -> BackupError {
    BackupError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Copies one moment of `source` to a fresh file at `target`, and syncs it.
fn copy(source: &Connection, target: &Path) -> Result<(), BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut copy = Connection::open_with_flags(target, flags).map_err(failure)?;
    {
        let backup = Backup::new(source, &mut copy).map_err(failure)?;
        // All pages in one step: one moment, however busy the source is.
        match backup.step(-1).map_err(failure)? {
            StepResult::Done => {}
            _ => {
                let unfinished = std::io::Error::other("the copy was not finished");
                return Err(StorageError::Other(Arc::new(unfinished)).into());
            }
        }
    }
    // One file, with nothing beside it.
    copy.execute_batch("PRAGMA journal_mode = DELETE")
        .map_err(failure)?;
    drop(copy);
    let file = File::open(target).map_err(|source| io(target, source))?;
    file.sync_all().map_err(|source| io(target, source))
}

/// Writes `source` to `target` by way of a file beside it, so that a half copy is never taken for
/// a whole one.
fn copy_whole(source: &Connection, target: &Path) -> Result<(), BackupError> {
    if target.exists() {
        return Err(BackupError::Exists {
            path: target.to_owned(),
        });
    }
    let mut partial = target.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    if partial.exists() {
        std::fs::remove_file(&partial).map_err(|source| io(&partial, source))?;
    }
    let copied = copy(source, &partial)
        .and_then(|()| std::fs::rename(&partial, target).map_err(|source| io(target, source)));
    if copied.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    copied
}

/// Backs a data directory up to a file, while it is served from or not.
///
/// # Errors
/// See [`BackupError`]; a file that exists is never overwritten.
pub fn backup(directory: &DataDirectory, target: &Path) -> Result<(), BackupError> {
    directory.must_exist()?;
    let source = connection::reader(&directory.database())?;
    migrate::must_be_current(&source)?;
    copy_whole(&source, target)
}

/// Makes a data directory out of a backup, and verifies it. An older schema stays older until
/// somebody serves from it; it is then not verified here.
///
/// # Errors
/// See [`BackupError`]; a ledger that exists is never overwritten.
pub fn restore(file: &Path, directory: &DataDirectory) -> Result<Report, BackupError> {
    if !file.is_file() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(io(file, missing));
    }
    directory.create()?;
    let _lock = directory.lock()?;
    let source = connection::reader(file)?;
    migrate::must_be_current(&source)?;
    copy_whole(&source, &directory.database())?;
    // Readers find the log where the writer keeps it.
    drop(connection::writer(&directory.database())?);
    let report = verify(directory, Evidence::default())?;
    if report.is_clean() {
        Ok(report)
    } else {
        let database = directory.database();
        std::fs::remove_file(&database).map_err(|source| io(&database, source))?;
        Err(BackupError::Broken(Box::new(report)))
    }
}
