//! Who pays what: the same terms may stand at a feature, a plan and a deployment.

use crate::amount::Amount;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What applies where no feature, plan or deployment says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsText {
    /// Factor on provider cost for calls on managed keys; `"1.25"` adds 25 %. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markup: Option<Amount>,
    /// The least that any call on a managed key is charged, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_usd: Option<Amount>,
    /// Output tokens that a quote assumes when neither the request nor the model bounds them.
    /// Default: 16384.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
}

impl DefaultsText {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
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

/// What calls pay under a feature, plan or deployment. What is absent is left to the next: feature,
/// then plan, then deployment, then the book's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Whether calls on the operator's keys are allowed. `false` refuses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_keys: Option<bool>,
    /// Factor on provider cost for calls on managed keys; `"1.25"` adds 25 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markup: Option<Amount>,
    /// The least that a call on a managed key is charged, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_usd: Option<Amount>,
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
