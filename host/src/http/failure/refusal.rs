//! Every refusal of the ledger as a problem, operation by operation.

use super::super::problem::{Kind, Problem};
use super::super::show::credits;
use super::super::time;
use super::chain;
use farebox_ledger::refusal::{
    AbsorbShortfallRefusal, CaptureRefusal, DeductRefusal, ExceedsBudget, ExceedsCredits,
    ExpireDueRefusal, GrantCreditsRefusal, GrantLeaseRefusal, LeaseLost, OpenWalletRefusal,
    PlaceHoldRefusal, PutBudgetRefusal, RecordUnpricedRefusal, RefundChargeRefusal,
    RefundGrantRefusal, Refusal, ReleaseHoldRefusal, RemoveBudgetRefusal, RenewHoldRefusal,
    RenewLeaseRefusal, ReturnLeaseRefusal, SetCreditLimitRefusal, SettleUnpricedRefusal,
    WalletRefusal,
};
use farebox_pricing::money::Nanos;

impl From<ExceedsCredits> for Problem {
    fn from(error: ExceedsCredits) -> Self {
        Self::new(
            Kind::InsufficientCredits,
            format!(
                "{} more credits are needed than the {} that are available",
                credits(error.missing),
                credits(error.available)
            ),
        )
        .with("available_credits", credits(error.available))
        .with("missing_credits", credits(error.missing))
    }
}

impl From<ExceedsBudget> for Problem {
    fn from(error: ExceedsBudget) -> Self {
        Self::new(
            Kind::BudgetExceeded,
            format!(
                "budget `{}` has {} credits left, {} fewer than are needed",
                error.budget,
                credits(error.available),
                credits(error.missing)
            ),
        )
        .with("budget_id", error.budget.to_string())
        .with("limit_credits", credits(error.limit))
        .with("available_credits", credits(error.available))
        .with("missing_credits", credits(error.missing))
        .with_some("renews_at", error.renews_at_ms.map(time::show))
    }
}

fn shortfall(open: Nanos) -> Problem {
    Problem::new(
        Kind::ShortfallOpen,
        format!("a shortfall of {} credits is open", credits(open)),
    )
    .with("shortfall_credits", credits(open))
}

fn ended(detail: impl ToString, end: &str) -> Problem {
    Problem::new(Kind::HoldEnded, detail).with("end", end)
}

fn left(detail: &str, left: Nanos) -> Problem {
    Problem::new(
        Kind::Conflict,
        format!("{detail}: {} credits", credits(left)),
    )
    .with("left_credits", credits(left))
}

impl From<LeaseLost> for Problem {
    fn from(lost: LeaseLost) -> Self {
        let detail = lost.to_string();
        match lost {
            LeaseLost::NotFound { .. } => Self::new(Kind::NotFound, detail),
            LeaseLost::Ended { end, .. } => ended(detail, end.name()),
            LeaseLost::TurnPassed { .. } => Self::new(Kind::TurnPassed, detail),
        }
    }
}

