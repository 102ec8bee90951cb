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
    /// What a call of a model costs that the book does not have.
    pub unknown_models: UnknownModels,
    /// What is charged for calls that did not end well.
    pub failure_rules: FailureRules,
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
    /// Patterns of names that mean it, sorted; see [`crate::pattern`]. A prefix wins over them; of
    /// several that match, the one with the most fixed characters.
    pub patterns: Vec<Box<str>>,
    /// Patterns of names that [`Self::patterns`] do not mean after all, sorted; case is ignored.
    pub except: Vec<Box<str>>,
    /// The most output tokens the model can produce, where known.
    pub max_output_tokens: Option<u64>,
    /// Whether a context tier begins *at* its threshold (`true`) or strictly above it (`false`).
    pub context_inclusive: bool,
    /// Whether a context tier prices only the units beyond its threshold, of each meter by its own
    /// count, rather than the whole request.
    pub context_marginal: bool,
    /// Prices over time, sorted by (valid from, known since). What was known at the same time does
    /// not overlap.
    pub periods: Vec<Period>,
}

impl Model {
    /// The prices that hold for a call at `at_ms`, as they were known at `known_at_ms` (both in
    /// milliseconds since the Unix epoch).
    ///
    /// Of all periods that hold then, the one that was learnt last by `known_at_ms`; where nothing
    /// was known by then, the one that was learnt first after it. So a later correction changes no
    /// price that was known when the call ran.
    pub fn period_at(&self, at_ms: i64, known_at_ms: i64) -> Option<&Period> {
        let holding = || self.periods.iter().filter(|p| p.holds_at(at_ms));
        let mut known: Option<&Period> = None;
        for period in holding() {
            let in_time = period
                .known_since_ms
                .is_none_or(|since| since <= known_at_ms);
            if in_time && known.is_none_or(|best| best.known_since_ms < period.known_since_ms) {
                known = Some(period);
            }
        }
        known.or_else(|| holding().min_by_key(|period| period.known_since_ms))
    }
}

/// The prices of one stretch of time, `valid_from ≤ t < valid_to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// Milliseconds since the Unix epoch; absent: since ever.
    pub valid_from_ms: Option<i64>,
    /// Milliseconds since the Unix epoch; absent: until further notice.
    pub valid_to_ms: Option<i64>,
    /// When these prices became known, milliseconds since the Unix epoch; absent: from the first
    /// day. A period that is known later and overlaps an earlier one corrects it.
    pub known_since_ms: Option<i64>,
    /// At least the standard table (no tier, no context, no region, no hours).
    /// Sorted by (service tier, region, context, hours), absent first.
    pub tables: Vec<RateTable>,
    /// What the provider gives away, sorted by meter; a meter stands once.
    pub allowances: Vec<Allowance>,
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
    /// The region; absent: any without a table of its own; [`REGIONAL`]: any that is named but
    /// [`GLOBAL`].
    pub region: Option<Box<str>>,
    /// Holds for the **whole request** when its prompt tokens pass this many; absent: from zero.
    /// At a model whose context is marginal: for the units of a meter beyond this many.
    pub context_above: Option<u64>,
    /// Holds in these hours only; absent: at any time.
    pub hours: Option<Box<Hours>>,
    /// Sorted by meter, then attributes.
    pub rates: Vec<Rate>,
}

/// The region of a table for every named region but `global` and those with tables of their own.
pub const REGIONAL: &str = "*";

/// The name of the region that is none: the endpoint of everywhere.
pub const GLOBAL: &str = "global";

/// How many minutes a week has.
pub const WEEK_MINUTES: u16 = 7 * 24 * 60;

/// Hours of the week, by name, such as `off-peak`.
///
/// Always in UTC: whoever writes a book may write another fixed offset, but what a policy reads
/// needs no time zone, so it is the same on every machine. A zone that changes its clocks is
/// written as dated periods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hours {
    /// As lines show it.
    pub name: Box<str>,
    /// From (inclusive) and to (exclusive), in minutes since Monday 00:00 UTC; sorted, not empty,
    /// and none touches the next.
    pub spans: Vec<(u16, u16)>,
}

impl Hours {
    /// Whether a moment, in milliseconds since the Unix epoch, lies in these hours.
    pub fn hold_at(&self, at_ms: i64) -> bool {
        let minute = minute_of_week(at_ms);
        let mut spans = self.spans.iter();
        spans.any(|(from, to)| *from <= minute && minute < *to)
    }

    /// Whether some minute of the week lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let mut spans = self.spans.iter();
        spans.any(|(from, to)| {
            let mut others = other.spans.iter();
            others.any(|(start, end)| from < end && start < to)
        })
    }
}

