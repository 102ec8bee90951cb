//! Why a command is refused: one enum per operation, its variants in order of precedence (the
//! first that applies is the one reported), each named by the rule that would be broken.
//!
//! A refusal changes nothing. Amounts are nano-credits. How these become HTTP is not known here.

mod lease;

pub use lease::{GrantLeaseRefusal, LeaseLost, RenewLeaseRefusal, ReturnLeaseRefusal};

use crate::hold::HoldEnd;
use crate::ids::{BudgetId, ChargeId, CommodityId, EventId, GrantId, HoldId, OrgId};
use farebox_pricing::money::Nanos;
use thiserror::Error;

/// Why any command is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each variant is the enum of its operation")]
pub enum Refusal {
    #[error(transparent)]
    OpenWallet(#[from] OpenWalletRefusal),
    #[error(transparent)]
    SetCreditLimit(#[from] SetCreditLimitRefusal),
    #[error(transparent)]
    GrantCredits(#[from] GrantCreditsRefusal),
    #[error(transparent)]
    Deduct(#[from] DeductRefusal),
    #[error(transparent)]
    PlaceHold(#[from] PlaceHoldRefusal),
    #[error(transparent)]
    RenewHold(#[from] RenewHoldRefusal),
    #[error(transparent)]
    ReleaseHold(#[from] ReleaseHoldRefusal),
    #[error(transparent)]
    GrantLease(#[from] GrantLeaseRefusal),
    #[error(transparent)]
    RenewLease(#[from] RenewLeaseRefusal),
    #[error(transparent)]
    ReturnLease(#[from] ReturnLeaseRefusal),
    #[error(transparent)]
    Capture(#[from] CaptureRefusal),
    #[error(transparent)]
    RecordUnpriced(#[from] RecordUnpricedRefusal),
    #[error(transparent)]
    SettleUnpriced(#[from] SettleUnpricedRefusal),
    #[error(transparent)]
    RefundCharge(#[from] RefundChargeRefusal),
    #[error(transparent)]
    RefundGrant(#[from] RefundGrantRefusal),
    #[error(transparent)]
    AbsorbShortfall(#[from] AbsorbShortfallRefusal),
    #[error(transparent)]
    PutBudget(#[from] PutBudgetRefusal),
    #[error(transparent)]
    RemoveBudget(#[from] RemoveBudgetRefusal),
    #[error(transparent)]
    ExpireDue(#[from] ExpireDueRefusal),
}

/// What can stop any operation on an existing wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WalletRefusal {
    /// The org has no wallet.
    #[error("org `{org}` has no wallet")]
    WalletNotFound {
        /// The org.
        org: OrgId,
    },
    /// A balance, a count or a time would leave its range; nothing wraps and nothing saturates.
    #[error("the result of this would be out of range")]
    OutOfRange,
    /// What the state knows of the org contradicts itself: it must be verified and reloaded.
    #[error("the ledger of org `{org}` contradicts itself")]
    Inconsistent {
        /// The org.
        org: OrgId,
    },
}

/// Less is available than is needed: 402.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{} more nano-credits are needed than the {} that are available", missing.get(), available.get())]
pub struct ExceedsCredits {
    /// What this call could have spent, with the credit limit.
    pub available: Nanos,
    /// What is needed beyond it.
    pub missing: Nanos,
}

/// A hard budget has less left than is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("budget `{budget}` has {} nano-credits left, {} fewer than are needed", available.get(), missing.get())]
pub struct ExceedsBudget {
    /// The budget.
    pub budget: BudgetId,
    /// Its limit.
    pub limit: Nanos,
    /// What its current window has left.
    pub available: Nanos,
    /// What is needed beyond it.
    pub missing: Nanos,
    /// When the window ends, milliseconds since the Unix epoch; absent: never.
    pub renews_at_ms: Option<i64>,
}

/// Why a wallet is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenWalletRefusal {
    /// The org has one.
    #[error("org `{org}` has a wallet already")]
    WalletExists {
        /// The org.
        org: OrgId,
    },
    /// The commodity was never created.
    #[error("no commodity has the id `{commodity}`")]
    CommodityNotFound {
        /// The commodity.
        commodity: CommodityId,
    },
}

/// Why a credit limit is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SetCreditLimitRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// More than that is spent or held on credit (L3).
    #[error("{} nano-credits are spent or held on credit", used.get())]
    BelowUsedCredit {
        /// What is spent or held on credit.
        used: Nanos,
    },
}

/// Why credits are not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GrantCreditsRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// A lot has this id.
    #[error("grant `{grant}` exists already")]
    GrantExists {
        /// The id.
        grant: GrantId,
    },
    /// Lots of refunds are made by refunding.
    #[error("a grant cannot come from a refund")]
    SourceRefund,
    /// A lot of nothing.
    #[error("a grant must be above zero")]
    AmountZero,
    /// It would expire at once.
    #[error("a grant cannot expire before it is given")]
    ExpiryNotAhead,
}

/// Why credits are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DeductRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// Nothing to take.
    #[error("a deduction must be above zero")]
    AmountZero,
    /// More than there is.
    #[error(transparent)]
    ExceedsCredits(#[from] ExceedsCredits),
}

/// Why nothing is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlaceHoldRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// An active hold has this id.
    #[error("hold `{hold}` exists already")]
    HoldExists {
        /// The id.
        hold: HoldId,
    },
    /// It would expire at once.
    #[error("a hold cannot expire before it is placed")]
    ExpiryNotAhead,
    /// Earlier calls cost more than the wallet could pay, and that is still open.
    #[error("a shortfall of {} nano-credits is open", open.get())]
    ShortfallOpen {
        /// How much.
        open: Nanos,
    },
    /// The wallet does not have it.
    #[error(transparent)]
    ExceedsCredits(#[from] ExceedsCredits),
    /// A hard budget does not have it.
    #[error(transparent)]
    ExceedsBudget(#[from] ExceedsBudget),
}

/// Why a hold is not renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RenewHoldRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// The org never had this hold.
    #[error("hold `{hold}` does not exist")]
    HoldNotFound {
        /// The id.
        hold: HoldId,
    },
    /// It is over (L7).
    #[error("hold `{hold}` is {end}")]
    HoldEnded {
        /// The id.
        hold: HoldId,
        /// How.
        end: HoldEnd,
    },
    /// It is a lease, which is renewed as one.
    #[error("hold `{hold}` is a lease")]
    IsLease {
        /// The id.
        hold: HoldId,
    },
    /// The new end lies in the past.
    #[error("a hold cannot be renewed until before now")]
    ExpiryNotAhead,
    /// More was asked for while a shortfall is open. Time alone is always given.
    #[error("a shortfall of {} nano-credits is open", open.get())]
    ShortfallOpen {
        /// How much.
        open: Nanos,
    },
    /// The wallet does not have the extra amount.
    #[error(transparent)]
    ExceedsCredits(#[from] ExceedsCredits),
    /// A hard budget does not have the extra amount.
    #[error(transparent)]
    ExceedsBudget(#[from] ExceedsBudget),
}

/// Why a hold is not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReleaseHoldRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// The org never had this hold.
    #[error("hold `{hold}` does not exist")]
    HoldNotFound {
        /// The id.
        hold: HoldId,
    },
    /// It is over (L7).
    #[error("hold `{hold}` is {end}")]
    HoldEnded {
        /// The id.
        hold: HoldId,
        /// How.
        end: HoldEnd,
    },
    /// It is a lease, which is returned as one.
    #[error("hold `{hold}` is a lease")]
    IsLease {
        /// The id.
        hold: HoldId,
    },
    /// Usage under it waits for a price.
    #[error("hold `{hold}` is kept for usage that has no price yet")]
    UsageUnpriced {
        /// The id.
        hold: HoldId,
    },
}

/// Why usage is not charged. Never for lack of credits: that becomes the shortfall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CaptureRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// The org never had this hold.
    #[error("hold `{hold}` does not exist")]
    HoldNotFound {
        /// The id.
        hold: HoldId,
    },
    /// It reaches no further than its hold, which has ended or has less left.
    #[error("only hold `{hold}` may pay for it, and that has {} credits left", .left.credits())]
    BeyondHold {
        /// The id.
        hold: HoldId,
        /// What it has left, in nano-credits; zero where it has ended.
        left: Nanos,
    },
    /// Its last usage was charged, or waits for its price (L6).
    #[error("hold `{hold}` is captured already")]
    AlreadyCaptured {
        /// The id.
        hold: HoldId,
    },
}

/// Why usage without a price is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordUnpricedRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// The event waits already.
    #[error("event `{event}` is recorded already")]
    EventExists {
        /// The event.
        event: EventId,
    },
    /// The org never had this hold.
    #[error("hold `{hold}` does not exist")]
    HoldNotFound {
        /// The id.
        hold: HoldId,
    },
    /// It reaches no further than its hold, which has ended or has less left.
    #[error("only hold `{hold}` may pay for it, and that has {} credits left", .left.credits())]
    BeyondHold {
        /// The id.
        hold: HoldId,
        /// What it has left, in nano-credits; zero where it has ended.
        left: Nanos,
    },
    /// Its last usage was charged, or waits for its price (L6).
    #[error("hold `{hold}` is captured already")]
    AlreadyCaptured {
        /// The id.
        hold: HoldId,
    },
}

/// Why usage without a price is not charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SettleUnpricedRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// The event does not wait for a price: it never did, or it was charged (L6).
    #[error("event `{event}` does not wait for a price")]
    EventNotUnpriced {
        /// The event.
        event: EventId,
    },
}

/// Why a charge is not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RefundChargeRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// The org never had this charge.
    #[error("charge `{charge}` does not exist")]
    ChargeNotFound {
        /// The id.
        charge: ChargeId,
    },
    /// Nothing to give back.
    #[error("a refund must be above zero")]
    AmountZero,
    /// More than is left of the charge.
    #[error("{} nano-credits of the charge are left to refund", left.get())]
    ExceedsCharge {
        /// What is not refunded yet.
        left: Nanos,
    },
}

/// Why a lot is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RefundGrantRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// There is no such lot, or nothing is left of it.
    #[error("grant `{grant}` does not exist or is spent")]
    GrantNotFound {
        /// The id.
        grant: GrantId,
    },
    /// Nothing to take back.
    #[error("a refund must be above zero")]
    AmountZero,
    /// More than is left that no hold has named.
    #[error("{} nano-credits of the grant are left to refund", left.get())]
    ExceedsGrant {
        /// What can be taken back.
        left: Nanos,
    },
}

/// Why a shortfall is not absorbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AbsorbShortfallRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// Nothing to absorb.
    #[error("an absorption must be above zero")]
    AmountZero,
    /// More than is open.
    #[error("a shortfall of {} nano-credits is open", open.get())]
    ExceedsShortfall {
        /// What is open.
        open: Nanos,
    },
}

/// Why a budget is not put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PutBudgetRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
}

/// Why a budget is not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RemoveBudgetRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// The org has no such budget.
    #[error("budget `{budget}` does not exist")]
    BudgetNotFound {
        /// The id.
        budget: BudgetId,
    },
}

/// Why nothing is expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExpireDueRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
}
