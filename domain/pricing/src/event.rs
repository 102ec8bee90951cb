//! What a policy is asked: a usage event after the call, or a quote request before it, and the
//! facts that the host vouches for. Plain data: nothing here decides anything.

use crate::meter::{Attribute, Pool};
use rust_decimal::Decimal;

/// Where this Farebox runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deployment {
    /// The operator's own service.
    Hosted,
    /// On the customer's own machines.
    SelfHosted,
}

/// Whose provider key served the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// The operator's key: the operator pays the provider.
    Managed,
    /// The customer's own key (BYOK): the customer pays the provider.
    Own,
}

/// What one call used, as normalised from the provider's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageEvent {
    /// Canonical provider id, such as `openai` (see [`crate::provider`]).
    pub provider: Box<str>,
    /// The model the caller asked for; absent for calls without a model (an actor run).
    pub model_asked: Option<Box<str>>,
    /// The model that answered: the one that is priced. Absent: the model asked.
    pub model_served: Option<Box<str>>,
    /// The service tier that was **served**, in the provider's word; absent: the standard one.
    pub service_tier: Option<Box<str>>,
    /// Where it was served, where the price depends on it.
    pub region: Option<Box<str>>,
    /// The operator's name for what the call was for, such as `lead_enrichment`.
    pub feature: Option<Box<str>>,
    /// Exclusive pools; a meter with the same attributes stands once.
    pub pools: Vec<Pool>,
    /// What the provider says the call cost the holder of the key, in USD, where vouched.
    pub provider_cost_usd: Option<Decimal>,
}

impl UsageEvent {
    /// The model to price: the served one, else the one asked.
    pub fn model(&self) -> Option<&str> {
        self.model_served.as_deref().or(self.model_asked.as_deref())
    }
}

/// What is known before a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteRequest {
    /// Canonical provider id.
    pub provider: Box<str>,
    /// The model asked for; absent for calls without a model.
    pub model: Option<Box<str>>,
    /// The service tier asked for; absent or `auto`: any may be served.
    pub service_tier: Option<Box<str>>,
    /// Where it will be served, where known.
    pub region: Option<Box<str>>,
    /// The operator's name for what the call is for.
    pub feature: Option<Box<str>>,
    /// Bytes of the request body: an upper bound of its text tokens.
    pub body_bytes: u64,
    /// The request's own limit on output tokens (reasoning included), where it has one.
    pub max_output_tokens: Option<u64>,
    /// Upper bounds that the caller declares for what bytes do not bound: media, searches, tools.
    pub declared: Vec<Pool>,
    /// Upper bound of a vouched provider cost (an actor run), in USD.
    pub provider_cost_max_usd: Option<Decimal>,
}

/// What the host vouches for about a call. A policy may rely on these and on nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Where this Farebox runs.
    pub deployment: Deployment,
    /// Whose provider key served the call.
    pub key_source: KeySource,
    /// The time of the event, milliseconds since the Unix epoch.
    pub occurred_at_ms: i64,
    /// The customer's plan.
    pub plan: Option<Box<str>>,
    /// The customer.
    pub org: Option<Box<str>>,
    /// The project the call belongs to.
    pub project: Option<Box<str>>,
    /// The end user.
    pub user: Option<Box<str>>,
    /// The agent that made the call.
    pub agent: Option<Box<str>>,
    /// What the org was charged this calendar month before this event, in USD.
    pub month_to_date_usd: Decimal,
    /// Further facts by name, such as declared capacity; sorted by name.
    pub other: Vec<Attribute>,
}

impl Facts {
    /// Facts with nothing but the required ones.
    pub const fn new(deployment: Deployment, key_source: KeySource, occurred_at_ms: i64) -> Self {
        Self {
            deployment,
            key_source,
            occurred_at_ms,
            plan: None,
            org: None,
            project: None,
            user: None,
            agent: None,
            month_to_date_usd: Decimal::ZERO,
            other: Vec::new(),
        }
    }
}