/// Minutes since the last Monday 00:00 UTC.
fn minute_of_week(at_ms: i64) -> u16 {
    // The epoch was a Thursday, three days into its week.
    const EPOCH: i64 = 3 * 24 * 60;
    let minutes = at_ms.div_euclid(60_000).saturating_add(EPOCH);
    // A remainder of 10,080 fits.
    u16::try_from(minutes.rem_euclid(i64::from(WEEK_MINUTES))).unwrap_or_default()
}

/// "The first `count` units a day (or month) are free."
///
/// The host says how many units were used before the call: the fact `used:` followed by `name`. A
/// call without that fact pays in full, because a cost must not be assumed away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// What shares this allowance, over models, such as `gemini-3`.
    pub name: Box<str>,
    /// The meter.
    pub meter: Meter,
    /// Free units of each window.
    pub count: u64,
    /// In what time: a day or a month, in UTC.
    pub per: Per,
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
    /// Only in tables of this service tier, and there before the standard rate of `meter`: what a
    /// tier says of `base` says more about it than what holds outside of the tier. Absent: wherever
    /// no table has a rate for `meter`.
    pub service_tier: Option<Box<str>>,
    /// The meter without a rate.
    pub meter: Meter,
    /// The meter whose rate is used.
    pub base: Meter,
    /// What it is multiplied by.
    pub factor: Decimal,
    /// The rule's name, as lines show it; absent: made of the two meters, `reasoning_as_output`.
    pub name: Option<Box<str>>,
}

/// "A model without rates for this tier costs `factor` × its standard rates."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierFallback {
    /// The service tier, in the provider's word.
    pub service_tier: Box<str>,
    /// What the standard rates are multiplied by.
    pub factor: Decimal,
}

/// What a call of a model costs that the book does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnknownModels {
    /// Refused before the call. After it, the provider's vouched cost, else there is no price.
    #[default]
    Refuse,
    /// The provider's vouched cost. Before the call its declared bound; without one it is refused.
    ProviderCost,
    /// The provider's vouched cost up to `usd`, and `usd` where none is vouched. A higher vouched
    /// cost has no price.
    Cap {
        /// USD per call.
        usd: Decimal,
    },
    /// These prices. Provider and names of the model are not looked at.
    DefaultRate {
        /// The prices.
        model: Box<Model>,
    },
}

/// What is charged for calls that did not end well. The host follows it when it settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRules {
    /// The caller went away before the end of the answer.
    pub client_abort: FailureAction,
    /// The provider answered with an error, perhaps after a part of the answer.
    pub upstream_error: FailureAction,
    /// The answer is whole and does not say what was used.
    pub no_usage: FailureAction,
    /// The answer says that nothing was used.
    pub zero_usage: FailureAction,
    /// The stream ended before its last usage.
    pub partial_stream: FailureAction,
    /// How an estimate is made.
    pub estimate: Estimate,
}

impl Default for FailureRules {
    fn default() -> Self {
        Self {
            client_abort: FailureAction::Seen,
            upstream_error: FailureAction::Seen,
            no_usage: FailureAction::Hold,
            zero_usage: FailureAction::Seen,
            partial_stream: FailureAction::Seen,
            estimate: Estimate::default(),
        }
    }
}

/// What is done about a call that did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureAction {
    /// It is recorded and charged nothing.
    Nothing,
    /// What was seen is charged, and what was not is estimated from the request.
    Estimate,
    /// It is recorded without a price and keeps its hold, until a person decides.
    Hold,
    /// What was seen is charged.
    Seen,
}

impl FailureAction {
    /// Every action, in canonical order.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Estimate, Self::Hold, Self::Seen];

    /// The word for it in books.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Estimate => "estimate",
            Self::Hold => "hold",
            Self::Seen => "seen",
        }
    }

    /// The action with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// How usage that nobody stated is estimated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes of the request body that make one prompt token; at least 1.
    pub bytes_per_token: u32,
    /// Share of the most output tokens (of the request, else of the model, else of the book) that
    /// is taken as produced; at most 1.
    pub output_share: Decimal,
}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            bytes_per_token: 4,
            output_share: Decimal::ONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_of_the_week_begin_on_monday_before_and_after_1970() {
        const MINUTE_MS: i64 = 60_000;
        // 1970-01-01 was a Thursday.
        assert_eq!(minute_of_week(0), 4320);
        assert_eq!(minute_of_week(-1), 4319);
        assert_eq!(minute_of_week(5760 * MINUTE_MS), 0);
        assert_eq!(minute_of_week(5760 * MINUTE_MS - 1), 10_079);
        assert_eq!(minute_of_week(-4320 * MINUTE_MS - 1), 10_079);
    }
}
