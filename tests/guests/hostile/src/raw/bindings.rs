//! Generated from `wit/1.0.0`. Nothing here is written by hand.
#![allow(
    missing_docs,
    clippy::all,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::allow_attributes_without_reason,
    reason = "generated code; the contract itself is documented in the WIT"
)]

wit_bindgen::generate!({
    path: "../../../wit/1.0.0",
    world: "farebox-policy",
    export_macro_name: "export",
});
