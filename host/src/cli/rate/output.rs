//! One line of `farebox rate`'s output: a price with its lines, or a typed error. Field names and
//! error types are stable.

use super::input::LineError;
use crate::service::intake::IntakeError;
use crate::service::policy::{PolicyError, Priced};
use crate::wire::{LineJson, plain};
use farebox_pricing::answer::Refusal;
use farebox_pricing::exact::ArithmeticError;
use farebox_pricing::failure::Outcome;
use farebox_pricing::money::Peg;
use farebox_usage::UsageError;
use serde::Serialize;
use std::error::Error;

/// What a call cost and what it is charged.
#[derive(Debug, Serialize)]
pub struct PricedLine {
    /// What the operator owes the provider, in USD; zero with the customer's own key.
    provider_cost_usd: String,
    /// The provider's list price, in USD, where the book knows it.
    market_usd: Option<String>,
    /// What the customer pays, in USD, exact.
    price_usd: String,
    /// The same in credits, rounded once to nano-credits.
    credits: String,
    /// Lines that add up to `price_usd`.
    lines: Vec<LineJson>,
}

impl PricedLine {
    /// The line for a checked price.
    ///
    /// # Errors
    /// The price does not fit into the ledger's integers.
    pub fn new(priced: &Priced, peg: Peg) -> Result<Self, ArithmeticError> {
        Ok(Self {
            provider_cost_usd: plain(priced.provider_cost_usd),
            market_usd: priced.market_usd.map(plain),
            price_usd: plain(priced.price_usd),
            credits: plain(peg.to_nanos(priced.price_usd, priced.rounding)?.credits()),
            lines: priced.lines.iter().map(LineJson::from).collect(),
        })
    }

    /// The line for a call that the book's rule for failures charges nothing.
    pub fn nothing() -> Self {
        let zero = || "0".to_owned();
        Self {
            provider_cost_usd: zero(),
            market_usd: None,
            price_usd: zero(),
            credits: zero(),
            lines: Vec::new(),
        }
    }
}

/// Why there is no price.
#[derive(Debug, Serialize)]
pub struct ErrorLine {
    error: Problem,
}

#[derive(Debug, Serialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
}

impl ErrorLine {
    fn new(kind: &str, error: &dyn Error) -> Self {
        let kind = kind.replace('_', "-");
        Self {
            error: Problem {
                kind,
                detail: chain(error),
            },
        }
    }

    /// The call waits for a person, by the book's rule for calls that do not end well.
    pub fn held(reason: &str, outcome: Option<Outcome>) -> Self {
        match outcome {
            // As everywhere: the answer is whole and says nothing.
            Some(Outcome::NoUsage) => {
                let served = Box::default();
                Self::from(&LineError::Intake(IntakeError::Usage(
                    UsageError::NoUsage { served },
                )))
            }
            outcome => Self {
                error: Problem {
                    kind: "held".to_owned(),
                    detail: format!(
                        "held by the price book's rule for `{}`",
                        outcome.map_or(reason, |outcome| outcome.name())
                    ),
                },
            },
        }
    }

    /// The price is out of the ledger's range.
    pub fn out_of_range(error: ArithmeticError) -> Self {
        Self::new("out-of-range", &error)
    }
}

impl From<&LineError> for ErrorLine {
    fn from(error: &LineError) -> Self {
        let kind = match error {
            LineError::Malformed { .. } => "malformed-line",
            LineError::Time { .. } => "invalid-time",
            LineError::Intake(IntakeError::NoSource | IntakeError::TwoSources { .. }) => {
                "invalid-source"
            }
            LineError::Intake(IntakeError::Provider { .. }) => "invalid-provider",
            LineError::Intake(IntakeError::NoModel) => "missing-model",
            LineError::Intake(IntakeError::NoPool) => "missing-usage",
            LineError::Intake(IntakeError::Meter { .. }) => "unknown-pool",
            LineError::Intake(
                IntakeError::Quantity { .. } | IntakeError::Number { .. } | IntakeError::Cost(_),
            ) => "quantity",
            LineError::Intake(IntakeError::NegativeCost { .. }) => "negative-cost",
            LineError::Intake(IntakeError::Request(_)) => "invalid-request",
            LineError::Intake(IntakeError::Usage(usage)) => usage.kind(),
        };
        Self::new(kind, error)
    }
}

impl From<&PolicyError> for ErrorLine {
    fn from(error: &PolicyError) -> Self {
        match error {
            PolicyError::Refused(refusal) => Self::new(refusal_name(refusal), refusal),
            PolicyError::Fault(_) | PolicyError::Paused => Self::new("policy-fault", error),
            PolicyError::NotLoaded => Self::new("not-loaded", error),
            PolicyError::Busy => Self::new("busy", error),
        }
    }
}

const fn refusal_name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownModel { .. } => "unknown-model",
        Refusal::NotPriced { .. } => "not-priced",
        Refusal::NotAllowed { .. } => "not-allowed",
        Refusal::OutOfRange { .. } => "out-of-range",
    }
}

/// The error and what caused it, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
