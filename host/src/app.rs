//! Placeholder: `app`.
