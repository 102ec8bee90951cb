//! What a call costs and what it sells for: money, pools, the canonical price book, rating, and
//! the checks on every answer.
//!
//! This crate is compiled into the host *and* into every policy, so it is the one arithmetic of
//! the whole product. It must not know I/O, clocks, randomness, floats, async, serde, wasm or the
//! ledger: equal input gives equal output, bit for bit, on every machine.

pub mod answer;
pub mod book;
pub mod canonical;
pub mod card;
pub mod currency;
pub mod event;
pub mod exact;
pub mod failure;
#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::borrowed_box,
    reason = "test data: small numbers, and sets of boxed names"
)]
mod generated;
pub mod load;
pub mod meter;
pub mod money;
pub mod pattern;
pub mod provider;
pub mod rating;
pub mod terms;
pub mod verify;
