//! What a model costs: rates, and the tables they stand in (context, tier, region, period).
//!
//! Each level repeats the three price fields rather than flattening them, because serde cannot
//! both flatten and refuse unknown fields; [`Leaf`] and [`TierView`] read all levels alike.

use super::{AllowanceText, HoursText, OtherPriceText};
use crate::amount::Amount;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelText {
    /// The provider, such as `openai`. Other spellings that Farebox knows become the one id.
    pub provider: String,
    /// The model's name at that provider.
    pub model: String,
    /// Other exact names of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Beginnings of names that mean it. A name wins over an alias, an alias over a prefix, a
    /// longer prefix over a shorter one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// Patterns of names that mean it: `*` stands for any characters, `#` for one digit. A prefix
    /// wins over them; of several, the one with the most fixed characters. `*` alone stands for
    /// every model of the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    /// Patterns of names that `patterns` do not mean after all; upper and lower case are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// The most output tokens it can produce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Whether a context price begins *at* its threshold. Default: strictly above it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub context_inclusive: bool,
    /// Whether a context price holds only for the units of a meter beyond the threshold. Default:
    /// for the whole request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub context_marginal: bool,
    /// USD per million, by meter: for tokens (`input`, `output`, `cache_read` …) and characters.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_million: IndexMap<String, Amount>,
    /// USD per single unit, by meter: `request`, `search`, `second`, `page`, `image` …
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_unit: IndexMap<String, Amount>,
    /// Rates that depend on attributes, such as an image's size and quality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateText>,
    /// Prices of large prompts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<ContextText>,
    /// Prices by service tier, such as `flex`, `priority` or `batch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierText>,
    /// Prices by region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RegionText>,
    /// Prices by hour of the week.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<HoursText>,
    /// What the provider gives away per day or month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowances: Vec<AllowanceText>,
    /// Prices from a date on. What stands at the model itself holds before the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<PeriodText>,
    /// Prices that other sources name for the same thing, as a mark: they are not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_prices: Vec<OtherPriceText>,
}

/// The prices of a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeriodText {
    /// The first moment: `YYYY-MM-DD` (midnight UTC) or an RFC 3339 time. Absent: since ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// The first moment after it. Absent: until the next period begins, or until further notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<String>,
    /// When these prices became known, if that was late: they correct what stands for the same
    /// time, for calls from this moment on. Earlier calls keep the price that was known then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_since: Option<String>,
    /// USD per million, by meter: for tokens (`input`, `output`, `cache_read` …) and characters.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_million: IndexMap<String, Amount>,
    /// USD per single unit, by meter: `request`, `search`, `second`, `page`, `image` …
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_unit: IndexMap<String, Amount>,
    /// Rates that depend on attributes, such as an image's size and quality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateText>,
    /// Prices of large prompts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<ContextText>,
    /// Prices by service tier, such as `flex`, `priority` or `batch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierText>,
    /// Prices by region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RegionText>,
    /// Prices by hour of the week.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<HoursText>,
    /// What the provider gives away per day or month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowances: Vec<AllowanceText>,
}

/// Prices of one region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionText {
    /// The region's name, as events give it; `*` for every named region but `global`.
    pub name: String,
    /// Factor on every price of a token that is not given here: `"1.1"` adds 10 %. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Amount>,
    /// USD per million, by meter: for tokens (`input`, `output`, `cache_read` …) and characters.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_million: IndexMap<String, Amount>,
    /// USD per single unit, by meter: `request`, `search`, `second`, `page`, `image` …
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_unit: IndexMap<String, Amount>,
    /// Rates that depend on attributes, such as an image's size and quality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateText>,
    /// Prices of large prompts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<ContextText>,
    /// Prices by service tier, such as `flex`, `priority` or `batch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierText>,
}

/// Prices of one service tier. What it does not price costs the standard price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierText {
    /// The served service tier, in the provider's word.
    pub name: String,
    /// USD per million, by meter: for tokens (`input`, `output`, `cache_read` …) and characters.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_million: IndexMap<String, Amount>,
    /// USD per single unit, by meter: `request`, `search`, `second`, `page`, `image` …
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_unit: IndexMap<String, Amount>,
    /// Rates that depend on attributes, such as an image's size and quality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateText>,
    /// Prices of large prompts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<ContextText>,
}

/// Prices of the whole request when its prompt is larger than a threshold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextText {
    /// Prompt tokens beyond which these prices hold.
    pub above: u64,
    /// USD per million, by meter: for tokens (`input`, `output`, `cache_read` …) and characters.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_million: IndexMap<String, Amount>,
    /// USD per single unit, by meter: `request`, `search`, `second`, `page`, `image` …
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_unit: IndexMap<String, Amount>,
    /// Rates that depend on attributes, such as an image's size and quality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateText>,
}

/// A rate that depends on attributes. The rate with the most matching attributes wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateText {
    /// The meter.
    pub meter: String,
    /// What a pool must have: `{ size = "1024x1024", quality = "hd" }`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub attributes: IndexMap<String, String>,
    /// USD per million. Give this or `per_unit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_million: Option<Amount>,
    /// USD per single unit. Give this or `per_million`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_unit: Option<Amount>,
}

/// The prices of any level.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'a> {
    pub(crate) per_million: &'a IndexMap<String, Amount>,
    pub(crate) per_unit: &'a IndexMap<String, Amount>,
    pub(crate) rates: &'a [RateText],
}

impl Leaf<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.per_million.is_empty() && self.per_unit.is_empty() && self.rates.is_empty()
    }
}

/// Prices with what they cost for large prompts, of any level that has both.
#[derive(Clone, Copy)]
pub(crate) struct TierView<'a> {
    pub(crate) leaf: Leaf<'a>,
    pub(crate) context: &'a [ContextText],
}

macro_rules! leaf_of {
    ($($text:ty),*) => {$(
        impl $text {
            pub(crate) fn leaf(&self) -> Leaf<'_> {
                Leaf {
                    per_million: &self.per_million,
                    per_unit: &self.per_unit,
                    rates: &self.rates,
                }
            }
        }
    )*};
}

macro_rules! view_of {
    ($($text:ty),*) => {$(
        impl $text {
            pub(crate) fn view(&self) -> TierView<'_> {
                TierView {
                    leaf: self.leaf(),
                    context: &self.context,
                }
            }
        }
    )*};
}

leaf_of!(
    ModelText,
    PeriodText,
    RegionText,
    TierText,
    ContextText,
    HoursText
);
leaf_of!(super::UnknownModelsText);
view_of!(ModelText, PeriodText, RegionText, TierText);
