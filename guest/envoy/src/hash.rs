//! SHA-256 as text: what names a book, and what stands for a key where the key must not.

use sha2::{Digest as _, Sha256};

/// The hash of these bytes, in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
