//! A chunk as bytes: version (1), codec (1), length of the plain bytes (4), then the bytes, plain
//! or as an LZ4 block. Plain bytes: how many entries (2), where each ends (4 each), the entries.
//! Numbers are little-endian.

use super::super::connection::DamagedRow;

const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const LZ4: u8 = 1;
const HEADER: usize = 6;

/// The most plain bytes of a chunk: far above any that is written, so that a damaged length does
/// not ask for the machine's memory.
const PLAIN_MAX: usize = 64 << 20;

/// The bytes of a chunk with these entries; `ends` says where each of them ends.
pub fn encode(entries: &[u8], ends: &[u32]) -> Vec<u8> {
    let count = u16::try_from(ends.len()).unwrap_or(u16::MAX);
    let index = ends.len().saturating_mul(4).saturating_add(2);
    let mut plain = Vec::with_capacity(index.saturating_add(entries.len()));
    plain.extend_from_slice(&count.to_le_bytes());
    for end in ends {
        plain.extend_from_slice(&end.to_le_bytes());
    }
    plain.extend_from_slice(entries);

    let most = lz4_flex::block::get_maximum_output_size(plain.len());
    let mut bytes = vec![0; HEADER.saturating_add(most)];
    let packed = bytes
        .get_mut(HEADER..)
        .and_then(|room| lz4_flex::block::compress_into(&plain, room).ok())
        .filter(|packed| *packed < plain.len());
    let codec = match packed {
        Some(packed) => {
            bytes.truncate(HEADER.saturating_add(packed));
            LZ4
        }
        None => {
            bytes.truncate(HEADER);
            bytes.extend_from_slice(&plain);
            PLAIN
        }
    };
    let length = u32::try_from(plain.len()).unwrap_or(u32::MAX);
    for (to, from) in bytes
        .iter_mut()
        .zip([VERSION, codec].into_iter().chain(length.to_le_bytes()))
    {
        *to = from;
    }
    bytes
}

/// A chunk that was read.
#[derive(Clone, Debug)]
pub struct Chunk {
    plain: Vec<u8>,
    count: usize,
}

impl Chunk {
    /// A chunk from its bytes.
    ///
    /// # Errors
    /// The bytes are not such a chunk.
    pub fn decode(bytes: &[u8]) -> Result<Self, DamagedRow> {
        let broken = || DamagedRow("a chunk of the journal cannot be read".to_owned());
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or_else(broken)?;
        let [version, codec, length @ ..] = *header;
        let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| broken())?;
        if version != VERSION || length > PLAIN_MAX {
            return Err(broken());
        }
        let plain = match codec {
            PLAIN => rest.to_vec(),
            LZ4 => lz4_flex::block::decompress(rest, length).map_err(|_| broken())?,
            _ => return Err(broken()),
        };
        let count = plain.first_chunk::<2>().ok_or_else(broken)?;
        let count = usize::from(u16::from_le_bytes(*count));
        let chunk = Self { plain, count };
        // Every entry can be had, or the chunk is none.
        let whole = chunk.plain.len() == length && (0..count).all(|slot| chunk.get(slot).is_some());
        if whole { Ok(chunk) } else { Err(broken()) }
    }

    /// How many entries it has.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// The entry in a slot.
    pub fn get(&self, slot: usize) -> Option<&[u8]> {
        if slot >= self.count {
            return None;
        }
        let base = self.count.checked_mul(4)?.checked_add(2)?;
        let begin = match slot.checked_sub(1) {
            None => 0,
            Some(before) => self.end(before)?,
        };
        let entries = self.plain.get(base..)?;
        entries.get(begin..self.end(slot)?)
    }

    fn end(&self, slot: usize) -> Option<usize> {
        let at = slot.checked_mul(4)?.checked_add(2)?;
        let end = self.plain.get(at..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*end)).ok()
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests may overflow loudly")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut all = Vec::new();
        let mut ends = Vec::new();
        for entry in entries {
            all.extend_from_slice(entry);
            ends.push(u32::try_from(all.len()).unwrap());
        }
        encode(&all, &ends)
    }

    proptest! {
        #[test]
        fn entries_come_back_as_they_went_in(
            entries in prop::collection::vec(prop::collection::vec(0_u8..4, 0..200), 1..40),
        ) {
            let chunk = Chunk::decode(&pack(&entries)).unwrap();
            prop_assert_eq!(chunk.len(), entries.len());
            for (slot, entry) in entries.iter().enumerate() {
                prop_assert_eq!(chunk.get(slot), Some(&**entry));
            }
            prop_assert_eq!(chunk.get(entries.len()), None);
        }

        #[test]
        fn damaged_bytes_are_an_error_or_a_chunk_never_a_panic(
            at in 0_usize..64, bits in 1_u8.., cut in 0_usize..64,
        ) {
            let mut bytes = pack(&[b"one entry".to_vec(), b"another entry".to_vec()]);
            let at = at % bytes.len();
            bytes[at] ^= bits;
            if let Ok(chunk) = Chunk::decode(&bytes) {
                for slot in 0..chunk.len() {
                    prop_assert!(chunk.get(slot).is_some());
                }
            }
            bytes.truncate(cut % bytes.len());
            prop_assert!(Chunk::decode(&bytes).is_err());
        }
    }

    #[test]
    fn equal_entries_are_kept_small() {
        let entries = vec![br#"{"prompt_tokens":2867,"completion_tokens":211}"#.to_vec(); 32];
        assert!(pack(&entries).len() * 4 < entries.concat().len());
    }
}
