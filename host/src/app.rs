//! Placeholder: `app`.
pub mod offline;
pub mod shipped;
