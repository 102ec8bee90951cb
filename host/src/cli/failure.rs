//! Why a command could not do its work, with the exit code it ends with.

use super::exit::Exit;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Standard input or output broke.
    #[error("standard input or output cannot be used")]
    Stream(#[from] std::io::Error),
    /// Something wrong was found, and has been printed.
    #[error("{0}")]
    Found(String),
    /// The command line asks for something that does not exist.
    #[error("{0}")]
    Usage(String),
    /// A part of Farebox could not start or answer.
    #[error("{what}")]
    Unavailable {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Failure {
    /// The code the process ends with.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Found(_) => Exit::Found,
            Self::Usage(_) => Exit::Usage,
            Self::Read { .. } | Self::Write { .. } | Self::Stream(_) | Self::Unavailable { .. } => {
                Exit::Unavailable
            }
        }
    }

    /// `what` failed because of `source`.
    pub fn unavailable(
        what: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            what: what.into(),
            source: source.into(),
        }
    }
}

/// An error and what caused it, on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A file's bytes.
///
/// # Errors
/// [`Failure::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })
}

/// A file's text.
///
/// # Errors
/// [`Failure::Read`], also when it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file as a whole: a reader sees the old one or the new one.
///
/// # Errors
/// [`Failure::Write`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    std::fs::write(&partial, bytes)
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(|source| Failure::Write {
            path: path.to_owned(),
            source,
        })
}
