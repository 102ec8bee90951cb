//! How values become bytes in a row, and back: compact CBOR by position.
//!
//! Types of the domain stay free of any codec; everything a row can hold is written and read
//! here, and a body begins with its version, so that a row of today is still read in years. Must
//! not know SQL.

pub mod cbor;
pub mod ledger;
pub mod pricing;
pub mod quote;
pub mod records;
pub mod usage;
