//! What a command did: exactly the rows to write, as they are afterwards. The state takes over the
//! same values, so memory and store cannot drift apart.

use crate::budget::{Budget, BudgetAlert, BudgetUse};
use crate::grant::Grant;
use crate::hold::{Dimensions, EndedHold, Hold};
use crate::ids::{BudgetId, EventId, HoldId, OrgId};
use crate::state::Wallet;
use crate::transaction::Transaction;
use farebox_pricing::money::Nanos;
use std::sync::Arc;

/// What a command did. All of it concerns one org and is written in one database transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Whose.
    pub org: OrgId,
    /// When it took effect: the stamp's time, or the latest the state has seen if that is later.
    pub at_ms: i64,
    /// The wallet afterwards.
    pub wallet: Wallet,
    /// New rows of the journal, in order.
    pub transactions: Vec<Transaction>,
    /// Lots that are new or changed, as they are afterwards. Terms never change.
    pub grants: Vec<Grant>,
    /// Holds that are new, changed or over.
    pub holds: Vec<HoldChange>,
    /// Usage that waits for a price, and usage that no longer does.
    pub unpriced: Vec<UnpricedChange>,
    /// Budgets put or removed.
    pub budgets: Vec<BudgetChange>,
    /// What budgets have counted, as it is afterwards.
    pub budget_uses: Vec<BudgetUse>,
    /// Budgets this carried past their limit.
    pub alerts: Vec<BudgetAlert>,
    /// What the caller is told.
    pub outcome: Outcome,
}

/// What happened to a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldChange {
    /// It is new.
    Placed(Hold),
    /// It was renewed, charged in part, or keeps unpriced usage.
    Changed(Hold),
    /// It is over.
    Ended(EndedHold),
}

/// Usage that waits for a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpriced {
    /// What was used.
    pub event: EventId,
    /// The hold it belongs to; kept for it unless it had ended before.
    pub hold: Option<HoldId>,
    /// What it was for.
    pub dimensions: Arc<Dimensions>,
}

/// What happened to usage without a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnpricedChange {
    /// It is recorded.
    Recorded(Unpriced),
    /// It was charged.
    Settled(EventId),
}

/// What happened to a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetChange {
    /// It is new or replaced.
    Put(Budget),
    /// It is gone.
    Removed(BudgetId),
}

/// What the caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command has nothing to tell beyond the rows.
    Done,
    /// A hold was placed or renewed.
    Held {
        /// What is put aside now.
        left: Nanos,
        /// When it is over unless renewed.
        expires_at_ms: i64,
    },
    /// A lease was granted, renewed, or is kept for usage that has no price yet.
    Leased {
        /// Everything it was ever given, less what went back: what was charged to it was paid from
        /// this, too.
        granted: Nanos,
        /// What is put aside now.
        left: Nanos,
        /// Until when its holder may spend.
        expires_at_ms: i64,
    },
    /// Usage was charged.
    Charged(Charged),
    /// Credits went back: to the customer, or out for cash.
    Refunded(Refunded),
    /// Holds and lots whose time was over.
    Expired {
        /// How many holds ended.
        holds: u32,
        /// How many lots broke.
        grants: u32,
    },
}

/// What a charge was paid from. The four parts sum to the price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charged {
    /// The price.
    pub price: Nanos,
    /// Out of the hold.
    pub from_hold: Nanos,
    /// Out of lots, beyond the hold.
    pub from_wallet: Nanos,
    /// Out of the credit limit, beyond the hold.
    pub from_credit: Nanos,
    /// What nobody could pay: the org's shortfall.
    pub shortfall: Nanos,
    /// What is still put aside; absent when no hold is left.
    pub hold_left: Option<Nanos>,
}

/// Where a refund went. The parts sum to the amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refunded {
    /// How much.
    pub amount: Nanos,
    /// Back into (or out of) lots.
    pub grants: Nanos,
    /// Against what was spent on credit.
    pub credit: Nanos,
    /// Against the open shortfall.
    pub shortfall: Nanos,
    /// Against shortfall the operator had absorbed.
    pub absorbed: Nanos,
    /// Into a new lot.
    pub new_grant: Nanos,
}
