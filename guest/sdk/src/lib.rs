//! What a third party needs to write a Farebox pricing policy in Rust: one trait, implemented
//! once, in the plain types of [`farebox_pricing`].
//!
//! ```
//! use farebox_sdk::pricing::answer::{Quote, Rating, Refusal};
//! use farebox_sdk::pricing::canonical::BookView;
//! use farebox_sdk::pricing::card::{RateCardPage, RateCardRequest};
//! use farebox_sdk::pricing::event::{Facts, QuoteRequest, UsageEvent};
//! use farebox_sdk::pricing::rating;
//! use farebox_sdk::{ConfigError, Description, Policy};
//!
//! /// The rules of the book, for calls of one region only.
//! struct OneRegion(BookView);
//!
//! impl OneRegion {
//!     fn check(region: Option<&str>) -> Result<(), Refusal> {
//!         match region {
//!             Some("eu") => Ok(()),
//!             _ => Err(Refusal::NotAllowed { rule: "region:eu".into() }),
//!         }
//!     }
//! }
//!
//! impl Policy for OneRegion {
//!     fn load(canonical_book: Vec<u8>) -> Result<Self, ConfigError> {
//!         let what = |error: &dyn std::fmt::Display| error.to_string().into();
//!         let book = BookView::open(canonical_book)
//!             .map_err(|error| ConfigError::Malformed { what: what(&error) })?;
//!         Ok(Self(book))
//!     }
//!
//!     fn quote(&self, request: &QuoteRequest, facts: &Facts) -> Result<Quote, Refusal> {
//!         Self::check(request.region.as_deref())?;
//!         rating::quote(&self.0, request, facts)
//!     }
//!
//!     fn rate(&self, event: &UsageEvent, facts: &Facts) -> Result<Rating, Refusal> {
//!         Self::check(event.region.as_deref())?;
//!         rating::rate(&self.0, event, facts)
//!     }
//!
//!     fn rate_card(&self, request: &RateCardRequest, facts: &Facts) -> Result<RateCardPage, Refusal> {
//!         rating::rate_card(&self.0, request, facts)
//!     }
//!
//!     fn describe(&self) -> Description {
//!         Description { name: "one-region".into(), ..Description::default() }
//!     }
//! }
//!
//! #[cfg(target_family = "wasm")]
//! farebox_sdk::export_component!(OneRegion);
//!
//! assert!(OneRegion::load(b"not a book".to_vec()).is_err());
//! ```
//!
//! The trait knows nothing of how the policy is packed: [`export_component!`] makes it a component
//! of the world `farebox:policy/farebox-policy@1.0.0`, and another adapter may export the same
//! implementation as a proxy-wasm filter. Build as a `cdylib` for `wasm32-unknown-unknown`, where a
//! policy imports nothing; turning the module into a component needs no further tool than
//! `farebox policy build`.

pub mod allocator;
pub mod component;
mod policy;

pub use farebox_pricing as pricing;
pub use farebox_pricing::load::{ConfigError, Description};
pub use policy::Policy;
