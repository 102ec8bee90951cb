//! The canonical price book: one book, one sequence of bytes, read in place.
//!
//! A release is content-addressed, so equal books must have equal bytes; a fresh policy instance
//! opens a book of megabytes in microseconds, so nothing is parsed before it is asked for. The
//! format is described for other languages in `docs/canonical-book.md`. It must not know how
//! people write books, nor what a price means.
//!
//! A lookup tries the exact name, then an alias, then the longest prefix, then patterns.

mod check;
mod check_terms;
mod decode;
mod encode;
mod index;
mod layout;
mod sale;
#[cfg(test)]
mod tests;
mod view;

pub use check::{BrokenRule, EncodeError};
pub use encode::encode;
pub use layout::{MAGIC, VERSION};
pub use view::BookView;

/// Why bytes are not a canonical book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// The bytes do not begin like a canonical book.
    #[error("not a canonical price book")]
    NotABook,
    /// A format version this code does not know.
    #[error("format version {0} of the price book is not known")]
    UnsupportedVersion(u16),
    /// The sections that the header declares do not add up to the bytes.
    #[error("the price book has {actual} bytes where its header declares {declared}")]
    WrongLength {
        /// What the header says.
        declared: u64,
        /// How many bytes there are.
        actual: u64,
    },
    /// A record points outside its section.
    #[error("record {record} of the {section} points outside the price book")]
    OutOfBounds {
        /// The section with the record.
        section: &'static str,
        /// The number of the record, from 0.
        record: u32,
    },
    /// An item is not the CBOR this format describes.
    #[error("{item} is malformed at its byte {at}")]
    Malformed {
        /// `the terms`, or `model` with its provider and name.
        item: Box<str>,
        /// The byte within the item.
        at: usize,
    },
    /// The book breaks one of its own rules.
    #[error(transparent)]
    Invalid(#[from] EncodeError),
    /// The bytes say the same as the canonical ones, but are not those.
    #[error("the price book is not in canonical form")]
    NotCanonical,
}
