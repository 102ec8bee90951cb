//! How a reported call ended, and what its book does about it when it did not end well. The server
//! and `farebox rate` both ask here, so a preview is what would be settled.

use super::intake::{self, Intake, IntakeError, Report};
use super::policy::{PolicyEngine, ReleaseId};
use farebox_pricing::event::UsageEvent;
use farebox_pricing::failure::{self, Outcome, Request, Settlement};
use farebox_pricing::meter::Attribute;
use farebox_usage::{Finish, RequestFacts, Served, UsageError as AnswerError};

/// What the caller knows about the end of a call, apart from the answer itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending {
    /// What the gateway had passed on when it ended the stream because its money was spent, in bytes
    /// of text; absent: it did not.
    pub cut_off_bytes: Option<u64>,
    /// Whether the caller went away before the end of the answer.
    pub aborted: bool,
    /// The provider's HTTP status.
    pub status: Option<u16>,
}

/// A report, understood, with how its call ended.
#[derive(Clone, Debug)]
pub struct Understood {
    /// What was used, as far as it was stated; an estimate, where the book asks for one.
    pub intake: Intake,
    /// How it ended, where it did not end well.
    pub outcome: Option<Outcome>,
    /// What is done about it.
    pub fate: Fate,
}

/// What is done about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is rated.
    Rate,
    /// It is recorded without a price: the stable word for why.
    Unpriced(&'static str),
    /// It is charged nothing.
    Nothing,
}

impl Understood {
    /// What a receipt keeps of a rule that was followed: `client_abort:estimate`.
    pub fn fact(&self) -> Option<Attribute> {
        let outcome = self.outcome?;
        let word = match self.fate {
            Fate::Rate => "rated",
            Fate::Unpriced(_) => "held",
            Fate::Nothing => "nothing",
        };
        Some(Attribute {
            name: "failure".into(),
            value: format!("{}:{word}", outcome.name()).into(),
        })
    }
}

/// Understands a report. A call that did not end well is usage too: it ran, so the book of
/// `release` says what becomes of it.
///
/// # Errors
/// The report cannot be understood; or the provider answered with an error and the book charges
/// what was seen, which is nothing.
pub fn understand(
    report: &Report<'_>,
    ending: Ending,
    engine: &dyn PolicyEngine,
    release: &ReleaseId,
) -> Result<Understood, IntakeError> {
    let (mut intake, said) = match intake::read(report) {
        Ok(intake) => (intake, None),
        Err(IntakeError::Usage(AnswerError::NoUsage { served })) => {
            (unstated(report, *served), Some(Outcome::NoUsage))
        }
        Err(IntakeError::Usage(AnswerError::ProviderError { kind, served })) => {
            let error = IntakeError::Usage(AnswerError::ProviderError {
                kind,
                served: served.clone(),
            });
            let intake = unstated(report, *served);
            let outcome = outcome(&intake, Some(Outcome::UpstreamError), ending);
            let settlement = outcome.map(|outcome| {
                engine.settle(release, outcome, &intake.event, request(report, ending))
            });
            if matches!(settlement, None | Some(Ok(Settlement::Seen))) {
                return Err(error);
            }
            (intake, Some(Outcome::UpstreamError))
        }
        Err(error) => return Err(error),
    };
    let outcome = outcome(&intake, said, ending);
    let settle = |outcome, event: &UsageEvent| {
        engine.settle(release, outcome, event, request(report, ending))
    };
    let states_nothing = intake.event.pools.is_empty() && intake.event.provider_cost_usd.is_none();
    let outcome = match outcome {
        // Nothing was seen of it, so "what was seen" is no answer: the rule for that holds.
        Some(Outcome::ClientAbort)
            if states_nothing
                && matches!(
                    settle(Outcome::ClientAbort, &intake.event),
                    Ok(Settlement::Seen)
                ) =>
        {
            Some(Outcome::NoUsage)
        }
        outcome => outcome,
    };
    let fate = match outcome {
        None => Fate::Rate,
        Some(outcome) => match settle(outcome, &intake.event) {
            // An error page states nothing, so nothing was seen of it: without a price it would keep
            // its caller's money until a person looks at it.
            Ok(Settlement::Seen) if outcome == Outcome::UpstreamError && states_nothing => {
                Fate::Nothing
            }
            Ok(Settlement::Seen) => Fate::Rate,
            Ok(Settlement::Nothing) => Fate::Nothing,
            Ok(Settlement::Hold) => Fate::Unpriced(outcome.name()),
            Ok(Settlement::Estimated(pools)) => {
                intake.event.pools = pools;
                Fate::Rate
            }
            // How it ended must not be forgotten: settled later as a call that ended well, it would
            // be charged what the book does not charge. So a person decides.
            Err(_) => Fate::Unpriced(outcome.name()),
        },
    };
    Ok(Understood {
        intake,
        outcome,
        fate,
    })
}

/// How a call ended, where it did not end well.
fn outcome(intake: &Intake, said: Option<Outcome>, ending: Ending) -> Option<Outcome> {
    let ending = failure::Ending {
        cut_off: ending.cut_off_bytes.is_some(),
        aborted: ending.aborted,
        failed: intake.finish == Finish::Failed
            || said == Some(Outcome::UpstreamError)
            || ending.status.is_some_and(|status| status >= 400),
        unstated: said == Some(Outcome::NoUsage),
        partial: intake.finish == Finish::Partial,
    };
    Outcome::of(ending, Some(&intake.event))
}

/// What an estimate needs, where the report has it.
fn request(report: &Report<'_>, ending: Ending) -> Option<Request> {
    let facts = RequestFacts::from_recorded(report.request?).ok()?;
    Some(Request {
        body_bytes: facts.body_bytes,
        max_output_tokens: facts.max_output_tokens,
        streamed_bytes: ending.cut_off_bytes.unwrap_or_default(),
    })
}

/// A call whose answer states no usage, as far as the report says more.
fn unstated(report: &Report<'_>, served: Served) -> Intake {
    let provider = farebox_pricing::provider::normalise(report.provider)
        .map_or_else(|| report.provider.into(), |id| id.as_ref().into());
    let request = report.request.map(RequestFacts::from_recorded);
    let asked = request.and_then(|facts| facts.ok()?.model);
    let mut intake = Intake {
        event: UsageEvent {
            provider,
            model_asked: report.model.map(Into::into).or(asked),
            model_served: served.model,
            service_tier: served.service_tier,
            region: served.region,
            feature: None,
            pools: Vec::new(),
            provider_cost_usd: None,
        },
        response_id: served.response_id,
        raw_usage: None,
        unknown_fields: Vec::new(),
        finish: Finish::Partial,
    };
    intake::complete(&mut intake.event, report);
    intake
}
