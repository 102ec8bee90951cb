//! Placeholder: `clock`.
