//! A release as one file: a component that carries its canonical book, so that what is reviewed,
//! signed, copied and kept in git is a single `.wasm`.
//!
//! The book stands in the custom section `farebox:book`, the text it was compiled from in
//! `farebox:book-source`, both at the end of the component and both behind the SHA-256 of what
//! follows: a custom section means nothing to WebAssembly, so nothing else would notice damage. The
//! digests of a release are of the component *without* these sections and of the book alone: the
//! same component under two books is compiled once, and one file or two name the same release. The
//! signatures over those digests stand in `farebox:signature`, so signing changes no release.
//! The limit class that a component declares (`farebox:limits`) stays in it. Which filters belong to the
//! component stands in `farebox:filters`, by their digests: it changes no release either.
//! Must not know what a book says, nor whether the component is a policy.

use super::declared::{self, LIMITS_SECTION};
use crate::service::ledger::releases::ReleaseParts;
use crate::service::policy::{Digest, LimitClass};
use crate::service::signature::{self, Signature, TextError};
use farebox_stamp::StampError;
use sha2::{Digest as _, Sha256};
use wasm_encoder::{ComponentSection as _, CustomSection};
use wasmparser::{Chunk, Parser, Payload};

/// The section that holds the canonical book.
pub const BOOK_SECTION: &str = "farebox:book";

/// The section that holds the book as people wrote it.
pub const SOURCE_SECTION: &str = "farebox:book-source";

/// The section that holds the signatures.
pub const SIGNATURE_SECTION: &str = "farebox:signature";

/// The section that holds the digests of the component's filters.
pub const FILTERS_SECTION: &str = "farebox:filters";

/// The most filters in one file.
const FILTERS_MAX: usize = 64;

const SEAL_BYTES: usize = 32;

/// A file of WebAssembly, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// The component without Farebox's sections.
    pub component: Vec<u8>,
    /// The canonical book it carries.
    pub book: Option<Vec<u8>>,
    /// The book as people wrote it.
    pub book_source: Option<Vec<u8>>,
    /// Who signed it, in the order of their keys. Not checked yet.
    pub signatures: Vec<Signature>,
    /// The filters of the component, by the digests that they carry, in order.
    pub filters: Vec<Digest>,
}

