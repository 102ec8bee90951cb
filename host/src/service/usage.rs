//! Usage: what a call really used is rated and charged, once.
//!
//! After the provider call nothing is dropped. A policy that fails or refuses leaves the usage
//! recorded without a price, and its hold stays; a charge above its hold is paid by the wallet,
//! and what that cannot pay is a shortfall. Only what cannot be understood at all is refused, so
//! that the caller can say it again.

use super::breaker::Question;
use super::calls::{CallError, Labels, dimensions};
use super::failures::{Ending, Fate, Understood, understand};
use super::holds::{HoldContext, Serves};
use super::intake::{Intake, IntakeError, Report};
use super::ledger::WriteFuture;
use super::ledger::directory::OrgRecord;
use super::ledger::failure::ReadError;
use super::ledger::receipt::Pricing;
use super::ledger::write::{
    Acknowledged, Action, CallAudit, Counted, Made, Once, Personal, Unpriced, UsageWrite,
    WriteError,
};
use super::policy::{PolicyError, Priced, RateRequest, ReleaseId};
use super::{Context, Service};
use farebox_ledger::command::Reach;
use farebox_ledger::hold::Dimensions;
use farebox_ledger::idempotency::ResponseId;
use farebox_ledger::ids::{ChargeId, EventId, HoldId, OrgId};
use farebox_ledger::refusal::{CaptureRefusal, RecordUnpricedRefusal, Refusal as LedgerRefusal};
use farebox_pricing::answer::Refusal;
use farebox_pricing::event::{Facts, KeySource};
use farebox_pricing::exact::ArithmeticError;
use farebox_usage::Finish;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Usage as a caller reports it.
#[derive(Clone, Debug)]
pub struct Reported<'a> {
    /// What was used.
    pub report: Report<'a>,
    /// The hold it belongs to.
    pub hold: Option<HoldId>,
    /// How far it reaches into the org's credits: see [`Service::may_report`].
    pub reach: Reach,
    /// Whether nothing more comes under the hold.
    pub last: bool,
    /// When it was used, milliseconds since the Unix epoch; absent: when it was held, else now.
    pub occurred_at_ms: Option<i64>,
    /// Whose provider key served it; absent: the hold's, else the operator's.
    pub key_source: Option<KeySource>,
    /// What it was for; a hold's own labels win.
    pub labels: Labels,
    /// What operations want to know.
    pub audit: CallAudit,
    /// Who called.
    pub personal: Personal,
    /// Whether the caller went away before the end of the answer.
    pub aborted: bool,
    /// What had been passed on, in bytes of text, when the gateway ended the stream because its money
    /// was spent; absent: it did not.
    pub cut_off_bytes: Option<u64>,
}

/// Under which holds a caller may report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doors {
    /// All of its org, and none.
    All,
    /// Those that its key placed: the key itself is no longer valid.
    OwnHolds,
}

/// Why usage is refused. Nothing of it is recorded; a hold stays as it is.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UsageError {
    /// It cannot be understood.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The caller's time is too far from the host's.
    #[error("`occurred_at` is {off_ms} ms from this server's clock; {max_ms} ms are allowed")]
    Time {
        /// How far, in milliseconds.
        off_ms: u64,
        /// How far it may be.
        max_ms: i64,
    },
    /// No such hold of this org.
    #[error("hold `{0}` does not exist")]
    HoldNotFound(HoldId),
    /// The key is no longer valid, and did not place the hold.
    #[error("the key is no longer valid: it may report under holds that it placed")]
    KeyEnded,
    /// The key is no longer valid, and its hold does not pay for this.
    #[error("the key is no longer valid, and {0}: let an admin key report it")]
    BeyondHold(Box<LedgerRefusal>),
    /// The call was held for another key.
    #[error("hold `{0}` was placed for the other key source")]
    KeySource(HoldId),
    /// Facts could not be gathered.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ledger refused.
    #[error(transparent)]
    Write(WriteError),
}

