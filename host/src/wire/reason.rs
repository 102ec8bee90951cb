//! Why a line is there: typed for machines, and one sentence for people.

use super::plain;
use farebox_pricing::answer::{Line, Reason};
use farebox_pricing::meter::Attribute;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Why a line is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum ReasonJson {
    /// A rate of the price book.
    Rate {
        /// The book's model the rate stands under.
        model: String,
        /// The service tier whose rate was used; absent: standard.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service_tier: Option<String>,
        /// Prompt tokens beyond which this rate holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context_above: Option<u64>,
        /// The declared rules that supplied the rate, joined by `/`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallback: Option<String>,
        /// What else decided the rate: `allowance`, `hours`, `region`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        conditions: BTreeMap<String, String>,
    },
    /// The provider vouched for what the call cost.
    ProviderCost,
    /// A markup.
    Markup {
        /// The rule that declared it.
        rule: String,
    },
    /// A fixed fee for a call on the customer's own key.
    PlatformFeeFixed,
    /// A share of the market rate, for a call on the customer's own key.
    PlatformFeeShare,
    /// A minimum charge.
    Minimum {
        /// The rule that declared it.
        rule: String,
    },
    /// A discount.
    Discount {
        /// The rule that declared it.
        rule: String,
    },
    /// A custom policy's own reason.
    Custom {
        /// The policy's stable code.
        custom_code: String,
        /// What the text needs, by name.
        parameters: BTreeMap<String, String>,
    },
}

impl From<&Reason> for ReasonJson {
    fn from(reason: &Reason) -> Self {
        match reason {
            Reason::Rate(rate) => Self::Rate {
                model: rate.model.to_string(),
                service_tier: rate.service_tier.as_deref().map(str::to_owned),
                context_above: rate.context_above,
                fallback: rate.fallback.as_deref().map(str::to_owned),
                conditions: by_name(&rate.conditions),
            },
            Reason::ProviderCost => Self::ProviderCost,
            Reason::Markup { rule } => Self::Markup {
                rule: rule.to_string(),
            },
            Reason::PlatformFeeFixed => Self::PlatformFeeFixed,
            Reason::PlatformFeeShare => Self::PlatformFeeShare,
            Reason::Minimum { rule } => Self::Minimum {
                rule: rule.to_string(),
            },
            Reason::Discount { rule } => Self::Discount {
                rule: rule.to_string(),
            },
            Reason::Custom { code, parameters } => Self::Custom {
                custom_code: code.to_string(),
                parameters: by_name(parameters),
            },
        }
    }
}

fn by_name(attributes: &[Attribute]) -> BTreeMap<String, String> {
    let pairs = attributes.iter();
    pairs
        .map(|one| (one.name.to_string(), one.value.to_string()))
        .collect()
}

/// The sentence a person reads beside a line's amount.
pub(super) fn text(line: &Line) -> String {
    let quantity = plain(line.quantity);
    let price = plain(line.unit_price_usd);
    match &line.reason {
        Reason::Rate(rate) => {
            let meter = line.meter.as_ref().map_or("unit", |meter| meter.name());
            let mut text = format!("{quantity} {meter} at ${price} each ({}", rate.model);
            if let Some(tier) = &rate.service_tier {
                text.push_str(&format!(", {tier} tier"));
            }
            if let Some(above) = rate.context_above {
                text.push_str(&format!(", context above {above}"));
            }
            if let Some(fallback) = &rate.fallback {
                text.push_str(&format!(", by {fallback}"));
            }
            for condition in &rate.conditions {
                text.push_str(&format!(", {} {}", condition.name, condition.value));
            }
            text.push(')');
            text
        }
        Reason::ProviderCost => format!("provider cost ${price}"),
        Reason::Markup { rule } => format!("markup of {price} on ${quantity} ({rule})"),
        Reason::PlatformFeeFixed => format!("platform fee ${price}"),
        Reason::PlatformFeeShare => format!("platform fee of {price} on ${quantity} market rate"),
        Reason::Minimum { rule } => format!("up to the minimum of {rule}"),
        Reason::Discount { rule } => format!("discount ({rule})"),
        Reason::Custom { code, parameters } => {
            let named: Vec<_> = parameters
                .iter()
                .map(|parameter| format!("{}={}", parameter.name, parameter.value))
                .collect();
            format!("{code} {}", named.join(" ")).trim_end().to_owned()
        }
    }
}
