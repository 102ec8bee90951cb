//! A canonical book, opened: finds models in place and decodes each on first use.

use super::index::{Index, name_of};
use super::layout::{Layout, MODEL_RECORD_LEN};
use super::{CanonicalError, decode, encode};
use crate::book::{Book, Model};
use crate::pattern;
use std::sync::OnceLock;

/// A power of two: a slot is a few bits of a hash.
const MEMO_SLOTS: usize = 512;
/// The longest name that is kept, so that odd names take no memory.
const MEMO_NAME_BYTES_MAX: usize = 128;

/// A canonical book that was opened. Cheap to open, cheap to ask, never panics on any bytes.
///
/// Opening checks the header and decodes the terms (everything but the models). Models are decoded
/// when first asked for and kept. [`BookView::check_all`] decodes everything: do that once, when a
/// book is admitted.
#[derive(Debug)]
pub struct BookView {
    bytes: Vec<u8>,
    layout: Layout,
    terms: Book,
    models: Box<[OnceLock<Box<Model>>]>,
    /// Which names led to which models, by [`slots_of`] the names. Only a shortcut: names are
    /// compared whole, so answers never depend on it. A slot is filled once and then stays, so
    /// readers share it without a lock, and its size is bounded.
    memo: Box<[OnceLock<Recalled>]>,
}

/// A name that was found, however it was: the name itself, an alias, a prefix.
#[derive(Debug)]
struct Recalled {
    provider: Box<str>,
    name: Box<str>,
    model: u32,
}

impl BookView {
    /// Opens canonical bytes.
    ///
    /// # Errors
    /// When the header, the sizes of the sections, or the terms are malformed.
    pub fn open(bytes: Vec<u8>) -> Result<Self, CanonicalError> {
        let layout = Layout::read(&bytes)?;
        let terms = decode::terms(bytes.get(layout.terms.clone()).unwrap_or_default())?;
        let models = (0..layout.model_count).map(|_| OnceLock::new()).collect();
        Ok(Self {
            bytes,
            layout,
            terms,
            models,
            memo: (0..MEMO_SLOTS).map(|_| OnceLock::new()).collect(),
        })
    }

    /// The canonical bytes: what the digest of a release covers.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The book without its models: rules, fallbacks, plans and caps.
    pub const fn terms(&self) -> &Book {
        &self.terms
    }

    /// How many models the book has.
    pub const fn model_count(&self) -> u32 {
        self.layout.model_count
    }

    /// The model of `provider` (canonical id) that `name` means: by exact name, else by alias,
    /// else by the longest prefix, else by the pattern with the most fixed characters.
    ///
    /// # Errors
    /// When the bytes that must be read are malformed; never for an admitted book.
    pub fn find(&self, provider: &str, name: &str) -> Result<Option<&Model>, CanonicalError> {
        let slots = slots_of(provider, name);
        for slot in slots {
            match self.memo.get(slot).and_then(OnceLock::get) {
                Some(seen) if same(&seen.name, name) && same(&seen.provider, provider) => {
                    return self.model(seen.model).map(Some);
                }
                Some(_) => {}
                None => break,
            }
        }
        let Some(number) = self.number_of(provider, name)? else {
            return Ok(None);
        };
        let model = self.model(number)?;
        self.keep(slots, provider, name, number);
        Ok(Some(model))
    }

    #[cold]
    fn number_of(&self, provider: &str, name: &str) -> Result<Option<u32>, CanonicalError> {
        let names = self.names();
        if let Some(record) = names.exact(provider, name)? {
            return names.word(record, 2).map(Some);
        }
        let prefixes = self.prefixes();
        match prefixes.longest_prefix(provider, name)? {
            Some(record) => prefixes.word(record, 2).map(Some),
            None => self.number_by_pattern(provider, name),
        }
    }

