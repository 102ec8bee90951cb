//! Usage that was recorded without a price gets one: by the release it began under or the present
//! one, or by decision.

use super::calls::{CallError, Labels};
use super::history::HistoryError;
use super::holds::HoldContext;
use super::ledger::directory::OrgRecord;
use super::ledger::failure::ReadError;
use super::ledger::receipt::Pricing;
use super::ledger::view::UsageView;
use super::ledger::write::{Acknowledged, Action, Counted, Made, SettleWrite, WriteError};
use super::policy::{PolicyError, Priced, ReleaseId};
use super::{Context, Service};
use farebox_ledger::ids::{ChargeId, EventId};
use farebox_pricing::event::{Facts, KeySource, UsageEvent};

/// What priced it and with which facts, the answer, and what the book counts of it.
type RatedLate = (ReleaseId, Facts, Result<Priced, PolicyError>, Vec<Counted>);

/// How the price is found.
#[derive(Clone, Copy, Debug)]
pub enum Settlement {
    /// By a release: the one that held the call, or where that has no price, the present one.
    /// For this key source; absent: for the one it was reported with.
    Rate(Option<KeySource>),
    /// It is charged nothing.
    WriteOff,
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

impl Service {
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
            Settlement::Rate(said) => said,
            Settlement::WriteOff => None,
        };
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
            Settlement::Rate(_) => {
                let (release, facts, answer, counted) =
                    self.rate_late(&org, held.map(|(held, _)| held), &usage.event, facts)?;
                counts = counted;
                let priced = answer.map_err(CallError::from)?;
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

    /// Rates usage that waited: under the release that its call was held by, and only where that
    /// has no price for it under the present one.
    fn rate_late(
        &self,
        org: &OrgRecord,
        held: Option<HoldContext>,
        event: &UsageEvent,
        facts: Facts,
    ) -> Result<RatedLate, ReadError> {
        let present = self.release_for(org);
        let first = held.map_or(present, |held| self.release_of_call(held.release, org));
        let mut first_facts = facts.clone();
        let (answer, counted) = self.rate_counted(&first, org.id, event, &mut first_facts)?;
        let is_final = match &answer {
            // What is gone in a moment is no reason to price a call by another book.
            Ok(_) | Err(PolicyError::Busy | PolicyError::Paused) => true,
            Err(PolicyError::Refused(_) | PolicyError::Fault(_) | PolicyError::NotLoaded) => {
                first == present
            }
        };
        if is_final {
            return Ok((first, first_facts, answer, counted));
        }
        let mut facts = facts;
        let (answer, counted) = self.rate_counted(&present, org.id, event, &mut facts)?;
        Ok((present, facts, answer, counted))
    }
}
