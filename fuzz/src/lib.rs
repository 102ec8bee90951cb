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
pub mod ledger;
pub mod seeds;
pub mod usage;

/// Panics if the bytes break a promise.
pub type Target = fn(&[u8]);

/// Every target with its name, which is that of its binary and of its folder of found inputs.
pub fn targets() -> impl Iterator<Item = (&'static str, Target)> {
    [&usage::TARGETS[..], &book::TARGETS, &ledger::TARGETS]
        .into_iter()
        .flatten()
        .copied()
}
