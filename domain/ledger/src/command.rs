//! Everything that can be asked of the ledger. Ids, times and prices are made outside and passed
//! in: equal state and equal command give an equal effect, on every machine.
//!
//! Times are milliseconds since the Unix epoch. Each command concerns exactly one org.

use crate::budget::Budget;
use crate::grant::{Cash, Grant, GrantSource};
use crate::hold::{Dimensions, HoldEnd, Payer};
use crate::ids::{
    BudgetId, ChargeId, CommodityId, Digest, EventId, GrantId, HoldId, OrgId, RefundId,
    TransactionId,
};
use farebox_pricing::money::Nanos;
use std::sync::Arc;

/// When a command is applied, and the id of its first transaction; further ones take the ids
/// [after](TransactionId::after) it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The host's clock. Should it lie before what the state has seen, the later one counts.
    pub now_ms: i64,
    /// The id of the first transaction.
    pub transaction: TransactionId,
}

/// Creates an org's wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWallet {
    /// Whose.
    pub org: OrgId,
    /// What it holds; must be known to the state.
    pub commodity: CommodityId,
    /// How far available may go below zero.
    pub credit_limit: Nanos,
}

/// Changes how far available may go below zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCreditLimit {
    /// Whose.
    pub org: OrgId,
    /// The new limit; not below what is spent or held on credit.
    pub credit_limit: Nanos,
}

/// Adds a lot; an open shortfall, then credit, are paid from it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantCredits {
    /// Whose.
    pub org: OrgId,
    /// The new lot's id.
    pub grant: GrantId,
    /// Where it comes from; `Refund` is not for callers.
    pub source: GrantSource,
    /// How much, above zero.
    pub amount: Nanos,
    /// What was paid.
    pub cash_paid: Option<Cash>,
    /// Lower is spent first.
    pub priority: u16,
    /// When it can no longer be spent.
    pub expires_at_ms: Option<i64>,
    /// The only features it may be spent on; empty: any.
    pub features: Box<[Box<str>]>,
    /// Of the payment or note.
    pub detail_digest: Digest,
}

/// Takes credits as a correction: from lots that any feature may spend, in spend order, then from
/// credit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deduct {
    /// Whose.
    pub org: OrgId,
    /// How much, above zero.
    pub amount: Nanos,
    /// Of the note that says why.
    pub detail_digest: Digest,
}

/// Puts credits aside for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceHold {
    /// Whose.
    pub org: OrgId,
    /// The new hold's id.
    pub hold: HoldId,
    /// The worst case; zero for a free call.
    pub amount: Nanos,
    /// When it is over unless renewed, by the clock of the [`Stamp`]. Where that lies behind the
    /// ledger's time, this moves with it; the outcome says what it became.
    pub expires_at_ms: i64,
    /// What the call is for.
    pub dimensions: Arc<Dimensions>,
    /// What the host needs to rate the call later; opaque here, kept with the hold.
    pub context: Arc<[u8]>,
}

/// Prolongs a hold, and may put more aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewHold {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub hold: HoldId,
    /// The new end, by the clock of the [`Stamp`]; never shortens.
    pub expires_at_ms: i64,
    /// What is put aside on top; may be zero.
    pub extra: Nanos,
}

/// Ends a hold without a (further) charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseHold {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub hold: HoldId,
}

/// How much a lease may take of what is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// What its holder would like to have beyond what it has.
    pub want: Nanos,
    /// The most of what is available that it gets, in thousandths; the rest is for others.
    pub share_permille: u16,
    /// Until when its holder may spend, by the clock of the [`Stamp`].
    pub expires_at_ms: i64,
}

/// Puts credits aside for an edge: a hold that many calls are held and charged with. It gets what
/// it wants, but no more than its share of what wallet and hard budgets have, and no less than
/// `least`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantLease {
    /// Whose.
    pub org: OrgId,
    /// The new hold's id.
    pub lease: HoldId,
    /// What a call needs that waits for it; refused when that much is not available.
    pub least: Nanos,
    /// How much it takes.
    pub terms: LeaseTerms,
    /// How long it is in doubt after it expired, in milliseconds.
    pub doubt_ms: i64,
    /// What its calls are for.
    pub dimensions: Arc<Dimensions>,
    /// What the host needs to rate its calls; opaque here, kept with it.
    pub context: Arc<[u8]>,
}

