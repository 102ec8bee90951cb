//! The price book as people write it and as others publish it, from text to canonical bytes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops where it breaks; the lints' own exemption stops at its functions"
)]

mod changes;
mod compile;
mod default_book;
mod docs;
mod errors;
mod fields;
mod import;
mod litellm;
mod oddities;
mod prices;
mod roundtrip;
mod schema;
mod texts;
