//! The HTTP API end to end: a real server on port 0, a real data directory, the real component.

mod access;
mod backtests;
mod calls;
mod currencies;
mod described;
mod description;
mod failures;
mod filters;
mod gate;
mod input;
mod leases;
mod money;
mod operations;
mod promises;
mod proofs;
mod releases;
mod repairs;
mod server;
mod settling;
mod signatures;
mod swaps;
mod trials;
mod trouble;
