//! What the service asks of a policy engine. Implemented by [`crate::engine`].
//!
//! Every answer that comes through here has been **checked** ([`farebox_pricing::verify`]): the
//! service never sees a policy's own claim about cost, nor a total that does not add up.

use farebox_pricing::answer::{Line, Quote, Refusal};
use farebox_pricing::book::Per;
use farebox_pricing::card::{FeatureFloor, RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::failure::{self, Outcome, Settlement};
use farebox_pricing::money::Rounding;
use farebox_pricing::rating::Count;
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// SHA-256 of a component's bytes, or of a canonical book's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// What prices a call: a component and a book, both by content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReleaseId {
    /// Digest of the component.
    pub component: Digest,
    /// Digest of the canonical book.
    pub book: Digest,
}

/// The text that names a release: `rel_`, and in hexadecimal the SHA-256 of the component's digest
/// followed by the book's. Whoever has the two can make it, and nobody can make two that share it.
impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rel_")?;
        f.write_str(&hex::encode(self.address().0))
    }
}

impl ReleaseId {
    /// The digest of both: one content address.
    pub fn address(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update(self.component.0);
        hash.update(self.book.0);
        Digest(hash.finalize().into())
    }
}

/// A checked price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// Lines that add up to `price_usd`.
    pub lines: Vec<Line>,
    /// What the customer pays, exact.
    pub price_usd: Decimal,
    /// What the operator owes the provider for the call, as computed by the host; zero with own
    /// keys.
    pub provider_cost_usd: Decimal,
    /// The provider's list price of the call, where the book knows it.
    pub market_usd: Option<Decimal>,
    /// How the total is rounded to nano-credits.
    pub rounding: Rounding,
    /// Whether the release declares that it sells below cost, and this call was.
    pub below_cost: bool,
}

/// Why there is no checked price.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// The policy refused, with a reason.
    #[error("the policy refused the call")]
    Refused(#[source] Refusal),
    /// The policy broke the contract: a trap, a spent limit, a failed check.
    #[error("policy fault: {0}")]
    Fault(#[source] Fault),
    /// No such release is loaded.
    #[error("release is not loaded")]
    NotLoaded,
    /// The release failed for this org so often in a row that it is not asked for a while
    /// ([`super::breaker`]).
    #[error("the policy failed too often in a row for this org and is paused")]
    Paused,
    /// Every sandbox of the class is in use. Nobody's fault, and gone in a moment.
    #[error("every sandbox is in use")]
    Busy,
}

/// How a policy broke the contract.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The guest trapped.
    #[error("the policy trapped: {0}")]
    Trap(String),
    /// The fuel of the call was spent.
    #[error("the policy used up its fuel")]
    Fuel,
    /// The wall-clock backstop fired.
    #[error("the policy ran past its time limit")]
    Time,
    /// Linear memory would have grown past its limit.
    #[error("the policy asked for more memory than its limit")]
    Memory,
    /// The wasm stack would have grown past its limit.
    #[error("the policy recursed past its stack limit")]
    Stack,
    /// The result was larger than its limit.
    #[error("the policy returned more than its limit")]
    OutputTooLarge,
    /// The result is not a value of the contract (a scale above 28, unsorted attributes …).
    #[error("the policy returned a malformed answer: {0}")]
    Malformed(String),
    /// A check of [`farebox_pricing::verify`] failed.
    #[error("the policy's answer failed a check: {0}")]
    Check(String),
}

/// Rules that count, and in what time each begins anew.
pub type Counters = Arc<[(Box<str>, Per)]>;

/// Prices calls under releases. Calls are synchronous and take microseconds.
pub trait PolicyEngine: Send + Sync {
    /// The checked worst case of a call.
    ///
    /// # Errors
    /// See [`PolicyError`].
    fn quote(
        &self,
        release: &ReleaseId,
        request: &QuoteRequest,
        facts: &Facts,
    ) -> Result<Quote, PolicyError>;

    /// The checked price of an event.
    ///
    /// # Errors
    /// See [`PolicyError`].
    fn rate(
        &self,
        release: &ReleaseId,
        event: &UsageEvent,
        facts: &Facts,
    ) -> Result<Priced, PolicyError>;

    /// The checked prices of up to 256 events, in order. When the policy faults on the batch, each
    /// event is rated alone, so that the fault is only that of the events that cause it.
    fn rate_batch(
        &self,
        release: &ReleaseId,
        requests: &[(UsageEvent, Facts)],
    ) -> Vec<Result<Priced, PolicyError>>;

    /// What the release's book counts: rules, and in what time. Empty for most books.
    fn counters(&self, release: &ReleaseId) -> Counters;

    /// How much further those counters go with an event that was charged `price_usd`.
    fn counts(
        &self,
        release: &ReleaseId,
        event: &UsageEvent,
        facts: &Facts,
        price_usd: Decimal,
    ) -> Vec<Count>;

    /// The floors of features that the release's book names for a customer with these facts.
    fn feature_floors(&self, release: &ReleaseId, facts: &Facts) -> Vec<FeatureFloor>;

    /// What the release's book does about a call that did not end well.
    ///
    /// # Errors
    /// See [`PolicyError`].
    fn settle(
        &self,
        release: &ReleaseId,
        outcome: Outcome,
        event: &UsageEvent,
        request: Option<failure::Request>,
    ) -> Result<Settlement, PolicyError>;

    /// A page of what a customer with these facts is shown. Not checked: nothing is charged by it.
    ///
    /// # Errors
    /// See [`PolicyError`].
    fn rate_card(
        &self,
        release: &ReleaseId,
        request: &RateCardRequest,
        facts: &Facts,
    ) -> Result<RateCardPage, PolicyError>;
}

/// A shared engine.
pub type SharedEngine = Arc<dyn PolicyEngine>;
