//! Holds: credits put aside for a call that is about to run.
//!
//! A hold names the lots it takes from, so that they cannot expire or be spent under it. It ends
//! exactly once (L7), and an ended hold is another type than an active one: there is no way to
//! capture it again.

use crate::ids::{GrantId, HoldId, KeyId};
use farebox_pricing::money::Nanos;
use std::sync::Arc;

/// What a call is for: what budgets, grant scopes and reports look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dimensions {
    /// The API key that made the call.
    pub key: Option<KeyId>,
    /// The caller's project.
    pub project: Option<Box<str>>,
    /// The caller's own user.
    pub user: Option<Box<str>>,
    /// The caller's agent.
    pub agent: Option<Box<str>>,
    /// What the call is for.
    pub feature: Option<Box<str>>,
    /// The org's plan at the time.
    pub plan: Option<Box<str>>,
}

/// What pays: a named lot, or the org's credit limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payer {
    /// A lot.
    Grant(GrantId),
    /// The credit limit.
    Credit,
}

/// A part of a hold: so much is put aside from this payer. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// What pays.
    pub payer: Payer,
    /// How much is still put aside.
    pub amount: Nanos,
}

/// An active hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Which.
    pub id: HoldId,
    /// Everything that was ever put aside by it: the first amount and later extensions.
    pub amount: Nanos,
    /// What is still put aside, in spend order, credit last. Their sum is [`Hold::left`].
    pub reserves: Vec<Reserve>,
    /// The sum of what was charged to it so far, wherever it was taken from.
    pub captured: Nanos,
    /// From this millisecond since the Unix epoch on it is over, unless usage waits for a price.
    pub expires_at_ms: i64,
    /// When it was placed.
    pub placed_at_ms: i64,
    /// Recorded usage under it that has no price yet. While there is any, it does not expire.
    pub unpriced: u32,
    /// Whether the last usage was reported: it ends when nothing is unpriced any more.
    pub closing: bool,
    /// What it is for.
    pub dimensions: Arc<Dimensions>,
    /// What the host needs to rate the call later (release, plan, quote); opaque here.
    pub context: Arc<[u8]>,
}

impl Hold {
    /// What is still put aside.
    pub fn left(&self) -> Nanos {
        self.reserves
            .iter()
            .try_fold(Nanos::ZERO, |sum, part| sum.checked_add(part.amount))
            // Parts are taken from one checked amount, so their sum cannot pass it.
            .unwrap_or(Nanos::MAX)
    }

    /// Whether its time is over. Usage that waits for a price keeps it.
    pub const fn is_due(&self, now_ms: i64) -> bool {
        self.unpriced == 0 && self.expires_at_ms <= now_ms
    }
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HoldEnd {
    /// The last usage was charged; the rest was given back.
    Captured,
    /// It was let go; everything left was given back.
    Released,
    /// Its time was over; everything left was given back.
    Expired,
}

impl HoldEnd {
    /// Every end.
    pub const ALL: [Self; 3] = [Self::Captured, Self::Released, Self::Expired];

    /// The name used in rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// The end with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.name() == name)
    }
}

impl std::fmt::Display for HoldEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A hold that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedHold {
    /// Which.
    pub id: HoldId,
    /// How it ended.
    pub end: HoldEnd,
    /// When.
    pub ended_at_ms: i64,
    /// The sum of what was charged to it.
    pub captured: Nanos,
    /// What was given back at the end.
    pub returned: Nanos,
}
