//! Leases: credits that an edge holds and charges calls with by itself, and reports later.
//!
//! A lease is a hold of the ledger, so what is leased is put aside by the same checks as any call's
//! worst case, budgets as well. What it carries lets the edge decide as this host would: the
//! release that prices, and what is vouched for about the org, as it was when the lease was
//! granted. Whatever of that changes ends the lease's use: the edge takes another.
//!
//! How much: an edge has free what its calls took lately, a few times over, within a declared share
//! of what is available. A call elsewhere that finds too little left recalls what lies idle.

use super::calls::{CallError, Labels, dimensions};
use super::filters::FilterRefused;
use super::holds::{HoldContext, Serves, made};
use super::ledger::directory::OrgRecord;
use super::ledger::failure::ReadError;
use super::ledger::view::LeaseView;
use super::ledger::write::{Acknowledged, Action, WriteError};
use super::placed::PlacedWith;
use super::policy::{Digest, ReleaseId};
use super::{Context, Service};
use farebox_ledger::command::{Command, GrantLease, LeaseTerms, RenewLease, ReturnLease};
use farebox_ledger::effect::Outcome;
use farebox_ledger::ids::{HoldId, OrgId, TransactionId};
use farebox_pricing::event::{Deployment, KeySource};
use farebox_pricing::money::{Nanos, Peg};
use rust_decimal::Decimal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What leases get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRule {
    /// How long one may be spent from without being renewed, in milliseconds.
    pub ttl_ms: i64,
    /// How often it is to be renewed, in milliseconds.
    pub renew_ms: i64,
    /// How long it is in doubt after it expired, in milliseconds.
    pub doubt_ms: i64,
    /// The most of what is available that it takes at a time, in percent.
    pub share_percent: u16,
}

/// How many calls like the first a new lease is for.
const FIRST: u8 = 8;
/// How often over an edge has free what its calls took since the last renewal.
const AHEAD: u8 = 4;
/// How old what is vouched for may be, in milliseconds: then the edge takes another lease.
const LIFE_MS: i64 = 600_000;

/// What an edge tells of its lease to have it renewed.
#[derive(Clone, Copy, Debug)]
pub struct Renewal {
    /// The lease's turn, as the last answer told it.
    pub turn: TransactionId,
    /// Of all it was ever given, what it keeps.
    pub keep: Nanos,
    /// What of that no call has taken.
    pub free: Nanos,
    /// What calls took since the last renewal, by their worst cases.
    pub recent: Nanos,
    /// What is to be free at least: a call that runs waits for it.
    pub needed: Nanos,
    /// The filter that it runs, where it runs one.
    pub filter: Option<Digest>,
}

/// Who asks for a lease.
#[derive(Clone, Copy, Debug)]
pub struct Edge<'a> {
    /// Its own name, for people.
    pub name: &'a str,
    /// The filter that it runs, where it runs one.
    pub filter: Option<Digest>,
}

/// A lease that was granted or renewed.
#[derive(Clone, Debug)]
pub struct Leased {
    /// Which.
    pub id: HoldId,
    /// Its turn: who changes it next names it.
    pub turn: TransactionId,
    /// Everything it was ever given, less what went back.
    pub granted: Nanos,
    /// Until when it may be spent from, milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
    /// What the edge is to have free: it gives back more than that when it renews.
    pub free_target: Nanos,
    /// Whether another call waits for what lies idle: to be given back at once.
    pub recalled: bool,
    /// Whether what is vouched for has changed: new calls need another lease.
    pub superseded: bool,
    /// Whether less is free than is needed, and no more can come.
    pub exhausted: bool,
    /// What is vouched for about its calls.
    pub vouched: Vouched,
    /// What the ledger says.
    pub acknowledged: Acknowledged,
}

/// What an edge needs to know to price as this host does.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// Whose calls.
    pub org: OrgId,
    /// On which plan.
    pub plan: Option<Box<str>>,
    /// Where this Farebox runs.
    pub deployment: Deployment,
    /// What prices them.
    pub release: ReleaseId,
    /// What the org had been charged this month when the lease was granted.
    pub month_to_date_usd: Decimal,
    /// What a credit is worth.
    pub peg: Peg,
}

/// Why there is no lease.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LeaseError {
    /// The org is not there, or its facts cannot be gathered.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What a call costs depends on the calls before it.
    #[error("the price book counts what its calls use, so they are held one by one")]
    Counts,
    /// No such lease of this org.
    #[error("lease `{0}` does not exist")]
    NotFound(HoldId),
    /// The edge's filter is none of the release's.
    #[error(transparent)]
    Filter(#[from] FilterRefused),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ledger refused.
    #[error(transparent)]
    Write(WriteError),
}

