//! Usage that was recorded without a price gets one: by the release it ran under, and only where an
//! operator names another and that one has none, by that; or by decision. Whatever is bound by then
//! does not matter: nobody who made the call could know it.

use super::breaker::Question;
use super::calls::{CallError, Labels};
use super::history::HistoryError;
use super::holds::HoldContext;
use super::ledger::directory::OrgRecord;
use super::ledger::failure::ReadError;
use super::ledger::receipt::Pricing;
use super::ledger::view::UsageView;
use super::ledger::write::{Acknowledged, Action, Counted, Made, SettleWrite, WriteError};
use super::policy::{Fault, PolicyError, Priced, ReleaseId};
use super::releases::{Address, ReleaseError};
use super::{Context, Service};
use farebox_ledger::ids::{ChargeId, EventId, OrgId};
use farebox_pricing::event::{Facts, KeySource, UsageEvent};

/// What priced it and with which facts, the price, and what the book counts of it.
type RatedLate = (ReleaseId, Facts, Priced, Vec<Counted>);

/// How the price is found.
#[derive(Clone, Copy, Debug)]
pub enum Settlement {
    /// By the release that it ran under.
    Rate {
        /// For this key source; absent: for the one it was reported with.
        key_source: Option<KeySource>,
        /// What an operator lets price it where that release cannot.
        under: Option<ReleaseId>,
    },
    /// It is charged nothing.
    WriteOff,
}

/// Why usage that waits is not rated under a release.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UnderError {
    /// It cannot be used.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// It prices nothing any more.
    #[error("release `{0}` was revoked: it prices nothing")]
    Revoked(ReleaseId),
    /// It is only being tried.
    #[error("release `{0}` is the candidate of a trial: it prices only the calls of its trial")]
    Candidate(ReleaseId),
}

/// Why usage gets no price.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SettleError {
    /// No such usage of this org.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// It has a price.
    #[error("usage `{0}` has a price already")]
    Priced(EventId),
    /// It states nothing that was used, or a rule of the price book holds it.
    #[error("usage `{0}` waits for a person: rate it or write it off by hand")]
    NeedsDecision(EventId),
    /// It was recorded when that was not kept.
    #[error("usage `{0}` does not say which release it ran under: name one to rate it under")]
    NoRelease(EventId),
    /// What it ran under prices nothing any more.
    #[error("release `{0}`, under which it ran, was revoked: name another to rate it under")]
    Revoked(ReleaseId),
    /// The policy still gives no price.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ledger refused.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl SettleError {
    fn is_busy(&self) -> bool {
        matches!(self, Self::Call(CallError::Fault(error)) if **error == PolicyError::Busy)
    }

    /// Whether the usage could have a price in a moment, from the same release.
    pub(super) fn passes(&self) -> bool {
        let Self::Call(CallError::Fault(error)) = self else {
            return false;
        };
        match **error {
            PolicyError::Busy | PolicyError::Paused | PolicyError::NotLoaded => true,
            PolicyError::Fault(ref fault) => *fault == Fault::Time,
            PolicyError::Refused(_) => false,
        }
    }
}

impl Service {
    /// The release under which an operator lets usage be rated that its own cannot price.
    ///
    /// # Errors
    /// See [`UnderError`].
    pub fn rates_waiting(&self, address: Address) -> Result<ReleaseId, UnderError> {
        let release = self.loaded(address)?;
        if release.revoked.is_some() {
            return Err(UnderError::Revoked(release.id));
        }
        self.require_signed(&release)?;
        let bindings = self.store.bindings();
        let mut candidates = bindings.trials().iter().map(|trial| trial.release);
        if candidates.any(|candidate| candidate == release.id) {
            return Err(UnderError::Candidate(release.id));
        }
        Ok(release.id)
    }

    /// Charges usage that waits for a price. Its hold, if it was the last usage, ends with it.
    ///
    /// # Errors
    /// See [`SettleError`].
    pub async fn settle(
        &self,
        context: &Context,
        event: EventId,
        settlement: Settlement,
    ) -> Result<(ChargeId, Pricing, Acknowledged), SettleError> {
        let usage = self.usage_event(context, event)?;
        self.settle_usage(context, usage, settlement).await
    }

