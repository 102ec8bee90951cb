//! Who stands for a release: ed25519 signatures over what it is, and the keys that a deployment
//! pins.
//!
//! What is signed is a [`Statement`]: five lines of text that name everything a release is judged
//! by, so that a signature says the same to whoever reads it, fits no other release, and nothing
//! but a release. It travels with the statement it is over, so that a wrong one can be told apart
//! from one of something else. docs/release-file.md is the format's reference. Must not know where a
//! release comes from, nor where keys are kept.

mod key;
mod pins;
mod text;

pub use key::{KeyError, PublicKey, SecretKey};
pub use pins::{PinError, PinnedKey, PinnedKeys, SignatureError};
pub use text::TextError;

use super::policy::{LimitClass, ReleaseId};
use std::fmt;

/// The first line of what is signed: no signature over anything else begins so.
const PREFIX: &str = "farebox release signature v1";

/// Signatures that one release may carry.
pub const SIGNATURES_MAX: usize = 16;

/// Bytes of a contract's version, or of a class's name.
const WORD_BYTES_MAX: usize = 64;

/// What a signature is over. Its text, as [`fmt::Display`] writes it, is the message that is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    release: ReleaseId,
    contract: Box<str>,
    class: Box<str>,
}

impl Statement {
    /// What is said of this release; nothing where `contract` is no version, such as `1.0.0`.
    pub fn new(release: ReleaseId, contract: &str, class: LimitClass) -> Option<Self> {
        Self::of_words(release, contract, class.name())
    }

    fn of_words(release: ReleaseId, contract: &str, class: &str) -> Option<Self> {
        let is_word = |text: &str| {
            (1..=WORD_BYTES_MAX).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte))
        };
        (is_word(contract) && is_word(class)).then(|| Self {
            release,
            contract: contract.into(),
            class: class.into(),
        })
    }

    /// Which release.
    pub const fn release(&self) -> ReleaseId {
        self.release
    }

    /// The version of the contract that it speaks.
    pub fn contract(&self) -> &str {
        &self.contract
    }

    /// The limit class under which it runs.
    pub fn class(&self) -> &str {
        &self.class
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{PREFIX}")?;
        writeln!(f, "component {}", hex::encode(self.release.component.0))?;
        writeln!(f, "book {}", hex::encode(self.release.book.0))?;
        writeln!(f, "contract {}", self.contract)?;
        writeln!(f, "limits {}", self.class)
    }
}

/// A signature, and what it claims to be over. Nothing is true of it before [`Signature::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Who signed.
    pub key: PublicKey,
    /// What was signed.
    pub statement: Statement,
    /// The signature.
    pub bytes: [u8; 64],
}

/// Why a signature is not one of this release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It is over other rules.
    #[error("it is over the component `{0}`")]
    Component(String),
    /// It is over other prices.
    #[error("it is over the price book `{0}`")]
    Book(String),
    /// It is over another contract.
    #[error("it is over contract version `{0}`")]
    Contract(Box<str>),
    /// It is over other limits.
    #[error("it is over the limit class `{0}`")]
    Class(Box<str>),
    /// The key did not make it.
    #[error("the key did not sign what it says")]
    Forged,
}

impl Signature {
    /// Whether the key signed exactly this.
    ///
    /// # Errors
    /// See [`Mismatch`]: the first difference, in the order of the statement's lines.
    pub fn check(&self, statement: &Statement) -> Result<(), Mismatch> {
        let (signed, release) = (&self.statement, statement.release);
        if signed.release.component != release.component {
            let component = hex::encode(signed.release.component.0);
            return Err(Mismatch::Component(component));
        }
        if signed.release.book != release.book {
            return Err(Mismatch::Book(hex::encode(signed.release.book.0)));
        }
        if signed.contract != statement.contract {
            return Err(Mismatch::Contract(signed.contract.clone()));
        }
        if signed.class != statement.class {
            return Err(Mismatch::Class(signed.class.clone()));
        }
        if self
            .key
            .signed(statement.to_string().as_bytes(), &self.bytes)
        {
            Ok(())
        } else {
            Err(Mismatch::Forged)
        }
    }
}

/// The text of signatures, in the order of their keys: what stands in a release's file.
pub fn to_text(signatures: &[Signature]) -> String {
    text::write(signatures)
}

/// The signatures that a text is.
///
/// # Errors
/// See [`TextError`]; only what [`to_text`] writes is read.
pub fn from_text(text: &[u8]) -> Result<Vec<Signature>, TextError> {
    text::read(text)
}

/// Adds a signature, in place of an earlier one by the same key.
pub fn add(signatures: &mut Vec<Signature>, signature: Signature) {
    signatures.retain(|kept| kept.key != signature.key);
    signatures.push(signature);
    signatures.sort_by_key(|kept| kept.key);
}

#[cfg(test)]
mod tests;
