//! The built guests, as bytes.

use std::path::{Path, PathBuf};

/// The standard policy.
pub const STANDARD: &str = "farebox_standard";
/// The standard policy as a proxy-wasm filter: no component, but the module itself.
pub const FILTER: &str = "farebox_filter";
/// Misbehaves as its book's name says; see `tests/guests/hostile/src/modes.rs`.
pub const HOSTILE: &str = "farebox_hostile";
/// The standard policy in a module whose start never ends.
pub const SPIN_AT_START: &str = "farebox_spin_at_start";

/// The rules of the book under another version of the contract; see [`crate::later_contract`].
pub const LATER_CONTRACT: &str = "farebox_later_contract";

/// Less where it is night; `guest/examples/happy-hour`, in JavaScript.
pub const HAPPY_HOUR: &str = "happy_hour";

/// Dearer where capacity runs out; `guest/examples/surge`, in Python.
pub const SURGE: &str = "surge";

/// A commitment with a true-up; `guest/examples/committed-spend`, in Rust.
pub const COMMITTED_SPEND: &str = "farebox_committed_spend";

/// The bytes of a guest.
///
/// # Panics
/// When the guests are not built.
pub fn component(name: &str) -> Vec<u8> {
    let path = path(name);
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "guest `{}`: {error}; build the guests with `cargo xtask guests --all`",
            path.display()
        )
    })
}

/// The file of a guest.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/guests")
        .join(name)
        .with_extension("wasm")
}
