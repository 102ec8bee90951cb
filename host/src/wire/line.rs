//! One line of a quote or charge, as JSON.

use super::{ReasonJson, plain, reason};
use farebox_pricing::answer::{Line, LineKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One line of a quote or charge. For every line `amount_usd` is exactly `quantity` ×
/// `unit_price_usd`, and the lines add up to the price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineJson {
    /// `usage`, `provider_cost`, `markup`, `platform_fee`, `minimum` or `discount`.
    #[schema(example = "usage")]
    pub kind: String,
    /// The meter of a usage line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "input")]
    pub meter: Option<String>,
    /// Units; of a markup, the USD it applies to.
    #[schema(example = "12")]
    pub quantity: String,
    /// USD per unit; of a markup, its rate (0.25 adds 25 %).
    #[schema(example = "0.00000015")]
    pub unit_price_usd: String,
    /// USD, exact.
    #[schema(example = "0.0000018")]
    pub amount_usd: String,
    /// Why, for machines.
    pub reason: ReasonJson,
    /// Why, for people.
    pub text: String,
}

impl From<&Line> for LineJson {
    fn from(line: &Line) -> Self {
        Self {
            kind: kind_name(line.kind).to_owned(),
            meter: line.meter.as_ref().map(|meter| meter.name().to_owned()),
            quantity: plain(line.quantity),
            unit_price_usd: plain(line.unit_price_usd),
            amount_usd: plain(line.amount_usd),
            reason: ReasonJson::from(&line.reason),
            text: reason::text(line),
        }
    }
}

const fn kind_name(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Usage => "usage",
        LineKind::ProviderCost => "provider_cost",
        LineKind::Markup => "markup",
        LineKind::PlatformFee => "platform_fee",
        LineKind::Minimum => "minimum",
        LineKind::Discount => "discount",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_pricing::answer::{RateReason, Reason};
    use farebox_pricing::meter::Meter;
    use rust_decimal::Decimal;

    #[test]
    fn a_usage_line_says_what_why_and_how_much() {
        let line = Line {
            kind: LineKind::Usage,
            meter: Some(Meter::CacheRead),
            quantity: Decimal::from(1_024),
            unit_price_usd: Decimal::new(75, 9),
            amount_usd: Decimal::new(76_800, 9),
            reason: Reason::Rate(RateReason {
                model: "gpt-4o-mini".into(),
                service_tier: Some("flex".into()),
                context_above: Some(200_000),
                fallback: Some("cache_read_as_input".into()),
                ..RateReason::default()
            }),
        };
        insta::assert_json_snapshot!(LineJson::from(&line), @r#"
        {
          "kind": "usage",
          "meter": "cache_read",
          "quantity": "1024",
          "unit_price_usd": "0.000000075",
          "amount_usd": "0.0000768",
          "reason": {
            "code": "rate",
            "model": "gpt-4o-mini",
            "service_tier": "flex",
            "context_above": 200000,
            "fallback": "cache_read_as_input"
          },
          "text": "1024 cache_read at $0.000000075 each (gpt-4o-mini, flex tier, context above 200000, by cache_read_as_input)"
        }
        "#);
    }
}
