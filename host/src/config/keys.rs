//! The public keys that are pinned: each a line, or a file of openssl's.

use crate::service::signature::{KeyError, PinError, PinnedKey, PinnedKeys, PublicKey};
use std::path::PathBuf;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// One is none, or stands twice.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// It has no name.
    #[error("`{0}` has no name: write `NAME=KEY`")]
    Nameless(String),
    /// It is neither 64 hexadecimal digits nor a file that can be read.
    #[error("`{}` is neither 64 hexadecimal digits nor a file that can be read", path.display())]
    Unreadable {
        /// What was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The keys of a configuration: each has a name.
///
/// # Errors
/// See [`KeysError`].
pub fn policy_keys(given: &[String]) -> Result<PinnedKeys, KeysError> {
    if let Some(nameless) = given.iter().find(|text| !text.contains('=')) {
        return Err(KeysError::Nameless(nameless.clone()));
    }
    given_keys(given)
}

/// The keys of a command line. One without a name is called what was given.
///
/// # Errors
/// See [`KeysError`].
pub fn given_keys(given: &[String]) -> Result<PinnedKeys, KeysError> {
    let keys = given.iter().map(|text| match text.split_once('=') {
        Some((name, key)) => Ok(format!("{name}={}", digits(key)?).parse()?),
        None => Ok(PinnedKey {
            name: text.as_str().into(),
            key: digits(text)?,
        }),
    });
    let keys = keys.collect::<Result<Vec<_>, KeysError>>()?;
    Ok(PinnedKeys::new(keys)?)
}

/// The key itself, or the one in the file of this name.
fn digits(text: &str) -> Result<PublicKey, KeysError> {
    let is_digits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let text_of_key = if is_digits {
        text.to_owned()
    } else {
        std::fs::read_to_string(text).map_err(|source| KeysError::Unreadable {
            path: text.into(),
            source,
        })?
    };
    let named = |error: KeyError| PinError::Key {
        name: text.to_owned(),
        error,
    };
    Ok(PublicKey::from_text(&text_of_key).map_err(named)?)
}
