//! What is wrong with a text, and where: line, column, path and what was meant.
//!
//! One error type for the whole way from text to book, because the person who reads it edits one
//! text. It must not quote the source: a message names the field or the value it is about.

use crate::document::Position;

/// One thing that is wrong with a price book's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {}{message}", PathPrefix(path))]
pub struct BookError {
    /// Line in the text, from 1.
    pub line: usize,
    /// Column in that line, in characters, from 1.
    pub column: usize,
    /// Where in the document, such as `models[3].per_million.input`; empty for the whole text.
    pub path: String,
    /// What is wrong and, where it can be guessed, what was meant.
    pub message: String,
}

impl BookError {
    pub(crate) const fn new(position: Position, path: String, message: String) -> Self {
        Self {
            line: position.line,
            column: position.column,
            path,
            message,
        }
    }
}

struct PathPrefix<'a>(&'a str);

impl std::fmt::Display for PathPrefix<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "{}: ", self.0)
    }
}
