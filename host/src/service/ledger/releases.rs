//! Releases and what they are bound to: what prices whose calls, since when, by whom and why.
//!
//! A release never changes. A binding is the newest entry of its scope's history, which only grows:
//! there is no second place that could say otherwise. Must not know how a release is loaded.

use super::trials::{Trial, TrialResult};
use crate::service::policy::{Digest, LimitClass, ReleaseId, Trust};
use crate::service::signature::Signature;
use farebox_ledger::ids::{OrgId, TransactionId};
use farebox_pricing::event::Deployment;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// The bytes of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseParts {
    /// The component.
    pub component: Arc<[u8]>,
    /// The canonical book.
    pub book: Arc<[u8]>,
    /// The book as people wrote it.
    pub book_source: Option<Arc<[u8]>>,
    /// Who signed it, in the order of their keys.
    pub signatures: Arc<[Signature]>,
    /// The filters of its component, in order.
    pub filters: Arc<[Digest]>,
}

/// An admitted release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseRecord {
    /// What it is, by content.
    pub id: ReleaseId,
    /// The operator's name for it: that of its book.
    pub name: Box<str>,
    /// The version of the contract that its component speaks, such as `1.0.0`.
    pub contract: Box<str>,
    /// Which limits it runs under.
    pub class: LimitClass,
    /// Whether its instances may be kept.
    pub trust: Trust,
    /// Bytes of the component.
    pub component_bytes: u64,
    /// Bytes of the canonical book.
    pub book_bytes: u64,
    /// When it was admitted, milliseconds since the Unix epoch.
    pub admitted_at_ms: i64,
    /// Who pushed it.
    pub admitted_by: Box<str>,
    /// Since when, and why, it prices nothing any more.
    pub revoked: Option<Revocation>,
    /// Who signed it, in the order of their keys.
    pub signatures: Vec<SignatureRecord>,
    /// The filters of its component, in order, whichever of its releases they came with.
    pub filters: Vec<FilterRecord>,
}

/// A filter that belongs to a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRecord {
    /// What it says it is.
    pub digest: Digest,
    /// When it was pushed, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who pushed it.
    pub by: Box<str>,
}

/// A signature that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureRecord {
    /// What it is.
    pub signature: Signature,
    /// When it was pushed, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who pushed it.
    pub by: Box<str>,
}

/// Why a release prices nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Since when, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// By whom.
    pub by: Box<str>,
    /// Why.
    pub why: Box<str>,
}

/// What a binding is for: a deployment, or a part of it. The most specific wins: org, plan,
/// deployment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BindingScope {
    /// Where Farebox runs.
    pub deployment: Deployment,
    /// Absent: everyone there.
    pub part: Option<ScopePart>,
}

/// A part of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ScopePart {
    /// The orgs on a plan.
    Plan(Box<str>),
    /// One org.
    Org(OrgId),
}

impl BindingScope {
    /// Everyone in a deployment.
    pub const fn everyone(deployment: Deployment) -> Self {
        Self {
            deployment,
            part: None,
        }
    }
}

impl fmt::Display for BindingScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.deployment {
            Deployment::Hosted => "hosted",
            Deployment::SelfHosted => "self-hosted",
        })?;
        match &self.part {
            None => Ok(()),
            Some(ScopePart::Plan(plan)) => write!(f, "/plan:{plan}"),
            Some(ScopePart::Org(org)) => write!(f, "/org:{org}"),
        }
    }
}

/// What kind of change a binding's history has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The host bound the configured release at start.
    Start,
    /// Somebody activated a release.
    Activate,
    /// Somebody went back to what stood before.
    Rollback,
    /// Somebody took the scope's own release away, so that a wider scope's holds.
    Deactivate,
}

impl ChangeKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Start,
        Self::Activate,
        Self::Rollback,
        Self::Deactivate,
    ];

    /// The word used in rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Activate => "activate",
            Self::Rollback => "rollback",
            Self::Deactivate => "deactivate",
        }
    }
}

