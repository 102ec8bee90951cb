//! Transactions: balanced by construction (L1), chained by hash (L5), never changed (L4).
//!
//! A transaction has two views of the same money. **Postings** move nano-credits between accounts
//! and sum to zero. **Movements** say which lots the wallet's posting consists of, and sum to it;
//! with them, every lot can be recomputed from the journal alone.

use crate::account::Account;
use crate::hold::Payer;
use crate::ids::{
    ChargeId, CommodityId, Digest, EventId, GrantId, HoldId, OrgId, RefundId, TransactionId,
};

/// A change of one account's balance, in nano-credits. Never zero inside [`Postings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Which account.
    pub account: Account,
    /// Added to its balance.
    pub amount_nanos: i64,
}

/// Why postings do not make a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnbalancedError {
    /// The sum is not zero.
    #[error("postings sum to {sum_nanos} nano-credits instead of zero")]
    Sum {
        /// The sum.
        sum_nanos: i128,
    },
    /// A posting changes nothing.
    #[error("a posting of zero on {}", account.name())]
    Zero {
        /// Its account.
        account: Account,
    },
    /// An account stands twice, or accounts are out of order.
    #[error("{} stands out of order", account.name())]
    Order {
        /// The account.
        account: Account,
    },
}

/// Postings that sum to zero, one per account, in the order of [`Account::ALL`].
///
/// May be empty: a free call moves nothing, but its receipt still belongs in the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Postings(Vec<Posting>);

impl Postings {
    /// # Errors
    /// [`UnbalancedError`] says what is wrong.
    pub fn new(postings: Vec<Posting>) -> Result<Self, UnbalancedError> {
        let mut sum_nanos = 0_i128;
        let mut last: Option<Account> = None;
        for posting in &postings {
            let account = posting.account;
            if posting.amount_nanos == 0 {
                return Err(UnbalancedError::Zero { account });
            }
            if last.is_some_and(|last| last >= account) {
                return Err(UnbalancedError::Order { account });
            }
            last = Some(account);
            // Ten accounts of 64 bits each cannot pass 128.
            sum_nanos = sum_nanos.saturating_add(i128::from(posting.amount_nanos));
        }
        if sum_nanos != 0 {
            return Err(UnbalancedError::Sum { sum_nanos });
        }
        Ok(Self(postings))
    }

    /// The postings.
    pub fn as_slice(&self) -> &[Posting] {
        &self.0
    }

    /// What is posted to `account`; zero when nothing is.
    pub fn on(&self, account: Account) -> i64 {
        self.0
            .iter()
            .find(|posting| posting.account == account)
            .map_or(0, |posting| posting.amount_nanos)
    }
}

/// A part of what a transaction does to the wallet: this payer gains (or, below zero, pays) so
/// much. All movements of a transaction sum to its posting on the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The lot, or the credit limit: below zero the org goes into debt, above zero it pays back.
    pub payer: Payer,
    /// Nano-credits, never zero.
    pub amount_nanos: i64,
}

/// What a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionKind {
    /// Credits were granted.
    Grant {
        /// The new lot.
        grant: GrantId,
    },
    /// The unspent part of a lot was taken back for what was paid.
    GrantRefund {
        /// The lot.
        grant: GrantId,
        /// The refund.
        refund: RefundId,
    },
    /// The operator's correction took credits.
    Deduction,
    /// A usage event was charged.
    Charge {
        /// The charge.
        charge: ChargeId,
        /// What was used.
        event: EventId,
        /// The hold it was charged to, even where that had ended.
        hold: Option<HoldId>,
    },
    /// A charge was given back, whole or in part.
    ChargeRefund {
        /// The charge.
        charge: ChargeId,
        /// The refund.
        refund: RefundId,
    },
    /// The rest of a lot expired.
    Breakage {
        /// The lot.
        grant: GrantId,
    },
    /// The wallet paid an open shortfall.
    Settlement,
    /// Lots paid back what was spent on the credit limit. Moves nothing between accounts.
    Repayment,
    /// The operator took an open shortfall on itself.
    Absorption,
}

impl TransactionKind {
    /// The number that stands for the kind in rows and hashes. Never reused.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Grant { .. } => 1,
            Self::GrantRefund { .. } => 2,
            Self::Deduction => 3,
            Self::Charge { .. } => 4,
            Self::ChargeRefund { .. } => 5,
            Self::Breakage { .. } => 6,
            Self::Settlement => 7,
            Self::Repayment => 8,
            Self::Absorption => 9,
        }
    }

    /// The name used in the API.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Grant { .. } => "grant",
            Self::GrantRefund { .. } => "grant_refund",
            Self::Deduction => "deduction",
            Self::Charge { .. } => "charge",
            Self::ChargeRefund { .. } => "charge_refund",
            Self::Breakage { .. } => "breakage",
            Self::Settlement => "settlement",
            Self::Repayment => "repayment",
            Self::Absorption => "absorption",
        }
    }
}

/// A row of an org's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Which.
    pub id: TransactionId,
    /// Whose.
    pub org: OrgId,
    /// Its place in the org's journal, from 1, without gaps.
    pub seq: u64,
    /// What it is.
    pub kind: TransactionKind,
    /// Milliseconds since the Unix epoch. Never before the transaction it follows.
    pub at_ms: i64,
    /// What the amounts are of.
    pub commodity: CommodityId,
    /// What it moves between accounts.
    pub postings: Postings,
    /// What it moves in and out of lots.
    pub movements: Vec<Movement>,
    /// Of what stands beside it: a receipt, a payment, a note. Zeros where there is nothing.
    pub detail_digest: Digest,
    /// The hash of the transaction before; zeros for the first.
    pub prev_hash: Digest,
    /// SHA-256 over all of the above, see [`crate::chain`].
    pub hash: Digest,
}
