//! The text of an API key: `fbx_<32 hex: key id>_<40 hex: secret><8 hex: CRC-32 of what is before>`.
//!
//! The prefix lets scanners find a leaked key, the checksum refuses a mistyped one before anything
//! is looked up, and only the SHA-256 of the text is ever stored. Must not know what a key may do.

use farebox_ledger::ids::{Digest, KeyId};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// What every key begins with.
pub const PREFIX: &str = "fbx_";

const ID_HEX: usize = 32;
const SECRET_BYTES: usize = 20;
const CHECKSUM_HEX: usize = 8;
/// `fbx_`, id, `_`, secret, checksum.
const TEXT_BYTES: usize = PREFIX.len() + ID_HEX + 1 + 2 * SECRET_BYTES + CHECKSUM_HEX;

/// A new key's text, shown to its owner once.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(secret)")
    }
}

/// Why a text is not the text of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// Another length, prefix or alphabet.
    #[error("this is not the text of a farebox key")]
    Malformed,
    /// A character is wrong.
    #[error("the key is mistyped: its checksum does not fit")]
    Checksum,
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

impl KeyText {
    /// A fresh secret for the key `id`.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate(id: KeyId) -> Result<Self, NoRandomness> {
        let mut secret = [0_u8; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|_| NoRandomness)?;
        let body = format!("{PREFIX}{:032x}_{}", id.get(), hex::encode(secret));
        let checksum = checksum(&body);
        Ok(Self(body + &checksum))
    }

    /// The text, to show it once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn digest(&self) -> Digest {
        digest(&self.0)
    }
}

/// SHA-256 of a key's text.
pub fn digest(text: &str) -> Digest {
    Sha256::digest(text).into()
}

/// The id inside a key's text, when the text is whole.
///
/// # Errors
/// See [`KeyTextError`].
pub fn key_id(text: &str) -> Result<KeyId, KeyTextError> {
    if text.len() != TEXT_BYTES || !text.is_ascii() {
        return Err(KeyTextError::Malformed);
    }
    let rest = text.strip_prefix(PREFIX).ok_or(KeyTextError::Malformed)?;
    let (id, secret) = rest.split_once('_').ok_or(KeyTextError::Malformed)?;
    let is_hex = |part: &str| {
        part.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    if id.len() != ID_HEX || !is_hex(id) || !is_hex(secret) {
        return Err(KeyTextError::Malformed);
    }
    let (body, given) = text
        .len()
        .checked_sub(CHECKSUM_HEX)
        .and_then(|at| text.split_at_checked(at))
        .ok_or(KeyTextError::Malformed)?;
    if checksum(body) != given {
        return Err(KeyTextError::Checksum);
    }
    u128::from_str_radix(id, 16)
        .map(KeyId::new)
        .map_err(|_| KeyTextError::Malformed)
}

fn checksum(body: &str) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(body.as_bytes());
    format!("{:08x}", crc.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_holds_its_id_and_never_shows_itself() {
        let id = KeyId::new(0x0192_f0c8_b7a6_7c1e_9f3a_5d2b_4c6e_8f01);
        let text = KeyText::generate(id).unwrap();
        assert_eq!(key_id(text.reveal()), Ok(id));
        assert_eq!(text.digest(), digest(text.reveal()));
        assert_ne!(KeyText::generate(id).unwrap(), text);
        assert!(!format!("{text:?}").contains("fbx_"));
    }

    #[test]
    fn every_single_wrong_character_is_found() {
        let text = KeyText::generate(KeyId::new(7)).unwrap();
        for at in 0..text.reveal().len() {
            let mut wrong = text.reveal().as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(key_id(&wrong).is_err(), "{at}");
        }
        let (_, cut) = text.reveal().split_at(1);
        for bad in ["", "fbx_", "sk-live", cut] {
            assert_eq!(key_id(bad), Err(KeyTextError::Malformed), "{bad}");
        }
    }
}
