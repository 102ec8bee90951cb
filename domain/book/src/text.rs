//! The price book as people write it: one struct per table of the text.
//!
//! These types are the single source of field names, of the JSON Schema and of its descriptions.
//! They say nothing about meaning: [`crate::compile`] gives it. Prices of tokens are written per
//! million, as providers print them.

mod overrides;
mod prices;
mod rules;
mod terms;
mod times;

pub use overrides::{OtherPriceText, OverrideText};
pub use prices::{ContextText, ModelText, PeriodText, RateText, RegionText, TierText};
pub use rules::{
    EstimateText, FailureActionText, FailuresText, MeterFallbackText, UnknownModelsText,
    UnknownRuleText,
};
pub use terms::{
    CapText, DefaultsText, DeploymentsText, FreeText, OwnKeysText, PerText, PriceText, RuleText,
    StepText, Terms, VolumeText, WhenText,
};
pub use times::{AllowanceText, DayText, HoursText, WeekHoursText};

pub(crate) use prices::{Leaf, TierView};

use crate::amount::Amount;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A price book: what calls cost at the provider, and what they sell for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Farebox price book")]
pub struct BookText {
    /// Your name for this book, as releases and receipts show it.
    pub name: String,
    /// The day on which its prices were current, `YYYY-MM-DD`.
    pub as_of: String,
    /// How a charge's total becomes whole nano-credits. Default: `away-from-zero`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<RoundingText>,
    /// Whether this book may sell below provider cost. Default: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loss_leader: bool,
    /// Where prices come from, in order of precedence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceText>,
    /// What applies where no feature, plan or deployment says otherwise.
    #[serde(default, skip_serializing_if = "DefaultsText::is_empty")]
    pub defaults: DefaultsText,
    /// Every charge is a whole multiple of this, in USD, rounded as `rounding` says. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge_step_usd: Option<Amount>,
    /// What calls really cost you, where that is not the list price at the model. The first entry
    /// that matches a model decides. The list price stays the market rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<PriceText>,
    /// Selling prices by name, for terms with `sheet`. A model that a sheet does not name has list
    /// prices there.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub sheets: IndexMap<String, Vec<PriceText>>,
    /// Terms for calls that none of the tables below describe, tried first, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleText>,
    /// What calls on a customer's own provider key pay. Without this table they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_keys: Option<OwnKeysText>,
    /// Terms by deployment.
    #[serde(default, skip_serializing_if = "DeploymentsText::is_empty")]
    pub deployments: DeploymentsText,
    /// Contracts: terms by customer, by the org's id. They win over features.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub orgs: IndexMap<String, Terms>,
    /// Terms by plan. Where any plan is listed, a call under another plan is refused.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub plans: IndexMap<String, Terms>,
    /// Terms by feature: what a call is for, such as `lead_enrichment`. They win over plans.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub features: IndexMap<String, Terms>,
    /// What supplies a rate that a model lacks, tried in order. Absent: the standard list (see the
    /// reference); empty: nothing does, and such a call is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter_fallbacks: Option<Vec<MeterFallbackText>>,
    /// What a service tier costs, as a factor on the standard price, at a model that has no price
    /// for it. A tier that is neither here nor at the model is refused.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub tier_fallbacks: IndexMap<String, Amount>,
    /// Public names: each is served by one of its upstreams (`provider/model`), the first that
    /// answers. Every upstream is found by the public name too.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub routes: IndexMap<String, Vec<String>>,
    /// What a call of a model costs that this book does not have. Absent: it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_models: Option<UnknownModelsText>,
    /// What is charged for calls that did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<FailuresText>,
    /// Changes to the prices below, in this order: by a factor, or to an amount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<OverrideText>,
    /// The models and what they cost at their provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelText>,
}

/// How a charge's total becomes whole nano-credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoundingText {
    /// Any part of a nano-credit counts as one.
    AwayFromZero,
    /// To the nearest, a tie to the even one.
    HalfEven,
    /// Parts are dropped.
    TowardZero,
}

/// Where prices were taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceText {
    /// Such as `litellm`.
    pub name: String,
    /// The source's own version.
    pub version: String,
}