/// Usage that is recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// What was used.
    pub event: EventId,
    /// Its price; absent: it waits for one.
    pub charge: Option<(ChargeId, Pricing)>,
    /// Why it waits.
    pub unpriced_reason: Option<Box<str>>,
    /// Whether the usage was the provider's last word.
    pub finish: Finish,
    /// Usage fields that were not understood.
    pub unknown_fields: Vec<String>,
    /// What the ledger says.
    pub acknowledged: Acknowledged,
}

/// Usage that is understood and has its facts, on its way to a price.
#[derive(Clone, Debug)]
pub struct Prepared {
    intake: Intake,
    facts: Facts,
    release: ReleaseId,
    dimensions: Arc<Dimensions>,
    hold: Option<HoldId>,
    reach: Reach,
    last: bool,
    audit: CallAudit,
    personal: Personal,
    /// What becomes of it, known before any policy is asked.
    fate: Fate,
    /// What the book counts of it, once it is rated.
    counts: Vec<Counted>,
    /// When what a credit is worth was settled, in milliseconds since the Unix epoch.
    peg_at_ms: i64,
}

impl Prepared {
    /// What a policy is asked.
    pub(super) const fn question(&self) -> (&ReleaseId, RateRequest<'_>) {
        (&self.release, (&self.intake.event, &self.facts))
    }

    /// Whether a policy is asked at all.
    pub(super) const fn is_ratable(&self) -> bool {
        matches!(self.fate, Fate::Rate)
    }
}

/// Usage that was handed to the ledger.
pub struct Submitted {
    event: EventId,
    charge: Option<(ChargeId, Pricing)>,
    reason: Option<Box<str>>,
    finish: Finish,
    unknown_fields: Vec<String>,
    hold: Option<HoldId>,
    counts: Vec<Counted>,
    write: WriteFuture,
}

impl Service {
    /// Whether a caller may report this, and how far it reaches. What began under a key that has
    /// ended is charged to its holds, and to nothing beyond them: whoever found the key could else
    /// empty the wallet. The rest is an admin's to report.
    ///
    /// # Errors
    /// `KeyEnded`, `HoldNotFound`, or it cannot be read.
    pub fn may_report(
        &self,
        context: &Context,
        doors: Doors,
        reported: &Reported<'_>,
    ) -> Result<Reach, UsageError> {
        if doors == Doors::All {
            return Ok(Reach::Wallet);
        }
        let org = self.known_org(context.org)?;
        let hold = reported.hold.ok_or(UsageError::KeyEnded)?;
        let held = self.held_context(&org, hold)?;
        if held.dimensions.key == context.key {
            Ok(Reach::Hold)
        } else {
            Err(UsageError::KeyEnded)
        }
    }

