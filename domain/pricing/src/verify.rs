//! Placeholder: `verify`.
