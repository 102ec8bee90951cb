//! Why a command could not do its work, with the exit code it ends with.

use super::exit::Exit;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _};
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

/// The largest file that is read as a whole: more than any policy with its book, and no more than a
/// machine has room for. What is larger is another file than was meant.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A file's bytes.
///
/// # Errors
/// [`Failure::Read`], also when it is larger than 64 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    bounded(path).map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })
}

/// A file's text.
///
/// # Errors
/// [`Failure::Read`], also when it is larger than 64 MiB, or not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let text = |bytes| {
        String::from_utf8(bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    };
    bounded(path)
        .and_then(text)
        .map_err(|source| Failure::Read {
            path: path.to_owned(),
            source,
        })
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = FILE_BYTES_MAX.saturating_add(1);
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX) {
        return Ok(bytes);
    }
    let told = format!("it has more than {FILE_BYTES_MAX} bytes");
    Err(io::Error::new(io::ErrorKind::FileTooLarge, told))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_hundreds_of_megabytes_is_refused_and_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.toml");
        for (length, is_read) in [(FILE_BYTES_MAX, true), (200 << 20, false)] {
            // No disk holds its zeros.
            File::create(&path).unwrap().set_len(length).unwrap();
            assert_eq!(read(&path).is_ok(), is_read);
        }
        let told = chain(&read_text(&path).unwrap_err());
        assert!(told.ends_with("it has more than 67108864 bytes"), "{told}");
    }
}
