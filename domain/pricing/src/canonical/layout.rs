//! Where each section of a canonical book lies.
//!
//! Sections follow the header in a fixed order without gaps, so the header holds their sizes
//! and nothing that could contradict them. All integers are little-endian.

use super::CanonicalError;
use std::ops::Range;

/// The first six bytes.
pub const MAGIC: [u8; 6] = *b"FBBOOK";
/// The format version, bytes 6 and 7.
pub const VERSION: u16 = 1;
/// Magic, version and seven sizes.
pub(super) const HEADER_LEN: usize = 36;
/// Key offset, key length, entry offset, entry length.
pub(super) const MODEL_RECORD_LEN: usize = 16;
/// Key offset, key length, model number.
pub(super) const INDEX_RECORD_LEN: usize = 12;

/// The byte ranges of the sections, and how many records the tables have.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub terms: Range<usize>,
    pub model_count: u32,
    pub models: Range<usize>,
    pub name_count: u32,
    pub names: Range<usize>,
    pub prefix_count: u32,
    pub prefixes: Range<usize>,
    pub pattern_count: u32,
    pub patterns: Range<usize>,
    pub keys: Range<usize>,
    pub entries: Range<usize>,
}

impl Layout {
    /// Reads the header and checks that the sections are exactly the rest of `bytes`.
    pub fn read(bytes: &[u8]) -> Result<Self, CanonicalError> {
        if bytes.get(..MAGIC.len()) != Some(MAGIC.as_slice()) || bytes.len() < HEADER_LEN {
            return Err(CanonicalError::NotABook);
        }
        let size = |at: usize| u32_at(bytes, at).ok_or(CanonicalError::NotABook);
        // The version is the upper half of the word at 4; `size` reads words.
        let version = u16::try_from(size(4)? >> 16).map_err(|_| CanonicalError::NotABook)?;
        if version != VERSION {
            return Err(CanonicalError::UnsupportedVersion(version));
        }
        let (model_count, name_count) = (size(12)?, size(16)?);
        let (prefix_count, pattern_count) = (size(20)?, size(24)?);
        let mut end = HEADER_LEN as u64;
        let mut section = |count: u32, record_len: usize| {
            let start = end;
            // At most 2^32 records of 16 bytes in each of seven sections: far below 2^64.
            end = end.saturating_add(u64::from(count).saturating_mul(record_len as u64));
            (start, end)
        };
        let ranges = [
            section(size(8)?, 1),
            section(model_count, MODEL_RECORD_LEN),
            section(name_count, INDEX_RECORD_LEN),
            section(prefix_count, INDEX_RECORD_LEN),
            section(pattern_count, INDEX_RECORD_LEN),
            section(size(28)?, 1),
            section(size(32)?, 1),
        ];
        if end != bytes.len() as u64 {
            return Err(CanonicalError::WrongLength {
                declared: end,
                actual: bytes.len() as u64,
            });
        }
        // Every bound is at most `bytes.len()`, so it fits.
        let [terms, models, names, prefixes, patterns, keys, entries] =
            ranges.map(|(start, end)| start as usize..end as usize);
        Ok(Self {
            terms,
            model_count,
            models,
            name_count,
            names,
            prefix_count,
            prefixes,
            pattern_count,
            patterns,
            keys,
            entries,
        })
    }
}

/// The little-endian word at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    word.try_into().ok().map(u32::from_le_bytes)
}
