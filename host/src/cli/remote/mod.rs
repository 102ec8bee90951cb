//! Commands that change or read a running server: `farebox org`, `key`, `wallet`, `usage` and
//! `margins`.
//!
//! A running server owns its data directory, so these go through its API like any other client;
//! they know paths and bodies, and nothing of what happens behind them.

mod key;
mod margins;
mod org;
mod reconcile;
mod repair;
pub(in crate::cli) mod server;
pub(in crate::cli) mod show;
mod usage;
mod wallet;

pub use key::Key;
pub use margins::Margins;
pub use org::Org;
pub use usage::Usage;
pub use wallet::Wallet;
