//! Placeholder.
pub mod amount;
pub mod body;
pub mod problem;
