//! Every way a use-case fails, as a problem. The one place where errors become HTTP.
//!
//! The ledger's own refusals stand in [`refusal`]. What the client may know stands in the problem; what only operators may know is logged.

mod refusal;

use super::problem::{Kind, Problem};
use super::show::credits;
use crate::service::access::{AccessError, Denied};
use crate::service::backtest::job::BacktestError;
use crate::service::calls::CallError;
use crate::service::data_queries::DataQueryError;
use crate::service::filters::FilterRefused;
use crate::service::history::HistoryError;
use crate::service::holds::{HoldError, NotEnough};
use crate::service::intake::IntakeError;
use crate::service::job::JobError;
use crate::service::keys::KeyError;
use crate::service::leases::LeaseError;
use crate::service::ledger::directory::DirectoryRefusal;
use crate::service::ledger::failure::{ReadError, StorageError};
use crate::service::ledger::write::WriteError;
use crate::service::orgs::OrgError;
use crate::service::policy::{AdmitError, PolicyError};
use crate::service::quotes::QuoteError;
use crate::service::receipts::ReceiptError;
use crate::service::releases::ReleaseError;
use crate::service::repair::RepairError;
use crate::service::settle::{SettleError, UnderError};
use crate::service::trials::TrialError;
use crate::service::usage::UsageError;
use farebox_ledger::refusal::Refusal;
use farebox_pricing::answer::Refusal as PriceRefusal;
use std::error::Error;

/// The text of an error and of all its causes, for logs.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Text(_) | AccessError::Unknown => Self::new(Kind::Unauthenticated, error),
            AccessError::Revoked | AccessError::Expired => Self::new(Kind::KeyEnded, error),
            AccessError::Read(error) => error.into(),
        }
    }
}

impl From<Denied> for Problem {
    fn from(error: Denied) -> Self {
        let kind = match error {
            Denied::Scope { .. } => Kind::Forbidden,
            Denied::OrgNotFound => Kind::NotFound,
            Denied::OrgMissing => Kind::InvalidRequest,
        };
        Self::new(kind, error)
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        tracing::error!(error = chain(&error), "storage failed");
        let kind = match error {
            StorageError::DiskFull(_) => Kind::StorageFull,
            _ => Kind::Unavailable,
        };
        Self::new(kind, error).retry_after(5)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage(error) => error.into(),
            ReadError::Cursor => Self::new(Kind::InvalidCursor, error),
            ReadError::OutOfRange => Self::new(Kind::OutOfRange, error),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(refusal) => refusal.into(),
            WriteError::Directory(refusal) => refusal.into(),
            WriteError::IdempotencyConflict => Self::new(Kind::IdempotencyConflict, error),
            WriteError::Moved => Self::new(Kind::Conflict, error),
            WriteError::NotRecorded => Self::new(Kind::NotFound, error),
            WriteError::Busy | WriteError::ShuttingDown => {
                Self::new(Kind::Busy, error).retry_after(1)
            }
            WriteError::TooLarge { .. } => Self::new(Kind::InvalidRequest, error),
            WriteError::Storage(error) => error.into(),
        }
    }
}

impl From<DirectoryRefusal> for Problem {
    fn from(refusal: DirectoryRefusal) -> Self {
        let kind = match refusal {
            DirectoryRefusal::OrgNotFound(_)
            | DirectoryRefusal::KeyNotFound(_)
            | DirectoryRefusal::ReleaseNotFound(_)
            | DirectoryRefusal::TrialNotFound(_) => Kind::NotFound,
            DirectoryRefusal::OrgExists(_)
            | DirectoryRefusal::KeyExists(_)
            | DirectoryRefusal::ReleaseExists(_)
            | DirectoryRefusal::ReleaseRevoked(_)
            | DirectoryRefusal::SignaturesFull(_)
            | DirectoryRefusal::ReleaseBound { .. }
            | DirectoryRefusal::ReleaseTried { .. }
            | DirectoryRefusal::TrialOver(_)
            | DirectoryRefusal::TrialRuns { .. }
            | DirectoryRefusal::NothingBefore(_)
            | DirectoryRefusal::ScopeNeedsRelease(_)
            | DirectoryRefusal::CommodityExists(_)
            | DirectoryRefusal::QuoteExists(_) => Kind::Conflict,
            DirectoryRefusal::ReleaseNotSigned { ref error, .. } => {
                let reason = error.reason();
                return Self::new(Kind::NotAdmitted, refusal).with("reason", reason);
            }
            DirectoryRefusal::BindingMoved { ref bound, .. } => {
                let bound = bound.as_ref().map(ToString::to_string);
                return Self::new(Kind::BindingMoved, refusal).with_some("bound_release_id", bound);
            }
        };
        Self::new(kind, refusal)
    }
}

impl From<PriceRefusal> for Problem {
    fn from(refusal: PriceRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            PriceRefusal::UnknownModel { provider, model } => Self::new(Kind::UnknownModel, detail)
                .with("provider", &*provider)
                .with("model", &*model),
            PriceRefusal::NotPriced { model, meter } => Self::new(Kind::NotPriced, detail)
                .with("model", &*model)
                .with("meter", &*meter),
            PriceRefusal::NotAllowed { rule } => {
                Self::new(Kind::NotAllowed, detail).with("rule", &*rule)
            }
            PriceRefusal::OutOfRange { .. } => Self::new(Kind::OutOfRange, detail),
        }
    }
}

