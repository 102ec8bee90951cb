//! What a policy answers: lines that add up to a total, or a typed refusal.
//!
//! For every line `amount = quantity × unit price`, exactly, and the total is the exact sum of the
//! lines. [`crate::verify`] checks both; nothing here is trusted because it has this type.

use crate::exact;
use crate::meter::Meter;
use rust_decimal::Decimal;
use std::sync::Arc;

/// The most lines an answer may have.
pub const LINES_MAX: usize = 256;
/// The largest amount of a line or total, either side of zero: 10^9 USD. No call costs that much,
/// and the ledger holds several times more at the default peg.
pub const AMOUNT_MAX_USD: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

/// Whether an amount is within [`AMOUNT_MAX_USD`] either side of zero.
pub fn is_in_range(amount_usd: Decimal) -> bool {
    match exact::digits_of_64_bits(amount_usd) {
        // The limit's own digits at this scale; where they do not fit, no 64 bits are above it.
        Some(digits) => exact::power_of_ten(amount_usd.scale().saturating_add(9))
            .is_none_or(|most| digits <= most),
        None => exact::cmp(amount_usd.abs(), AMOUNT_MAX_USD).is_le(),
    }
}

/// What a line stands for. Only [`LineKind::Discount`] may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// Metered usage at a unit price.
    Usage,
    /// The provider's own vouched cost, passed on.
    ProviderCost,
    /// The operator's margin on top of the lines before it.
    Markup,
    /// A fee for using the customer's own key (BYOK).
    PlatformFee,
    /// What lifts the charge to a minimum.
    Minimum,
    /// A declared reduction.
    Discount,
}

/// Which rate of the book a usage line used, and why that one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateReason {
    /// The book's model the rate stands under. The lines of an answer share it.
    pub model: Arc<str>,
    /// The service tier whose rate was used; absent: standard.
    pub service_tier: Option<Box<str>>,
    /// The context tier: prompt tokens beyond which this rate holds.
    pub context_above: Option<u64>,
    /// The declared rules that supplied the rate, joined by `/`: `provider:` with a related
    /// provider, `tier:` with a tier fallback, the name of a meter fallback
    /// (`reasoning_as_output`), `unknown_models`.
    pub fallback: Option<Box<str>>,
    /// What else decided the rate, sorted by name: `allowance` (free units), `hours`, `region`.
    pub conditions: Vec<crate::meter::Attribute>,
}

/// Why a line is there, with what a text for a person needs. The host renders the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A rate of the book.
    Rate(RateReason),
    /// The provider vouched for its cost.
    ProviderCost,
    /// A markup; `rule` names what declared it: `plan:pro`, `feature:lead_enrichment`, `default`.
    Markup {
        /// What declared the markup.
        rule: Box<str>,
    },
    /// A fixed platform fee per call.
    PlatformFeeFixed,
    /// A platform fee as a share of the market rate.
    PlatformFeeShare,
    /// The minimum charge of a feature or plan.
    Minimum {
        /// What declared the minimum.
        rule: Box<str>,
    },
    /// A declared discount.
    Discount {
        /// What declared the discount.
        rule: Box<str>,
    },
    /// A custom policy's own reason: a stable code, and parameters by name.
    Custom {
        /// A stable code in snake case.
        code: Box<str>,
        /// What a text for a person needs.
        parameters: Vec<crate::meter::Attribute>,
    },
}

/// One line of a quote or charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What the line stands for.
    pub kind: LineKind,
    /// The meter of a usage line.
    pub meter: Option<Meter>,
    /// How many units; of a markup, the USD it applies to.
    pub quantity: Decimal,
    /// USD per unit; of a markup, its rate (0.25 adds 25 %).
    pub unit_price_usd: Decimal,
    /// `quantity × unit_price_usd`, exactly.
    pub amount_usd: Decimal,
    /// Why.
    pub reason: Reason,
}

/// The answer to `rate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rating {
    /// Lines that add up to `total_usd`.
    pub lines: Vec<Line>,
    /// The price in USD, exact and unrounded.
    pub total_usd: Decimal,
}

/// The answer to `quote`: a bound on what the call can be charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The worst case, line by line.
    pub lines: Vec<Line>,
    /// The most that the call can be charged, in USD.
    pub total_usd: Decimal,
    /// The output tokens the bound assumes, where the model has output.
    pub max_output_tokens: Option<u64>,
}

/// Why a policy gives no price. Not a fault: a typed answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The book has no such model.
    #[error("no price for model `{model}` of provider `{provider}`")]
    UnknownModel {
        /// Canonical provider id.
        provider: Box<str>,
        /// The model that was looked up.
        model: Box<str>,
    },
    /// The model is known, but has no rate for a meter that was used (or no valid period).
    #[error("model `{model}` has no rate for `{meter}`")]
    NotPriced {
        /// The model.
        model: Box<str>,
        /// The meter without a rate.
        meter: Box<str>,
    },
    /// The rules do not allow this call.
    #[error("not allowed: {rule}")]
    NotAllowed {
        /// The rule that forbids it.
        rule: Box<str>,
    },
    /// A quantity or a result is out of range, or digits would be lost.
    #[error("out of range: {what}")]
    OutOfRange {
        /// What is out of range.
        what: Box<str>,
    },
}