impl From<WalletRefusal> for Problem {
    fn from(refusal: WalletRefusal) -> Self {
        match refusal {
            WalletRefusal::WalletNotFound { .. } => {
                Self::new(Kind::NotFound, "there is no such org")
            }
            WalletRefusal::OutOfRange => Self::new(Kind::OutOfRange, refusal),
            WalletRefusal::Inconsistent { .. } => {
                tracing::error!(error = chain(&refusal), "ledger contradicts itself");
                Self::new(Kind::Internal, "the ledger must be verified")
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::OpenWallet(OpenWalletRefusal::WalletExists { .. })
            | Refusal::OpenWallet(OpenWalletRefusal::CommodityNotFound { .. }) => {
                Self::new(Kind::Conflict, detail)
            }
            Refusal::SetCreditLimit(refusal) => match refusal {
                SetCreditLimitRefusal::Wallet(refusal) => refusal.into(),
                SetCreditLimitRefusal::BelowUsedCredit { used } => {
                    Self::new(Kind::Conflict, "more than that is spent or held on credit")
                        .with("used_credits", credits(used))
                }
            },
            Refusal::GrantCredits(refusal) => match refusal {
                GrantCreditsRefusal::Wallet(refusal) => refusal.into(),
                GrantCreditsRefusal::GrantExists { .. } => Self::new(Kind::Conflict, detail),
                GrantCreditsRefusal::SourceRefund
                | GrantCreditsRefusal::AmountZero
                | GrantCreditsRefusal::ExpiryNotAhead => Self::new(Kind::InvalidRequest, detail),
            },
            Refusal::Deduct(refusal) => match refusal {
                DeductRefusal::Wallet(refusal) => refusal.into(),
                DeductRefusal::AmountZero => Self::new(Kind::InvalidRequest, detail),
                DeductRefusal::ExceedsCredits(exceeds) => exceeds.into(),
            },
            Refusal::PlaceHold(refusal) => match refusal {
                PlaceHoldRefusal::Wallet(refusal) => refusal.into(),
                PlaceHoldRefusal::HoldExists { .. } => Self::new(Kind::Conflict, detail),
                PlaceHoldRefusal::ExpiryNotAhead => Self::new(Kind::InvalidRequest, detail),
                PlaceHoldRefusal::ShortfallOpen { open } => shortfall(open),
                PlaceHoldRefusal::ExceedsCredits(exceeds) => exceeds.into(),
                PlaceHoldRefusal::ExceedsBudget(exceeds) => exceeds.into(),
            },
            Refusal::RenewHold(refusal) => match refusal {
                RenewHoldRefusal::Wallet(refusal) => refusal.into(),
                RenewHoldRefusal::HoldNotFound { .. } => Self::new(Kind::NotFound, detail),
                RenewHoldRefusal::HoldEnded { end, .. } => ended(detail, end.name()),
                RenewHoldRefusal::IsLease { .. } => Self::new(Kind::Conflict, detail),
                RenewHoldRefusal::ExpiryNotAhead => Self::new(Kind::InvalidRequest, detail),
                RenewHoldRefusal::ShortfallOpen { open } => shortfall(open),
                RenewHoldRefusal::ExceedsCredits(exceeds) => exceeds.into(),
                RenewHoldRefusal::ExceedsBudget(exceeds) => exceeds.into(),
            },
            Refusal::ReleaseHold(refusal) => match refusal {
                ReleaseHoldRefusal::Wallet(refusal) => refusal.into(),
                ReleaseHoldRefusal::HoldNotFound { .. } => Self::new(Kind::NotFound, detail),
                ReleaseHoldRefusal::HoldEnded { end, .. } => ended(detail, end.name()),
                ReleaseHoldRefusal::IsLease { .. } | ReleaseHoldRefusal::UsageUnpriced { .. } => {
                    Self::new(Kind::Conflict, detail)
                }
            },
            Refusal::GrantLease(refusal) => match refusal {
                GrantLeaseRefusal::Wallet(refusal) => refusal.into(),
                GrantLeaseRefusal::LeaseExists { .. } => Self::new(Kind::Conflict, detail),
                GrantLeaseRefusal::ExpiryNotAhead => Self::new(Kind::InvalidRequest, detail),
                GrantLeaseRefusal::ShortfallOpen { open } => shortfall(open),
                GrantLeaseRefusal::ExceedsCredits(exceeds) => exceeds.into(),
                GrantLeaseRefusal::ExceedsBudget(exceeds) => exceeds.into(),
            },
            Refusal::RenewLease(refusal) => match refusal {
                RenewLeaseRefusal::Wallet(refusal) => refusal.into(),
                RenewLeaseRefusal::Lost(lost) => lost.into(),
                RenewLeaseRefusal::ExpiryNotAhead => Self::new(Kind::InvalidRequest, detail),
            },
            Refusal::ReturnLease(refusal) => match refusal {
                ReturnLeaseRefusal::Wallet(refusal) => refusal.into(),
                ReturnLeaseRefusal::Lost(lost) => lost.into(),
            },
            Refusal::Capture(refusal) => match refusal {
                CaptureRefusal::Wallet(refusal) => refusal.into(),
                CaptureRefusal::HoldNotFound { .. } => Self::new(Kind::NotFound, detail),
                CaptureRefusal::AlreadyCaptured { .. } => ended(detail, "captured"),
                CaptureRefusal::BeyondHold { .. } => Self::new(Kind::Conflict, detail),
            },
            Refusal::RecordUnpriced(refusal) => match refusal {
                RecordUnpricedRefusal::Wallet(refusal) => refusal.into(),
                RecordUnpricedRefusal::EventExists { .. } => Self::new(Kind::Conflict, detail),
                RecordUnpricedRefusal::HoldNotFound { .. } => Self::new(Kind::NotFound, detail),
                RecordUnpricedRefusal::AlreadyCaptured { .. } => ended(detail, "captured"),
                RecordUnpricedRefusal::BeyondHold { .. } => Self::new(Kind::Conflict, detail),
            },
            Refusal::SettleUnpriced(refusal) => match refusal {
                SettleUnpricedRefusal::Wallet(refusal) => refusal.into(),
                SettleUnpricedRefusal::EventNotUnpriced { .. } => Self::new(Kind::Conflict, detail),
            },
            Refusal::RefundCharge(refusal) => match refusal {
                RefundChargeRefusal::Wallet(refusal) => refusal.into(),
                RefundChargeRefusal::ChargeNotFound { .. } => Self::new(Kind::NotFound, detail),
                RefundChargeRefusal::AmountZero => Self::new(Kind::InvalidRequest, detail),
                RefundChargeRefusal::ExceedsCharge { left: rest } => {
                    left("less of the charge is left to refund", rest)
                }
            },
            Refusal::RefundGrant(refusal) => match refusal {
                RefundGrantRefusal::Wallet(refusal) => refusal.into(),
                RefundGrantRefusal::GrantNotFound { .. } => Self::new(Kind::NotFound, detail),
                RefundGrantRefusal::AmountZero => Self::new(Kind::InvalidRequest, detail),
                RefundGrantRefusal::ExceedsGrant { left: rest } => {
                    left("less of the grant is left to refund", rest)
                }
            },
            Refusal::AbsorbShortfall(refusal) => match refusal {
                AbsorbShortfallRefusal::Wallet(refusal) => refusal.into(),
                AbsorbShortfallRefusal::AmountZero => Self::new(Kind::InvalidRequest, detail),
                AbsorbShortfallRefusal::ExceedsShortfall { open } => {
                    left("a smaller shortfall is open", open)
                }
            },
            Refusal::PutBudget(PutBudgetRefusal::Wallet(refusal))
            | Refusal::RemoveBudget(RemoveBudgetRefusal::Wallet(refusal))
            | Refusal::ExpireDue(ExpireDueRefusal::Wallet(refusal)) => refusal.into(),
            Refusal::RemoveBudget(RemoveBudgetRefusal::BudgetNotFound { .. }) => {
                Self::new(Kind::NotFound, detail)
            }
        }
    }
}
