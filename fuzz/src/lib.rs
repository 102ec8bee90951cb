//! What holds for any input of any parser: it is answered, never by a panic, and the answer keeps
//! the parser's promises.
//!
//! A [`Target`] takes bytes as they come and panics where a promise is broken. `cargo xtask fuzz`
//! looks for such bytes with libFuzzer, starting from [`seeds`]; what it finds is kept in
//! `tests/cases/fuzz`, and `tests/found.rs` runs it from then on. Where a parser has to be told
//! something first (a provider, where a stream is cut), the input's first line tells it in words,
//! so that a found input is one file that can be read.
//!
//! Must not know libFuzzer: the same functions run in ordinary tests.

pub mod book;
#[cfg(feature = "host")]
pub mod engine;
#[cfg(feature = "host")]
pub mod host;
pub mod ledger;
pub mod seeds;
pub mod usage;
pub mod words;

/// Panics if the bytes break a promise.
pub type Target = fn(&[u8]);

/// A target with its name, which is that of its binary and of its folder of found inputs.
pub type Named = (&'static str, Target);

#[cfg(feature = "host")]
const OF_HOST: [&[Named]; 2] = [&host::TARGETS, &engine::TARGETS];
#[cfg(not(feature = "host"))]
const OF_HOST: [&[Named]; 0] = [];

/// Every target.
pub fn targets() -> Vec<Named> {
    let of_domain: [&[Named]; 3] = [&usage::TARGETS, &book::TARGETS, &ledger::TARGETS];
    of_domain
        .into_iter()
        .chain(OF_HOST)
        .flatten()
        .copied()
        .collect()
}
