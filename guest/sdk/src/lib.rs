//! What a third party needs to write a Farebox pricing policy in Rust: one trait, implemented
//! once, in the plain types of [`farebox_pricing`].
//!
//! ```ignore
//! struct HappyHour { book: BookView }
//! impl farebox_sdk::Policy for HappyHour { /* … */ }
//! farebox_sdk::export_component!(HappyHour);
//! ```
//!
//! The trait knows nothing of how the policy is packed: [`export_component!`] makes it a component
//! of the world `farebox:policy/farebox-policy@1.0.0`, and another adapter may export the same
//! implementation as a proxy-wasm filter. Build as a `cdylib` for `wasm32-unknown-unknown`, where a
//! policy imports nothing; turning the module into a component needs no further tool than
//! `farebox policy build`.

pub mod component;
mod policy;

pub use farebox_pricing as pricing;
pub use farebox_pricing::load::{ConfigError, Description};
pub use policy::Policy;
