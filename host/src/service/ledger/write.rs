//! What is written: one command of the ledger or the directory, with the rows that go with it.

use super::directory::{DirectoryRefusal, DirectoryWrite, OrgRecord};
use super::failure::StorageError;
use super::past::Corrected;
use super::receipt::Pricing;
use crate::service::policy::ReleaseId;
use farebox_ledger::budget::BudgetAlert;
use farebox_ledger::command::{Command, OpenWallet, Reach};
use farebox_ledger::effect::Outcome;
use farebox_ledger::hold::Dimensions;
use farebox_ledger::idempotency::{Idempotency, PaymentId, ResponseId};
use farebox_ledger::ids::{
    ChargeId, EventId, GrantId, HoldId, KeyId, OrgId, RefundId, TransactionId,
};
use farebox_ledger::refusal::Refusal;
use farebox_ledger::state::Wallet;
use farebox_pricing::event::{KeySource, UsageEvent};
use farebox_pricing::money::Nanos;
use rust_decimal::Decimal;
use std::sync::Arc;

/// One atomic write.
#[derive(Clone, Debug)]
pub struct Write {
    /// The host's time, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who asks.
    pub actor: Actor,
    /// The request, as logs know it.
    pub request_id: Box<str>,
    /// The caller's idempotency key.
    pub idempotency: Option<Idempotency>,
    /// What counts once per org through whichever door it comes.
    pub once: Option<Once>,
    /// What to do.
    pub action: Action,
}

/// What counts once per org, whatever the idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    /// A provider's response.
    Response(ResponseId),
    /// A payment.
    Payment(PaymentId),
}

/// Who asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A customer, by key.
    Key(KeyId),
    /// The operator; the name says which credential.
    Admin(Box<str>),
    /// The host itself, such as an expiry.
    Host,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// A ledger command without rows of its own, but perhaps a note that says why. The store
    /// fills in the command's `detail_digest` from the note.
    Ledger {
        /// The command.
        command: Command,
        /// Why, or the payment's reference; shown beside the transaction.
        note: Option<Box<str>>,
    },
    /// What was used, priced or not.
    Usage(Box<UsageWrite>),
    /// A price for usage that waits for one.
    Settle(Box<SettleWrite>),
    /// A correction of a charge.
    Correct(Box<CorrectionWrite>),
    /// A new org with its wallet.
    CreateOrg {
        /// The org.
        org: OrgRecord,
        /// Its wallet.
        wallet: OpenWallet,
    },
    /// Orgs, keys, releases, bindings, quotes, queries.
    Directory(DirectoryWrite),
    /// Nothing: answered with what took effect under the idempotency key before, whatever the request
    /// was, or with [`WriteError::NotRecorded`].
    Recall(OrgId),
}

/// A usage event and, where it has a price, its charge. The store derives the ledger command
/// (capture, or record unpriced) and the digest that the hash chain covers.
#[derive(Clone, Debug)]
pub struct UsageWrite {
    /// Whose.
    pub org: OrgId,
    /// A fresh id.
    pub event_id: EventId,
    /// When it was used, milliseconds since the Unix epoch.
    pub occurred_at_ms: i64,
    /// The hold it is captured from.
    pub hold: Option<HoldId>,
    /// How far it reaches beyond that hold.
    pub reach: Reach,
    /// Whether the hold's rest is given back.
    pub last: bool,
    /// What it was for.
    pub dimensions: Arc<Dimensions>,
    /// What was used, normalised.
    pub event: UsageEvent,
    /// The provider's usage object, as it came; never content.
    pub raw_usage: Option<Box<[u8]>>,
    /// What operations want to know about the call.
    pub audit: CallAudit,
    /// Who called. Kept apart, and can be erased.
    pub personal: Personal,
    /// Its price under a fresh charge id; absent: it waits for a price.
    pub charge: Option<(ChargeId, Pricing)>,
    /// Why it waits for a price; present when, and only when, it has none.
    pub unpriced: Option<Unpriced>,
    /// What the book counts of its charge.
    pub counts: Vec<Counted>,
}

/// How much further a rule's counter goes with a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The rule of the book.
    pub rule: Box<str>,
    /// The UTC month or day, `2026-11` or `2026-11-21`.
    pub period: Box<str>,
    /// Units, or USD.
    pub quantity: Decimal,
}

/// Why usage waits for a price, and what its rating will need that stands nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpriced {
    /// A stable word, such as `unknown_model`.
    pub reason: Box<str>,
    /// Whose provider key served it. Rated for the wrong one, a customer would owe what it has
    /// paid its provider already.
    pub key_source: KeySource,
    /// What it ran under, and so what prices it; absent where it was recorded before that was kept.
    pub release: Option<ReleaseId>,
}

/// A price for usage that was recorded without one.
#[derive(Clone, Debug)]
pub struct SettleWrite {
    /// Whose.
    pub org: OrgId,
    /// What was used.
    pub event_id: EventId,
    /// A fresh id.
    pub charge: ChargeId,
    /// Its price.
    pub pricing: Pricing,
    /// What the book counts of it.
    pub counts: Vec<Counted>,
}

