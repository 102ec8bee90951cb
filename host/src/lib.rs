//! The Farebox host: loads policies, checks every answer they give, and keeps the ledger.
//!
//! Arrows run one way: `main → cli → app → {http, store, engine} → service → domain`.
//! Adapters never import each other; the traits they implement belong to [`service`]. Only
//! [`engine`] names wasmtime, only [`store`] names SQL, only [`config`] reads the environment,
//! only [`clock`] reads time. `tests/tests/architecture.rs` holds these lines.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod http;
pub mod service;
pub mod store;
pub mod wire;
