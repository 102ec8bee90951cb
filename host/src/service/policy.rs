//! What the service asks of a policy engine. Implemented by [`crate::engine`].
//!
//! Every answer that comes through here has been **checked** ([`farebox_pricing::verify`]): the
//! service never sees a policy's own claim about cost, nor a total that does not add up.

use super::ledger::releases::{ReleaseParts, ReleaseRecord};
use super::signature::{PinnedKeys, SignatureError};
use farebox_pricing::answer::{Line, Quote, Refusal};
use farebox_pricing::book::Per;
use farebox_pricing::card::{FeatureFloor, RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::failure::{self, Outcome, Settlement};
use farebox_pricing::load::Description;
use farebox_pricing::money::Rounding;
use farebox_pricing::rating::Count;
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// The most events of a batch. An engine may ask them in several calls of one instance.
pub const BATCH_MAX: usize = 256;

/// An event, and the facts of its call: what a policy rates.
pub type RateRequest<'a> = (&'a UsageEvent, &'a Facts);

/// The same of what is kept as pairs.
pub fn rate_requests(pairs: &[(UsageEvent, Facts)]) -> Vec<RateRequest<'_>> {
    pairs.iter().map(|(event, facts)| (event, facts)).collect()
}

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

/// Which limits a policy runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitClass {
    /// Compiled languages: Rust, C.
    Native,
    /// Languages that bring their interpreter: JavaScript, Python.
    Scripted,
}

impl LimitClass {
    /// Every class.
    pub const ALL: [Self; 2] = [Self::Native, Self::Scripted];

    /// The word used in rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Scripted => "scripted",
        }
    }
}

/// Whether a policy may keep its instance from one call to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The operator's own: one warm instance per worker.
    Trusted,
    /// A third party's: a fresh instance per batch, so that nothing survives in it.
    Untrusted,
}

impl Trust {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Trusted, Self::Untrusted];

    /// The word used in rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
        }
    }
}

/// How a sandbox comes to its book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// Of a trusted policy: it is kept from call to call, and loads its book once.
    Kept,
    /// Fresh for each batch, with the memory that one had after it loaded the book.
    Prepared,
    /// Fresh for each batch, and loads the book each time.
    Loading,
}

impl Instances {
    /// The word used in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Prepared => "prepared",
            Self::Loading => "loading",
        }
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
    /// The price lies below what the call costs the operator, and nothing declares that it may.
    #[error("the policy's answer failed a check: {0}")]
    BelowCost(String),
    /// Another check of [`farebox_pricing::verify`] failed.
    #[error("the policy's answer failed a check: {0}")]
    Check(String),
}

impl Fault {
    /// A stable word for programs.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::Fuel => "fuel",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::OutputTooLarge => "output_too_large",
            Self::Malformed(_) => "malformed",
            Self::BelowCost(_) => "below_cost",
            Self::Check(_) => "check",
        }
    }
}

/// Rules that count, and in what time each begins anew.
pub type Counters = Arc<[(Box<str>, Per)]>;

/// A release that was taken out of its file, compiled and tried: ready to price.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Which.
    pub id: ReleaseId,
    /// The name of its book.
    pub name: Box<str>,
    /// The version of the contract that its component speaks, such as `1.0.0`.
    pub contract: Box<str>,
    /// Which limits it runs under.
    pub class: LimitClass,
    /// Whether its instances may be kept.
    pub trust: Trust,
    /// Its bytes.
    pub parts: ReleaseParts,
}

/// Fuel of one call: the same number on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fuel {
    /// The most that a call of a model of the release's own book took.
    pub used_max: u64,
    /// What a call may take.
    pub limit: u64,
}