/// A change of a binding, as it is asked for: one atomic step, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingChange {
    /// What it is for.
    pub scope: BindingScope,
    /// What shall price it.
    pub to: BindTo,
    /// What the asker believes is bound now. When it is not, nothing changes: of two operators at
    /// once, one wins and the other is told.
    pub expected: Option<ReleaseId>,
    /// What the trial showed that runs beside the scope. It ends in the same step: it was a trial of
    /// its candidate beside what was bound, and nothing else would end its canary.
    pub beside: Option<(TransactionId, Box<TrialResult>)>,
    /// Why, in the asker's words.
    pub why: Option<Box<str>>,
}

/// What shall price a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindTo {
    /// A release, because of the configuration.
    Configured(ReleaseId),
    /// A release.
    Release(ReleaseId),
    /// What stood before the last activation that was not rolled back, and was not revoked since.
    /// Where the asker has looked at it, it must be this release.
    Before(Option<ReleaseId>),
    /// Nothing of its own.
    Nothing,
}

/// A change that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Which; sorts by time.
    pub id: TransactionId,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who.
    pub by: Box<str>,
    /// What kind.
    pub kind: ChangeKind,
    /// What it is for.
    pub scope: BindingScope,
    /// What prices it since; absent: a wider scope's release.
    pub release: Option<ReleaseId>,
    /// What priced it until then.
    pub before: Option<ReleaseId>,
    /// What a rollback of it restores: an earlier change of the scope.
    pub base: Option<TransactionId>,
    /// Why.
    pub why: Option<Box<str>>,
}

/// Everything that is bound at one moment, what is tried beside it, what was revoked, and which filters
/// belong to which component. Never changed in place: readers hold one and see one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    hosted: Bound,
    self_hosted: Bound,
    revoked: HashSet<ReleaseId>,
    /// Components and their filters.
    filters: HashSet<(Digest, Digest)>,
    newest: Option<TransactionId>,
    trials: Vec<Arc<Trial>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bound {
    everyone: Level,
    plans: HashMap<Box<str>, Level>,
    orgs: HashMap<OrgId, Level>,
}

/// What one scope has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Level {
    standing: Option<Standing>,
    /// What a rollback would bind, also where nothing is bound.
    before: Option<ReleaseId>,
    trial: Option<Arc<Trial>>,
}

/// What a scope is bound to, and what a rollback would bind it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    release: ReleaseId,
    before: Option<ReleaseId>,
}

impl Level {
    /// The canary, where its candidate prices this org's calls.
    fn canary(&self, org: OrgId) -> Option<&Arc<Trial>> {
        self.trial.as_ref().filter(|trial| trial.is_canary_for(org))
    }

    /// What prices this org's calls, and the canary by which it does.
    fn pricing(&self, org: OrgId) -> Option<(ReleaseId, Option<&Arc<Trial>>)> {
        match self.canary(org) {
            Some(trial) => Some((trial.release, Some(trial))),
            None => Some((self.standing?.release, None)),
        }
    }
}

impl Bound {
    fn at(&mut self, part: Option<&ScopePart>) -> &mut Level {
        match part {
            None => &mut self.everyone,
            Some(ScopePart::Plan(plan)) => self.plans.entry(plan.clone()).or_default(),
            Some(ScopePart::Org(org)) => self.orgs.entry(*org).or_default(),
        }
    }

    /// What concerns the calls of an org on a plan, the most specific first.
    fn levels(&self, org: OrgId, plan: Option<&str>) -> impl Iterator<Item = &Level> {
        let of_plan = plan.and_then(|plan| self.plans.get(plan));
        [self.orgs.get(&org), of_plan, Some(&self.everyone)]
            .into_iter()
            .flatten()
    }
}

