//! Generated from `wit/1.0.0`. Nothing here is written by hand.
#![allow(
    missing_docs,
    clippy::all,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes_without_reason,
    reason = "generated code; the contract itself is documented in the WIT"
)]

wasmtime::component::bindgen!({
    path: "../wit/1.0.0",
    world: "farebox-policy",
    ownership: Borrowing { duplicate_if_necessary: true },
});
