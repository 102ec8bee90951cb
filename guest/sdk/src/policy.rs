//! The trait that a policy implements.

use farebox_pricing::answer::{Quote, Rating, Refusal};
use farebox_pricing::card::{RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::load::{ConfigError, Description};

/// A pricing policy with its book loaded.
///
/// A policy is a **pure function**: equal input must give equal output, bit for bit, whatever was
/// asked before, in a fresh instance or a warm one. Interior mutability may hold a cache, never
/// anything that shows in an answer.
///
/// The host trusts no answer. It computes the provider cost itself and refuses lines that do not
/// add up exactly, prices below that cost, and fees above the book's cap: see
/// [`farebox_pricing::verify`]. Do the arithmetic with [`farebox_pricing::exact`].
pub trait Policy: Sized + 'static {
    /// Opens a canonical book. Called once per instance, under limits much wider than those of
    /// the other methods, so work that does not depend on the event belongs here.
    ///
    /// # Errors
    /// When the bytes are not a book, or not one that this policy can use.
    fn load(canonical_book: Vec<u8>) -> Result<Self, ConfigError>;

    /// The worst case of a call, before it: at least what [`Policy::rate`] answers for any event
    /// that keeps within the request's bounds.
    ///
    /// # Errors
    /// A typed reason why there is no price. A refusal is an answer, not a fault.
    fn quote(&self, request: &QuoteRequest, facts: &Facts) -> Result<Quote, Refusal>;

    /// The price of one event, after the call. Not rounded: the host rounds once. The events of a
    /// batch are asked for one by one.
    ///
    /// # Errors
    /// A typed reason why there is no price.
    fn rate(&self, event: &UsageEvent, facts: &Facts) -> Result<Rating, Refusal>;

    /// A page of what a customer with these facts is shown.
    ///
    /// # Errors
    /// A typed reason why there is no card.
    fn rate_card(&self, request: &RateCardRequest, facts: &Facts) -> Result<RateCardPage, Refusal>;

    /// What this policy is.
    fn describe(&self) -> Description;
}
