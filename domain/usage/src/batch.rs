//! A batch's output file: one answer a line, each a call of its own.
//!
//! The file is read line by line and never held; what a caller keeps of it is the caller's. A line
//! that cannot be read is that line's error and nobody else's.

use crate::WORD_BYTES_MAX;
use crate::error::UsageError;
use crate::normalised::Normalised;
use crate::stream::normalise_response;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchItem {
    /// The line, from 1.
    pub line: u64,
    /// The caller's own id of the call (`custom_id`, `recordId` or `key`), where the line has one.
    pub custom_id: Option<Box<str>>,
    /// The call's usage, whose service tier is `batch`.
    pub result: Result<Normalised, UsageError>,
}

#[derive(Deserialize)]
struct Ids<'a> {
    #[serde(borrow, alias = "recordId", alias = "key")]
    custom_id: Option<&'a RawValue>,
}

/// Reads the output file of a batch of any provider (see `docs/usage.md` for the envelopes).
/// Blank lines are passed over.
///
/// # Errors
/// Each item has its own: see [`UsageError`].
pub fn normalise_batch<'f>(
    provider: &'f str,
    file: &'f [u8],
) -> impl Iterator<Item = BatchItem> + 'f {
    file.split(|byte| *byte == b'\n')
        .zip(1..)
        .filter(|(line, _)| !line.trim_ascii().is_empty())
        .map(move |(line, number)| BatchItem {
            line: number,
            custom_id: custom_id(line),
            result: normalise_response(provider, Some("batch"), line),
        })
}

fn custom_id(line: &[u8]) -> Option<Box<str>> {
    let ids: Ids<'_> = serde_json::from_slice(line).ok()?;
    let id: Box<str> = serde_json::from_str(ids.custom_id?.get()).ok()?;
    (id.len() <= WORD_BYTES_MAX).then_some(id)
}
