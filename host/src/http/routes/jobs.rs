//! What the routes of jobs have in common: what of the past is asked for, and how a job stands.
//!
//! Their answers repeat some fields, because serde cannot flatten a struct with numbers out of text
//! whose numbers are kept as written, and the command line reads these answers.

use super::super::problem::{Kind, Problem};
use super::super::time;
use crate::service::job::{Job, State};
use crate::service::releases::Address;
use std::ops::Range;
use std::sync::Arc;

/// Times of posting, from the body or the query of a request.
///
/// # Errors
/// A time is not in RFC 3339.
pub(super) fn range(since: Option<&str>, until: Option<&str>) -> Result<Range<i64>, Problem> {
    let since = time::read_some("since", since)?.unwrap_or(i64::MIN);
    Ok(since..time::read_some("until", until)?.unwrap_or(i64::MAX))
}

/// A release's address, from a field of a request.
///
/// # Errors
/// It is no address.
pub(super) fn address(field: &str, text: &str) -> Result<Address, Problem> {
    text.parse()
        .map_err(|error| Problem::new(Kind::InvalidRequest, format!("`{field}`: {error}")))
}

/// How a job stands.
pub(super) struct Standing<R> {
    /// `running`, `done`, `stopped` or `failed`.
    pub status: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// What it found, once it is over.
    pub report: Option<Arc<R>>,
    /// How long it took, once it is over.
    pub took_ms: Option<u64>,
}

impl<R> Standing<R> {
    /// Of a job whose report says whether it is `whole`.
    pub fn of<Q>(job: &Job<Q, R>, is_whole: impl Fn(&R) -> bool) -> Self {
        let (state, took) = job.state();
        let (status, failure, report) = match state {
            State::Running => ("running", None, None),
            State::Failed(why) => ("failed", Some(why.to_string()), None),
            State::Ended(report) if is_whole(&report) => ("done", None, Some(report)),
            State::Ended(report) => ("stopped", None, Some(report)),
        };
        Self {
            status: status.to_owned(),
            failure,
            report,
            took_ms: took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// The ends of a range of times; absent where it is open.
pub(super) fn ends(range: &Range<i64>) -> (Option<String>, Option<String>) {
    let at = |at_ms: i64| (at_ms != i64::MIN && at_ms != i64::MAX).then(|| time::show(at_ms));
    (at(range.start), at(range.end))
}
