//! What holds where the book has no price, and where a call did not end well.

use super::RateText;
use crate::amount::Amount;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// "A model without a rate for `meter` uses `factor` × its rate of `base`."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeterFallbackText {
    /// The meter without a rate.
    pub meter: String,
    /// The meter whose rate is used.
    pub base: String,
    /// What it is multiplied by. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Amount>,
    /// Only where this service tier has prices of its own, and there before the standard price of
    /// `meter`. Absent: wherever `meter` has no price at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// The rule's name, as lines show it. Default: `reasoning_as_output`, of the two meters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a call of a model costs that the book does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnknownModelsText {
    /// Which rule.
    pub rule: UnknownRuleText,
    /// With `cap`: USD per call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<Amount>,
    /// With `default-rate`: USD per million, by meter.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_million: IndexMap<String, Amount>,
    /// With `default-rate`: USD per single unit, by meter.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_unit: IndexMap<String, Amount>,
    /// With `default-rate`: rates that depend on attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateText>,
}

/// The rules for unknown models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownRuleText {
    /// Refused before the call. If one answers all the same, it costs what the provider vouches
    /// for, else it waits without a price.
    Refuse,
    /// What the provider vouches for. Before the call, the bound that is declared for it.
    ProviderCost,
    /// `usd` for each call; or what the provider vouches for, if that is less.
    Cap,
    /// The prices given here.
    DefaultRate,
}

/// What is charged for calls that did not end well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailuresText {
    /// The caller went away before the end of the answer. Default: `seen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_abort: Option<FailureActionText>,
    /// The provider answered with an error, perhaps after a part of the answer. Default: `seen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_error: Option<FailureActionText>,
    /// The answer is whole and does not say what was used. Default: `hold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_usage: Option<FailureActionText>,
    /// The answer says that nothing was used. Default: `seen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_usage: Option<FailureActionText>,
    /// The stream ended before its last usage. Default: `seen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_stream: Option<FailureActionText>,
    /// How `estimate` estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<EstimateText>,
}

/// What is done about a call that did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureActionText {
    /// It is recorded and charged nothing.
    Nothing,
    /// What was seen is charged, and what was not is estimated from the request.
    Estimate,
    /// It is recorded without a price and keeps its hold, until a person decides.
    Hold,
    /// What was seen is charged.
    Seen,
}

/// How usage that nobody stated is estimated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EstimateText {
    /// Bytes of the request's body that make one prompt token. Default: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_token: Option<u64>,
    /// Share of the most output tokens that is taken as produced; `"0.5"` is half. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_share: Option<Amount>,
}
