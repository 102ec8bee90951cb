//! A canonical book, opened: finds models in place and decodes each on first use.

use super::index::{Index, name_of};
use super::layout::{Layout, MODEL_RECORD_LEN};
use super::{CanonicalError, decode, encode};
use crate::book::{Book, Model};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A power of two: a slot is a few bits of a hash.
const RECENT_SLOTS: usize = 256;

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
    /// Numbers of models that were found lately, by [`slot_of`] their names. Only a shortcut:
    /// what it recalls is compared, so answers never depend on it.
    recent: [AtomicU32; RECENT_SLOTS],
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
            recent: [const { AtomicU32::new(0) }; RECENT_SLOTS],
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
    /// else by the longest prefix.
    ///
    /// # Errors
    /// When the bytes that must be read are malformed; never for an admitted book.
    pub fn find(&self, provider: &str, name: &str) -> Result<Option<&Model>, CanonicalError> {
        let memo = self.recent.get(slot_of(provider, name));
        if let Some(model) = memo.and_then(|memo| self.recalled(memo, provider, name)) {
            return Ok(Some(model));
        }
        let names = self.names();
        if let Some(record) = names.exact(provider, name)? {
            let number = names.word(record, 2)?;
            let model = self.model(number)?;
            if let Some(memo) = memo {
                memo.store(number, Relaxed);
            }
            return Ok(Some(model));
        }
        let prefixes = self.prefixes();
        match prefixes.longest_prefix(provider, name)? {
            Some(record) => self.model(prefixes.word(record, 2)?).map(Some),
            None => Ok(None),
        }
    }

    /// The model that was found last with a name like this one, when it is this one.
    /// An exact name wins over everything, so nothing else needs to be asked.
    fn recalled(&self, memo: &AtomicU32, provider: &str, name: &str) -> Option<&Model> {
        let model = self.models.get(memo.load(Relaxed) as usize)?.get()?;
        (*model.name == *name && *model.provider == *provider).then_some(model)
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

/// A few bits that differ between the names of one provider: their ends, mostly.
fn slot_of(provider: &str, name: &str) -> usize {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let tail = name.as_bytes().iter().rev().take(24);
    let hash = tail
        .chain(provider.as_bytes().first())
        .fold(0x811c_9dc5, mix);
    (hash >> 16) as usize % RECENT_SLOTS
}
