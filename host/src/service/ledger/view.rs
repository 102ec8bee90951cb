//! What reads answer: rows joined and named for people, still without wire or SQL.

use super::directory::QueryRecord;
use super::write::{Actor, CallAudit, Personal, Unpriced};
use farebox_ledger::chain::Head;
use farebox_ledger::commodity::Commodity;
use farebox_ledger::hold::{Dimensions, EndedHold, Hold};
use farebox_ledger::ids::{ChargeId, EventId, HoldId, KeyId, TransactionId};
use farebox_ledger::state::Wallet;
use farebox_ledger::transaction::Transaction;
use farebox_pricing::event::UsageEvent;
use farebox_pricing::exact;
use farebox_pricing::money::Nanos;
use rust_decimal::Decimal;
use std::sync::Arc;

/// A wallet and what its credits are.
#[derive(Clone, Debug, PartialEq)]
pub struct WalletView {
    /// The wallet.
    pub wallet: Wallet,
    /// What its credits are worth.
    pub commodity: Commodity,
}

/// A hold, active or over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldView {
    /// The hold as it is, or as it was before it ended.
    pub hold: Hold,
    /// How it ended.
    pub ended: Option<EndedHold>,
}

/// Where in a list to begin: the cursor of an earlier page, or its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// [`Page::next`] of the page before.
    pub after: Option<u128>,
    /// At most so many items; the store caps it at [`PageRequest::LIMIT_MAX`].
    pub limit: usize,
}

impl PageRequest {
    /// The most items in one page.
    pub const LIMIT_MAX: usize = 1_000;
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to ask for the next page with; absent: this is the last.
    pub next: Option<u128>,
}

/// A transaction and what stands beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionView {
    /// The row of the journal.
    pub transaction: Transaction,
    /// Why, or the payment's reference.
    pub note: Option<Box<str>>,
}

/// A usage event and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageView {
    /// Which.
    pub id: EventId,
    /// When it was used, milliseconds since the Unix epoch.
    pub occurred_at_ms: i64,
    /// When it was recorded.
    pub recorded_at_ms: i64,
    /// The hold it was captured from.
    pub hold: Option<HoldId>,
    /// Whether the report said that nothing more comes under the hold.
    pub last: bool,
    /// What it was for.
    pub dimensions: Arc<Dimensions>,
    /// What was used.
    pub event: UsageEvent,
    /// The provider's usage object, as it came.
    pub raw_usage: Option<Box<[u8]>>,
    /// What operations want to know about it.
    pub audit: CallAudit,
    /// Who called, unless erased.
    pub personal: Personal,
    /// What it was charged; absent: it waits for a price.
    pub charge: Option<UsageCharge>,
    /// Why it was recorded without a price.
    pub unpriced: Option<Unpriced>,
}

/// What a usage event was charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageCharge {
    /// The charge.
    pub id: ChargeId,
    /// The price.
    pub price: Nanos,
    /// What it cost the operator.
    pub cost: Nanos,
    /// The provider's list price in USD, where known.
    pub market_usd: Option<Decimal>,
    /// See [`super::receipt::Pricing::saved_usd`].
    pub saved_usd: Option<Decimal>,
}

/// Which usage. An absent field admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Recorded from here on, milliseconds since the Unix epoch.
    pub from_ms: Option<i64>,
    /// Recorded before.
    pub to_ms: Option<i64>,
    /// With this key.
    pub key: Option<KeyId>,
    /// At this provider.
    pub provider: Option<Box<str>>,
    /// By this model (the served one, else the one asked).
    pub model: Option<Box<str>>,
    /// For this feature.
    pub feature: Option<Box<str>>,
    /// Of this project.
    pub project: Option<Box<str>>,
    /// For this user.
    pub user: Option<Box<str>>,
    /// By this agent.
    pub agent: Option<Box<str>>,
    /// Only what waits, or waited at first, for a price.
    pub unpriced: Option<bool>,
}

