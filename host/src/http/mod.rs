//! Placeholder: `http`.
