//! A policy with its book, as the proxy asks it. Every answer passes the host's own checks, so what
//! is told at the edge is what the host would charge, or nothing.
//!
//! Must not know proxies, nor how usage is read.

use crate::hash;
use farebox_sdk::pricing::answer::Refusal;
use farebox_sdk::pricing::canonical::BookView;
use farebox_sdk::pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_sdk::pricing::failure::{self, Outcome, Request};
use farebox_sdk::pricing::meter::Pool;
use farebox_sdk::pricing::money::{Nanos, Peg};
use farebox_sdk::pricing::verify;
use farebox_sdk::{ConfigError, Policy};
use rust_decimal::Decimal;

/// What a call costs its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// In USD, exact and unrounded.
    pub usd: Decimal,
    /// In credits, rounded once as the book says.
    pub credits: Nanos,
}

/// Why the edge has no price. The host, which is told of the call as well, may have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpriced {
    /// The policy refuses.
    Refused(Refusal),
    /// An answer of the policy does not pass the checks.
    Fault,
    /// The call did not end well: the host settles it as its book says.
    Ended(Outcome),
    /// The answer cannot be read.
    Unreadable,
    /// The answer is compressed though that was not asked for.
    Encoded,
    /// The book that prices it is not here, or nobody said which one does.
    OtherBook,
}

impl Unpriced {
    /// A stable word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::UnknownModel { .. }) => "unknown_model",
            Self::Refused(Refusal::NotPriced { .. }) => "not_priced",
            Self::Refused(Refusal::NotAllowed { .. }) => "not_allowed",
            Self::Refused(Refusal::OutOfRange { .. }) => "out_of_range",
            Self::Fault => "policy_fault",
            Self::Ended(outcome) => outcome.name(),
            Self::Unreadable => "unreadable",
            Self::Encoded => "encoded",
            Self::OtherBook => "other_book",
        }
    }
}

/// The most that a call can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// In USD.
    pub usd: Decimal,
    /// How much text an answer may have, in bytes, that for certain costs no more than this.
    pub text_bytes: u64,
}

/// What is asked of a policy, whichever it is.
pub trait Prices {
    /// The most that a call can cost.
    ///
    /// # Errors
    /// There is no such bound.
    fn quote(&self, request: &QuoteRequest, facts: &Facts) -> Result<Bound, Unpriced>;

    /// SHA-256 of the canonical book, in hexadecimal; empty where there is none.
    fn book(&self) -> &str;

    /// What a call costs.
    ///
    /// # Errors
    /// It has no price here.
    fn rate(&self, event: &UsageEvent, facts: &Facts, peg: Peg) -> Result<Price, Unpriced>;

    /// What a stream has come to that has not ended, by what was stated in `event` and by its text.
    ///
    /// # Errors
    /// A quantity is out of range.
    fn streamed(&self, event: &UsageEvent, request: Request) -> Result<Vec<Pool>, Unpriced>;
}

/// What is in the place of a release whose book is not here: it prices nothing, so that nobody is
/// told another book's price.
pub struct Absent;

impl Prices for Absent {
    fn quote(&self, _: &QuoteRequest, _: &Facts) -> Result<Bound, Unpriced> {
        Err(Unpriced::OtherBook)
    }

    fn streamed(&self, _: &UsageEvent, _: Request) -> Result<Vec<Pool>, Unpriced> {
        Err(Unpriced::OtherBook)
    }

    fn book(&self) -> &str {
        ""
    }

    fn rate(&self, _: &UsageEvent, _: &Facts, _: Peg) -> Result<Price, Unpriced> {
        Err(Unpriced::OtherBook)
    }
}

/// A policy with its book.
pub struct Release<P> {
    policy: P,
    /// For the checks, which do not believe the policy.
    book: BookView,
    book_digest: String,
}

impl<P: Policy> Release<P> {
    /// Loads the book into the policy.
    ///
    /// # Errors
    /// It is no canonical book, or none that the policy can use.
    pub fn load(canonical_book: Vec<u8>) -> Result<Self, ConfigError> {
        let book =
            BookView::open(canonical_book.clone()).map_err(|error| ConfigError::Malformed {
                what: error.to_string().into(),
            })?;
        let book_digest = hash::hex(&canonical_book);
        let policy = P::load(canonical_book)?;
        Ok(Self {
            policy,
            book,
            book_digest,
        })
    }
}

impl<P: Policy> Prices for Release<P> {
    fn quote(&self, request: &QuoteRequest, facts: &Facts) -> Result<Bound, Unpriced> {
        let quote = self
            .policy
            .quote(request, facts)
            .map_err(Unpriced::Refused)?;
        verify::quote(&self.book, request, facts, &quote).map_err(|_| Unpriced::Fault)?;
        let tokens = quote.max_output_tokens.unwrap_or_default();
        Ok(Bound {
            usd: quote.total_usd,
            text_bytes: failure::text_within(&self.book, tokens),
        })
    }

    fn book(&self) -> &str {
        &self.book_digest
    }

    fn rate(&self, event: &UsageEvent, facts: &Facts, peg: Peg) -> Result<Price, Unpriced> {
        let rating = self.policy.rate(event, facts).map_err(Unpriced::Refused)?;
        let checked = verify::rating(&self.book, event, facts, &rating);
        let checked = checked.map_err(|_| Unpriced::Fault)?;
        let credits = peg.to_nanos(checked.price_usd, self.book.terms().rounding);
        let credits = credits.map_err(|_| {
            Unpriced::Refused(Refusal::OutOfRange {
                what: "credits".into(),
            })
        })?;
        Ok(Price {
            usd: checked.price_usd,
            credits,
        })
    }

    fn streamed(&self, event: &UsageEvent, request: Request) -> Result<Vec<Pool>, Unpriced> {
        failure::streamed(&self.book, event, request).map_err(Unpriced::Refused)
    }
}
