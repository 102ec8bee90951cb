//! What quote and hold share: a call that has not run yet becomes a priced worst case.

use super::breaker::Question;
use super::ledger::directory::OrgRecord;
use super::ledger::failure::ReadError;
use super::policy::{PolicyError, ReleaseId};
use super::{Context, Service};
use farebox_ledger::hold::Dimensions;
use farebox_ledger::ids::OrgId;
use farebox_pricing::answer::{Quote, Refusal};
use farebox_pricing::event::{Facts, KeySource, QuoteRequest};
use farebox_pricing::exact::{self, ArithmeticError};
use farebox_pricing::money::{Nanos, Rounding};
use std::sync::Arc;

/// A call that is about to run.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is known of it.
    pub request: QuoteRequest,
    /// Whose provider key will serve it.
    pub key_source: KeySource,
    /// What it is for.
    pub labels: Labels,
}

/// What a call is for, as its caller says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The project.
    pub project: Option<Box<str>>,
    /// The end user.
    pub user: Option<Box<str>>,
    /// The agent.
    pub agent: Option<Box<str>>,
    /// What the call is for.
    pub feature: Option<Box<str>>,
}

impl Labels {
    /// The same labels for this feature.
    #[must_use]
    pub fn with_feature(self, feature: Option<Box<str>>) -> Self {
        Self { feature, ..self }
    }
}

/// A call's worst case.
#[derive(Clone, Debug)]
pub struct WorstCase {
    /// What priced it.
    pub release: ReleaseId,
    /// What the host vouched for.
    pub facts: Facts,
    /// The bound.
    pub quote: Quote,
    /// The bound in nano-credits, rounded up.
    pub amount: Nanos,
    /// What the call is for.
    pub dimensions: Arc<Dimensions>,
}

/// Why a call has no worst case.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// No such org.
    #[error("org `{0}` does not exist")]
    OrgNotFound(OrgId),
    /// The policy refused.
    #[error("the policy refused the call")]
    Refused(#[source] Refusal),
    /// The policy broke its contract.
    #[error("the policy failed")]
    Fault(#[source] Arc<PolicyError>),
    /// The worst case does not fit the ledger.
    #[error("the worst case of the call is out of range")]
    OutOfRange(#[from] ArithmeticError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<PolicyError> for CallError {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Refused(refusal) => Self::Refused(refusal),
            error => Self::Fault(Arc::new(error)),
        }
    }
}

impl Service {
    /// The org a context names, which must exist.
    pub(super) fn known_org(&self, org: OrgId) -> Result<Arc<OrgRecord>, CallError> {
        self.org(org)?.ok_or(CallError::OrgNotFound(org))
    }

    /// What the host vouches for about a call of `org`.
    pub(super) fn facts(
        &self,
        org: &OrgRecord,
        key_source: KeySource,
        labels: &Labels,
        occurred_at_ms: i64,
    ) -> Result<Facts, CallError> {
        let spent = self.store.month_to_date(org.id, occurred_at_ms)?;
        let peg = self.settings.pegs.at(occurred_at_ms);
        let mut facts = Facts::new(self.settings.deployment, key_source, occurred_at_ms);
        facts.plan = org.plan.clone();
        facts.org = Some(org.id.to_string().into());
        facts.project = labels.project.clone();
        facts.user = labels.user.clone();
        facts.agent = labels.agent.clone();
        facts.month_to_date_usd = exact::mul(spent.credits(), peg.usd_per_credit())?;
        Ok(facts)
    }

    /// The worst case of a call.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(super) fn worst_case(
        &self,
        context: &Context,
        call: &Call,
    ) -> Result<WorstCase, CallError> {
        self.worst_case_under(context, call, None)
    }

    /// The worst case of a call under the release that was `promised`, unless that was revoked
    /// since; without one, under the one that prices the org's new calls.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(super) fn worst_case_under(
        &self,
        context: &Context,
        call: &Call,
        promised: Option<ReleaseId>,
    ) -> Result<WorstCase, CallError> {
        let org = self.known_org(context.org)?;
        let facts = self.facts(&org, call.key_source, &call.labels, self.clock.now_ms())?;
        let ask = |release: &ReleaseId| self.engine.quote(release, &call.request, &facts);
        let promised = promised.filter(|release| !self.store.bindings().is_revoked(release));
        let (release, quote) = match promised {
            Some(release) => {
                let quote = self.ask(release, org.id, Question::Quote, || ask(&release))?;
                (release, quote)
            }
            None => self.ask_or_fall_back(&org, ask)?,
        };
        Ok(WorstCase {
            release,
            amount: self.hold_amount(&quote, &facts)?,
            dimensions: Arc::new(dimensions(context, &org, &call.labels)),
            facts,
            quote,
        })
    }

    /// A bound in nano-credits. A hold rounds up whatever the book says of charges: one nano too
    /// many is given back, one too few would be a shortfall.
    pub(super) fn hold_amount(
        &self,
        quote: &Quote,
        facts: &Facts,
    ) -> Result<Nanos, ArithmeticError> {
        let peg = self.settings.pegs.at(facts.occurred_at_ms);
        peg.to_nanos(quote.total_usd, Rounding::AwayFromZero)
    }
}

/// What budgets, grants and reports look at.
pub(super) fn dimensions(context: &Context, org: &OrgRecord, labels: &Labels) -> Dimensions {
    Dimensions {
        key: context.key,
        project: labels.project.clone(),
        user: labels.user.clone(),
        agent: labels.agent.clone(),
        feature: labels.feature.clone(),
        plan: org.plan.clone(),
    }
}
