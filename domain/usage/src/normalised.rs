//! What comes out: exclusive pools, what was served, what was not understood, and how far the
//! answer can be trusted to be whole. Plain data.

use farebox_pricing::event::UsageEvent;
use farebox_pricing::exact::{self, ArithmeticError};
use farebox_pricing::meter::Pool;
use rust_decimal::Decimal;

/// Whether the usage is the provider's last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// The provider's final usage was read.
    Complete,
    /// The answer ended before its final usage (a stream was cut, a job still runs). The pools are
    /// what had been stated so far: a lower bound.
    Partial,
    /// The provider reported an error after stating usage. The pools are what it stated.
    Failed,
}

impl Finish {
    /// The name in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// What answered, apart from how much it used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The model that answered, in the provider's word.
    pub model: Option<Box<str>>,
    /// The service tier that was served, in the provider's word.
    pub service_tier: Option<Box<str>>,
    /// Where it was served, where the provider says so.
    pub region: Option<Box<str>>,
    /// The provider's id of the answer.
    pub response_id: Option<Box<str>>,
}

/// One thing that was stated and not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrecognised {
    /// Where it stands, such as `usage.dream_tokens` or `events[3]`.
    pub path: String,
    /// What stands there.
    pub stated: Stated,
}

/// What stands in a place that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stated {
    /// A number, in its source text, cut to 64 characters.
    Number(String),
    /// A string, boolean, list or object without numbers in it. The text itself is not kept here.
    Other,
    /// A whole event of the stream that is not JSON.
    BrokenEvent,
}

impl Unrecognised {
    /// The number that stands there, in its source text.
    pub fn number(&self) -> Option<&str> {
        match &self.stated {
            Stated::Number(text) => Some(text),
            Stated::Other | Stated::BrokenEvent => None,
        }
    }
}

/// One answer's usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalised {
    /// Canonical provider id (see [`farebox_pricing::provider`]).
    pub provider: Box<str>,
    /// The model that answered, in the provider's word.
    pub model_served: Option<Box<str>>,
    /// The service tier that was **served**, in the provider's word, not the one asked for.
    pub service_tier: Option<Box<str>>,
    /// Where it was served, where the provider says so.
    pub region: Option<Box<str>>,
    /// The provider's id of the answer: the same call reported twice has it twice.
    pub response_id: Option<Box<str>>,
    /// Exclusive pools, sorted by meter; a meter with the same attributes stands once.
    pub pools: Vec<Pool>,
    /// What the provider itself says it charged for the call, in USD.
    pub provider_cost_usd: Option<Decimal>,
    /// What a call on an own key behind a reseller cost upstream, in USD, on top of
    /// `provider_cost_usd`. Only where the provider says that an own key was used.
    pub upstream_cost_usd: Option<Decimal>,
    /// Whether the reseller used an own upstream key, where it says so.
    pub own_key: Option<bool>,
    /// The provider's usage object as JSON text; a list of them where it came in pieces.
    pub raw_usage: String,
    /// What was stated in usage objects and not understood. It is in no pool: nobody guesses what
    /// a new field counts, nor whether its tokens are already in another one.
    pub unrecognised: Vec<Unrecognised>,
    /// Whether the usage is the provider's last word.
    pub finish: Finish,
}

impl Normalised {
    /// What the call cost the holder of the keys in all, in USD, where the provider says so.
    ///
    /// # Errors
    /// The two costs cannot be added exactly.
    pub fn cost_usd(&self) -> Result<Option<Decimal>, ArithmeticError> {
        match (self.provider_cost_usd, self.upstream_cost_usd) {
            (Some(provider), Some(upstream)) => exact::add(provider, upstream).map(Some),
            (provider, upstream) => Ok(provider.or(upstream)),
        }
    }

    /// The usage event to rate. `model_asked` and `feature` are the caller's.
    ///
    /// # Errors
    /// As [`Normalised::cost_usd`].
    pub fn to_event(
        &self,
        model_asked: Option<&str>,
        feature: Option<&str>,
    ) -> Result<UsageEvent, ArithmeticError> {
        Ok(UsageEvent {
            provider: self.provider.clone(),
            model_asked: model_asked.map(Into::into),
            model_served: self.model_served.clone(),
            service_tier: self.service_tier.clone(),
            region: self.region.clone(),
            feature: feature.map(Into::into),
            pools: self.pools.clone(),
            provider_cost_usd: self.cost_usd()?,
        })
    }
}
