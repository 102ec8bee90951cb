//! Placeholder: `config`.