/// Changes how much a lease has, up or down, and how long it lives, in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewLease {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub lease: HoldId,
    /// Its turn, as the last answer told its holder.
    pub turn: TransactionId,
    /// Of all it was ever given, what its holder keeps: nothing beyond this is or will be spent by
    /// calls that run. The rest goes back first.
    pub keep: Nanos,
    /// How much it takes on top. With less available it gets less, perhaps nothing.
    pub terms: LeaseTerms,
}

/// Ends a lease: its holder spends no more, and has reported all it spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnLease {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub lease: HoldId,
    /// Its turn, as the last answer told its holder.
    pub turn: TransactionId,
    /// What stays put aside while usage under it waits for a price; everything goes back where
    /// there is none.
    pub keep: Nanos,
}

/// How far a report of usage reaches into its org's credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Whatever was used is charged: beyond the hold to the wallet, and beyond that as a shortfall.
    #[default]
    Wallet,
    /// What an active hold still has, and nothing else: whoever reports may spend no more.
    Hold,
}

/// Charges what was used. What was really used is never dropped: beyond the hold the wallet pays
/// what is available, and the rest is the org's shortfall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Whose.
    pub org: OrgId,
    /// The hold it belongs to; absent: charged directly.
    pub hold: Option<HoldId>,
    /// How far it reaches.
    pub reach: Reach,
    /// Whether the hold's rest is given back: nothing more comes.
    pub last: bool,
    /// The new charge's id.
    pub charge: ChargeId,
    /// What was used.
    pub event: EventId,
    /// What the org pays; zero for a free call.
    pub price: Nanos,
    /// What the call cost the operator.
    pub cost: Nanos,
    /// What it was for; a known hold's own dimensions win.
    pub dimensions: Arc<Dimensions>,
    /// Of the receipt.
    pub detail_digest: Digest,
}

/// Records usage that has no price yet. Moves nothing; keeps the hold past its expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordUnpriced {
    /// Whose.
    pub org: OrgId,
    /// The hold it belongs to.
    pub hold: Option<HoldId>,
    /// How far it reaches: with [`Reach::Hold`] its hold must be active.
    pub reach: Reach,
    /// Whether it is the hold's last usage.
    pub last: bool,
    /// What was used.
    pub event: EventId,
    /// What it was for; a known hold's own dimensions win.
    pub dimensions: Arc<Dimensions>,
}

/// Charges usage that was recorded unpriced. Writing it off is a price of zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleUnpriced {
    /// Whose.
    pub org: OrgId,
    /// What was used.
    pub event: EventId,
    /// The new charge's id.
    pub charge: ChargeId,
    /// What the org pays.
    pub price: Nanos,
    /// What the call cost the operator.
    pub cost: Nanos,
    /// Of the receipt.
    pub detail_digest: Digest,
}

/// Gives a charge back, whole or in part, exactly to where it came from: first what was
/// shortfall, then what paid, from the last to the first. Nothing is rated again.
///
/// What goes back into a lot that has expired since expires with it, in the same effect: the
/// ledger is then as if the charge had never been. What had been shortfall and was absorbed since
/// reverses the absorption. What had been shortfall or credit and was paid since becomes a new lot
/// without expiry. Budgets that still count the charge count it less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundCharge {
    /// Whose.
    pub org: OrgId,
    /// Which charge.
    pub charge: ChargeId,
    /// The new refund's id.
    pub refund: RefundId,
    /// How much; absent: all that is not refunded yet.
    pub amount: Option<Nanos>,
    /// The id of the lot that may have to be made.
    pub grant: GrantId,
    /// Of the note that says why.
    pub detail_digest: Digest,
}

/// Takes back the unspent part of a lot; the cash goes back outside the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundGrant {
    /// Whose.
    pub org: OrgId,
    /// Which lot.
    pub grant: GrantId,
    /// The new refund's id.
    pub refund: RefundId,
    /// How much; absent: all that is left and that no hold has named.
    pub amount: Option<Nanos>,
    /// Of the note that says why.
    pub detail_digest: Digest,
}

