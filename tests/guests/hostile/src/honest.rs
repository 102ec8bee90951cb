//! What a policy would answer that keeps the contract.

use farebox_sdk::pricing::answer::{Quote, Rating, Refusal};
use farebox_sdk::pricing::canonical::BookView;
use farebox_sdk::pricing::card::{RateCardPage, RateCardRequest};
use farebox_sdk::pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_sdk::pricing::rating;
use farebox_sdk::{ConfigError, Description, Policy};

pub struct Honest {
    book: BookView,
}

impl Honest {
    pub fn new(book: BookView) -> Self {
        Self { book }
    }
}

impl Policy for Honest {
    fn load(canonical_book: Vec<u8>) -> Result<Self, ConfigError> {
        BookView::open(canonical_book)
            .map(Self::new)
            .map_err(|error| ConfigError::Malformed {
                what: error.to_string().into(),
            })
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
        Description {
            name: "hostile".into(),
            ..Description::default()
        }
    }
}
