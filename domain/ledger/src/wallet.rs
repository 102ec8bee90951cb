//! An org's wallet row: all that changes with every transaction, in one place.

use crate::account::{Account, Balances};
use crate::ids::{CommodityId, Digest};
use farebox_pricing::money::Nanos;

/// An org's wallet row: all that changes with every transaction, in one place.
///
/// `posted = Σ remaining of lots − overdraft` and `available = posted − held` (L2);
/// `overdraft + held_on_credit ≤ credit_limit` upholds L3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// What it holds.
    pub commodity: CommodityId,
    /// How far available may go below zero.
    pub credit_limit: Nanos,
    /// The balances of all the org's accounts.
    pub balances: Balances,
    /// Put aside by active holds, from lots and credit.
    pub held: Nanos,
    /// The part of `held` that is put aside from the credit limit.
    pub held_on_credit: Nanos,
    /// What is spent on the credit limit and not paid back.
    pub overdraft: Nanos,
    /// The journal's last transaction; zero when there is none.
    pub seq: u64,
    /// Its hash; zeros when there is none.
    pub head_hash: Digest,
    /// When the org was last touched. No transaction of it is later.
    pub at_ms: i64,
}

impl Wallet {
    /// A wallet without a transaction.
    pub fn new(commodity: CommodityId, credit_limit: Nanos, at_ms: i64) -> Self {
        Self {
            commodity,
            credit_limit,
            balances: Balances::default(),
            held: Nanos::ZERO,
            held_on_credit: Nanos::ZERO,
            overdraft: Nanos::ZERO,
            seq: 0,
            head_hash: [0; 32],
            at_ms,
        }
    }

    /// The sum of the wallet's postings, in nano-credits.
    pub fn posted_nanos(&self) -> i64 {
        self.balances.get(Account::Wallet)
    }

    /// Posted less held, in nano-credits (L2). Never below the negative credit limit (L3).
    pub fn available_nanos(&self) -> i64 {
        // Both lie within ±2^63 and held never passes posted + credit limit.
        self.posted_nanos().saturating_sub(self.held.get())
    }

    /// What calls cost beyond what the wallet could pay, and nobody has paid since.
    pub fn shortfall(&self) -> Nanos {
        self.balances
            .get(Account::Shortfall)
            .checked_neg()
            .and_then(Nanos::new)
            .unwrap_or(Nanos::ZERO)
    }

    /// What of the credit limit is neither spent nor held.
    pub fn credit_left(&self) -> Nanos {
        self.credit_limit
            .checked_sub(self.overdraft)
            .and_then(|left| left.checked_sub(self.held_on_credit))
            .unwrap_or(Nanos::ZERO)
    }
}