    /// The model of the first pattern that matches: they stand in order of precedence.
    fn number_by_pattern(&self, provider: &str, name: &str) -> Result<Option<u32>, CanonicalError> {
        let patterns = self.patterns();
        if patterns.count == 0 {
            return Ok(None);
        }
        for found in patterns.all_of(provider)? {
            let (record, text) = found?;
            let matches = std::str::from_utf8(text).is_ok_and(|text| pattern::matches(text, name));
            if !matches {
                continue;
            }
            let number = patterns.word(record, 2)?;
            let mut except = self.model(number)?.except.iter();
            if !except.any(|text| pattern::matches_any_case(text, name)) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Keeps a name in the first of its slots that is empty, if any is.
    #[cold]
    fn keep(&self, slots: [usize; 2], provider: &str, name: &str, model: u32) {
        if name.len() > MEMO_NAME_BYTES_MAX {
            return;
        }
        let mut slots = slots.iter().filter_map(|slot| self.memo.get(*slot));
        if let Some(empty) = slots.find(|slot| slot.get().is_none()) {
            // Another thread may have filled it meanwhile; then that name stays.
            let _ = empty.set(Recalled {
                provider: provider.into(),
                name: name.into(),
                model,
            });
        }
    }

    /// Model number `number`, in the order of (provider, name).
    ///
    /// # Errors
    /// When there is no such model, or its entry is malformed.
    pub fn model(&self, number: u32) -> Result<&Model, CanonicalError> {
        let table = self.model_table();
        let slot = self
            .models
            .get(number as usize)
            .ok_or(table.out_of_bounds(number))?;
        if let Some(model) = slot.get() {
            return Ok(model);
        }
        let model = Box::new(self.decode(number)?);
        Ok(slot.get_or_init(|| model))
    }

    /// The models from number `first` on, in the order of (provider, name).
    pub fn models_from(
        &self,
        first: u32,
    ) -> impl Iterator<Item = Result<&Model, CanonicalError>> + '_ {
        (first..self.layout.model_count).map(|number| self.model(number))
    }

    /// The number of the first model at or after (provider, name); with `after`, only after.
    ///
    /// # Errors
    /// When the model table is malformed.
    pub fn position(&self, provider: &str, name: &str, after: bool) -> Result<u32, CanonicalError> {
        self.model_table().rank(provider, name.as_bytes(), after)
    }

    /// Decodes everything and checks that these are the canonical bytes of a valid book.
    ///
    /// # Errors
    /// The first thing that is malformed, breaks a rule of [`crate::book`], or is not in canonical
    /// form.
    pub fn check_all(&self) -> Result<(), CanonicalError> {
        if encode(&self.to_book()?)? == self.bytes {
            Ok(())
        } else {
            Err(CanonicalError::NotCanonical)
        }
    }

    /// The whole book in plain types.
    ///
    /// # Errors
    /// When an entry is malformed.
    pub fn to_book(&self) -> Result<Book, CanonicalError> {
        let models = (0..self.layout.model_count)
            .map(|number| self.decode(number))
            .collect::<Result<_, _>>()?;
        Ok(Book {
            models,
            ..self.terms.clone()
        })
    }

    fn decode(&self, number: u32) -> Result<Model, CanonicalError> {
        let table = self.model_table();
        let out_of_bounds = || table.out_of_bounds(number);
        let start = table.word(number, 2)? as usize;
        let len = table.word(number, 3)? as usize;
        let entry = self
            .bytes
            .get(self.layout.entries.clone())
            .zip(start.checked_add(len))
            .and_then(|(entries, end)| entries.get(start..end))
            .ok_or_else(out_of_bounds)?;
        let key = table.key(number)?;
        let (provider, name) = std::str::from_utf8(key)
            .ok()
            .and_then(|key| key.split_once('\0'))
            .ok_or_else(out_of_bounds)?;
        decode::model(provider, name, entry)
    }

    fn section(&self, range: &std::ops::Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    fn model_table(&self) -> Index<'_> {
        Index {
            section: "model table",
            records: self.section(&self.layout.models),
            record_len: MODEL_RECORD_LEN,
            count: self.layout.model_count,
            keys: self.section(&self.layout.keys),
        }
    }

    fn names(&self) -> Index<'_> {
        let layout = &self.layout;
        let keys = self.section(&layout.keys);
        Index::of_keys(
            "name index",
            self.section(&layout.names),
            layout.name_count,
            keys,
        )
    }

    fn prefixes(&self) -> Index<'_> {
        let layout = &self.layout;
        let keys = self.section(&layout.keys);
        let records = self.section(&layout.prefixes);
        Index::of_keys("prefix index", records, layout.prefix_count, keys)
    }

    fn patterns(&self) -> Index<'_> {
        let layout = &self.layout;
        let keys = self.section(&layout.keys);
        let records = self.section(&layout.patterns);
        Index::of_keys("pattern index", records, layout.pattern_count, keys)
    }

    /// Whether model number `number` belongs to `provider` and its name begins with `prefix`.
    ///
    /// # Errors
    /// When the model table is malformed.
    pub fn is_under(
        &self,
        number: u32,
        provider: &str,
        prefix: &str,
    ) -> Result<bool, CanonicalError> {
        let key = self.model_table().key(number)?;
        let name = name_of(key, provider.as_bytes());
        Ok(name.is_some_and(|name| name.starts_with(prefix.as_bytes())))
    }
}

/// Where a name may be kept: two slots, since names are more than slots.
///
/// Words of eight bytes, because this is on the path of every event: FNV over them, then the
/// upper bits, which all bytes reach.
fn slots_of(provider: &str, name: &str) -> [usize; 2] {
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    // The bytes that are left, in the last eight: some count twice, which harms nothing.
    let last = match name.as_bytes().last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let first = provider.as_bytes().first().copied().unwrap_or_default();
    let hash = words.chain([last]).fold(u64::from(first), |hash, word| {
        let hash = mix(hash, word);
        hash ^ hash >> 32
    });
    [
        (hash >> 16) as usize % MEMO_SLOTS,
        (hash >> 40) as usize % MEMO_SLOTS,
    ]
}

/// Whether two texts are equal, by words: a comparison by bytes is what wasm gets otherwise.
fn same(a: &str, b: &str) -> bool {
    let ((a, a_rest), (b, b_rest)) = (a.as_bytes().as_chunks::<8>(), b.as_bytes().as_chunks::<8>());
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| word(a) == word(b))
        && a_rest.len() == b_rest.len()
        && a_rest.iter().zip(b_rest).all(|(a, b)| a == b)
}