impl Service {
    /// Grants a lease to `edge`, for a call that waits and can cost `needed`, and for more like it.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn grant_lease(
        &self,
        context: &Context,
        edge: Edge<'_>,
        needed: Nanos,
        labels: &Labels,
    ) -> Result<Leased, LeaseError> {
        let now_ms = self.clock.now_ms();
        let org = self.known_org(context.org)?;
        let release = self.release_for(&org);
        self.check_filter(edge.filter, release)?;
        if !self.engine.counters(&release).is_empty() {
            return Err(LeaseError::Counts);
        }
        // Whose key serves a call is each report's to say.
        let facts = self.facts(&org, KeySource::Managed, labels, now_ms)?;
        let mut with = PlacedWith {
            context: HoldContext {
                release,
                serves: Serves::Lease {
                    month_to_date_usd: facts.month_to_date_usd,
                    edge: edge.name.into(),
                },
            },
            dimensions: Arc::new(dimensions(context, &org, labels)),
            placed_at_ms: now_ms,
        };
        let recalled = self.is_recalled(org.id);
        let want = if recalled {
            needed
        } else {
            times(needed, FIRST)
        };
        let lease = HoldId::new(self.clock.next_id());
        let command = Command::GrantLease(GrantLease {
            org: org.id,
            lease,
            least: needed,
            terms: self.terms(want, now_ms),
            doubt_ms: self.settings.leases.doubt_ms,
            dimensions: Arc::clone(&with.dimensions),
            context: with.context.to_bytes().into(),
        });
        let acknowledged = self.change_lease(context, command).await?;
        let id = made(&acknowledged, lease);
        if acknowledged.replayed {
            with = self.leased_with(org.id, id)?;
        } else {
            with.placed_at_ms = acknowledged.at_ms;
            self.placed.remember(org.id, id, with.clone());
        }
        let free_target = if recalled { Nanos::ZERO } else { want };
        Ok(self.leased(&org, id, &with, (free_target, recalled), acknowledged))
    }

    /// Changes how much a lease has, and prolongs it.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn renew_lease(
        &self,
        context: &Context,
        lease: HoldId,
        asked: Renewal,
    ) -> Result<Leased, LeaseError> {
        let now_ms = self.clock.now_ms();
        let org = self.known_org(context.org)?;
        let with = self.leased_with(org.id, lease)?;
        self.check_filter(asked.filter, with.context.release)?;
        let recalled = self.is_recalled(org.id);
        let idle = recalled || self.is_superseded(&org, &with, now_ms);
        let free_target = if idle {
            Nanos::ZERO
        } else {
            times(asked.recent, AHEAD)
        };
        let beyond = |amount: Nanos| amount.checked_sub(asked.free).unwrap_or(Nanos::ZERO);
        let short = beyond(asked.needed);
        let terms = if short.is_zero() {
            self.terms(beyond(free_target), now_ms)
        } else {
            // What a call needs that runs is nobody else's share.
            LeaseTerms {
                share_permille: 1000,
                ..self.terms(short, now_ms)
            }
        };
        let command = Command::RenewLease(RenewLease {
            org: org.id,
            lease,
            turn: asked.turn,
            keep: asked.keep,
            terms,
        });
        let acknowledged = self.change_lease(context, command).await?;
        let mut leased = self.leased(&org, lease, &with, (free_target, recalled), acknowledged);
        let more = leased.granted.checked_sub(asked.keep);
        if more.unwrap_or(Nanos::ZERO) < short {
            leased.exhausted = !self.recall_from_others(org.id, lease, now_ms);
        }
        Ok(leased)
    }

    /// Asks back what lies idle in the org's other leases; whether there is anything in them.
    fn recall_from_others(&self, org: OrgId, lease: HoldId, now_ms: i64) -> bool {
        let is_other = |other: &&LeaseView| other.id != lease && other.expires_at_ms > now_ms;
        let leases = self.store.leases(org);
        let any = leases
            .iter()
            .filter(is_other)
            .any(|other| !other.left.is_zero());
        if any {
            self.recall(org);
        }
        any
    }

    /// Takes a lease back. `keep` stays put aside for usage under it that has no price yet.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn return_lease(
        &self,
        context: &Context,
        lease: HoldId,
        turn: TransactionId,
        keep: Nanos,
    ) -> Result<Acknowledged, LeaseError> {
        let command = Command::ReturnLease(ReturnLease {
            org: context.org,
            lease,
            turn,
            keep,
        });
        self.change_lease(context, command).await
    }

    async fn change_lease(
        &self,
        context: &Context,
        command: Command,
    ) -> Result<Acknowledged, LeaseError> {
        let action = Action::Ledger {
            command,
            note: None,
        };
        self.write(context, None, action)
            .await
            .map_err(LeaseError::Write)
    }

    fn terms(&self, want: Nanos, now_ms: i64) -> LeaseTerms {
        let rule = self.settings.leases;
        LeaseTerms {
            want,
            share_permille: rule.share_percent.saturating_mul(10),
            expires_at_ms: now_ms.saturating_add(rule.ttl_ms),
        }
    }

    /// What a lease of this org was granted with.
    fn leased_with(&self, org: OrgId, id: HoldId) -> Result<PlacedWith, LeaseError> {
        self.placed_with(org, id)?.ok_or(LeaseError::NotFound(id))
    }

    /// Whether a new lease would be vouched for otherwise.
    fn is_superseded(&self, org: &OrgRecord, with: &PlacedWith, now_ms: i64) -> bool {
        let peg = |at_ms| self.settings.pegs.at(at_ms);
        let age_ms = now_ms.saturating_sub(with.placed_at_ms);
        with.context.release != self.release_for(org)
            || with.dimensions.plan != org.plan
            || peg(with.placed_at_ms) != peg(now_ms)
            || age_ms >= LIFE_MS
    }

    fn leased(
        &self,
        org: &OrgRecord,
        id: HoldId,
        with: &PlacedWith,
        (free_target, recalled): (Nanos, bool),
        acknowledged: Acknowledged,
    ) -> Leased {
        let (granted, expires_at_ms) = match acknowledged.outcome {
            Outcome::Leased {
                granted,
                expires_at_ms,
                ..
            } => (granted, expires_at_ms),
            _ => (Nanos::ZERO, acknowledged.at_ms),
        };
        let month_to_date_usd = match &with.context.serves {
            Serves::Lease {
                month_to_date_usd, ..
            } => *month_to_date_usd,
            Serves::Call(_) => Decimal::ZERO,
        };
        Leased {
            id,
            turn: acknowledged.id,
            granted,
            expires_at_ms,
            free_target,
            recalled,
            exhausted: false,
            superseded: self.is_superseded(org, with, self.clock.now_ms()),
            vouched: Vouched {
                org: org.id,
                plan: with.dimensions.plan.clone(),
                deployment: self.settings.deployment,
                release: with.context.release,
                month_to_date_usd,
                peg: self.settings.pegs.at(with.placed_at_ms),
            },
            acknowledged,
        }
    }
}

