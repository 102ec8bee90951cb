//! The price book in plain types: what things cost and what they sell for, dated.
//!
//! People write a book as text (`farebox-book` compiles it); wasm reads only the canonical bytes
//! (`crate::canonical`). These types are the middle: what the text means and what the bytes say.
//! Nothing here is a rule in code: every fallback, markup and minimum is data.

use crate::meter::{Attribute, Meter};
use crate::money::Rounding;
use rust_decimal::Decimal;
use std::sync::Arc;

pub use crate::terms::{
    Access, Charge, ChargeRule, Counter, FeeCap, FreeQuota, Maximum, Minimum, ModelName,
    ModelPattern, Narrowing, Per, Sale, Scope, Sheet, SheetEntry, Volume, VolumeStep,
};

/// A whole price book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// The operator's name for it.
    pub name: Box<str>,
    /// The day its prices were current, `YYYY-MM-DD`.
    pub as_of: Box<str>,
    /// Where prices come from, in order of precedence.
    pub sources: Vec<Source>,
    /// How a charge's total becomes whole nano-credits.
    pub rounding: Rounding,
    /// Sorted by provider, then name; each stands once.
    pub models: Vec<Model>,
    /// What supplies a rate that a table lacks, tried in order.
    pub meter_fallbacks: Vec<MeterFallback>,
    /// What a service tier without rates of its own costs. A tier that is not listed is refused.
    pub tier_fallbacks: Vec<TierFallback>,
    /// Who pays what: the first rule that matches decides.
    pub charge_rules: Vec<ChargeRule>,
    /// Minimum charges: the highest that matches applies.
    pub minimums: Vec<Minimum>,
    /// The plans that exist. Where any is listed, a call under another plan is refused.
    pub plans: Vec<Box<str>>,
    /// The most that a call on the customer's own key may be charged.
    pub own_key_cap: FeeCap,
    /// Output tokens a quote assumes when neither request nor model bounds them.
    pub max_output_tokens_default: u64,
    /// Whether the release may sell below provider cost (a declared loss-leader).
    pub loss_leader: bool,
    /// Terms beyond markups and minimums; absent where the book uses none, so that they cost
    /// nothing there.
    pub sale: Option<Box<Sale>>,
}

/// Where prices were taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Such as `litellm`.
    pub name: Box<str>,
    /// The source's own version.
    pub version: Box<str>,
}

/// A model of a provider and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Canonical provider id.
    pub provider: Box<str>,
    /// The model's name at that provider; the lines of a charge share it.
    pub name: Arc<str>,
    /// Other exact names, sorted. An exact name wins over an alias, an alias over a prefix.
    pub aliases: Vec<Box<str>>,
    /// Beginnings of names that mean this model, sorted; the longest match wins.
    pub prefixes: Vec<Box<str>>,
    /// The most output tokens the model can produce, where known.
    pub max_output_tokens: Option<u64>,
    /// Whether a context tier begins *at* its threshold (`true`) or strictly above it (`false`).
    pub context_inclusive: bool,
    /// Prices over time, sorted, without overlap.
    pub periods: Vec<Period>,
}

/// The prices of one stretch of time, `valid_from ≤ t < valid_to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// Milliseconds since the Unix epoch; absent: since ever.
    pub valid_from_ms: Option<i64>,
    /// Milliseconds since the Unix epoch; absent: until further notice.
    pub valid_to_ms: Option<i64>,
    /// At least the standard table (no tier, no context, no region).
    /// Sorted by (service tier, region, context), absent first.
    pub tables: Vec<RateTable>,
}

impl Period {
    /// Whether the prices hold at this time, in milliseconds since the Unix epoch.
    pub fn holds_at(&self, at_ms: i64) -> bool {
        self.valid_from_ms.is_none_or(|from| from <= at_ms)
            && self.valid_to_ms.is_none_or(|to| at_ms < to)
    }
}

/// Rates that hold together, for one service tier, region and context size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateTable {
    /// The served service tier; absent: standard.
    pub service_tier: Option<Box<str>>,
    /// The region; absent: any without a table of its own.
    pub region: Option<Box<str>>,
    /// Holds for the **whole request** when its prompt tokens pass this many; absent: from zero.
    pub context_above: Option<u64>,
    /// Sorted by meter, then attributes.
    pub rates: Vec<Rate>,
}

/// What one unit of a meter costs at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The meter.
    pub meter: Meter,
    /// Attributes a pool must have for this rate; the rate with the most wins.
    pub attributes: Vec<Attribute>,
    /// USD per single unit (a token, not a million), at least 0, at most 24 decimal places.
    pub usd: Decimal,
}

/// "A table without a rate for `meter` uses `factor` × the rate of `base`."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterFallback {
    /// The meter without a rate.
    pub meter: Meter,
    /// The meter whose rate is used.
    pub base: Meter,
    /// What it is multiplied by.
    pub factor: Decimal,
}

/// "A model without rates for this tier costs `factor` × its standard rates."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierFallback {
    /// The service tier, in the provider's word.
    pub service_tier: Box<str>,
    /// What the standard rates are multiplied by.
    pub factor: Decimal,
}
