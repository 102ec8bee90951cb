//! What providers answered, what they could answer, and any bytes: how usage is read of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exemption stops at its functions"
)]

mod batch;
mod bounds;
mod cases;
mod corpus;
mod properties;
