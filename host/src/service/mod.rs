//! The use-cases of Farebox, and the traits that its adapters implement.
//!
//! Knows the domain and nothing else: no HTTP, no SQL, no wasmtime, no environment, no clock of
//! its own.

pub mod intake;
pub mod ledger;
pub mod policy;
pub mod time;
