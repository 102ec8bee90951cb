//! Generated from `wit`. Nothing here is written by hand.
#![allow(
    missing_docs,
    clippy::all,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "farebox-policy",
    export_macro_name: "export",
});