fn policy_fault(error: &PolicyError) -> Problem {
    if matches!(error, PolicyError::Paused) {
        return Problem::new(
            Kind::PolicyFault,
            "the price policy failed several times in a row for this org and is paused; nothing was \
             held or charged",
        )
        .retry_after(5);
    }
    if matches!(error, PolicyError::Busy) {
        return Problem::new(Kind::Busy, error).retry_after(1);
    }
    tracing::error!(error = chain(error), "policy fault");
    Problem::new(
        Kind::PolicyFault,
        "the price policy gave no valid answer; nothing was held or charged",
    )
    .retry_after(5)
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::OrgNotFound(_) => Self::new(Kind::NotFound, error),
            CallError::Refused(refusal) => refusal.into(),
            CallError::Fault(error) => policy_fault(&error),
            CallError::OutOfRange(_) => Self::new(Kind::OutOfRange, error),
            CallError::Read(error) => error.into(),
        }
    }
}

impl From<QuoteError> for Problem {
    fn from(error: QuoteError) -> Self {
        match error {
            QuoteError::Call(error) => error.into(),
            QuoteError::Write(error) => error.into(),
            QuoteError::Read(error) => error.into(),
        }
    }
}

impl From<HoldError> for Problem {
    fn from(error: HoldError) -> Self {
        let detail = error.to_string();
        match error {
            HoldError::Call(error) => error.into(),
            HoldError::TtlOutOfRange { .. } => Self::new(Kind::InvalidRequest, detail),
            HoldError::QuoteNotFound(_) | HoldError::NotFound(_) => {
                Self::new(Kind::NotFound, detail)
            }
            HoldError::QuoteExpired(_) | HoldError::QuoteExceeded(_) => {
                Self::new(Kind::Conflict, detail)
            }
            HoldError::NotEnough(not_enough) => (*not_enough).into(),
            HoldError::Write(error) => error.into(),
            HoldError::Filter(error) => error.into(),
            HoldError::Read(error) => error.into(),
        }
    }
}

impl From<LeaseError> for Problem {
    fn from(error: LeaseError) -> Self {
        let detail = error.to_string();
        match error {
            LeaseError::Call(error) => error.into(),
            LeaseError::Counts => Self::new(Kind::NotLeased, detail),
            LeaseError::NotFound(_) => Self::new(Kind::NotFound, detail),
            LeaseError::Filter(error) => error.into(),
            LeaseError::Read(error) => error.into(),
            LeaseError::Write(error) => error.into(),
        }
    }
}

impl From<FilterRefused> for Problem {
    fn from(error: FilterRefused) -> Self {
        Self::new(Kind::FilterNotKnown, &error)
            .with("filter", hex::encode(error.filter.0))
            .with("component", hex::encode(error.release.component.0))
    }
}

impl From<NotEnough> for Problem {
    fn from(error: NotEnough) -> Self {
        Self::from(Refusal::from(error.refusal))
            .with("needed_credits", credits(error.needed))
            .with_some("max_output_tokens_affordable", error.max_output_tokens)
    }
}

impl From<UsageError> for Problem {
    fn from(error: UsageError) -> Self {
        let detail = error.to_string();
        match error {
            UsageError::Intake(error) => error.into(),
            UsageError::Time { .. } => Self::new(Kind::TimeOutOfRange, detail),
            UsageError::HoldNotFound(_) => Self::new(Kind::NotFound, detail),
            UsageError::KeyEnded | UsageError::BeyondHold(_) => Self::new(Kind::KeyEnded, detail),
            UsageError::KeySource(_) => Self::new(Kind::Conflict, detail),
            UsageError::Call(error) => error.into(),
            UsageError::Read(error) => error.into(),
            UsageError::Write(error) => error.into(),
        }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        let detail = error.to_string();
        match error {
            IntakeError::Usage(cause) => Self::new(Kind::UnreadableUsage, &cause)
                .with("reason", cause.kind())
                .with_some("path", cause.path()),
            IntakeError::Request(cause) => Self::new(Kind::UnreadableUsage, &cause)
                .with("reason", "request")
                .with("path", "request"),
            IntakeError::Quantity { .. } | IntakeError::Meter { .. } => {
                Self::new(Kind::InvalidQuantity, detail)
            }
            IntakeError::Number { .. } | IntakeError::NegativeCost { .. } => {
                Self::new(Kind::InvalidAmount, detail)
            }
            IntakeError::Cost(_) => Self::new(Kind::OutOfRange, detail),
            _ => Self::new(Kind::InvalidRequest, detail),
        }
    }
}

impl From<DataQueryError> for Problem {
    fn from(error: DataQueryError) -> Self {
        match error {
            DataQueryError::Call(error) => error.into(),
            DataQueryError::Write(error) => error.into(),
        }
    }
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::NotFound { .. } => Self::new(Kind::NotFound, error),
            HistoryError::Read(error) => error.into(),
        }
    }
}