/// Why a file cannot be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// Not WebAssembly at all.
    #[error("this is not WebAssembly: a component begins with the bytes `00 61 73 6d`")]
    NotWasm,
    /// Cut off, or damaged.
    #[error("this is not a valid component: cut off or damaged at byte {at}: {reason}")]
    Damaged {
        /// Where, from 0.
        at: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A section of Farebox's stands twice.
    #[error("the section `{0}` stands twice")]
    SectionTwice(&'static str),
    /// The component declares a limit class that there is not.
    #[error("`{0}` is no limit class")]
    UnknownLimits(String),
    /// A section of Farebox's is not what was written.
    #[error("the section `{0}` is damaged: its content does not match its digest")]
    SectionDamaged(&'static str),
    /// The signatures cannot be read.
    #[error("the section `farebox:signature` cannot be read: {0}")]
    Signatures(#[from] TextError),
    /// The filters are no list of digests in order.
    #[error("the section `farebox:filters` is no list of 1 to {FILTERS_MAX} digests in order")]
    Filters,
}

impl Package {
    /// Lets the component declare its limit class, in place of the one that it declares.
    pub fn declare(&mut self, class: LimitClass) {
        declared::declare(&mut self.component, class);
        // Who signed the file signed other limits.
        self.signatures.clear();
    }

    /// Says that the filter of this file belongs to the component.
    ///
    /// # Errors
    /// It does not carry its digest.
    pub fn add_filter(&mut self, file: &[u8]) -> Result<(), StampError> {
        let digest = Digest(farebox_stamp::read(file)?);
        if let Err(place) = self.filters.binary_search(&digest) {
            self.filters.insert(place, digest);
        }
        Ok(())
    }

    /// A release's parts.
    pub fn of(parts: &ReleaseParts) -> Self {
        Self {
            component: parts.component.to_vec(),
            book: Some(parts.book.to_vec()),
            book_source: parts.book_source.as_deref().map(<[u8]>::to_vec),
            signatures: parts.signatures.to_vec(),
            filters: parts.filters.to_vec(),
        }
    }

    /// Takes a file apart. A file without the sections is a component alone.
    ///
    /// # Errors
    /// See [`PackageError`].
    pub fn open(file: &[u8]) -> Result<Self, PackageError> {
        if !file.starts_with(b"\0asm") {
            return Err(PackageError::NotWasm);
        }
        let mut package = Self {
            component: Vec::with_capacity(file.len()),
            ..Self::default()
        };
        let mut declared = None;
        let mut parser = Parser::new(0);
        let mut rest = file;
        loop {
            let parsed = parser.parse(rest, true);
            let (mut consumed, payload) = match parsed.map_err(damaged)? {
                Chunk::Parsed { consumed, payload } => (consumed, payload),
                Chunk::NeedMoreData(_) => return Err(cut_off(file.len())),
            };
            let mut own = false;
            let mut ended = false;
            match payload {
                Payload::CustomSection(section) if section.name() == LIMITS_SECTION => {
                    own = true;
                    if declared.replace(limits(section.data())?).is_some() {
                        return Err(PackageError::SectionTwice(LIMITS_SECTION));
                    }
                }
                Payload::CustomSection(section) => {
                    own = package.keep(section.name(), section.data())?;
                }
                // What is inside does not concern us: the section goes as a whole, and the parser
                // stands after it already.
                Payload::ModuleSection {
                    unchecked_range, ..
                }
                | Payload::ComponentSection {
                    unchecked_range, ..
                } => {
                    let inside = unchecked_range.end.saturating_sub(unchecked_range.start);
                    consumed =
                        consumed.saturating_add(usize::try_from(inside).unwrap_or(usize::MAX));
                }
                Payload::CodeSectionStart { size, .. } => {
                    parser.skip_section();
                    consumed = consumed.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
                }
                Payload::End(_) => ended = true,
                _ => {}
            }
            let (section, after) = rest
                .split_at_checked(consumed)
                .ok_or_else(|| cut_off(file.len()))?;
            if !own {
                package.component.extend_from_slice(section);
            }
            rest = after;
            if ended {
                // Of the component, and so of its digest; always in the same place.
                if let Some(class) = declared {
                    declared::declare(&mut package.component, class);
                }
                return Ok(package);
            }
        }
    }

    /// Keeps the content of a section of Farebox's; whether it was one.
    fn keep(&mut self, name: &str, data: &[u8]) -> Result<bool, PackageError> {
        let (mut signatures, mut filters) = (None, None);
        let (name, place) = match name {
            BOOK_SECTION => (BOOK_SECTION, &mut self.book),
            SOURCE_SECTION => (SOURCE_SECTION, &mut self.book_source),
            SIGNATURE_SECTION if self.signatures.is_empty() => (SIGNATURE_SECTION, &mut signatures),
            SIGNATURE_SECTION => return Err(PackageError::SectionTwice(SIGNATURE_SECTION)),
            FILTERS_SECTION if self.filters.is_empty() => (FILTERS_SECTION, &mut filters),
            FILTERS_SECTION => return Err(PackageError::SectionTwice(FILTERS_SECTION)),
            _ => return Ok(false),
        };
        let content = data
            .split_at_checked(SEAL_BYTES)
            .filter(|(seal, content)| *seal == Sha256::digest(content).as_slice())
            .map(|(_, content)| content)
            .ok_or(PackageError::SectionDamaged(name))?;
        if place.replace(content.to_vec()).is_some() {
            return Err(PackageError::SectionTwice(name));
        }
        if let Some(text) = signatures {
            self.signatures = signature::from_text(&text)?;
        }
        if let Some(digests) = filters {
            self.filters = in_order(&digests).ok_or(PackageError::Filters)?;
        }
        Ok(true)
    }

    /// The one file. Equal packages make equal bytes.
    pub fn to_file(&self) -> Vec<u8> {
        let mut file = self.component.clone();
        let signatures = signature::to_text(&self.signatures);
        let filters: Vec<u8> = self.filters.iter().flat_map(|filter| filter.0).collect();
        for (name, content) in [
            (BOOK_SECTION, self.book.as_deref()),
            (SOURCE_SECTION, self.book_source.as_deref()),
            (
                SIGNATURE_SECTION,
                Some(signatures.as_bytes()).filter(|text| !text.is_empty()),
            ),
            (
                FILTERS_SECTION,
                Some(&*filters).filter(|filters| !filters.is_empty()),
            ),
        ] {
            if let Some(content) = content {
                let sealed = [Sha256::digest(content).as_slice(), content].concat();
                CustomSection {
                    name: name.into(),
                    data: sealed.into(),
                }
                .append_to_component(&mut file);
            }
        }
        file
    }
}

/// Digests, each once, so that equal lists are equal bytes.
fn in_order(bytes: &[u8]) -> Option<Vec<Digest>> {
    let (digests, rest) = bytes.as_chunks::<32>();
    let is_list = rest.is_empty() && (1..=FILTERS_MAX).contains(&digests.len());
    let is_ordered = digests.is_sorted_by(|one, next| one < next);
    (is_list && is_ordered).then(|| digests.iter().copied().map(Digest).collect())
}

fn limits(data: &[u8]) -> Result<LimitClass, PackageError> {
    let name = || String::from_utf8_lossy(data.get(..64).unwrap_or(data)).into_owned();
    declared::read(data).ok_or_else(|| PackageError::UnknownLimits(name()))
}

fn damaged(error: wasmparser::BinaryReaderError) -> PackageError {
    PackageError::Damaged {
        at: error.offset(),
        reason: error.message().to_owned(),
    }
}

fn cut_off(at: usize) -> PackageError {
    PackageError::Damaged {
        at: at as u64,
        reason: "it ends in the middle of a section".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::policy::ReleaseId;
    use crate::service::signature::{SecretKey, Statement};

    fn component() -> Vec<u8> {
        // A nested module with a custom section of our name: not ours, it is the guest's own.
        wat::parse_str(
            r#"(component
                (core module (func (export "f")) (@custom "farebox:book" "inner"))
                (component (core module))
                (@custom "producers" "someone"))"#,
        )
        .unwrap()
    }

    fn packed() -> Package {
        Package {
            component: component(),
            book: Some(b"FBBOOK...".to_vec()),
            book_source: Some(b"# why\nname = \"x\"".to_vec()),
            signatures: vec![signature()],
            filters: vec![Digest([3; 32]), Digest([4; 32])],
        }
    }

    fn signature() -> Signature {
        let release = ReleaseId {
            component: Digest([1; 32]),
            book: Digest([2; 32]),
        };
        let statement = Statement::new(release, "1.0.0", LimitClass::Native).unwrap();
        SecretKey::from_seed(&[7; 32]).sign(&statement)
    }

    #[test]
    fn a_package_comes_back_as_it_went_in() {
        let file = packed().to_file();
        assert_eq!(Package::open(&file).unwrap(), packed());
        assert_eq!(Package::open(&file).unwrap().to_file(), file);
        let alone = Package::open(&component()).unwrap();
        assert_eq!(alone.component, component());
        assert_eq!((alone.book, alone.book_source), (None, None));
        assert_eq!((alone.signatures, alone.filters), (vec![], vec![]));
    }

    #[test]
    fn the_sections_are_found_wherever_they_stand() {
        let file = packed().to_file();
        // The sections moved to right after the preamble.
        let component = component();
        let (preamble, body) = component.split_at(8);
        let moved = [preamble, &file[component.len()..], body].concat();
        assert_eq!(Package::open(&moved).unwrap(), packed());
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused_or_lacks_whole_sections() {
        let file = packed().to_file();
        for length in 0..file.len() {
            match Package::open(&file[..length]) {
                Err(PackageError::NotWasm) => assert!(length < 4),
                Err(_) => {}
                // A cut between sections leaves a shorter file that is whole.
                Ok(shorter) => assert_eq!(shorter.filters, [], "{length}"),
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_a_section_is_found() {
        let whole = packed();
        let file = whole.to_file();
        let start = whole.component.len();
        for at in start..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1;
            match Package::open(&flipped) {
                Err(_) => {}
                // A name or a size that says otherwise: then the book is not there, never another.
                Ok(other) => {
                    let same_book = other.book.is_none() || other.book == whole.book;
                    let signed = &other.signatures;
                    assert!(same_book && (signed.is_empty() || *signed == whole.signatures));
                    assert!(other.filters.is_empty() || other.filters == whole.filters);
                    assert_ne!(other, whole, "byte {at}");
                }
            }
        }
    }

    #[test]
    fn a_section_that_stands_twice_is_refused() {
        let file = packed().to_file();
        let twice = [&file[..], &file[component().len()..]].concat();
        assert_eq!(
            Package::open(&twice),
            Err(PackageError::SectionTwice(BOOK_SECTION))
        );
        let signed = Package {
            book: None,
            book_source: None,
            ..packed()
        };
        let file = signed.to_file();
        let twice = [&file[..], &file[component().len()..]].concat();
        assert_eq!(
            Package::open(&twice),
            Err(PackageError::SectionTwice(SIGNATURE_SECTION))
        );
    }

    #[test]
    fn filters_stand_in_order_and_once() {
        let digests = |numbers: &[u8]| -> Vec<u8> {
            numbers.iter().flat_map(|number| [*number; 32]).collect()
        };
        assert_eq!(in_order(&digests(&[1, 2])).unwrap().len(), 2);
        for wrong in [vec![], digests(&[2, 1]), digests(&[1, 1]), vec![1; 33]] {
            assert_eq!(in_order(&wrong), None);
        }
        let many: Vec<u8> = (0..=u8::try_from(FILTERS_MAX).unwrap()).collect();
        assert_eq!(in_order(&digests(&many)), None);
        let mut package = packed();
        assert_eq!(package.add_filter(b"\0asm"), Err(StampError::NoPlace));
        let mut filter = farebox_stamp::UNSTAMPED.to_vec();
        assert_eq!(package.add_filter(&filter), Err(StampError::Unstamped));
        let digest = Digest(farebox_stamp::put(&mut filter).unwrap());
        for _ in 0..2 {
            package.add_filter(&filter).unwrap();
        }
        assert_eq!(package.filters.len(), 3);
        assert!(package.filters.contains(&digest));
        assert_eq!(Package::open(&package.to_file()).unwrap(), package);
    }

    #[test]
    fn a_section_of_signatures_that_says_something_else_is_refused() {
        for text in ["", "farebox release signature v1\n", "signed, the releaser"] {
            let sealed = [Sha256::digest(text).as_slice(), text.as_bytes()].concat();
            let mut file = component();
            CustomSection {
                name: SIGNATURE_SECTION.into(),
                data: sealed.into(),
            }
            .append_to_component(&mut file);
            let error = Package::open(&file).unwrap_err();
            assert!(
                matches!(error, PackageError::Signatures(_)),
                "{text}: {error}"
            );
        }
    }
}