    /// Rates and charges what was used.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub async fn record_usage(
        &self,
        context: &Context,
        reported: Reported<'_>,
    ) -> Result<Recorded, UsageError> {
        let mut prepared = self.prepare_usage(context, reported)?;
        let answer = if prepared.is_ratable() {
            Some(self.rate_prepared(context.org, &mut prepared)?)
        } else {
            None
        };
        let submitted = self.submit_usage(context, prepared, answer);
        self.finish_usage(context, submitted).await
    }

    /// Rates usage, and notes what the book counts of it.
    pub(super) fn rate_prepared(
        &self,
        org: OrgId,
        prepared: &mut Prepared,
    ) -> Result<Result<Priced, PolicyError>, ReadError> {
        let (release, event) = (prepared.release, &prepared.intake.event);
        let (answer, counts) =
            self.ask_counted(Question::Rate, release, org, event, &mut prepared.facts)?;
        prepared.counts = counts;
        if matches!(answer, Err(PolicyError::Refused(_))) {
            let facts = &prepared.facts;
            self.note_refusals(release, org, facts.plan.as_deref(), |bound| {
                usize::from(self.engine.rate(bound, event, facts).is_ok())
            });
        }
        Ok(answer)
    }

    /// Understands a report and gathers its facts.
    pub(super) fn prepare_usage(
        &self,
        context: &Context,
        reported: Reported<'_>,
    ) -> Result<Prepared, UsageError> {
        let now_ms = self.clock.now_ms();
        let org = self.known_org(context.org)?;
        let held = reported
            .hold
            .map(|hold| self.held_context(&org, hold))
            .transpose()?;
        let placed_at_ms = held.as_ref().map(|held| held.placed_at_ms);
        let month_to_date_usd = held
            .as_ref()
            .and_then(|held| held.context.month_to_date_usd());
        let occurred_at_ms = match (reported.occurred_at_ms, placed_at_ms) {
            // An edge whose clock is wrong says so of calls that ran all the same.
            (Some(said_ms), Some(placed_at_ms)) if month_to_date_usd.is_some() => {
                said_ms.min(now_ms).max(placed_at_ms)
            }
            (said_ms, placed_at_ms) => self.time_of(said_ms, placed_at_ms, now_ms)?,
        };
        let release = match &held {
            Some(held) => self.release_of_call(held.context.release, &org),
            None => self.release_for(&org),
        };
        let ending = Ending {
            cut_off_bytes: reported.cut_off_bytes,
            aborted: reported.aborted,
            status: reported.audit.status,
        };
        let understood = understand(&reported.report, ending, &*self.engine, &release)?;
        let failure = understood.fact();
        let Understood { intake, fate, .. } = understood;
        let key_source = match (held.as_ref(), reported.key_source) {
            (Some(held), said) => match (&held.context.serves, said) {
                (Serves::Call(own), Some(said)) if said != *own => {
                    return Err(UsageError::KeySource(held.id));
                }
                (Serves::Call(own), _) => *own,
                (Serves::Lease { .. }, said) => said.unwrap_or(KeySource::Managed),
            },
            (None, said) => said.unwrap_or(KeySource::Managed),
        };
        let labels = match &held {
            Some(held) => labels_of(&held.dimensions),
            None => Labels {
                feature: intake.event.feature.clone(),
                ..reported.labels
            },
        };
        let mut intake = intake;
        intake.event.feature = labels.feature.clone();
        let mut facts = self.facts(&org, key_source, &labels, occurred_at_ms)?;
        if let (Some(lease), Some(month_to_date_usd)) = (&held, month_to_date_usd) {
            // As the edge has priced it.
            facts.plan = lease.dimensions.plan.clone();
            facts.month_to_date_usd = month_to_date_usd;
        }
        if let Some(failure) = failure {
            let at = facts.other.partition_point(|fact| fact.name < failure.name);
            facts.other.insert(at, failure);
        }
        let mut audit = reported.audit;
        audit.response_id = intake.response_id.clone();
        Ok(Prepared {
            peg_at_ms: placed_at_ms.unwrap_or(occurred_at_ms),
            facts,
            release,
            dimensions: self.usage_dimensions(context, &org, &labels, held.as_ref()),
            hold: reported.hold,
            reach: reported.reach,
            last: reported.last && month_to_date_usd.is_none(),
            audit,
            personal: reported.personal,
            fate,
            counts: Vec::new(),
            intake,
        })
    }

    /// Hands usage over, with the price that the policy's `answer` gives it, if any.
    pub(super) fn submit_usage(
        &self,
        context: &Context,
        prepared: Prepared,
        answer: Option<Result<Priced, PolicyError>>,
    ) -> Submitted {
        let facts = &prepared.facts;
        let pricing = match answer {
            Some(Ok(priced)) => self
                .pricing(prepared.release, facts.clone(), priced, prepared.peg_at_ms)
                .map_err(|_| "out_of_range"),
            Some(Err(error)) => Err(unpriced_reason(&error)),
            None => match prepared.fate {
                Fate::Nothing => Ok(self.write_off(prepared.facts.clone())),
                Fate::Unpriced(reason) => Err(reason),
                Fate::Rate => Err("unknown"),
            },
        };
        let counts = match &pricing {
            Ok(_) => prepared.counts,
            Err(_) => {
                self.take_back(context.org, &prepared.counts);
                Vec::new()
            }
        };
        let (charge, reason) = match pricing {
            Ok(pricing) => (Some((ChargeId::new(self.clock.next_id()), pricing)), None),
            Err(reason) => (None, Some(Box::<str>::from(reason))),
        };
        let event_id = EventId::new(self.clock.next_id());
        let intake = prepared.intake;
        let once = intake
            .response_id
            .as_deref()
            .map(|id| Once::Response(response_digest(&intake.event.provider, id)));
        let write = UsageWrite {
            org: context.org,
            event_id,
            occurred_at_ms: prepared.facts.occurred_at_ms,
            hold: prepared.hold,
            reach: prepared.reach,
            last: prepared.last,
            dimensions: prepared.dimensions,
            event: intake.event,
            raw_usage: intake.raw_usage.map(|raw| raw.into_bytes().into()),
            audit: prepared.audit,
            personal: prepared.personal,
            charge: charge.clone(),
            unpriced: reason.clone().map(|reason| Unpriced {
                reason,
                key_source: prepared.facts.key_source,
                release: Some(prepared.release),
            }),
            counts: counts.clone(),
        };
        Submitted {
            event: event_id,
            charge,
            reason,
            finish: intake.finish,
            unknown_fields: intake.unknown_fields,
            hold: prepared.hold,
            counts,
            write: self.write(context, once, Action::Usage(Box::new(write))),
        }
    }

    /// Waits until the usage is durable. Of a replay, the first effect is told.
    pub(super) async fn finish_usage(
        &self,
        context: &Context,
        submitted: Submitted,
    ) -> Result<Recorded, UsageError> {
        let written = submitted.write.await;
        if written.as_ref().map_or(true, |written| written.replayed) {
            self.take_back(context.org, &submitted.counts);
        }
        let acknowledged = written.map_err(|error| refused(error, submitted.hold))?;
        let mut recorded = Recorded {
            event: submitted.event,
            charge: submitted.charge,
            unpriced_reason: submitted.reason,
            finish: submitted.finish,
            unknown_fields: submitted.unknown_fields,
            acknowledged,
        };
        if let (true, Made::Usage(event, charge)) =
            (recorded.acknowledged.replayed, recorded.acknowledged.made)
        {
            recorded.event = event;
            let receipt = match charge {
                Some(charge) => self.store.receipt(context.org, charge)?,
                None => None,
            };
            recorded.charge = receipt.map(|receipt| (receipt.charge, receipt.pricing));
            if recorded.charge.is_none() {
                recorded.unpriced_reason = self
                    .store
                    .usage_event(context.org, event)?
                    .and_then(|usage| usage.unpriced)
                    .map(|unpriced| unpriced.reason);
            }
        }
        Ok(recorded)
    }

    /// No price, in today's commodity.
    pub(super) fn write_off(&self, facts: Facts) -> Pricing {
        let peg = self.settings.pegs.at(facts.occurred_at_ms);
        Pricing::write_off(facts, self.settings.commodity.id, peg)
    }

    /// A price in today's commodity, at what one of it was worth at `peg_at_ms`: when the call was
    /// held, so that the hold bounds it, else when it ran. In milliseconds since the Unix epoch.
    pub(super) fn pricing(
        &self,
        release: ReleaseId,
        facts: Facts,
        priced: Priced,
        peg_at_ms: i64,
    ) -> Result<Pricing, ArithmeticError> {
        let peg = self.settings.pegs.at(peg_at_ms);
        Pricing::of(release, facts, priced, self.settings.commodity.id, peg)
    }

    /// The event's time. Under a hold it is when the hold was placed, whose price bounds it, however
    /// long the call and its report take; a part of a longer job may say when in between it ran.
    /// Without one it is the host's, unless the caller's lies within the declared skew.
    fn time_of(
        &self,
        said_ms: Option<i64>,
        placed_at_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<i64, UsageError> {
        let max_ms = self.settings.skew_max_ms;
        let Some(said_ms) = said_ms else {
            return Ok(placed_at_ms.unwrap_or(now_ms));
        };
        let off_ms = said_ms.abs_diff(now_ms);
        let is_near = off_ms <= max_ms.unsigned_abs();
        match placed_at_ms {
            // A clock that is a little off says no time that the hold does not cover.
            Some(placed_at_ms) if is_near || (placed_at_ms..=now_ms).contains(&said_ms) => {
                Ok(said_ms.min(now_ms).max(placed_at_ms))
            }
            None if is_near => Ok(said_ms),
            _ => Err(UsageError::Time { off_ms, max_ms }),
        }
    }

    fn held_context(&self, org: &OrgRecord, id: HoldId) -> Result<HeldContext, UsageError> {
        if let Some(with) = self.placed.find(org.id, id) {
            return Ok(HeldContext {
                id,
                context: with.context,
                dimensions: with.dimensions,
                placed_at_ms: with.placed_at_ms,
            });
        }
        let hold = self
            .store
            .hold(org.id, id)?
            .ok_or(UsageError::HoldNotFound(id))?
            .hold;
        // A hold that another tool placed has no context: it is rated as a call without a hold.
        let context = HoldContext::from_bytes(&hold.context).unwrap_or(HoldContext {
            release: self.release_for(org),
            serves: Serves::Call(KeySource::Managed),
        });
        Ok(HeldContext {
            id,
            context,
            dimensions: hold.dimensions,
            placed_at_ms: hold.placed_at_ms,
        })
    }

    fn usage_dimensions(
        &self,
        context: &Context,
        org: &OrgRecord,
        labels: &Labels,
        held: Option<&HeldContext>,
    ) -> Arc<Dimensions> {
        match held {
            Some(held) => Arc::clone(&held.dimensions),
            None => Arc::new(dimensions(context, org, labels)),
        }
    }
}

