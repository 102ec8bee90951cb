//! A candidate is tried beside what is bound: in a shadow nobody pays by it, in a canary a few do.
//!
//! What is compared are charges that were posted, read from the ledger off the path of any request
//! ([`watch`]): a shadow never delays a call, what it found is found again after a restart, and a
//! charge is compared with what was truly asked for it. What no charge shows, a candidate that fails
//! or refuses a call of its canary, before it runs or after, is noted where it happens and kept until a
//! restart.
//! Must not know how often it is called.

pub mod watch;

use super::Service;
use super::ledger::directory::DirectoryWrite;
use super::ledger::failure::ReadError;
use super::ledger::releases::{BindingScope, ChangeRecord};
use super::ledger::trials::{
    Trial, TrialBounds, TrialEnding, TrialKind, TrialRecord, TrialResult, TrialWrite, Whom,
};
use super::ledger::view::{Page, PageRequest};
use super::ledger::write::{Actor, WriteError};
use super::policy::ReleaseId;
use super::releases::{Address, Operator, ReleaseError};
use farebox_ledger::ids::{OrgId, TransactionId};
use std::sync::Arc;
use std::sync::atomic::Ordering;
pub(super) use watch::Watches;

/// A trial that somebody asks for.
#[derive(Clone, Debug)]
pub struct NewTrial {
    /// Beside what is bound to whom.
    pub scope: BindingScope,
    /// The candidate.
    pub release: Address,
    /// Which kind.
    pub kind: TrialKind,
    /// When it ends by itself.
    pub bounds: TrialBounds,
    /// Why, for whoever reads the history.
    pub why: Option<Box<str>>,
}

