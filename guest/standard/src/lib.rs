//! The standard policy: a canonical price book, interpreted by [`farebox_pricing::rating`].
//!
//! All rules are in the book and all arithmetic is in `farebox_pricing`; this crate only joins
//! them to the contract. Most operators need no other policy.

use farebox_sdk::pricing::answer::{Quote, Rating, Refusal};
use farebox_sdk::pricing::canonical::{BookView, CanonicalError};
use farebox_sdk::pricing::card::{RateCardPage, RateCardRequest};
use farebox_sdk::pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_sdk::pricing::rating;
use farebox_sdk::{ConfigError, Description, Policy};

#[cfg(all(target_family = "wasm", feature = "component"))]
farebox_sdk::export_component!(StandardPolicy);

/// Prices calls by the rules of its book alone.
#[derive(Debug)]
pub struct StandardPolicy {
    book: BookView,
}

impl Policy for StandardPolicy {
    fn load(canonical_book: Vec<u8>) -> Result<Self, ConfigError> {
        let book = BookView::open(canonical_book).map_err(|error| match error {
            CanonicalError::UnsupportedVersion(version) => ConfigError::UnsupportedVersion {
                version: version.into(),
            },
            error => ConfigError::Malformed {
                what: error.to_string().into(),
            },
        })?;
        Ok(Self { book })
    }

    fn quote(&self, request: &QuoteRequest, facts: &Facts) -> Result<Quote, Refusal> {
        rating::quote(&self.book, request, facts)
    }

    fn rate(&self, event: &UsageEvent, facts: &Facts) -> Result<Rating, Refusal> {
        rating::rate(&self.book, event, facts)
    }

    fn rate_card(&self, request: &RateCardRequest, facts: &Facts) -> Result<RateCardPage, Refusal> {
        rating::rate_card(&self.book, request, facts)
    }

    fn describe(&self) -> Description {
        let terms = self.book.terms();
        Description {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Prices calls by the rules of its price book.".into(),
            book_name: Some(terms.name.clone()),
            book_as_of: Some(terms.as_of.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_book_are_refused_when_loading() {
        assert!(matches!(
            StandardPolicy::load(b"[book]".to_vec()),
            Err(ConfigError::Malformed { .. })
        ));
    }
}
