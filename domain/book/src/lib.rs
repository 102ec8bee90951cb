//! The price book as people write it, and its way to the canonical one.
//!
//! Text (TOML or JSON) becomes a document with positions ([`BookError`] has line and column), the
//! text model ([`text`]), the plain book of `farebox-pricing`, and canonical bytes with their
//! digest. Importers turn the price files of others into our text. Text in, values out: this crate
//! must not know files, clocks, networks or wasm; guests never see it.

pub mod amount;
pub mod check;
mod compile;
pub mod describe;
pub mod diff;
mod document;
mod emit;
mod error;
pub mod exposure;
pub mod import;
mod lower;
mod moment;
mod schema;
mod suggest;
pub mod text;

pub use compile::{Compiled, Format, compile, parse};
pub use emit::{to_json, to_toml};
pub use error::BookError;
pub use lower::Note;
pub use moment::moment;
pub use schema::schema;
