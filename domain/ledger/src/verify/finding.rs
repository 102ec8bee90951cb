//! What an audit finds: the invariant, the org, the transaction, and what exactly is wrong.

use crate::account::Account;
use crate::chain::ChainError;
use crate::ids::{ChargeId, EventId, GrantId, HoldId, OrgId, RefundId, TransactionId};
use crate::transaction::UnbalancedError;
use std::fmt;
use thiserror::Error;

/// An invariant of the ledger, as docs/ARCHITECTURE.md numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Every transaction balances, on the accounts of its own kind.
    L1,
    /// A wallet is the sum of its postings and of its lots; available is that less active holds.
    L2,
    /// Available never falls below the credit limit.
    L3,
    /// The journal is a chain that ends at its head.
    L5,
    /// A charge, an event, a refund: each counts once.
    L6,
    /// A hold ends once and gives back what is left.
    L7,
    /// Lots are spent in order and expire as breakage.
    L8,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Something that must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{invariant}: {violation} (org `{org}`)")]
pub struct Finding {
    /// Which invariant is broken.
    pub invariant: Invariant,
    /// Whose ledger.
    pub org: OrgId,
    /// In which transaction, where it is one.
    pub transaction: Option<TransactionId>,
    /// How.
    pub violation: Violation,
}

/// How an invariant is broken. Amounts are nano-credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum Violation {
    #[error("transaction {seq}: {error}")]
    Unbalanced { seq: u64, error: UnbalancedError },
    #[error("transaction {seq} is in another commodity than the wallet")]
    Commodity { seq: u64 },
    #[error("transaction {seq} posts {amount_nanos} to {}, which its kind does not", account.name())]
    Shape {
        seq: u64,
        account: Account,
        amount_nanos: i64,
    },
    #[error("transaction {seq} moves {moved_nanos} in lots but {posted_nanos} in the wallet")]
    Movements {
        seq: u64,
        moved_nanos: i128,
        posted_nanos: i64,
    },
    #[error("transaction {seq} moves `{grant}`, which was not granted before")]
    NotGranted { seq: u64, grant: GrantId },
    #[error("transaction {seq} grants `{grant}` again, or not its whole amount")]
    GrantedOtherwise { seq: u64, grant: GrantId },
    #[error("transaction {seq} leaves {remaining_nanos} in `{grant}`")]
    LotRange {
        seq: u64,
        grant: GrantId,
        remaining_nanos: i128,
    },
    #[error("transaction {seq} leaves {owed_nanos} owed on credit")]
    CreditRange { seq: u64, owed_nanos: i128 },
    #[error("the row of {} says {row_nanos}, its postings sum to {sum_nanos}", account.name())]
    Balance {
        account: Account,
        row_nanos: i64,
        sum_nanos: i128,
    },
    #[error("the row of `{grant}` has {row_nanos} left, the journal says {journal_nanos}")]
    Remaining {
        grant: GrantId,
        row_nanos: i64,
        journal_nanos: i128,
    },
    #[error("the row says {row_nanos} are owed on credit, the journal says {journal_nanos}")]
    Overdraft { row_nanos: i64, journal_nanos: i128 },
    #[error("the row says {row_nanos} are held, the active holds say {holds_nanos}")]
    Held { row_nanos: i64, holds_nanos: i128 },
    #[error("active holds reserve {reserved_nanos} of `{grant}`, which has {remaining_nanos} left")]
    Reserved {
        grant: GrantId,
        reserved_nanos: i128,
        remaining_nanos: i128,
    },
    #[error("{used_nanos} are spent or held on a credit limit of {limit_nanos}")]
    CreditLimit { used_nanos: i128, limit_nanos: i64 },
    #[error(transparent)]
    Chain(ChainError),
    #[error("transaction {seq} is earlier than the one before it")]
    TimeBackwards { seq: u64 },
    #[error("the journal ends at {found}, its head says {expected}")]
    CutOff { expected: u64, found: u64 },
    #[error("an exported head says otherwise of transaction {seq}")]
    ExportedHead { seq: u64 },
    #[error("transaction {seq} charges `{charge}` again")]
    ChargedTwice { seq: u64, charge: ChargeId },
    #[error("transaction {seq} charges `{event}` again")]
    EventTwice { seq: u64, event: EventId },
    #[error("transaction {seq} gives `{refund}` again")]
    RefundedTwice { seq: u64, refund: RefundId },
    #[error("transaction {seq} gives back more of `{charge}` than was charged")]
    RefundedBeyond { seq: u64, charge: ChargeId },
    #[error("`{hold}` stands twice among the holds")]
    HoldTwice { hold: HoldId },
    #[error("`{hold}` is active though its time was over")]
    HoldOverdue { hold: HoldId },
    #[error("`{hold}` put aside, paid and gave back amounts that do not agree")]
    HoldAmounts { hold: HoldId },
    #[error("transaction {seq} spends from `{grant}` out of order")]
    SpendOrder { seq: u64, grant: GrantId },
    #[error("transaction {seq} spends from `{grant}` after it had expired")]
    SpentExpired { seq: u64, grant: GrantId },
    #[error("transaction {seq} breaks `{grant}` before it expired")]
    BrokenEarly { seq: u64, grant: GrantId },
    #[error("{rest_nanos} of `{grant}` expired without a breakage transaction")]
    Unbroken { grant: GrantId, rest_nanos: i128 },
}

impl Violation {
    /// The invariant this breaks.
    pub const fn invariant(&self) -> Invariant {
        match self {
            Self::Unbalanced { .. }
            | Self::Commodity { .. }
            | Self::Shape { .. }
            | Self::Movements { .. } => Invariant::L1,
            Self::NotGranted { .. }
            | Self::GrantedOtherwise { .. }
            | Self::LotRange { .. }
            | Self::CreditRange { .. }
            | Self::Balance { .. }
            | Self::Remaining { .. }
            | Self::Overdraft { .. }
            | Self::Held { .. }
            | Self::Reserved { .. } => Invariant::L2,
            Self::CreditLimit { .. } => Invariant::L3,
            Self::Chain(_)
            | Self::TimeBackwards { .. }
            | Self::CutOff { .. }
            | Self::ExportedHead { .. } => Invariant::L5,
            Self::ChargedTwice { .. }
            | Self::EventTwice { .. }
            | Self::RefundedTwice { .. }
            | Self::RefundedBeyond { .. } => Invariant::L6,
            Self::HoldTwice { .. } | Self::HoldOverdue { .. } | Self::HoldAmounts { .. } => {
                Invariant::L7
            }
            Self::SpendOrder { .. }
            | Self::SpentExpired { .. }
            | Self::BrokenEarly { .. }
            | Self::Unbroken { .. } => Invariant::L8,
        }
    }
}
