//! Placeholder: `cli`.
