//! Sorted keys read in place: exact names and aliases in one index, prefixes in another.
//!
//! A key is `provider 0x00 name`. No provider or name has a byte below 0x20, so keys sort as
//! (provider, name) does.

use super::CanonicalError;
use super::layout::{INDEX_RECORD_LEN, u32_at};
use std::cmp::Ordering;

/// One index of a book.
#[derive(Clone, Copy)]
pub(super) struct Index<'b> {
    pub section: &'static str,
    pub records: &'b [u8],
    pub record_len: usize,
    pub count: u32,
    pub keys: &'b [u8],
}

impl<'b> Index<'b> {
    pub const fn of_keys(
        section: &'static str,
        records: &'b [u8],
        count: u32,
        keys: &'b [u8],
    ) -> Self {
        Self {
            section,
            records,
            record_len: INDEX_RECORD_LEN,
            count,
            keys,
        }
    }

    /// The word number `word` of record number `record`.
    pub fn word(&self, record: u32, word: usize) -> Result<u32, CanonicalError> {
        (record as usize)
            .checked_mul(self.record_len)
            .and_then(|at| at.checked_add(word.checked_mul(4)?))
            .and_then(|at| u32_at(self.records, at))
            .ok_or(self.out_of_bounds(record))
    }

    /// The key of record number `record`.
    pub fn key(&self, record: u32) -> Result<&'b [u8], CanonicalError> {
        let start = self.word(record, 0)? as usize;
        let len = self.word(record, 1)? as usize;
        start
            .checked_add(len)
            .and_then(|end| self.keys.get(start..end))
            .ok_or(self.out_of_bounds(record))
    }

    /// The number of records whose key is below (provider, name), or also at it.
    pub fn rank(
        &self,
        provider: &str,
        name: &[u8],
        inclusive: bool,
    ) -> Result<u32, CanonicalError> {
        let (mut low, mut high) = (0_u32, self.count);
        while low < high {
            let middle = low.midpoint(high);
            let below = match compare(self.key(middle)?, provider.as_bytes(), name) {
                Ordering::Less => true,
                Ordering::Equal => inclusive,
                Ordering::Greater => false,
            };
            if below {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The record with exactly this key.
    pub fn exact(&self, provider: &str, name: &str) -> Result<Option<u32>, CanonicalError> {
        let (mut low, mut high) = (0_u32, self.count);
        while low < high {
            let middle = low.midpoint(high);
            match compare(self.key(middle)?, provider.as_bytes(), name.as_bytes()) {
                Ordering::Less => low = middle.saturating_add(1),
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Some(middle)),
            }
        }
        Ok(None)
    }

    /// The record whose key is the longest beginning of `name`.
    ///
    /// The last key at or below `name` is the only candidate that may share more with it than the
    /// keys before; when it is no beginning, no key longer than the shared part can be one.
    pub fn longest_prefix(
        &self,
        provider: &str,
        name: &str,
    ) -> Result<Option<u32>, CanonicalError> {
        let mut rest = name.as_bytes();
        while !rest.is_empty() {
            let Some(record) = self.rank(provider, rest, true)?.checked_sub(1) else {
                return Ok(None);
            };
            let Some(prefix) = name_of(self.key(record)?, provider.as_bytes()) else {
                return Ok(None);
            };
            let shared = rest.iter().zip(prefix).take_while(|(a, b)| a == b).count();
            if shared == prefix.len() {
                return Ok(Some(record));
            }
            match rest.get(..shared) {
                Some(shorter) if shorter.len() < rest.len() => rest = shorter,
                // Only an unsorted index, which admission refuses, leads here.
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The records of `provider`, with their names, in order.
    pub fn all_of(
        &self,
        provider: &'b str,
    ) -> Result<impl Iterator<Item = Result<(u32, &'b [u8]), CanonicalError>>, CanonicalError> {
        let first = self.rank(provider, b"", false)?;
        let index = *self;
        let names = (first..self.count).map_while(move |record| {
            let key = index.key(record);
            let name = key.map(|key| name_of(key, provider.as_bytes()));
            name.transpose().map(|name| Ok((record, name?)))
        });
        Ok(names)
    }

    pub const fn out_of_bounds(&self, record: u32) -> CanonicalError {
        CanonicalError::OutOfBounds {
            section: self.section,
            record,
        }
    }
}

/// The name in `key`, when the key is one of `provider`.
pub(super) fn name_of<'b>(key: &'b [u8], provider: &[u8]) -> Option<&'b [u8]> {
    key.strip_prefix(provider)?.strip_prefix(&[0])
}

/// Orders `key` against `provider 0x00 name` without building it.
fn compare(key: &[u8], provider: &[u8], name: &[u8]) -> Ordering {
    let (head, tail) = key.split_at_checked(provider.len()).unwrap_or((key, &[]));
    head.cmp(provider).then_with(|| match tail.split_first() {
        None => Ordering::Less,
        Some((0, rest)) => rest.cmp(name),
        Some(_) => Ordering::Greater,
    })
}
