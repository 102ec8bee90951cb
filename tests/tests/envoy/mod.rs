//! The standard policy as a filter of the real Envoy, between real callers and an upstream that
//! replays what providers answered. Every price that it tells is compared with the component's.
//!
//! Needs Envoy's binary, which `cargo xtask test` installs below `target/envoy`; where that cannot
//! be had, the tests are left out by the word `envoy` in their names.

mod books;
mod client;
mod clients;
mod cutoff;
mod digests;
mod ended;
mod fallback;
mod gateway;
mod held;
mod house;
mod lease;
mod operator;
mod own_keys;
mod proxy;
mod reconcile;
mod recorded;
mod slow;
mod stopped;
mod swap;
mod trouble;

use farebox_tests::upstream;
