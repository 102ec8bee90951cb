//! Price files of others, read by their grammar into our text model.
//!
//! An importer drops nothing silently: every field that bears on cost is imported or stands in the
//! [`Report`] with the reason. Numbers are taken from their source text. A model without any price,
//! or with nothing but zeros (free, or unknown: the sources do not say which), is left out, because
//! a missing price must never become a price of zero.

mod dates;
mod draft;
mod genai_prices;
mod litellm;
mod merge;
mod quarantine;
mod report;

pub use genai_prices::import as genai_prices;
pub use litellm::import as litellm;
pub use merge::{Merged, merge};
pub use quarantine::quarantine;
pub use report::{Disagreement, LeftOut, Lost, Quarantined, Reason, Report};

use crate::amount::{Amount, AmountError};
use crate::text::BookText;

/// What an importer made of a source.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The book, without any terms of sale.
    pub book: BookText,
    /// What was read, imported and left out.
    pub report: Report,
}

/// Why a text cannot be imported at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The text is not JSON.
    #[error("not JSON, line {line}, column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The text is JSON of another shape.
    #[error("not a {source_name} price file: {what}")]
    NotThisSource {
        /// The source that was expected.
        source_name: &'static str,
        /// What is missing or different.
        what: String,
    },
}

fn json(text: &str) -> Result<serde_json::Value, ImportError> {
    serde_json::from_str(text).map_err(|error| ImportError::NotJson {
        line: error.line(),
        column: error.column(),
    })
}

/// The amount of a number, from its source text; some sources write numbers as text.
fn amount(value: &serde_json::Value) -> Result<Amount, AmountError> {
    match value {
        serde_json::Value::String(text) => Amount::parse(text),
        value => Amount::parse(&value.to_string()),
    }
}
