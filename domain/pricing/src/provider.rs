//! Placeholder: `provider`.
