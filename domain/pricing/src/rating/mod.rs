//! What a call costs and what it is charged: the rules of [`crate::book`] applied to an event.
//!
//! One arithmetic serves everybody. [`rate`] prices an event inside a policy, [`cost`] lets the
//! host compute the provider cost **itself** (the floor), [`quote`] bounds a call beforehand. All
//! go through the same lookup. It must not know bytes, wasm, credits or rounding: amounts are
//! exact decimals in USD, and a digit that would be lost is a refusal.
//!
//! # Which rate holds for a pool
//! Of the period that is valid at the time of the event, the tables that hold are those whose
//! service tier is the served one or absent, whose region is the event's or absent, and whose
//! context tier is passed or absent. They are asked from the most specific on: first the tables of
//! the served tier, then the standard ones; within these first those of the region, then those of
//! any; within these the highest context tier that is passed, down to none. A table answers with
//! the rate whose attributes are all among the pool's; the one with the most wins. When no table
//! answers, the book's meter fallbacks are tried in order, each by the same search for its base.
//! A tier without any table of its own costs its declared factor times the standard rates, and is
//! refused when none is declared.
//!
//! The context tier is decided by the sum of all prompt tokens, for the whole request.

mod bound;
mod card;
mod charge;
mod cost;
mod lookup;
mod quote;
mod rate;
#[cfg(test)]
mod tests;

pub use card::rate_card;
pub use charge::own_key_cap;
pub use cost::{Cost, CostBasis, cost};
pub use quote::{cost_bound, largest_max_output, quote};
pub use rate::rate;

use crate::answer::Refusal;

/// Refuses because `what` is out of range or would lose digits.
fn out_of_range(what: impl Into<Box<str>>) -> Refusal {
    Refusal::OutOfRange { what: what.into() }
}
