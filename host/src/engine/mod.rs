//! Placeholder: `engine`.
