//! Backup and restore of a data directory.
//!
//! A backup is one file: the database as of one moment, taken beside a serving process without
//! stopping it. The signing key is not in it: whoever holds a backup cannot sign heads.

use super::directory::{DataDirectory, DirectoryError};
use super::migrate::{self, MigrateError};
use super::verify::{Evidence, Report, VerifyError, verify_file};
use super::{connection, copy};
use crate::service::ledger::failure::StorageError;
use std::fs::File;
use std::path::{Path, PathBuf};

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
    /// The file has a schema that this program does not know, or none.
    #[error(transparent)]
    Schema(#[from] MigrateError),
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The restored ledger cannot be verified.
    #[error("the restored ledger cannot be verified")]
    Verify(#[from] VerifyError),
    /// The restored ledger is broken; it was taken away again, and the backup is as it was.
    #[error("the backup is broken: {} findings", .0.findings.len())]
    Broken(Box<Report>),
}

fn io(path: &Path, source: std::io::Error) -> BackupError {
    BackupError::Io {
        path: path.to_owned(),
        source,
    }
}

/// A file beside `path`, whose name begins with that of `path`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Makes the database `target` by way of a file beside it, so that one that is half made, or not
/// proved yet, is never taken for a whole one.
fn whole<T>(
    target: &Path,
    make: impl FnOnce(&Path) -> Result<T, BackupError>,
) -> Result<T, BackupError> {
    // A log that another database left would be taken for one of this.
    for ending in ["", "-wal", "-journal"] {
        let path = beside(target, ending);
        if path.exists() {
            return Err(BackupError::Exists { path });
        }
    }
    let partial = beside(target, ".partial");
    if partial.exists() {
        std::fs::remove_file(&partial).map_err(|source| io(&partial, source))?;
    }
    let made = make(&partial).and_then(|made| {
        let file = File::open(&partial).map_err(|source| io(&partial, source))?;
        file.sync_all().map_err(|source| io(&partial, source))?;
        std::fs::rename(&partial, target).map_err(|source| io(target, source))?;
        Ok(made)
    });
    if made.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    made
}

/// Backs a data directory up to a file, while it is served from or not. The file has the schema of
/// the directory, be it an earlier one than this program's.
///
/// # Errors
/// See [`BackupError`]; a file that exists is never overwritten.
pub fn backup(directory: &DataDirectory, target: &Path) -> Result<(), BackupError> {
    directory.must_exist()?;
    let source = connection::reader(&directory.database())?;
    migrate::must_be_known(&source)?;
    whole(target, |partial| {
        drop(copy::to_file(&source, partial)?);
        Ok(())
    })
}

/// Makes a data directory out of a backup, brings it to the schema of this program, and verifies it.
/// The backup stays as it is.
///
/// # Errors
/// See [`BackupError`]; a ledger that exists is never overwritten, and one that is broken is not
/// left there.
pub fn restore(file: &Path, directory: &DataDirectory) -> Result<Report, BackupError> {
    if !file.is_file() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(io(file, missing));
    }
    directory.create()?;
    let _lock = directory.lock()?;
    let source = connection::reader(file)?;
    migrate::must_be_known(&source)?;
    whole(&directory.database(), |partial| {
        let mut copy = copy::to_file(&source, partial)?;
        migrate::migrate(&mut copy)?;
        drop(copy);
        let report = verify_file(partial, Evidence::default())?;
        if !report.is_clean() {
            return Err(BackupError::Broken(Box::new(report)));
        }
        // Readers find the log where the writer keeps it.
        drop(connection::writer(partial)?);
        Ok(report)
    })
}
