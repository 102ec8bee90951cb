//! What an operator changes about prices that come from elsewhere, and what sources disagree on.

use crate::amount::Amount;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change to prices of this book: what it selects is multiplied by `factor`, or costs
/// `per_million` or `per_unit`. What is not said selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideText {
    /// Why: shown with the models that it changes.
    pub reason: String,
    /// The provider.
    pub provider: String,
    /// The model's name, or a pattern of names (`*` for any characters, `#` for a digit).
    /// Default: every model of the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The meters. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<String>,
    /// The service tier; `standard` for the prices without one. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// The region. Default: all, and the prices without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The first moment of the change: `YYYY-MM-DD` (midnight UTC) or an RFC 3339 time. Default:
    /// since ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// Proportional: what the prices are multiplied by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Amount>,
    /// Absolute: USD per million tokens or characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_million: Option<Amount>,
    /// Absolute: USD per single unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_unit: Option<Amount>,
}

/// A price that another source names for the same thing. It is not used: it marks a disagreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtherPriceText {
    /// The source.
    pub source: String,
    /// The meter.
    pub meter: String,
    /// USD per million, as that source has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_million: Option<Amount>,
    /// USD per single unit, as that source has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_unit: Option<Amount>,
}

impl std::fmt::Display for OtherPriceText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "disputed: {} has `{}` at ", self.source, self.meter)?;
        match (self.per_million, self.per_unit) {
            (Some(usd), _) => write!(f, "{usd} per million"),
            (None, usd) => write!(f, "{}", usd.unwrap_or_default()),
        }
    }
}
