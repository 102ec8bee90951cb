//! Placeholder: `rating`.
