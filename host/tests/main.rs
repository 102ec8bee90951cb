//! The binary as a shell sees it: its commands, its server, its compiler, and the pages of the docs
//! that show them.
//!
//! One program for all, because each program links the whole host, which takes longer than most of
//! these tests. None may rely on state of its process: they share it, and its environment.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking; the lints' own exemption stops at its functions"
)]

mod billing_grants;
mod cli_keys;
mod cli_ledger;
mod cli_margins;
mod cli_policy;
mod cli_policy_sign;
mod cli_policy_test;
mod cli_price_book;
mod cli_rate;
mod cli_rate_customer;
mod cli_reference;
mod cli_usage;
mod compiler;
mod custom_policies;
mod kill;
mod no_content;
mod odd_books;
mod operations_page;
mod page;
mod policies_page;
mod prepared;
mod readme;
mod serving;
mod shutdown;