/// Why a file is not admitted as a release.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AdmitError {
    /// The file is not a component of the contract's world, or a section of it is damaged.
    #[error("{detail}")]
    Component {
        /// A stable word, such as `not_wasm`.
        reason: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Nobody who must have signed it, or a signature is of something else.
    #[error(transparent)]
    Signature(#[from] Box<SignatureError>),
    /// Rules without prices.
    #[error("the file carries no price book: put it in with `farebox policy build --book BOOK`")]
    NoBook,
    /// The book, or its text, is larger than any guest could hold.
    #[error("the {what} has {bytes} bytes; at most {bytes_max} are allowed")]
    BookTooLarge {
        /// `price book` or `text of the price book`.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The most that is allowed.
        bytes_max: usize,
    },
    /// The book's bytes are not a canonical book.
    #[error("the book is not a canonical book: {0}")]
    Book(String),
    /// The text beside the book would mislead whoever reads it.
    #[error("the text beside the book is not the text of this book: {0}")]
    BookText(String),
    /// The policy says that it cannot use the book.
    #[error("the policy does not take the book: {0}")]
    BookRefused(String),
    /// The policy broke the contract in the trial.
    #[error("the policy failed in its trial")]
    Fault(#[from] Fault),
    /// The same question has two answers: no receipt could be priced again.
    #[error("the policy prices the same call of `{model}` differently when it is {how}")]
    NotDeterministic {
        /// The model of the call.
        model: Box<str>,
        /// What was different.
        how: &'static str,
    },
    /// A row of the conformance table is not kept.
    #[error("the policy does not keep `{}` ({}): {detail}", rule.name, rule.says)]
    Conformance {
        /// The row.
        rule: &'static Rule,
        /// What was asked, and answered instead.
        detail: String,
    },
    /// Every sandbox of the class is in use.
    #[error("every sandbox is in use")]
    Busy,
    /// The machine gives the compiler no process or no memory: this says nothing of the file.
    #[error("no compiler can run now: {0}")]
    NoCompiler(String),
}

/// A sentence of the contract that every policy keeps.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// A stable word, such as `charge_within_quote`.
    pub name: &'static str,
    /// The sentence.
    pub says: &'static str,
}

impl AdmitError {
    /// A stable word for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Component { reason, .. } => reason,
            Self::Signature(error) => error.reason(),
            Self::NoBook => "no_book",
            Self::BookTooLarge { .. } => "book_too_large",
            Self::Book(_) => "book_damaged",
            Self::BookText(_) => "book_text",
            Self::BookRefused(_) => "book_refused",
            Self::Fault(_) => "fault",
            Self::NotDeterministic { .. } => "not_deterministic",
            Self::Conformance { .. } => "conformance",
            Self::Busy => "busy",
            Self::NoCompiler(_) => "no_compiler",
        }
    }
}

/// Prices calls under releases. Calls are synchronous and take microseconds; admission takes as
/// long as its compiler.
pub trait PolicyEngine: Send + Sync {
    /// Takes a release out of its file, compiles it, tries it with its book, and keeps it loaded.
    /// The same file again is the same release. Without `trust`, only the shipped policy is trusted.
    ///
    /// # Errors
    /// See [`AdmitError`].
    fn admit(&self, file: &[u8], trust: Option<Trust>) -> Result<Admitted, AdmitError>;

    /// Ends what [`PolicyEngine::admit`] began, once for each that succeeded and whose release was not
    /// kept with the ledger: the last one unloads it. Free of effect on what is kept.
    fn forget(&self, release: &ReleaseId);

    /// Whether each signature on a file is of this very file, and where keys are pinned, one of
    /// them signed it. Nothing is compiled for it.
    ///
    /// # Errors
    /// `Signature`, or why the file cannot be read.
    fn check_signatures(&self, file: &[u8], pinned: &PinnedKeys) -> Result<(), AdmitError>;

    /// Loads a release that is kept with the ledger, with the trust that was kept. Free of effect
    /// where it is loaded so.
    ///
    /// # Errors
    /// See [`AdmitError`].
    fn load(&self, release: &ReleaseRecord, parts: &ReleaseParts) -> Result<(), AdmitError>;

    /// How many calls of the release's class can be answered at once; `None` where it is not loaded.
    fn sandboxes(&self, release: &ReleaseId) -> Option<usize>;

    /// Whether its calls take milliseconds or more, where most take microseconds.
    fn takes_long(&self, release: &ReleaseId) -> bool;

    /// Whether calls under this release can be answered.
    fn is_loaded(&self, release: &ReleaseId) -> bool;

    /// How its sandboxes come to their book; nothing where it is not loaded.
    fn instances(&self, release: &ReleaseId) -> Option<Instances>;

    /// What the policy of a release says of itself.
    ///
    /// # Errors
    /// See [`PolicyError`].
    fn describe(&self, release: &ReleaseId) -> Result<Description, PolicyError>;

    /// What calls of the release's own book take of the fuel they may.
    ///
    /// # Errors
    /// See [`PolicyError`].
    fn fuel(&self, release: &ReleaseId) -> Result<Fuel, PolicyError>;

    /// Whether the release's book names this plan.
    fn names_plan(&self, release: &ReleaseId, plan: &str) -> bool;

    /// The one file of a release.
    fn to_file(&self, parts: &ReleaseParts) -> Vec<u8>;

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

    /// The checked prices of up to [`BATCH_MAX`] events, in order. When the policy faults on the
    /// batch, each event is rated alone, so that the fault is only that of the events that cause it.
    fn rate_batch(
        &self,
        release: &ReleaseId,
        requests: &[RateRequest<'_>],
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