impl From<ReceiptError> for Problem {
    fn from(error: ReceiptError) -> Self {
        let detail = error.to_string();
        match error {
            ReceiptError::NotFound(_) => Self::new(Kind::NotFound, detail),
            ReceiptError::ReleaseMissing { release, .. } => Self::new(Kind::ReleaseMissing, detail)
                .with("component", hex::encode(release.component.0))
                .with("book", hex::encode(release.book.0)),
            ReceiptError::Policy(error) => {
                tracing::error!(error = chain(&*error), "a charge is not priced again");
                Self::new(Kind::PolicyFault, detail)
            }
            ReceiptError::OutOfRange(_) => Self::new(Kind::OutOfRange, detail),
            ReceiptError::Read(error) => error.into(),
        }
    }
}

impl From<AdmitError> for Problem {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Busy => Self::new(Kind::Busy, error).retry_after(1),
            AdmitError::NoCompiler(_) => {
                tracing::error!(error = chain(&error), "no component can be compiled");
                Self::new(Kind::Busy, "no compiler can run on this server now").retry_after(30)
            }
            error => Self::new(Kind::NotAdmitted, chain(&error)).with("reason", error.reason()),
        }
    }
}

impl From<ReleaseError> for Problem {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::NotFound(_)
            | ReleaseError::PlanNotFound(_)
            | ReleaseError::OrgNotFound(_) => Self::new(Kind::NotFound, error),
            ReleaseError::NotLoaded(_) => Self::new(Kind::ReleaseMissing, error),
            ReleaseError::Admit(error) => error.into(),
            ReleaseError::Policy(error) => {
                tracing::error!(error = chain(&error), "a policy does not describe itself");
                Self::new(Kind::PolicyFault, "the policy gives no answer").retry_after(5)
            }
            ReleaseError::ChangeLost(_) => Self::new(Kind::Internal, error),
            ReleaseError::Write(error) => error.into(),
            ReleaseError::Read(error) => error.into(),
        }
    }
}

impl From<BacktestError> for Problem {
    fn from(error: BacktestError) -> Self {
        match error {
            BacktestError::Release(error) => error.into(),
            BacktestError::EmptyRange => Self::new(Kind::InvalidRequest, error),
            BacktestError::Job(error) => error.into(),
        }
    }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        match error {
            JobError::NotFound(_) => Self::new(Kind::NotFound, error),
            JobError::TooMany | JobError::NoThread => Self::new(Kind::Busy, error).retry_after(5),
        }
    }
}

impl From<RepairError> for Problem {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Release(error) => error.into(),
            RepairError::EmptyRange | RepairError::SameRelease => {
                Self::new(Kind::InvalidRequest, error)
            }
            RepairError::Revoked(_) => Self::new(Kind::Conflict, error),
            RepairError::Job(error) => error.into(),
        }
    }
}

impl From<TrialError> for Problem {
    fn from(error: TrialError) -> Self {
        match error {
            TrialError::Release(error) => error.into(),
            TrialError::Bound { .. } => Self::new(Kind::Conflict, error),
            TrialError::Elsewhere(_) | TrialError::OrgNotConcerned { .. } => {
                Self::new(Kind::InvalidRequest, error)
            }
            TrialError::NotFound(_) => Self::new(Kind::NotFound, error),
            TrialError::Write(error) => error.into(),
            TrialError::Read(error) => error.into(),
        }
    }
}

impl From<UnderError> for Problem {
    fn from(error: UnderError) -> Self {
        match error {
            UnderError::Release(error) => error.into(),
            UnderError::Revoked(_) | UnderError::Candidate(_) => Self::new(Kind::Conflict, error),
        }
    }
}

impl From<SettleError> for Problem {
    fn from(error: SettleError) -> Self {
        let detail = error.to_string();
        match error {
            SettleError::History(error) => error.into(),
            SettleError::Priced(_)
            | SettleError::NeedsDecision(_)
            | SettleError::NoRelease(_)
            | SettleError::Revoked(_) => Self::new(Kind::Conflict, detail),
            SettleError::Call(error) => error.into(),
            SettleError::Read(error) => error.into(),
            SettleError::Write(error) => error.into(),
        }
    }
}

impl From<OrgError> for Problem {
    fn from(error: OrgError) -> Self {
        match error {
            OrgError::Call(error) => error.into(),
            OrgError::Write(error) => error.into(),
            OrgError::Read(error) => error.into(),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        let detail = error.to_string();
        match error {
            KeyError::Call(error) => error.into(),
            KeyError::Randomness(_) => Self::new(Kind::Unavailable, detail),
            KeyError::ExpiryNotAhead | KeyError::NoScope => Self::new(Kind::InvalidRequest, detail),
            KeyError::NotFound(_) => Self::new(Kind::NotFound, detail),
            KeyError::ShownBefore(_) => Self::new(Kind::Conflict, detail),
            KeyError::Write(error) => error.into(),
            KeyError::Read(error) => error.into(),
        }
    }
}
