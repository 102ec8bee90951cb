//! What a policy says when a book is loaded into it: what it is, or why it cannot use the book.

/// What a policy says of itself, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The policy's name.
    pub name: Box<str>,
    /// The policy's own version.
    pub version: Box<str>,
    /// One sentence.
    pub summary: Box<str>,
    /// The name of the loaded book, where the policy reads one.
    pub book_name: Option<Box<str>>,
    /// The day the book's prices were current, `YYYY-MM-DD`.
    pub book_as_of: Option<Box<str>>,
}

/// Why a policy cannot be loaded with a book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The bytes are not a canonical book.
    #[error("not a canonical book: {what}")]
    Malformed {
        /// Where, and why.
        what: Box<str>,
    },
    /// A canonical book of a format version that the policy does not know.
    #[error("canonical books of version {version} are not known to this policy")]
    UnsupportedVersion {
        /// The book's format version.
        version: u32,
    },
    /// A canonical book that this policy cannot use.
    #[error("the policy cannot use this book: {what}")]
    Unusable {
        /// What it lacks.
        what: Box<str>,
    },
}
