//! Bindings: whose calls a release prices.
//!
//! A binding is changed in one atomic step of the ledger's writer: every worker sees the change with
//! the commit, and a call that began under a release ends under it, because its hold names the
//! release. Only a revoked release ends sooner. Must not know how a release is compiled.

use super::Service;
use super::breaker::Question;
use super::ledger::directory::{DirectoryWrite, OrgRecord};
use super::ledger::failure::ReadError;
use super::ledger::releases::{BindTo, BindingChange, BindingScope, ChangeRecord, ScopePart};
use super::ledger::view::{Page, PageRequest};
use super::ledger::write::Acknowledged;
use super::policy::{PolicyError, ReleaseId};
use super::releases::{Address, Operator, ReleaseError};
use std::sync::atomic::Ordering;

/// What prices a call that has not run yet when its release fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing: the call is refused.
    Refuse,
    /// The last good release: what was bound before.
    LastGood,
}

impl Service {
    /// What prices new calls of this org.
    pub(super) fn release_for(&self, org: &OrgRecord) -> ReleaseId {
        let bindings = self.store.bindings();
        bindings
            .release_for(self.settings.deployment, org.id, org.plan.as_deref())
            .unwrap_or(self.settings.release)
    }

    /// Asks what prices the org's new calls, and where that fails, what is declared to stand in for
    /// it. The call is then held, and so charged, under the release that answered.
    pub(super) fn ask_or_fall_back<T>(
        &self,
        org: &OrgRecord,
        ask: impl Fn(&ReleaseId) -> Result<T, PolicyError>,
    ) -> Result<(ReleaseId, T), PolicyError> {
        let release = self.release_for(org);
        let failed = match self.ask(release, org.id, Question::Quote, || ask(&release)) {
            Ok(answer) => return Ok((release, answer)),
            Err(error) => error,
        };
        if matches!(failed, PolicyError::Refused(_)) {
            let plan = org.plan.as_deref();
            self.note_refusals(release, org.id, plan, |bound| {
                usize::from(ask(bound).is_ok())
            });
        }
        // A release that is not loaded is no failure of its policy: nothing starts without what is
        // bound, and nothing else is bound than what is loaded.
        let is_failure = matches!(failed, PolicyError::Fault(_) | PolicyError::Paused);
        if !is_failure || self.settings.fallback == Fallback::Refuse {
            return Err(failed);
        }
        let bindings = self.store.bindings();
        let plan = org.plan.as_deref();
        let Some(other) = bindings.last_good(self.settings.deployment, org.id, plan) else {
            return Err(failed);
        };
        match self.ask(other, org.id, Question::Quote, || ask(&other)) {
            Ok(answer) => {
                self.fallbacks.fetch_add(1, Ordering::Relaxed);
                Ok((other, answer))
            }
            // Of two failures the first tells more: it is of what is bound.
            Err(_) => Err(failed),
        }
    }

    /// Calls that were priced by the last good release because the bound one failed, since start.
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }

    /// What prices a call that began under `held`: the same, unless it was revoked since.
    pub(super) fn release_of_call(&self, held: ReleaseId, org: &OrgRecord) -> ReleaseId {
        if self.store.bindings().is_revoked(&held) {
            self.release_for(org)
        } else {
            held
        }
    }

    /// The present binding of every scope that has or had one of its own.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn bound(&self) -> Result<Vec<ChangeRecord>, ReadError> {
        self.store.bound()
    }

    /// Changes of bindings, newest first; of one scope where one is named.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn binding_changes(
        &self,
        scope: Option<&BindingScope>,
        page: PageRequest,
    ) -> Result<Page<ChangeRecord>, ReadError> {
        self.store.binding_changes(scope, page)
    }

    /// Binds a scope to a release; absent: takes the scope's own away. Nothing changes unless
    /// `expected` is what is bound now.
    ///
    /// # Errors
    /// See [`ReleaseError`].
    pub async fn activate(
        &self,
        operator: &Operator,
        scope: BindingScope,
        address: Option<Address>,
        expected: Option<Address>,
        why: Option<Box<str>>,
    ) -> Result<ChangeRecord, ReleaseError> {
        let release = match address {
            Some(address) => Some(self.loaded(address)?.id),
            None => None,
        };
        self.check_scope(&scope, release)?;
        let to = release.map_or(BindTo::Nothing, BindTo::Release);
        self.bind(operator, scope, to, expected, why).await
    }

    /// Binds a scope to what it was bound to before the last activation that was not rolled back.
    ///
    /// # Errors
    /// See [`ReleaseError`].
    pub async fn roll_back(
        &self,
        operator: &Operator,
        scope: BindingScope,
        expected: Option<Address>,
        why: Option<Box<str>>,
    ) -> Result<ChangeRecord, ReleaseError> {
        // What is gone back to in a hurry must price: one that this server could not load would refuse
        // each call, and the next start.
        let before = self.store.bindings().before(&scope);
        if let Some(before) = before.filter(|before| !self.engine.is_loaded(before)) {
            return Err(ReleaseError::NotLoaded(before));
        }
        self.bind(operator, scope, BindTo::Before(before), expected, why)
            .await
    }

    async fn bind(
        &self,
        operator: &Operator,
        scope: BindingScope,
        to: BindTo,
        expected: Option<Address>,
        why: Option<Box<str>>,
    ) -> Result<ChangeRecord, ReleaseError> {
        let expected = match expected {
            Some(address) => Some(self.find_release(address)?.id),
            None => None,
        };
        let beside = self.shown_beside(&scope);
        let over = beside.as_ref().map(|(trial, _)| *trial);
        let change = BindingChange {
            scope: scope.clone(),
            to,
            expected,
            beside,
            why,
        };
        let done = self
            .write_as(operator, DirectoryWrite::Bind(change))
            .await?;
        if let Some(trial) = over {
            self.watches.forget(trial);
        }
        self.change_of(&scope, &done)
    }

    /// The change that a write made; of a replay, the first one's.
    pub(super) fn change_of(
        &self,
        scope: &BindingScope,
        done: &Acknowledged,
    ) -> Result<ChangeRecord, ReleaseError> {
        let just_after = done.id.get().checked_add(1);
        let page = PageRequest {
            after: just_after,
            limit: 1,
        };
        let changes = self.store.binding_changes(Some(scope), page)?;
        changes
            .items
            .into_iter()
            .find(|change| change.id == done.id)
            .ok_or(ReleaseError::ChangeLost(done.id))
    }

    /// A scope that concerns nobody is a slip of the pen.
    pub(super) fn check_scope(
        &self,
        scope: &BindingScope,
        release: Option<ReleaseId>,
    ) -> Result<(), ReleaseError> {
        match &scope.part {
            None => Ok(()),
            Some(ScopePart::Org(org)) => match self.org(*org)? {
                Some(_) => Ok(()),
                None => Err(ReleaseError::OrgNotFound(*org)),
            },
            Some(ScopePart::Plan(plan)) => {
                let named = release.is_none_or(|release| self.engine.names_plan(&release, plan));
                if named || self.store.has_plan(plan)? {
                    Ok(())
                } else {
                    Err(ReleaseError::PlanNotFound(plan.clone()))
                }
            }
        }
    }
}
