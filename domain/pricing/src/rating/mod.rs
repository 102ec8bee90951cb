//! What a call costs and what it is charged: the rules of [`crate::book`] applied to an event.
//!
//! One arithmetic serves everybody. [`rate`] prices an event inside a policy, [`cost`] lets the
//! host compute the provider cost **itself** (the floor), [`quote`] bounds a call beforehand. All
//! go through the same lookup. It must not know bytes, wasm, credits or rounding: amounts are
//! exact decimals in USD, and a digit that would be lost is a refusal.
//!
//! # Which rate holds for a pool
//! Of the periods that are valid at the time of the event, the one that was known last by then
//! holds ([`crate::book::Model::period_at`]). Of its tables, those hold whose service tier is the
//! served one or absent, whose region is the event's or absent, whose context tier is passed or
//! absent, and in whose hours the event lies, if they have any. They are asked from the most
//! specific on: first the tables of the served tier, then the standard ones; within these first
//! those of the region, then those of any named region, then those of all; within these the
//! highest context tier that is passed, down to none; within these first those of the hours. A
//! table answers with the rate whose attributes are all among the pool's; the one with the most
//! wins. Where the served tier has meter fallbacks of its own for a meter, its tables alone are asked
//! first, for the meter and then for the base of each of them in order: what a tier says of the base
//! comes before the standard rate of the meter. When no table answers, the book's other meter
//! fallbacks are tried in order, each by the same search for its base. A fee per call that the
//! event does not count is a rate of the meter itself, never a fallback's. A tier without any table
//! that holds in the event's region costs its declared factor times the standard rates, and is
//! refused when none is declared.
//!
//! The context tier is decided by the sum of all prompt tokens, for the whole request; at a model
//! whose context is marginal, by the units of each meter, for those beyond the threshold.
//!
//! A model that the book does not have costs what the book says about such
//! ([`crate::book::UnknownModels`]).
//!
//! # What a call pays
//! The first charge rule that matches says at which prices the pools stand on the bill (what the
//! operator pays, the list, or a selling price list) and by which factor they are multiplied. Then,
//! in this order: free quotas, volume steps, the rounding step, the minimum, the maximum, and the
//! floor, which lifts the total to what the call costs unless a rule declares a loss.

mod bound;
mod card;
mod charge;
mod cost;
mod lookup;
mod quote;
mod rate;
mod sale;
mod scope;
mod sheet;
#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "test data: small numbers, far from the ends of their range"
)]
mod tests;

pub use card::{feature_floors, rate_card};
pub use charge::own_key_cap;
pub use cost::{Cost, CostBasis, cost};
pub use quote::{cost_bound, is_declared_loss, largest_max_output, quote};
pub use rate::{Count, counts, lowest_price, rate};

pub(crate) use lookup::{max_output_tokens, model_max_output_tokens};

use crate::answer::Refusal;

/// What the name of a fact begins with that says what the host counted for a rule.
pub const COUNT_PREFIX: &str = "count:";
/// The rule that a line names which lifts a price to what the call costs.
pub const COST_FLOOR: &str = "cost";

/// The rule that a line names which cuts a charge to the cap for own keys.
pub const OWN_KEY_CAP: &str = "own_keys/cap";

/// Refuses because `what` is out of range or would lose digits.
pub(crate) fn out_of_range(what: impl Into<Box<str>>) -> Refusal {
    Refusal::OutOfRange { what: what.into() }
}
