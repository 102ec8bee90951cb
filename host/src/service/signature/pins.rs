//! The keys that a deployment pins: only what one of them signed may price there.

use super::{KeyError, Mismatch, PublicKey, Signature, Statement};
use std::fmt;
use std::str::FromStr;

/// A pinned key and the operator's name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedKey {
    /// The name: letters, digits, `-`, `_`, `.` and `@`.
    pub name: Box<str>,
    /// The key.
    pub key: PublicKey,
}

/// Keys that are pinned. None: nothing has to be signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinnedKeys(Box<[PinnedKey]>);

/// Why keys cannot be pinned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// It is not `NAME=KEY`.
    #[error("`{0}` is not `NAME=KEY`, with a name of letters, digits, `-`, `_`, `.` and `@`")]
    Shape(String),
    /// The key is none.
    #[error("the key of `{name}` is none: {error}")]
    Key {
        /// Whose.
        name: String,
        /// Why.
        error: KeyError,
    },
    /// A name or a key stands twice.
    #[error("`{0}` is pinned twice")]
    Twice(String),
}

/// Why a release is not one that these keys stand for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Nobody signed it.
    #[error(
        "the release is not signed, and here it must be by one of {pinned}: sign it with `farebox \
         policy sign`"
    )]
    Unsigned {
        /// Who could have.
        pinned: String,
    },
    /// Others signed it.
    #[error("the release is signed by {signers}, and here it must be by one of {pinned}")]
    UnknownKey {
        /// By whom.
        signers: String,
        /// Who could have.
        pinned: String,
    },
    /// A signature is not one of this release.
    #[error("the signature by {signer} is not of this release: {mismatch}")]
    Wrong {
        /// Whose.
        signer: String,
        /// What differs.
        mismatch: Mismatch,
    },
}

impl SignatureError {
    /// A stable word for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unsigned { .. } => "unsigned",
            Self::UnknownKey { .. } => "signature_unknown_key",
            Self::Wrong { .. } => "signature_wrong",
        }
    }
}

impl FromStr for PinnedKey {
    type Err = PinError;

    /// `NAME=KEY`, where the key is 64 hexadecimal digits or a PEM text.
    fn from_str(text: &str) -> Result<Self, PinError> {
        let is_name = |name: &str| {
            (1..=64).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte))
        };
        let (name, key) = text
            .split_once('=')
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| PinError::Shape(text.to_owned()))?;
        let key = PublicKey::from_text(key).map_err(|error| PinError::Key {
            name: name.to_owned(),
            error,
        })?;
        Ok(Self {
            name: name.into(),
            key,
        })
    }
}

impl fmt::Display for PinnedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.key)
    }
}

impl PinnedKeys {
    /// These keys, in the order of their names.
    ///
    /// # Errors
    /// `Twice`.
    pub fn new(mut keys: Vec<PinnedKey>) -> Result<Self, PinError> {
        keys.sort_by(|one, other| one.name.cmp(&other.name));
        for (index, key) in keys.iter().enumerate() {
            let mut before = keys.iter().take(index);
            if before.any(|known| known.name == key.name || known.key == key.key) {
                return Err(PinError::Twice(key.name.to_string()));
            }
        }
        Ok(Self(keys.into()))
    }

    /// Whether nothing has to be signed.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each key.
    pub fn iter(&self) -> impl Iterator<Item = &PinnedKey> {
        self.0.iter()
    }

    /// The operator's name for a key.
    pub fn name_of(&self, key: &PublicKey) -> Option<&str> {
        let pinned = self.iter().find(|pinned| pinned.key == *key)?;
        Some(&pinned.name)
    }

    /// Whether each signature is one of this very release, and where keys are pinned, one of them
    /// made one. A wrong signature is refused whoever else signed: somebody moved it here.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn check(
        &self,
        statement: &Statement,
        signatures: &[Signature],
    ) -> Result<(), SignatureError> {
        for signature in signatures {
            signature
                .check(statement)
                .map_err(|mismatch| SignatureError::Wrong {
                    signer: self.called(&signature.key),
                    mismatch,
                })?;
        }
        let mut signers = signatures.iter().map(|signature| signature.key);
        if self.is_empty() || signers.any(|key| self.name_of(&key).is_some()) {
            return Ok(());
        }
        if signatures.is_empty() {
            return Err(self.unsigned());
        }
        let signers = signatures.iter().map(|signed| self.called(&signed.key));
        Err(SignatureError::UnknownKey {
            signers: signers.collect::<Vec<_>>().join(", "),
            pinned: self.names(),
        })
    }

    /// That nobody signed, where one of these keys must have.
    pub fn unsigned(&self) -> SignatureError {
        SignatureError::Unsigned {
            pinned: self.names(),
        }
    }

    fn names(&self) -> String {
        let names = self.iter().map(|pinned| format!("`{}`", pinned.name));
        names.collect::<Vec<_>>().join(", ")
    }

    /// A key as people know it: its name, else its digits.
    fn called(&self, key: &PublicKey) -> String {
        match self.name_of(key) {
            Some(name) => format!("`{name}`"),
            None => format!("the key `{key}`"),
        }
    }
}
