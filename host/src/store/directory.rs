//! The data directory: which file is which, who may change them, and the key that signs heads.
//!
//! One process changes a data directory at a time. It holds a lock that the operating system takes
//! back when the process ends in whatever way, so there is no stale lock to clean up.

use ed25519_dalek::SigningKey;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// A data directory that may or may not be locked by us.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    path: PathBuf,
}

/// The right to change a data directory. Ends when it is dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    // Held, not read: closing the file releases the lock.
    _file: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process serves from it.
    #[error("data directory `{path}` is in use by another process")]
    InUse {
        /// As it was given.
        path: PathBuf,
    },
    /// It is not there, or has no ledger in it.
    #[error("`{path}` holds no ledger")]
    NoLedger {
        /// As it was given.
        path: PathBuf,
    },
    /// It cannot be created, read or written.
    #[error("data directory `{path}` cannot be used")]
    Io {
        /// As it was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The signing key's file is not 32 bytes.
    #[error("the signing key in `{path}` is damaged")]
    SigningKey {
        /// As it was given.
        path: PathBuf,
    },
}

impl DataDirectory {
    /// The directory at `path`, whether it exists or not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("ledger.db")
    }

    fn signing_key_file(&self) -> PathBuf {
        self.path.join("signing.key")
    }

    fn io(&self, source: std::io::Error) -> DirectoryError {
        DirectoryError::Io {
            path: self.path.clone(),
            source,
        }
    }

    /// Makes the directory where it is missing.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(&self) -> Result<(), DirectoryError> {
        std::fs::create_dir_all(&self.path).map_err(|source| self.io(source))
    }

    /// The directory holds a database.
    ///
    /// # Errors
    /// `NoLedger` when it does not.
    pub fn must_exist(&self) -> Result<(), DirectoryError> {
        if self.database().is_file() {
            Ok(())
        } else {
            Err(DirectoryError::NoLedger {
                path: self.path.clone(),
            })
        }
    }

    /// Takes the right to change it.
    ///
    /// # Errors
    /// `InUse` while another process (or another store in this one) has it, else `Io`.
    pub fn lock(&self) -> Result<DirectoryLock, DirectoryError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path.join("lock"))
            .map_err(|source| self.io(source))?;
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(DirectoryError::InUse {
                path: self.path.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(self.io(source)),
        }
    }

    /// The key that signs heads, made at the first call. Only its owner can read the file.
    ///
    /// # Errors
    /// `SigningKey` when the file is not a key, else `Io`.
    pub fn signing_key(&self) -> Result<SigningKey, DirectoryError> {
        match self.existing_signing_key()? {
            Some(key) => Ok(key),
            None => self.new_signing_key(),
        }
    }

    /// The key that signs heads, where one was made already.
    ///
    /// # Errors
    /// As [`DataDirectory::signing_key`].
    pub fn existing_signing_key(&self) -> Result<Option<SigningKey>, DirectoryError> {
        match File::open(self.signing_key_file()) {
            Ok(mut file) => {
                let mut bytes = Vec::with_capacity(32);
                file.read_to_end(&mut bytes)
                    .map_err(|source| self.io(source))?;
                let bytes: [u8; 32] = bytes.try_into().map_err(|_| DirectoryError::SigningKey {
                    path: self.path.clone(),
                })?;
                Ok(Some(SigningKey::from_bytes(&bytes)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io(source)),
        }
    }

    fn new_signing_key(&self) -> Result<SigningKey, DirectoryError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| self.io(std::io::Error::other(error)))?;
        // Written beside and renamed, so that a crash leaves no half key.
        let fresh = self.path.join("signing.key.new");
        let write = || -> std::io::Result<()> {
            let mut options = OpenOptions::new();
            options.create(true).truncate(true).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&fresh)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&fresh, self.signing_key_file())?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| self.io(source))?;
        Ok(SigningKey::from_bytes(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDirectory::new(folder.path());
        let first = directory.lock().unwrap();
        let refused = directory.lock().unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "data directory `{}` is in use by another process",
                folder.path().display()
            )
        );
        drop(first);
        directory.lock().unwrap();
    }

    #[test]
    fn the_signing_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDirectory::new(folder.path());
        let first = directory.signing_key().unwrap();
        assert_eq!(first, directory.signing_key().unwrap());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let metadata = std::fs::metadata(folder.path().join("signing.key")).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(folder.path().join("signing.key"), "short").unwrap();
        assert!(matches!(
            directory.signing_key(),
            Err(DirectoryError::SigningKey { .. })
        ));
    }
}