/// A correction of a charge that a wrong release made. The store derives the ledger command, a
/// refund of the charge, a deduction or the grant that undoes one, and keeps which charge it corrects.
#[derive(Clone, Debug)]
pub struct CorrectionWrite {
    /// Whose.
    pub org: OrgId,
    /// What is corrected.
    pub charge: ChargeId,
    /// What the charge should have been priced by.
    pub release: ReleaseId,
    /// Which way.
    pub way: Way,
    /// How much, above zero.
    pub amount: Nanos,
    /// What had become of the charge when the correction was worked out. Where something else became
    /// of it since, nothing is written.
    pub seen: Corrected,
    /// The id of the refund that may have to be made.
    pub refund: RefundId,
    /// The id of the lot that may have to be made.
    pub grant: GrantId,
    /// Why, in the operator's words.
    pub why: Option<Box<str>>,
}

/// Which way a correction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Back to the customer, of the charge itself: where it was paid from.
    Back,
    /// Back to the customer, of what earlier corrections took beside the charge: as a new lot.
    Returned,
    /// From the customer.
    Taken,
}

/// What the note of every correction begins with.
const CORRECTION: &str = "correction of ";

impl CorrectionWrite {
    /// The note beside the transaction, which the hash chain covers.
    pub fn note(&self) -> Box<str> {
        let (charge, release) = (self.charge, self.release);
        let note = match &self.why {
            None => format!("{CORRECTION}{charge} under {release}"),
            Some(why) => format!("{CORRECTION}{charge} under {release}: {why}"),
        };
        note.into()
    }
}

/// The charge that a note says is corrected.
pub fn corrected_charge(note: &str) -> Option<ChargeId> {
    let (charge, _) = note.strip_prefix(CORRECTION)?.split_once(' ')?;
    charge.parse().ok()
}

/// What operations want to know about a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallAudit {
    /// How long the provider took, in milliseconds.
    pub latency_ms: Option<u32>,
    /// The provider's HTTP status.
    pub status: Option<u16>,
    /// Whether the answer was streamed.
    pub streaming: Option<bool>,
    /// The provider's own id of its response.
    pub response_id: Option<Box<str>>,
    /// The caller's own id of the call.
    pub external_id: Option<Box<str>>,
}

/// Personal data about a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Personal {
    /// The end client's address.
    pub client_ip: Option<Box<str>>,
    /// The end client's user agent.
    pub user_agent: Option<Box<str>>,
}

impl Personal {
    /// Whether there is nothing to keep.
    pub const fn is_empty(&self) -> bool {
        self.client_ip.is_none() && self.user_agent.is_none()
    }
}

/// A durable write.
#[derive(Clone, Debug, PartialEq)]
pub struct Acknowledged {
    /// Whether this is the answer to an earlier, equal write: nothing was done now.
    pub replayed: bool,
    /// The id of the write that took effect, and of its first transaction, if any. The store
    /// makes it when the write's turn comes, so that ids rise with the order of effects.
    pub id: TransactionId,
    /// When it took effect.
    pub at_ms: i64,
    /// What it made.
    pub made: Made,
    /// What the ledger says of it.
    pub outcome: Outcome,
    /// The wallet after it; of a replay: as it is now. Absent without a wallet.
    pub wallet: Option<Wallet>,
    /// Budgets it carried past their limit. Not repeated by a replay.
    pub alerts: Vec<BudgetAlert>,
}

/// The id a write made or concerned: of a replay, the first one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Nothing with an id of its own.
    Nothing,
    /// A hold.
    Hold(HoldId),
    /// A usage event and its charge, where it has a price.
    Usage(EventId, Option<ChargeId>),
    /// Anything else, by the number of its id.
    Other(u128),
}

/// Why a write took no effect.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The ledger's rules forbid it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The directory's rules forbid it.
    #[error(transparent)]
    Directory(#[from] DirectoryRefusal),
    /// The idempotency key came with another request before.
    #[error("the idempotency key was used with another request")]
    IdempotencyConflict,
    /// Nothing took effect under the idempotency key yet.
    #[error("nothing is recorded under the idempotency key")]
    NotRecorded,
    /// The charge was refunded, or corrected by another repair, since the correction was worked out.
    #[error("the charge was refunded or corrected meanwhile")]
    Moved,
    /// The queue is full: try again in a moment.
    #[error("too many writes are waiting")]
    Busy,
    /// A value cannot be written, such as a text of megabytes.
    #[error("`{what}` cannot be stored")]
    TooLarge {
        /// Which value.
        what: &'static str,
    },
    /// Storage failed: nothing of the write took effect.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The store is closing, or closed while the write waited. It may have taken effect only if
    /// it was handed over before: a retry with the same idempotency key tells.
    #[error("the store is shutting down")]
    ShuttingDown,
}
