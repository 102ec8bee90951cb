//! Filters that say of a generation: this key is certainly not in it, or may be.
//!
//! Split-block Bloom filters (Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom
//! Filters", 2007, in the form Parquet uses): a key sets one bit in each of the eight words of one
//! block. With 32 bits per key about one new key in eighty thousand is taken for a known
//! one, which costs a look-up on a cold page. There are as many filters as generations, so fewer
//! bits would make a ledger of millions slower than a new one.
//!
//! The blocks with the same number of all generations lie side by side, so a look-up reads one
//! stretch of memory however many generations there are.

const WORDS: usize = 8;
const BLOCK_BYTES: usize = 32;
const BITS_PER_KEY: usize = 32;
/// Odd constants that spread one hash over eight words, as in the Parquet format.
const SALT: [u32; WORDS] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

type Block = [u32; WORDS];

/// Where a key's bits are.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    place: u64,
    bits: Block,
}

impl Mask {
    /// The bits of a key, which is itself a hash.
    pub fn of(key: &[u8; 16]) -> Self {
        let number = u128::from_be_bytes(*key);
        let place = u64::try_from(number >> 64).unwrap_or_default();
        let low = u32::try_from(number & u128::from(u32::MAX)).unwrap_or_default();
        Self {
            place,
            bits: SALT.map(|salt| 1_u32 << (low.wrapping_mul(salt) >> 27)),
        }
    }

    fn block(&self, blocks: usize) -> usize {
        let blocks = u128::try_from(blocks).unwrap_or(1);
        // The high bits of a product spread evenly over any number of blocks.
        let product = u128::from(self.place).saturating_mul(blocks) >> 64;
        usize::try_from(product).unwrap_or_default()
    }
}

/// The filters of all generations.
#[derive(Debug)]
pub struct Filters {
    generations: Vec<i64>,
    /// By number of the block, then by generation.
    blocks: Vec<Vec<Block>>,
}

impl Filters {
    /// For generations of about `keys` keys each.
    pub fn new(keys: usize) -> Self {
        let blocks = keys.saturating_mul(BITS_PER_KEY) / (BLOCK_BYTES * 8);
        Self {
            generations: Vec::new(),
            blocks: vec![Vec::new(); blocks.max(1)],
        }
    }

    /// How many blocks the filter of a generation has.
    pub const fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// The filter of these keys in so many blocks, as bytes.
    pub fn bits<'a>(count: usize, keys: impl Iterator<Item = &'a [u8; 16]>) -> Vec<u8> {
        let mut blocks = vec![[0_u32; WORDS]; count];
        for key in keys {
            let mask = Mask::of(key);
            if let Some(block) = blocks.get_mut(mask.block(count)) {
                for (word, bit) in block.iter_mut().zip(mask.bits) {
                    *word |= bit;
                }
            }
        }
        blocks
            .iter()
            .flatten()
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }

    /// Takes a generation's filter in. A filter of another size says "may hold" for every key.
    pub fn add(&mut self, generation: i64, bits: &[u8]) {
        let (chunks, _) = bits.as_chunks::<BLOCK_BYTES>();
        let fits = chunks.len() == self.blocks.len();
        for (place, blocks) in self.blocks.iter_mut().enumerate() {
            let mut block = [u32::MAX; WORDS];
            if let Some(chunk) = chunks.get(place).filter(|_| fits) {
                let (words, _) = chunk.as_chunks::<4>();
                for (word, bytes) in block.iter_mut().zip(words) {
                    *word = u32::from_le_bytes(*bytes);
                }
            }
            blocks.push(block);
        }
        self.generations.push(generation);
    }

    /// The newest generation with a filter.
    pub fn newest(&self) -> Option<i64> {
        self.generations.iter().copied().max()
    }

    /// The generations that may hold the key.
    pub fn may_hold<'a>(&'a self, mask: &'a Mask) -> impl Iterator<Item = i64> + 'a {
        self.blocks
            .get(mask.block(self.blocks.len()))
            .into_iter()
            .flatten()
            .zip(&self.generations)
            .filter(|(block, _)| {
                block
                    .iter()
                    .zip(mask.bits)
                    .fold(true, |all, (word, bit)| all & (word & bit != 0))
            })
            .map(|(_, generation)| *generation)
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests may overflow loudly")]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn keys(from: u32, count: u32) -> Vec<[u8; 16]> {
        (from..from + count)
            .map(|number| {
                Sha256::digest(number.to_be_bytes())[..16]
                    .try_into()
                    .unwrap()
            })
            .collect()
    }

    #[test]
    fn known_keys_are_always_found_and_new_ones_almost_never() {
        let mut filters = Filters::new(10_000);
        let known = keys(0, 10_000);
        let bits = Filters::bits(filters.blocks(), known.iter());
        filters.add(7, &bits);
        for key in &known {
            assert_eq!(filters.may_hold(&Mask::of(key)).collect::<Vec<_>>(), [7]);
        }
        let mistaken = keys(1_000_000, 100_000)
            .iter()
            .filter(|key| filters.may_hold(&Mask::of(key)).next().is_some())
            .count();
        assert!(mistaken < 20, "{mistaken} of 100,000");
    }
}
