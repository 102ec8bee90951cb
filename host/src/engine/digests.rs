//! A map by release: its key is two digests, which need no hashing to be spread evenly.

use crate::service::policy::ReleaseId;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Values by release.
pub type ByDigest<T> = HashMap<ReleaseId, T, BuildHasherDefault<FirstBytes>>;

/// Takes the first eight bytes of each digest. Who can choose digests freely has broken SHA-256.
#[derive(Default)]
pub struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = self.0.rotate_left(1) ^ u64::from_le_bytes(*first);
        }
    }

    // An array writes its length first, which is the same for all.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
