//! Holds: credits put aside for a call that is about to run.
//!
//! A hold names the lots it takes from, so that they cannot expire or be spent under it. It ends
//! exactly once (L7), and an ended hold is another type than an active one: there is no way to
//! capture it again.

use crate::ids::{GrantId, HoldId, KeyId, TransactionId};
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

/// What makes a hold a lease: credits put aside for an edge, which holds and charges calls with
/// them alone, and reports later.
///
/// Its holder may spend until the hold expires. From then on it is *in doubt*: what was spent may
/// not be reported yet, so everything stays put aside, and is captured from, until its time in
/// doubt is over as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The command that granted or last renewed it. Who changes it next has to name it, so that a
    /// request that comes late, or from one who does not hold the lease, changes nothing.
    pub turn: TransactionId,
    /// How long it is in doubt after it expired, in milliseconds.
    pub doubt_ms: i64,
}

/// An active hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Which.
    pub id: HoldId,
    /// Everything that was ever put aside by it: the first amount and later extensions; of a lease
    /// less what was given back by renewing it.
    pub amount: Nanos,
    /// What is still put aside, in spend order, credit last. Their sum is [`Hold::left`].
    pub reserves: Vec<Reserve>,
    /// The sum of what was charged to it so far, wherever it was taken from.
    pub captured: Nanos,
    /// From this millisecond since the Unix epoch on it is over, unless usage waits for a price.
    pub expires_at_ms: i64,
    /// When it was placed.
    pub placed_at_ms: i64,
    /// Recorded usage under it that has no price yet: see [`Hold::is_kept`].
    pub unpriced: u32,
    /// Whether the last usage was reported: it ends when nothing is unpriced any more.
    pub closing: bool,
    /// What it is for.
    pub dimensions: Arc<Dimensions>,
    /// What the host needs to rate the call later (release, plan, quote); opaque here.
    pub context: Arc<[u8]>,
    /// Present when it is a lease.
    pub lease: Option<Lease>,
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

    /// When it ends by itself: a lease not before its time in doubt is over, too.
    pub const fn over_at_ms(&self) -> i64 {
        match self.lease {
            Some(lease) => self.expires_at_ms.saturating_add(lease.doubt_ms),
            None => self.expires_at_ms,
        }
    }

    /// Whether usage that waits for a price keeps it past its time. Of a lease that was returned
    /// what its holder said is kept; one whose holder never came back is not, for all that was
    /// leased would be out of reach for the sake of one call, which the wallet pays then.
    pub const fn is_kept(&self) -> bool {
        self.unpriced > 0 && (self.lease.is_none() || self.closing)
    }

    /// Whether its time is over.
    pub const fn is_due(&self, now_ms: i64) -> bool {
        !self.is_kept() && self.over_at_ms() <= now_ms
    }

    /// Whether it is a lease whose holder may spend no more, and may not have told all it spent.
    pub const fn is_in_doubt(&self, now_ms: i64) -> bool {
        self.lease.is_some() && self.expires_at_ms <= now_ms
    }

    /// How it ends when its time is over.
    pub const fn end_by_time(&self) -> HoldEnd {
        match self.lease {
            Some(_) => HoldEnd::Lapsed,
            None => HoldEnd::Expired,
        }
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
    /// A lease that was in doubt until its time was over: its holder did not return it, and
    /// everything left was given back.
    Lapsed,
}

impl HoldEnd {
    /// Every end.
    pub const ALL: [Self; 4] = [Self::Captured, Self::Released, Self::Expired, Self::Lapsed];

    /// The name used in rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Lapsed => "lapsed",
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
