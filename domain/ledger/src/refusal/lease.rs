//! Why a lease is not granted, renewed or taken back.

use super::{ExceedsBudget, ExceedsCredits, WalletRefusal};
use crate::hold::HoldEnd;
use crate::ids::HoldId;
use farebox_pricing::money::Nanos;
use thiserror::Error;

/// Why no lease is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GrantLeaseRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// An active hold has this id.
    #[error("hold `{lease}` exists already")]
    LeaseExists {
        /// The id.
        lease: HoldId,
    },
    /// It would expire at once.
    #[error("a lease cannot expire before it is granted")]
    ExpiryNotAhead,
    /// Earlier calls cost more than the wallet could pay, and that is still open.
    #[error("a shortfall of {} nano-credits is open", open.get())]
    ShortfallOpen {
        /// How much.
        open: Nanos,
    },
    /// The wallet does not have what is needed.
    #[error(transparent)]
    ExceedsCredits(#[from] ExceedsCredits),
    /// A hard budget does not have what is needed.
    #[error(transparent)]
    ExceedsBudget(#[from] ExceedsBudget),
}

/// Why there is no lease that whoever asks may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LeaseLost {
    /// The org never had this lease.
    #[error("lease `{lease}` does not exist")]
    NotFound {
        /// The id.
        lease: HoldId,
    },
    /// It is over (L7), or only kept for usage that has no price yet.
    #[error("lease `{lease}` is {end}")]
    Ended {
        /// The id.
        lease: HoldId,
        /// How.
        end: HoldEnd,
    },
    /// It was renewed since, or whoever asks does not hold it.
    #[error("lease `{lease}` was renewed by another request")]
    TurnPassed {
        /// The id.
        lease: HoldId,
    },
}

/// Why a lease stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RenewLeaseRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// There is none to renew.
    #[error(transparent)]
    Lost(#[from] LeaseLost),
    /// The new end lies in the past.
    #[error("a lease cannot be renewed until before now")]
    ExpiryNotAhead,
}

/// Why a lease is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReturnLeaseRefusal {
    /// What stops any operation.
    #[error(transparent)]
    Wallet(#[from] WalletRefusal),
    /// There is none to take back.
    #[error(transparent)]
    Lost(#[from] LeaseLost),
}