/// The operator takes an open shortfall on itself, so that the org can call again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsorbShortfall {
    /// Whose.
    pub org: OrgId,
    /// How much; absent: all of it.
    pub amount: Option<Nanos>,
    /// Of the note that says why.
    pub detail_digest: Digest,
}

/// Creates a budget or replaces the one with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBudget {
    /// Whose.
    pub org: OrgId,
    /// The budget.
    pub budget: Budget,
    /// What a new budget has already counted in its current window, as far as the caller knows.
    /// One that keeps its scope, window and zone keeps what it counted, and this is ignored.
    pub spent: Nanos,
}

/// Ends a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveBudget {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub budget: BudgetId,
}

/// Ends the holds and lots of an org whose time is over. Every other command does the same first,
/// so this is for orgs nobody calls; [`crate::state::State::next_due`] names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireDue {
    /// Whose.
    pub org: OrgId,
}

/// Anything that can be asked of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the struct of the same name")]
pub enum Command {
    OpenWallet(OpenWallet),
    SetCreditLimit(SetCreditLimit),
    GrantCredits(GrantCredits),
    Deduct(Deduct),
    PlaceHold(PlaceHold),
    RenewHold(RenewHold),
    ReleaseHold(ReleaseHold),
    GrantLease(GrantLease),
    RenewLease(RenewLease),
    ReturnLease(ReturnLease),
    Capture(Capture),
    RecordUnpriced(RecordUnpriced),
    SettleUnpriced(SettleUnpriced),
    RefundCharge(RefundCharge),
    RefundGrant(RefundGrant),
    AbsorbShortfall(AbsorbShortfall),
    PutBudget(PutBudget),
    RemoveBudget(RemoveBudget),
    ExpireDue(ExpireDue),
}

impl Command {
    /// The org it concerns.
    pub const fn org(&self) -> OrgId {
        match self {
            Self::OpenWallet(command) => command.org,
            Self::SetCreditLimit(command) => command.org,
            Self::GrantCredits(command) => command.org,
            Self::Deduct(command) => command.org,
            Self::PlaceHold(command) => command.org,
            Self::RenewHold(command) => command.org,
            Self::ReleaseHold(command) => command.org,
            Self::GrantLease(command) => command.org,
            Self::RenewLease(command) => command.org,
            Self::ReturnLease(command) => command.org,
            Self::Capture(command) => command.org,
            Self::RecordUnpriced(command) => command.org,
            Self::SettleUnpriced(command) => command.org,
            Self::RefundCharge(command) => command.org,
            Self::RefundGrant(command) => command.org,
            Self::AbsorbShortfall(command) => command.org,
            Self::PutBudget(command) => command.org,
            Self::RemoveBudget(command) => command.org,
            Self::ExpireDue(command) => command.org,
        }
    }
}

/// What a command needs from the past that the state does not keep in memory. The store looks it
/// up when [`crate::state::State::recall`] asks for it, and passes the [`Past`] to `apply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// How this hold, which is not active, ended.
    Hold(HoldId),
    /// What this charge was paid from.
    Charge(ChargeId),
}

/// The answer to a [`Recall`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Past {
    /// Nothing was asked, or there is no such row in this org.
    #[default]
    Nothing,
    /// An ended hold.
    Hold(PastHold),
    /// A charge.
    Charge(PastCharge),
}

/// An ended hold, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastHold {
    /// How it ended.
    pub end: HoldEnd,
    /// What it was for.
    pub dimensions: Arc<Dimensions>,
}

/// A charge, as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastCharge {
    /// When it was charged.
    pub at_ms: i64,
    /// What it was for: budgets of its window get the refund back.
    pub dimensions: Arc<Dimensions>,
    /// The wallet's part, in the order it was spent: the movements of the charge's transaction.
    pub paid: Vec<PastPart>,
    /// The shortfall's part: what the charge posted to the shortfall account, without its sign.
    pub shortfall: Nanos,
    /// How much of the whole charge is refunded already, by all refunds before.
    pub refunded: Nanos,
    /// The lots named in `paid`, as their rows are now; those in the state's memory win.
    pub grants: Vec<Grant>,
}

/// A movement of a past charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastPart {
    /// What paid.
    pub payer: Payer,
    /// How much.
    pub amount: Nanos,
}
