//! Placeholder: `canonical`.