    /// The same for usage that was read already.
    pub(super) async fn settle_usage(
        &self,
        context: &Context,
        usage: UsageView,
        settlement: Settlement,
    ) -> Result<(ChargeId, Pricing, Acknowledged), SettleError> {
        let event = usage.id;
        let has_price = usage.charge.is_some();
        if has_price && context.idempotency.is_none() {
            return Err(SettleError::Priced(event));
        }
        let org = OrgRecord {
            // What it was for when it ran.
            plan: usage.dimensions.plan.clone(),
            ..OrgRecord::clone(&*self.known_org(context.org)?)
        };
        let held = match usage.hold {
            Some(hold) => self.store.hold(context.org, hold)?.and_then(|view| {
                let context = HoldContext::from_bytes(&view.hold.context)?;
                Some((context, view.hold.placed_at_ms))
            }),
            None => None,
        };
        let peg_at_ms = held
            .as_ref()
            .map_or(usage.occurred_at_ms, |(_, placed_at_ms)| *placed_at_ms);
        let said = match settlement {
            Settlement::Rate { key_source, .. } => key_source,
            Settlement::WriteOff => None,
        };
        let own = usage.unpriced.as_ref().and_then(|waits| waits.release);
        let own = own.or(held.as_ref().map(|(held, _)| held.release));
        // A hold knows it, and so does the report that had no price.
        let recorded = usage.unpriced.map(|unpriced| unpriced.key_source);
        let key_source = held
            .as_ref()
            .and_then(|(held, _)| held.key_source())
            .or(said)
            .or(recorded)
            .unwrap_or(KeySource::Managed);
        let labels = Labels {
            project: usage.dimensions.project.clone(),
            user: usage.dimensions.user.clone(),
            agent: usage.dimensions.agent.clone(),
            feature: usage.dimensions.feature.clone(),
        };
        let mut facts = self.facts(&org, key_source, &labels, usage.occurred_at_ms)?;
        if let Some(month_to_date_usd) =
            held.as_ref().and_then(|(held, _)| held.month_to_date_usd())
        {
            facts.month_to_date_usd = month_to_date_usd;
        }
        let nothing = |facts| self.write_off(facts);
        let mut counts = Vec::new();
        let pricing = match settlement {
            // It has its price: this is a retry of what gave it one, or it is refused.
            _ if has_price => nothing(facts),
            Settlement::Rate { under, .. } => {
                let (release, facts, priced, counted) =
                    self.rate_late(org.id, [own, under], event, &usage.event, facts)?;
                counts = counted;
                self.pricing(release, facts, priced, peg_at_ms)
                    .map_err(|error| {
                        self.take_back(org.id, &counts);
                        CallError::from(error)
                    })?
            }
            Settlement::WriteOff => nothing(facts),
        };
        let charge = ChargeId::new(self.clock.next_id());
        let write = SettleWrite {
            org: context.org,
            event_id: event,
            charge,
            pricing: pricing.clone(),
            counts: counts.clone(),
        };
        let written = self.write(context, None, Action::Settle(Box::new(write)));
        let written = written.await;
        if written.as_ref().map_or(true, |written| written.replayed) {
            self.take_back(org.id, &counts);
        }
        let acknowledged = written?;
        if let (true, Made::Usage(_, Some(first))) = (acknowledged.replayed, acknowledged.made)
            && let Some(receipt) = self.store.receipt(context.org, first)?
        {
            return Ok((first, receipt.pricing, acknowledged));
        }
        Ok((charge, pricing, acknowledged))
    }

    /// Rates usage that waited: under its `own` release, and where that has no price for it, `under`
    /// the one that an operator named.
    fn rate_late(
        &self,
        org: OrgId,
        [own, under]: [Option<ReleaseId>; 2],
        id: EventId,
        event: &UsageEvent,
        facts: Facts,
    ) -> Result<RatedLate, SettleError> {
        let rate = |release| -> Result<RatedLate, SettleError> {
            let mut facts = facts.clone();
            let (answer, counts) =
                self.ask_counted(Question::Settle, release, org, event, &mut facts)?;
            Ok((release, facts, answer.map_err(CallError::from)?, counts))
        };
        let first = match own {
            None => Err(SettleError::NoRelease(id)),
            Some(own) if self.store.bindings().is_revoked(&own) => Err(SettleError::Revoked(own)),
            Some(own) => rate(own),
        };
        match (first, under) {
            (Err(SettleError::Read(error)), _) => Err(error.into()),
            // A full house is no reason to price a call by another book.
            (Err(error), _) if error.is_busy() => Err(error),
            (Err(_), Some(under)) if own != Some(under) => rate(under),
            (first, _) => first,
        }
    }
}
