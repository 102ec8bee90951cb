//! The credit ledger as a pure state machine: `apply(state, command, past, stamp)`.
//!
//! Double entry, nano-credits, lots with expiry, holds, budgets, a hash chain per org. It must not
//! know I/O, clocks, randomness, floats, async, serde, SQL, HTTP or how a price is made: ids,
//! times and prices are passed in, and what it answers is the exact list of rows to write.
//!
//! Read in this order: [`account`], [`transaction`], [`grant`], [`hold`], [`budget`],
//! [`command`], [`effect`], [`refusal`], [`state`], then [`apply()`]. [`verify`] rebuilds all of it
//! from the journal, independently.

pub mod account;
mod apply;
pub mod budget;
pub mod chain;
pub mod command;
pub mod commodity;
pub mod effect;
pub mod grant;
pub mod hold;
pub mod idempotency;
pub mod ids;
mod org;
pub mod refusal;
mod restore;
pub mod state;
pub mod transaction;
pub mod verify;
mod wallet;
pub mod window;

pub use apply::apply;