impl Bindings {
    /// The moment after these: of each scope its newest change with the release that a rollback of
    /// it would bind, every revoked release, and every trial that runs.
    pub fn new(
        changes: impl IntoIterator<Item = (ChangeRecord, Option<ReleaseId>)>,
        revoked: impl IntoIterator<Item = ReleaseId>,
        trials: impl IntoIterator<Item = Trial>,
    ) -> Self {
        let mut all = Self {
            revoked: revoked.into_iter().collect(),
            trials: trials.into_iter().map(Arc::new).collect(),
            ..Self::default()
        };
        for (change, before) in changes {
            all.newest = all.newest.max(Some(change.id));
            if change.release.is_none() && before.is_none() {
                continue;
            }
            let level = all.level(&change.scope);
            level.before = before;
            let Some(release) = change.release else {
                continue;
            };
            level.standing = Some(Standing { release, before });
        }
        for trial in all.trials.clone() {
            all.newest = all.newest.max(Some(trial.id));
            let level = all.level(&trial.scope);
            level.trial = Some(trial);
        }
        all
    }

    /// The same with the filters of components.
    #[must_use]
    pub fn with_filters(self, filters: impl IntoIterator<Item = (Digest, Digest)>) -> Self {
        Self {
            filters: filters.into_iter().collect(),
            ..self
        }
    }

    /// Whether a filter belongs to a component.
    pub fn has_filter(&self, component: &Digest, filter: &Digest) -> bool {
        self.filters.contains(&(*component, *filter))
    }

    fn level(&mut self, scope: &BindingScope) -> &mut Level {
        let bound = match scope.deployment {
            Deployment::Hosted => &mut self.hosted,
            Deployment::SelfHosted => &mut self.self_hosted,
        };
        bound.at(scope.part.as_ref())
    }

    const fn of(&self, deployment: Deployment) -> &Bound {
        match deployment {
            Deployment::Hosted => &self.hosted,
            Deployment::SelfHosted => &self.self_hosted,
        }
    }

    /// What prices the calls of an org on a plan: what is bound to the most specific scope, or the
    /// candidate of a canary beside it.
    pub fn release_for(
        &self,
        deployment: Deployment,
        org: OrgId,
        plan: Option<&str>,
    ) -> Option<ReleaseId> {
        let mut levels = self.of(deployment).levels(org, plan);
        levels.find_map(|level| Some(level.pricing(org)?.0))
    }

    /// The canary by which the calls of an org on a plan are priced, where they are.
    pub fn canary_for(
        &self,
        deployment: Deployment,
        org: OrgId,
        plan: Option<&str>,
    ) -> Option<&Arc<Trial>> {
        let mut levels = self.of(deployment).levels(org, plan);
        levels.find_map(|level| level.pricing(org))?.1
    }

    /// What is bound for the calls of an org on a plan, whatever is tried beside it.
    pub fn bound_for(
        &self,
        deployment: Deployment,
        org: OrgId,
        plan: Option<&str>,
    ) -> Option<ReleaseId> {
        let mut levels = self.of(deployment).levels(org, plan);
        levels.find_map(|level| Some(level.standing?.release))
    }

    /// The last good release besides the one that prices these calls: beside a canary what is bound,
    /// then what the same scope was bound to before, else what the next wider one is bound to.
    pub fn last_good(
        &self,
        deployment: Deployment,
        org: OrgId,
        plan: Option<&str>,
    ) -> Option<ReleaseId> {
        let first = self.release_for(deployment, org, plan)?;
        let levels = self.of(deployment).levels(org, plan);
        let standing = levels.filter_map(|level| level.standing);
        let mut is_nearest = true;
        let mut others = standing.flat_map(|standing| {
            let before = standing.before.filter(|_| is_nearest);
            is_nearest = false;
            [Some(standing.release), before].into_iter().flatten()
        });
        others.find(|release| *release != first && !self.is_revoked(release))
    }

    /// Whether a scope's own release and trial concern the calls of an org on a plan: it is theirs,
    /// and no more specific one has a release.
    pub fn concerns(&self, scope: &BindingScope, org: OrgId, plan: Option<&str>) -> bool {
        let bound = self.of(scope.deployment);
        let has = |level: Option<&Level>| level.is_some_and(|level| level.standing.is_some());
        let of_org = || has(bound.orgs.get(&org));
        match &scope.part {
            Some(ScopePart::Org(own)) => *own == org,
            Some(ScopePart::Plan(own)) => plan == Some(own) && !of_org(),
            None => !of_org() && !has(plan.and_then(|plan| bound.plans.get(plan))),
        }
    }

