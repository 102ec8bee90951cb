//! Provider payloads and event streams, normalised into exclusive pools, and what was served.
//!
//! One call's answer goes in, as the provider sent it: a JSON body ([`normalise_response`], or with
//! its headers [`normalise_answer`]), a recorded stream ([`normalise_sse`]) or a live one in whatever
//! chunks the network cuts ([`Normaliser`]); or the output file of a batch ([`normalise_batch`]). Out comes [`Normalised`], or a [`UsageError`] that names the field and the
//! value. What is known *before* a call is read by [`RequestFacts`].
//!
//! The rules that hold for every provider:
//! - **Exclusive.** A token stands in one pool. Where a provider counts a part inside a total,
//!   the part is taken out; parts larger than their total are an error.
//! - **Absent is not zero.** A pool exists only if the provider stated it. The totals of an answer
//!   (`input` and `output`, and what stands in their place) are kept at zero; a detail of zero is
//!   dropped.
//! - **Never guessed.** A usage field this crate does not know is listed in
//!   [`Normalised::unrecognised`] with the number it states; stated sums that do not add up are an error.
//! - **Exact.** Numbers are read from their source text; a string for a number, a negative, a
//!   fraction of a token and anything above 10^15 are errors.
//! - **Never content.** Only usage objects, ids, models and tiers are kept.
//!
//! One module per provider family ([`Api`]) knows that family's fields, and no other module does.
//! This crate must not know prices, I/O, clocks, floats, threads or HTTP: the same reader runs in
//! the host and, compiled to wasm, inside a proxy.

mod api;
mod batch;
mod error;
mod family;
mod fields;
mod framing;
mod headers;
mod normalised;
mod number;
mod object;
mod pools;
mod request;
mod source;
mod stream;

pub use api::Api;
pub use batch::{BatchItem, normalise_batch};
pub use error::{QuantityFault, UsageError};
pub use framing::{SseError, SseEvent, SseReader};
pub use headers::is_about_usage;
pub use normalised::{Finish, Normalised, Served, Stated, Unrecognised};
pub use number::{NumberError, parse_exact};
pub use request::{RequestError, RequestFacts};
pub use source::{Source, sources};
pub use stream::{
    Answer, Normaliser, Progress, normalise_answer, normalise_response, normalise_sse,
};

/// The largest event (or line) of a stream that is buffered, in bytes, unless told otherwise.
pub const EVENT_BYTES_MAX: usize = 16 << 20;

/// A service tier that leaves the choice to the provider. In an answer it is an echo of the request
/// and says nothing of the tier that served it: there it is no tier.
pub const ANY_TIER: &str = "auto";

/// The largest usage object that is read, in bytes. Real ones stay under one kilobyte.
pub const USAGE_BYTES_MAX: usize = 16 << 10;

/// Ids, models and tiers are read up to this many bytes; nobody's are longer.
const WORD_BYTES_MAX: usize = 256;
