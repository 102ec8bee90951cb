//! What the end-to-end tests share: the recorded calls, the tables of cases, and every way in
//! which an event is priced.
//!
//! Tests of prices go through [`pricer::Pricer`] and [`http::HttpServer`], so that a further way
//! (the Envoy filter) is one more implementation and no more tests.

pub mod books;
pub mod compiled;
pub mod guests;
pub mod http;
pub mod later_contract;
pub mod past;
pub mod pricer;
pub mod provider;
pub mod recorded;
pub mod table;
pub mod upstream;

use std::path::PathBuf;

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(path)
}