    /// What a rollback of exactly this scope would bind; absent where that takes its release away, or
    /// binds what may not price, or there is nothing to go back to.
    pub fn before(&self, scope: &BindingScope) -> Option<ReleaseId> {
        self.at(scope)?.before
    }

    /// What is bound to exactly this scope.
    pub fn bound(&self, scope: &BindingScope) -> Option<ReleaseId> {
        self.at(scope)?.standing.map(|standing| standing.release)
    }

    fn at(&self, scope: &BindingScope) -> Option<&Level> {
        let bound = self.of(scope.deployment);
        match &scope.part {
            None => Some(&bound.everyone),
            Some(ScopePart::Plan(plan)) => bound.plans.get(plan),
            Some(ScopePart::Org(org)) => bound.orgs.get(org),
        }
    }

    /// The trials that run.
    pub fn trials(&self) -> &[Arc<Trial>] {
        &self.trials
    }

    /// The trial that runs beside what is bound to exactly this scope.
    pub fn trial(&self, scope: &BindingScope) -> Option<&Arc<Trial>> {
        self.at(scope)?.trial.as_ref()
    }

    /// Whether a release prices nothing any more.
    pub fn is_revoked(&self, release: &ReleaseId) -> bool {
        !self.revoked.is_empty() && self.revoked.contains(release)
    }

    /// The newest change: when it is another, something was bound or tried anew.
    pub const fn newest(&self) -> Option<TransactionId> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::policy::Digest;

    fn release(number: u8) -> ReleaseId {
        ReleaseId {
            component: Digest([number; 32]),
            book: Digest([0; 32]),
        }
    }

    fn change(id: u128, part: Option<ScopePart>, to: Option<ReleaseId>) -> ChangeRecord {
        ChangeRecord {
            id: TransactionId::new(id),
            at_ms: 0,
            by: "host".into(),
            kind: ChangeKind::Activate,
            scope: BindingScope {
                deployment: Deployment::Hosted,
                part,
            },
            release: to,
            before: None,
            base: None,
            why: None,
        }
    }

    #[test]
    fn the_most_specific_scope_wins() {
        let (acme, other) = (OrgId::new(1), OrgId::new(2));
        let bindings = Bindings::new(
            [
                (
                    change(3, Some(ScopePart::Org(acme)), Some(release(3))),
                    Some(release(7)),
                ),
                (change(1, None, Some(release(1))), Some(release(8))),
                (
                    change(2, Some(ScopePart::Plan("pro".into())), Some(release(2))),
                    None,
                ),
                (change(4, Some(ScopePart::Plan("gone".into())), None), None),
            ],
            [release(9)],
            [],
        );
        let of = |org, plan| bindings.release_for(Deployment::Hosted, org, plan);
        assert_eq!(of(acme, Some("pro")), Some(release(3)));
        assert_eq!(of(other, Some("pro")), Some(release(2)));
        assert_eq!(of(other, Some("gone")), Some(release(1)));
        assert_eq!(of(other, None), Some(release(1)));
        let elsewhere = bindings.release_for(Deployment::SelfHosted, acme, Some("pro"));
        assert_eq!(elsewhere, None);
        let last_good = |org, plan| bindings.last_good(Deployment::Hosted, org, plan);
        assert_eq!(last_good(acme, Some("pro")), Some(release(7)));
        // A plan that never had another one falls back to the deployment's.
        assert_eq!(last_good(other, Some("pro")), Some(release(1)));
        assert_eq!(last_good(other, None), Some(release(8)));
        assert_eq!(bindings.newest(), Some(TransactionId::new(4)));
        assert!(bindings.is_revoked(&release(9)) && !bindings.is_revoked(&release(1)));
    }
}