/// What usage is summed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the dimension of its name")]
pub enum GroupBy {
    /// The UTC day it was recorded, `YYYY-MM-DD`.
    Day,
    Model,
    Provider,
    Feature,
    Key,
    Project,
    User,
    Agent,
}

/// What calls cost less than the provider's list price says; in USD, exact. Only calls on the
/// operator's keys whose list price is known are in either sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Savings {
    /// Their list prices.
    pub market_usd: Decimal,
    /// How much less was paid; below zero where more was.
    pub saved_usd: Decimal,
}

impl Savings {
    /// Of one call; absent where nothing says what was saved.
    pub fn of(charge: &UsageCharge) -> Option<Self> {
        Some(Self {
            market_usd: charge.market_usd?,
            saved_usd: charge.saved_usd?,
        })
    }

    /// Both sums; `None` when one leaves its range.
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            market_usd: exact::add(self.market_usd, other.market_usd).ok()?,
            saved_usd: exact::add(self.saved_usd, other.saved_usd).ok()?,
        })
    }

    /// The share of the list price that was saved, in percent with two decimal places, cut towards
    /// zero. `None` without a list price above zero.
    pub fn percent(self) -> Option<Decimal> {
        let hundred = exact::mul(self.saved_usd, Decimal::ONE_HUNDRED).ok()?;
        let share = hundred.checked_div(self.market_usd)?;
        Some(share.trunc_with_scale(2).normalize())
    }
}

/// Usage summed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageGroup {
    /// The values of what it is summed by, in the order asked; absent where events have none.
    pub values: Vec<Option<Box<str>>>,
    /// How many events.
    pub events: u64,
    /// How many of them wait for a price.
    pub unpriced: u64,
    /// What they were charged, at first.
    pub price: Nanos,
    /// What they cost the operator.
    pub cost: Nanos,
    /// What was refunded of it by now, by hand and by repairs.
    pub refunded: Nanos,
    /// What repairs took beside it by now, less what they returned.
    pub taken: Nanos,
    /// What was saved, where the list price of any is known.
    pub savings: Option<Savings>,
    /// Quantities by meter name, in the order of names.
    pub quantities: Vec<(Box<str>, Decimal)>,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditView {
    /// The write's id.
    pub id: TransactionId,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who.
    pub actor: Actor,
    /// What, as a stable word such as `grant_credits`.
    pub verb: Box<str>,
    /// On what, as the text of its id.
    pub subject: Option<Box<str>>,
    /// The request, as logs know it.
    pub request_id: Box<str>,
}

/// A free public-data query.
pub type QueryView = QueryRecord;

/// The end of an org's hash chain, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// The head.
    pub head: Head,
    /// When it was signed, milliseconds since the Unix epoch.
    pub signed_at_ms: i64,
    /// Ed25519 over [`farebox_ledger::chain::head_message`].
    pub signature: [u8; 64],
    /// The key that verifies it.
    pub public_key: [u8; 32],
}

/// An active lease, as of the last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// Which.
    pub id: HoldId,
    /// What it puts aside.
    pub left: Nanos,
    /// From this millisecond since the Unix epoch on it is in doubt.
    pub expires_at_ms: i64,
}

/// Numbers for operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Orgs with a wallet.
    pub orgs: u64,
    /// Active holds, leases among them.
    pub holds_active: u64,
    /// Active leases.
    pub leases: u64,
    /// Of them those that are in doubt.
    pub leases_in_doubt: u64,
    /// What leases put aside.
    pub leased: Nanos,
    /// Usage that waits for a price.
    pub unpriced: u64,
    /// Writes that wait.
    pub queue: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Writes made durable since the start.
    pub writes: u64,
    /// Commits that failed since the start.
    pub failed_commits: u64,
    /// Size of the database file, in bytes.
    pub database_bytes: u64,
}