struct HeldContext {
    id: HoldId,
    context: HoldContext,
    dimensions: Arc<Dimensions>,
    placed_at_ms: i64,
}

fn labels_of(dimensions: &Dimensions) -> Labels {
    Labels {
        project: dimensions.project.clone(),
        user: dimensions.user.clone(),
        agent: dimensions.agent.clone(),
        feature: dimensions.feature.clone(),
    }
}

/// The stable word for why usage has no price.
fn unpriced_reason(error: &PolicyError) -> &'static str {
    match error {
        PolicyError::Refused(Refusal::UnknownModel { .. }) => "unknown_model",
        PolicyError::Refused(Refusal::NotPriced { .. }) => "not_priced",
        PolicyError::Refused(Refusal::NotAllowed { .. }) => "not_allowed",
        PolicyError::Refused(Refusal::OutOfRange { .. }) => "out_of_range",
        PolicyError::Fault(_) => "policy_fault",
        PolicyError::NotLoaded => "release_not_loaded",
        PolicyError::Paused => "policy_paused",
        PolicyError::Busy => "policy_busy",
    }
}

/// SHA-256 of provider, a zero byte, and the provider's id of its response.
fn response_digest(provider: &str, id: &str) -> ResponseId {
    let mut hash = Sha256::new();
    hash.update(provider);
    hash.update([0]);
    hash.update(id);
    ResponseId(hash.finalize().into())
}

fn refused(error: WriteError, hold: Option<HoldId>) -> UsageError {
    match (&error, hold) {
        (
            WriteError::Refused(
                beyond @ (LedgerRefusal::Capture(CaptureRefusal::BeyondHold { .. })
                | LedgerRefusal::RecordUnpriced(RecordUnpricedRefusal::BeyondHold {
                    ..
                })),
            ),
            _,
        ) => UsageError::BeyondHold(Box::new(beyond.clone())),
        (
            WriteError::Refused(
                LedgerRefusal::Capture(CaptureRefusal::HoldNotFound { .. })
                | LedgerRefusal::RecordUnpriced(RecordUnpricedRefusal::HoldNotFound { .. }),
            ),
            Some(hold),
        ) => UsageError::HoldNotFound(hold),
        _ => UsageError::Write(error),
    }
}
