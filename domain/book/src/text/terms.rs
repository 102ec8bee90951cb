//! Who pays what: the same terms may stand at a feature, a plan and a deployment.

use crate::amount::Amount;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What applies where no feature, plan or deployment says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsText {
    /// Factor on provider cost for calls on managed keys; `"1.25"` adds 25 %. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markup: Option<Amount>,
    /// Share of the market rate that calls on managed keys pay, instead of a markup on cost;
    /// `"0.85"` takes 15 % off the list. Never below cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_market: Option<Amount>,
    /// The name of the sheet by which calls on managed keys are charged. Never below cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Factor on the prices of `sheet`. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_sheet: Option<Amount>,
    /// `false`: such calls are recorded and never billed, whatever they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed: Option<bool>,
    /// Whether these terms may sell below cost. Such sales are recorded. Default: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loss_leader: bool,
    /// The least that any call on a managed key is charged, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_usd: Option<Amount>,
    /// The least that a quote says, in USD. It reserves that much, but does not lift the charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight_usd: Option<Amount>,
    /// The most that a call on a managed key is charged, in USD; never below cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_usd: Option<Amount>,
    /// The most that such calls are charged in a UTC day, by org, in USD; never below cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_per_day_usd: Option<Amount>,
    /// The most that such calls are charged in a UTC month, by org, in USD; never below cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_per_month_usd: Option<Amount>,
    /// Free units in each period, by org; never below cost, unless these terms are a loss-leader.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub free: Vec<FreeText>,
    /// Prices by what the org consumes in a UTC month under these terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeText>,
    /// The only models that may be called; absent: all. `provider/model`, where `*` may stand for
    /// the provider, and at the end for the rest of the model's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Output tokens that a quote assumes when neither the request nor the model bounds them.
    /// Default: 16384.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
}

impl DefaultsText {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same as terms, for every call.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            managed_keys: None,
            markup: self.markup,
            share_of_market: self.share_of_market,
            sheet: self.sheet.clone(),
            share_of_sheet: self.share_of_sheet,
            billed: self.billed,
            loss_leader: self.loss_leader,
            minimum_usd: self.minimum_usd,
            preflight_usd: self.preflight_usd,
            maximum_usd: self.maximum_usd,
            maximum_per_day_usd: self.maximum_per_day_usd,
            maximum_per_month_usd: self.maximum_per_month_usd,
            free: self.free.clone(),
            volume: self.volume.clone(),
            models: self.models.clone(),
            own_keys: None,
        }
    }
}

/// Terms by deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentsText {
    /// Where this Farebox is the operator's own service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosted: Option<Terms>,
    /// Where this Farebox runs on the customer's machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_hosted: Option<Terms>,
}

impl DeploymentsText {
    pub(crate) const fn is_empty(&self) -> bool {
        self.hosted.is_none() && self.self_hosted.is_none()
    }
}

/// What calls pay under a rule, contract, feature, plan or deployment. What is absent is left to the
/// next: rules, then contracts, features, plans, deployments, and the book's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Whether calls on the operator's keys are allowed. `false` refuses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_keys: Option<bool>,
    /// Factor on provider cost for calls on managed keys; `"1.25"` adds 25 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markup: Option<Amount>,
    /// Share of the market rate that calls on managed keys pay, instead of a markup on cost;
    /// `"0.85"` takes 15 % off the list. Never below cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_market: Option<Amount>,
    /// The name of the sheet by which calls on managed keys are charged. Never below cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Factor on the prices of `sheet`. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_sheet: Option<Amount>,
    /// `false`: such calls are recorded and never billed, whatever they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed: Option<bool>,
    /// Whether these terms may sell below cost. Such sales are recorded. Default: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loss_leader: bool,
    /// The least that a call on a managed key is charged, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_usd: Option<Amount>,
    /// The least that a quote says, in USD. It reserves that much, but does not lift the charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight_usd: Option<Amount>,
    /// The most that a call on a managed key is charged, in USD; never below cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_usd: Option<Amount>,
    /// The most that such calls are charged in a UTC day, by org, in USD; never below cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_per_day_usd: Option<Amount>,
    /// The most that such calls are charged in a UTC month, by org, in USD; never below cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_per_month_usd: Option<Amount>,
    /// Free units in each period, by org; never below cost, unless these terms are a loss-leader.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub free: Vec<FreeText>,
    /// Prices by what the org consumes in a UTC month under these terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeText>,
    /// The only models that may be called; absent: all. `provider/model`, where `*` may stand for
    /// the provider, and at the end for the rest of the model's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// What calls on the customer's own provider key pay here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_keys: Option<OwnKeysText>,
}

/// What calls on a customer's own provider key (BYOK) pay: a platform fee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnKeysText {
    /// `false` refuses such calls. Default: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<bool>,
    /// Fee per call in USD. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_usd: Option<Amount>,
    /// Fee as a share of the call's market rate; `"0.05"` is 5 %. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_market: Option<Amount>,
    /// The most that such a call may ever be charged; only in the book's own `own_keys`. The host
    /// enforces it against any policy. Default: the highest fees of this book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<CapText>,
}

/// The most that a call on a customer's own key may be charged: both parts added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CapText {
    /// USD per call. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_usd: Option<Amount>,
    /// Plus this share of the market rate. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of_market: Option<Amount>,
}

/// Prices of some models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceText {
    /// The models: `provider/model`, where `*` may stand for the provider, and at the end for the
    /// rest of the model's name.
    pub models: Vec<String>,
    /// Factor on the list price of every meter that has no price here. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Amount>,
    /// USD per million, by meter, whatever tier and context size the list knows.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_million: IndexMap<String, Amount>,
    /// USD per single unit, by meter, whatever tier and context size the list knows.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_unit: IndexMap<String, Amount>,
}

/// Terms for calls that are described by more than one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleText {
    /// Your name for the rule, as lines show it; it stands once.
    pub name: String,
    /// Which calls it is for. Absent: all.
    #[serde(default, skip_serializing_if = "WhenText::is_empty")]
    pub when: WhenText,
    /// What they pay.
    pub terms: Terms,
}

/// Which calls a rule is for: all that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhenText {
    /// Where this Farebox runs: `hosted` or `self-hosted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// The customer's plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What the call is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// The customer: an org's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// The models: `provider/model`, where `*` may stand for the provider, and at the end for the
    /// rest of the model's name. `provider/*` also means calls of a provider without a model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The first moment: `YYYY-MM-DD` (midnight UTC) or an RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The first moment after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Hours of the UTC day, `22:00-06:00`: from the first, before the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
}

impl WhenText {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Free units of one meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreeText {
    /// What is free.
    pub meter: String,
    /// How many units.
    pub quantity: Amount,
    /// In what time.
    pub per: PerText,
}

/// How long something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PerText {
    /// A day in UTC.
    Day,
    /// A calendar month in UTC.
    Month,
}

/// Prices by consumption: one of the two lists. Consumption is what calls under these terms would
/// have cost without it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumeText {
    /// Each part of a call has the factor of the step it falls in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub graduated: Vec<StepText>,
    /// The whole call has the factor of the step that the month has reached with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whole: Vec<StepText>,
}

/// One step of a volume price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepText {
    /// Beyond this many USD in the month.
    pub above_usd: Amount,
    /// Factor on what it would have cost: `"0.9"` takes 10 % off.
    pub factor: Amount,
}