fn times(amount: Nanos, factor: u8) -> Nanos {
    let product = amount.get().saturating_mul(i64::from(factor));
    Nanos::new(product).unwrap_or(Nanos::MAX)
}

/// The orgs for whose calls what lies idle in leases is asked back, and until when: by the stopwatch
/// ([`crate::service::time::Clock::elapsed`]), because the hour may be set back meanwhile.
#[derive(Debug, Default)]
pub(super) struct Recalls(Mutex<HashMap<OrgId, Duration>>);

impl Recalls {
    /// From `now` until `until`.
    pub fn recall(&self, org: OrgId, now: Duration, until: Duration) {
        let mut orgs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orgs.retain(|_, until| *until > now);
        orgs.insert(org, until);
    }

    /// Whether it is asked back now.
    pub fn is_recalled(&self, org: OrgId, now: Duration) -> bool {
        let orgs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orgs.get(&org).is_some_and(|until| *until > now)
    }
}

/// How often a call that waits for what is recalled looks again.
const LOOK: Duration = Duration::from_millis(50);
/// How long a call waits at most. An edge waits two seconds for its answer if it is not told
/// otherwise, and takes none for a host that is away.
const PATIENCE_MAX: Duration = Duration::from_millis(1_500);

/// A call that waits for what others have leased: once in a while it looks again, up to the time
/// by which every edge has renewed once and once more. Goes by the stopwatch, as [`Recalls`] do.
#[derive(Debug)]
pub(super) struct Patience {
    until: Duration,
}

fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

impl Service {
    /// How long a call waits for leases to come back.
    pub(super) fn patience(&self) -> Patience {
        // An edge hears of the recall when it renews next, and gives back with its answer.
        let renew_ms = self.settings.leases.renew_ms.saturating_mul(3) / 2;
        let wait = duration(renew_ms).min(PATIENCE_MAX);
        Patience {
            until: self.clock.elapsed().saturating_add(wait),
        }
    }

    /// Whether it makes sense to look again after a while for what this org has too little of: as
    /// long as so much is leased, it is asked back. Of a lease in doubt nobody gives anything back.
    pub(super) async fn look_again(&self, org: OrgId, missing: Nanos, patience: &Patience) -> bool {
        let now_ms = self.clock.now_ms();
        let leases = self.store.leases(org);
        let alive = leases.iter().filter(|lease| lease.expires_at_ms > now_ms);
        let leased = alive.fold(Nanos::ZERO, |sum, lease| {
            sum.checked_add(lease.left).unwrap_or(Nanos::MAX)
        });
        if leased < missing {
            return false;
        }
        self.recall(org);
        let before = self.held(org);
        while self.clock.elapsed() < patience.until {
            self.clock.pause(LOOK).await;
            if self.held(org) != before {
                return true;
            }
        }
        false
    }

    /// Asks back what lies idle in an org's leases, until every edge has renewed twice.
    fn recall(&self, org: OrgId) {
        let now = self.clock.elapsed();
        let renew_ms = self.settings.leases.renew_ms.saturating_mul(2);
        let until = now.saturating_add(duration(renew_ms));
        self.recalls.recall(org, now, until);
    }

    /// Whether it is asked back now.
    fn is_recalled(&self, org: OrgId) -> bool {
        self.recalls.is_recalled(org, self.clock.elapsed())
    }

    /// What is put aside of an org's wallet, as of the last commit.
    fn held(&self, org: OrgId) -> Option<Nanos> {
        let view = self.store.wallet(org).ok().flatten();
        view.map(|view| view.wallet.held)
    }
}
