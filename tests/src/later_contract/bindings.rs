//! Generated from the fixture's WIT. Nothing here is written by hand.
#![allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

wasmtime::component::bindgen!({
    path: "guests/later-contract/wit",
    world: "farebox-policy",
});