/// Why there is no trial.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TrialError {
    /// The candidate cannot be tried.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// It prices the scope already.
    #[error("release `{release}` is bound to `{scope}` already: there is nothing to try")]
    Bound {
        /// The candidate.
        release: ReleaseId,
        /// What it is bound to.
        scope: Box<BindingScope>,
    },
    /// No calls of that deployment are made here.
    #[error(
        "a trial needs calls, and this server has none of `{0}`: ask the server that runs there"
    )]
    Elsewhere(Box<BindingScope>),
    /// An org of the list is not of the scope, so the candidate would never price it.
    #[error(
        "org `{org}` is not priced by what is bound to `{scope}`: it would not be in the canary"
    )]
    OrgNotConcerned {
        /// The org.
        org: OrgId,
        /// The scope.
        scope: Box<BindingScope>,
    },
    /// No such trial.
    #[error("trial `{0}` does not exist")]
    NotFound(TransactionId),
    /// The ledger refused.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Service {
    /// Begins a trial. One of the same candidate that runs beside the same binding ends with it, so
    /// that a canary follows a shadow, and a larger canary a smaller one, without a gap.
    ///
    /// # Errors
    /// See [`TrialError`].
    pub async fn start_trial(
        &self,
        operator: &Operator,
        asked: NewTrial,
    ) -> Result<TrialRecord, TrialError> {
        let release = self.loaded(asked.release)?.id;
        self.check_scope(&asked.scope, Some(release))?;
        if asked.scope.deployment != self.settings.deployment {
            return Err(TrialError::Elsewhere(Box::new(asked.scope)));
        }
        let bindings = self.store.bindings();
        if bindings.bound(&asked.scope) == Some(release) {
            let scope = Box::new(asked.scope);
            return Err(TrialError::Bound { release, scope });
        }
        if let TrialKind::Canary(Whom::Orgs(orgs)) = &asked.kind {
            for org in orgs {
                let known = self.org(*org)?.ok_or(ReleaseError::OrgNotFound(*org))?;
                if !bindings.concerns(&asked.scope, *org, known.plan.as_deref()) {
                    let scope = Box::new(asked.scope);
                    return Err(TrialError::OrgNotConcerned { org: *org, scope });
                }
            }
        }
        let follows = bindings
            .trial(&asked.scope)
            .is_some_and(|running| running.release == release)
            .then(|| self.shown_beside(&asked.scope))
            .flatten();
        let trial = Trial {
            // The writer says these three.
            id: TransactionId::new(0),
            at_ms: 0,
            by: Box::default(),
            scope: asked.scope,
            release,
            kind: asked.kind,
            bounds: asked.bounds,
            why: asked.why,
        };
        let trial = Box::new(trial);
        let write = DirectoryWrite::Trial(TrialWrite::Start { trial, follows });
        let done = self.write_as(operator, write).await?;
        self.trial(done.id)
    }

    /// Ends a trial: what is bound prices everyone again, at once.
    ///
    /// # Errors
    /// See [`TrialError`].
    pub async fn stop_trial(
        &self,
        operator: &Operator,
        trial: TransactionId,
        why: Option<Box<str>>,
    ) -> Result<TrialRecord, TrialError> {
        self.end_trial(operator, trial, TrialEnding::Stopped, why)
            .await?;
        self.trial(trial)
    }

    /// Ends a trial by activating its candidate for its scope, in one step.
    ///
    /// # Errors
    /// See [`TrialError`].
    pub async fn promote(
        &self,
        operator: &Operator,
        trial: TransactionId,
        why: Option<Box<str>>,
    ) -> Result<ChangeRecord, TrialError> {
        let Trial { scope, release, .. } = self.trial(trial)?.trial;
        self.loaded(Address(release.address()))?;
        let done = self
            .end_trial(operator, trial, TrialEnding::Promoted, why)
            .await?;
        Ok(self.change_of(&scope, &done)?)
    }

    /// Ends a trial that passed one of its bounds.
    ///
    /// # Errors
    /// See [`TrialError`].
    pub async fn halt_trial(&self, trial: TransactionId, why: Box<str>) -> Result<(), TrialError> {
        let host = Operator {
            actor: Actor::Host,
            request_id: "trial".into(),
            idempotency: None,
        };
        // Counted before the end can be seen: whoever sees it finds it counted.
        self.watches.halted.fetch_add(1, Ordering::Relaxed);
        let ended = self.end_trial(&host, trial, TrialEnding::Halted, Some(why));
        if let Err(error) = ended.await {
            self.watches.halted.fetch_sub(1, Ordering::Relaxed);
            return Err(error);
        }
        Ok(())
    }

    /// Trials that run.
    pub fn trials_running(&self) -> u64 {
        u64::try_from(self.store.bindings().trials().len()).unwrap_or(u64::MAX)
    }

    /// Trials that ended by themselves, since the start.
    pub fn trials_halted(&self) -> u64 {
        self.watches.halted.load(Ordering::Relaxed)
    }

    async fn end_trial(
        &self,
        operator: &Operator,
        trial: TransactionId,
        ending: TrialEnding,
        why: Option<Box<str>>,
    ) -> Result<super::ledger::write::Acknowledged, TrialError> {
        let result = Box::new(self.watches.result(trial));
        let write = DirectoryWrite::Trial(TrialWrite::End {
            trial,
            ending,
            why,
            result,
        });
        let done = self.write_as(operator, write).await?;
        self.watches.forget(trial);
        Ok(done)
    }

    /// The trial that runs beside what is bound to a scope, and what it showed so far.
    pub(super) fn shown_beside(
        &self,
        scope: &BindingScope,
    ) -> Option<(TransactionId, Box<TrialResult>)> {
        let bindings = self.store.bindings();
        let trial = bindings.trial(scope)?.id;
        Some((trial, Box::new(self.watches.result(trial))))
    }

    /// A trial, with what it showed so far.
    ///
    /// # Errors
    /// `NotFound` or `Read`.
    pub fn trial(&self, id: TransactionId) -> Result<TrialRecord, TrialError> {
        self.store.trial(id)?.ok_or(TrialError::NotFound(id))
    }

    /// Trials, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn trials(&self, page: PageRequest) -> Result<Page<TrialRecord>, ReadError> {
        self.store.trials(page)
    }

    /// What a trial showed: of one that runs, so far.
    pub fn shown(&self, trial: &TrialRecord) -> TrialResult {
        match &trial.end {
            Some(end) => end.result.clone(),
            None => self.watches.result(trial.trial.id),
        }
    }

    /// The canary by which a release prices an org's calls, where it does.
    fn canary_of(&self, release: ReleaseId, org: OrgId, plan: Option<&str>) -> Option<Arc<Trial>> {
        let bindings = self.store.bindings();
        bindings
            .canary_for(self.settings.deployment, org, plan)
            .filter(|trial| trial.release == release)
            .cloned()
    }

    /// Notes a candidate's failure that no charge shows.
    pub(super) fn note_failure(&self, release: ReleaseId, org: OrgId) {
        if self.store.bindings().trials().is_empty() {
            return;
        }
        // Whose org cannot be read has worse to tell than a trial's count.
        let plan = self
            .org(org)
            .ok()
            .flatten()
            .and_then(|org| org.plan.clone());
        if let Some(trial) = self.canary_of(release, org, plan.as_deref()) {
            self.watches.note(trial.id, |result| {
                result.faults = result.faults.saturating_add(1);
            });
        }
    }

    /// Notes what a candidate refused, before a call or after it, of which what is bound prices so
    /// many: `priced_by` asks it.
    pub(super) fn note_refusals(
        &self,
        release: ReleaseId,
        org: OrgId,
        plan: Option<&str>,
        priced_by: impl FnOnce(&ReleaseId) -> usize,
    ) {
        let bindings = self.store.bindings();
        if bindings.trials().is_empty() {
            return;
        }
        let Some(trial) = self.canary_of(release, org, plan) else {
            return;
        };
        let bound = bindings.bound_for(self.settings.deployment, org, plan);
        let priced = bound.map_or(0, |bound| priced_by(&bound));
        if priced > 0 {
            let priced = u64::try_from(priced).unwrap_or(u64::MAX);
            self.watches.note(trial.id, |result| {
                result.refused = result.refused.saturating_add(priced);
            });
        }
    }
}
