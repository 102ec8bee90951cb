//! Grants: the lots of credits a wallet is made of.
//!
//! A wallet is not one number. Each lot remembers where it came from, what was paid for it, when
//! it expires and what it may be spent on; charges take from lots in [`SpendOrder`] (L8), and
//! refunds go back into the lots they came from.

use crate::account::Account;
use crate::ids::GrantId;
use farebox_pricing::money::Nanos;
use std::sync::Arc;

/// Where a grant came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantSource {
    /// The customer paid for it.
    Purchase,
    /// Given away.
    Promotional,
    /// The operator's correction.
    Adjustment,
    /// A refund whose own lot no longer exists: what was paid on credit and since repaid, or out
    /// of a shortfall and since settled. Made by the ledger only.
    Refund,
}

impl GrantSource {
    /// Every source.
    pub const ALL: [Self; 4] = [
        Self::Purchase,
        Self::Promotional,
        Self::Adjustment,
        Self::Refund,
    ];

    /// The account its credits come from.
    pub const fn account(self) -> Account {
        match self {
            Self::Purchase => Account::Funding,
            Self::Promotional => Account::Promotion,
            Self::Adjustment => Account::Adjustment,
            Self::Refund => Account::Revenue,
        }
    }

    /// The name used in rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::Promotional => "promotional",
            Self::Adjustment => "adjustment",
            Self::Refund => "refund",
        }
    }

    /// The source with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }
}

/// Money outside the ledger: what was paid for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cash {
    /// ISO 4217, such as `USD`.
    pub currency: [u8; 3],
    /// In the currency's smallest unit, such as cents.
    pub minor_units: u64,
}

/// What a grant is, fixed when it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTerms {
    /// Which.
    pub id: GrantId,
    /// Where it came from.
    pub source: GrantSource,
    /// How much was granted.
    pub amount: Nanos,
    /// What was paid for it.
    pub cash_paid: Option<Cash>,
    /// Lower is spent first.
    pub priority: u16,
    /// From this millisecond since the Unix epoch on it can no longer be spent; absent: never.
    pub expires_at_ms: Option<i64>,
    /// The only features it may be spent on; empty: any. A lot with features pays neither a
    /// shortfall nor credit, because nobody can say what those were for.
    pub features: Box<[Box<str>]>,
    /// When it was given.
    pub granted_at_ms: i64,
}

/// The order in which lots are spent (L8): priority, then earliest expiry, then id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpendOrder {
    /// Lower first.
    pub priority: u16,
    /// Earlier first; never is `i64::MAX`.
    pub expires_at_ms: i64,
    /// Older first.
    pub id: GrantId,
}

/// A lot and what is left of it. `reserved ≤ remaining ≤ terms.amount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it is.
    pub terms: Arc<GrantTerms>,
    /// What is left.
    pub remaining: Nanos,
    /// The part of `remaining` that active holds have named.
    pub reserved: Nanos,
}

impl Grant {
    /// A lot of which nothing is spent.
    pub fn new(terms: GrantTerms) -> Self {
        Self {
            remaining: terms.amount,
            terms: Arc::new(terms),
            reserved: Nanos::ZERO,
        }
    }

    /// Which.
    pub fn id(&self) -> GrantId {
        self.terms.id
    }

    /// Its place among the org's lots.
    pub fn order(&self) -> SpendOrder {
        SpendOrder {
            priority: self.terms.priority,
            expires_at_ms: self.terms.expires_at_ms.unwrap_or(i64::MAX),
            id: self.terms.id,
        }
    }

    /// What no hold has named.
    pub fn free(&self) -> Nanos {
        self.remaining
            .checked_sub(self.reserved)
            .unwrap_or(Nanos::ZERO)
    }

    /// Whether it can no longer be spent, but by the holds that named it.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.terms.expires_at_ms.is_some_and(|at| at <= now_ms)
    }

    /// Whether a call for `feature` may spend it.
    pub fn pays_for(&self, feature: Option<&str>) -> bool {
        self.terms.features.is_empty()
            || feature.is_some_and(|feature| self.terms.features.iter().any(|f| **f == *feature))
    }
}
