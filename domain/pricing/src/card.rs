//! The rate card: what a customer with given facts is shown, page by page.
//!
//! A card is for people. Nothing is charged by it, so nothing here is checked by
//! [`crate::verify`].

use crate::meter::{Attribute, Meter};
use rust_decimal::Decimal;

/// The most entries that a page may hold.
pub const PAGE_MAX: u32 = 500;

/// Which part of the card is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateCardRequest {
    /// Only models of this provider.
    pub provider: Option<Box<str>>,
    /// Only models whose name begins with this.
    pub model_prefix: Option<Box<str>>,
    /// [`RateCardPage::next`] of the page before.
    pub after: Option<Box<str>>,
    /// At most this many entries, at most [`PAGE_MAX`].
    pub limit: u32,
}

/// What one unit of a meter sells for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateCardRate {
    /// What is counted.
    pub meter: Meter,
    /// Attributes a pool must have for this rate; sorted by name.
    pub attributes: Vec<Attribute>,
    /// The served service tier; absent: standard.
    pub service_tier: Option<Box<str>>,
    /// The region; absent: any without a rate of its own.
    pub region: Option<Box<str>>,
    /// Holds when the prompt tokens of the request pass this many; absent: from zero.
    pub context_above: Option<u64>,
    /// USD per unit, every markup included.
    pub unit_price_usd: Decimal,
    /// USD per unit at the provider's list price.
    pub market_usd: Decimal,
}

/// A model and its rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateCardEntry {
    /// Canonical provider id.
    pub provider: Box<str>,
    /// The model's name at that provider.
    pub model: Box<str>,
    /// What it sells for.
    pub rates: Vec<RateCardRate>,
}

/// A page of the card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateCardPage {
    /// Sorted by provider, then model.
    pub entries: Vec<RateCardEntry>,
    /// What to ask for as `after` for the next page; absent: this was the last.
    pub next: Option<Box<str>>,
}

/// What a call for a feature needs and costs at least, for a customer with some facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureFloor {
    /// The feature.
    pub feature: Box<str>,
    /// The least that a quote says and a hold reserves, in USD.
    pub preflight_usd: Option<Decimal>,
    /// The least that a call is charged, in USD.
    pub minimum_usd: Option<Decimal>,
}
