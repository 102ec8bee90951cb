//! After a call: what it used, rated and charged; one report or many.

use super::super::answer::Answer;
use super::super::auth::{Auth, Reporter};
use super::super::body::{Id, Json, parse};
use super::super::prefer::Prefer;
use super::super::problem::{Kind, Problem, ProblemJson};
use super::super::show::{AlertJson, BalanceJson, PriceJson, credits};
use super::super::{Api, State};
use super::receipts::ReleaseJson;
use super::reports::UsageBody;
use super::usage_events::UsageJson;
use crate::service::batch::{BATCH_MAX, Item};
use crate::service::usage::{Doors, Recorded, UsageError};
use crate::wire::plain;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use farebox_ledger::effect::{Charged, Outcome};
use farebox_ledger::ids::EventId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

/// What a charge was paid from; the parts sum to the price.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaidJson {
    /// Out of the hold.
    from_hold_credits: String,
    /// Out of the wallet, beyond the hold.
    from_wallet_credits: String,
    /// Out of the credit limit, beyond the hold.
    from_credit_limit_credits: String,
    /// What nobody could pay: the org's shortfall. New holds are refused until it is settled.
    shortfall_credits: String,
    /// What is still put aside; absent when no hold is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_left_credits: Option<String>,
}

impl From<&Charged> for PaidJson {
    fn from(charged: &Charged) -> Self {
        Self {
            from_hold_credits: credits(charged.from_hold),
            from_wallet_credits: credits(charged.from_wallet),
            from_credit_limit_credits: credits(charged.from_credit),
            shortfall_credits: credits(charged.shortfall),
            hold_left_credits: charged.hold_left.map(credits),
        }
    }
}

/// What became of a usage report.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordedJson {
    /// The usage event.
    #[schema(example = "evt_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    event_id: String,
    /// `charged`, or `unpriced`: recorded, its hold kept, to be rated later.
    status: &'static str,
    /// The charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    charge_id: Option<String>,
    /// Why it waits for a price: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whether this is the answer to an earlier report of the same usage: nothing was charged now.
    replayed: bool,
    #[serde(flatten)]
    price: Option<PriceJson>,
    /// The release that priced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid: Option<PaidJson>,
    /// `complete`, `partial` (a stream that was cut) or `failed`.
    finish: &'static str,
    /// Usage fields that were stated and not understood.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_fields: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceJson>,
    /// Budgets that are now past their limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alerts: Vec<AlertJson>,
}

impl From<&Recorded> for RecordedJson {
    fn from(recorded: &Recorded) -> Self {
        let acknowledged = &recorded.acknowledged;
        let charge = recorded.charge.as_ref();
        Self {
            event_id: recorded.event.to_string(),
            status: word(recorded),
            charge_id: charge.map(|(id, _)| id.to_string()),
            reason: recorded.unpriced_reason.as_deref().map(Into::into),
            replayed: acknowledged.replayed,
            price: charge.map(|(_, pricing)| pricing.into()),
            release: charge.and_then(|(_, pricing)| pricing.release.as_ref().map(Into::into)),
            paid: match &acknowledged.outcome {
                Outcome::Charged(charged) => Some(charged.into()),
                _ => None,
            },
            finish: recorded.finish.name(),
            unknown_fields: recorded.unknown_fields.clone(),
            balance: acknowledged.wallet.as_ref().map(Into::into),
            alerts: acknowledged.alerts.iter().map(Into::into).collect(),
        }
    }
}

/// The least that is said of a report: what its caller cannot know by itself.
#[derive(Debug, Serialize, ToSchema)]
// Said for the description: else whoever reads it would take a whole answer for this one as well.
#[serde(deny_unknown_fields)]
pub struct MinimalJson {
    /// The usage event.
    #[schema(example = "evt_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    event_id: String,
    /// `charged`, or `unpriced`: recorded, its hold kept, to be rated later.
    status: &'static str,
    /// The charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    charge_id: Option<String>,
    /// Why it waits for a price: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whether this is the answer to an earlier report of the same usage: nothing was charged now.
    replayed: bool,
    /// What the customer pays in USD, exact and unrounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.00018")]
    price_usd: Option<String>,
    /// The same in credits, rounded once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.0018")]
    credits: Option<String>,
    /// The release that priced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseJson>,
}

impl From<&Recorded> for MinimalJson {
    fn from(recorded: &Recorded) -> Self {
        let charge = recorded.charge.as_ref();
        let pricing = charge.map(|(_, pricing)| pricing);
        Self {
            event_id: recorded.event.to_string(),
            status: word(recorded),
            charge_id: charge.map(|(id, _)| id.to_string()),
            reason: recorded.unpriced_reason.as_deref().map(Into::into),
            replayed: recorded.acknowledged.replayed,
            price_usd: pricing.map(|pricing| plain(pricing.price_usd)),
            credits: pricing.map(|pricing| credits(pricing.price)),
            release: pricing.and_then(|pricing| pricing.release.as_ref().map(Into::into)),
        }
    }
}

/// What is said of a report: all of it, or the least where the caller prefers that.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ReportedJson {
    /// All.
    Whole(Box<RecordedJson>),
    /// With `Prefer: return=minimal`.
    Minimal(Box<MinimalJson>),
}

impl ReportedJson {
    fn of(recorded: &Recorded, prefer: Prefer) -> Self {
        match prefer {
            Prefer::Whole => Self::Whole(Box::new(recorded.into())),
            Prefer::Minimal => Self::Minimal(Box::new(recorded.into())),
        }
    }
}

const fn word(recorded: &Recorded) -> &'static str {
    if recorded.charge.is_some() {
        "charged"
    } else {
        "unpriced"
    }
}

fn count(api: &Api, result: &Result<Recorded, UsageError>) {
    api.metrics.usage(match result {
        Ok(recorded) if recorded.acknowledged.replayed => "replayed",
        Ok(recorded) if recorded.charge.is_some() => "charged",
        Ok(_) => "unpriced",
        Err(_) => "refused",
    });
}

const fn status(recorded: &Recorded) -> StatusCode {
    if recorded.charge.is_some() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    }
}

/// Report what a call used, and charge it
///
/// With `hold_id` it is captured from that hold. What was used is never dropped: beyond the hold
/// the wallet pays, and what it cannot pay is the org's shortfall. Without a price: 202, recorded
/// as `unpriced`. A key that was revoked or expired may still report under the holds and leases
/// that it placed while they last, up to what they have left. `Prefer: return=minimal` (RFC 7240)
/// leaves the lines, what it was paid from and the balance out of the answer.
#[utoipa::path(post, path = "/v1/usage", tag = "usage", request_body = UsageBody,
    params(("Prefer" = Option<String>, Header, description = "`return=minimal`: a short answer")),
    responses((status = 200, body = ReportedJson), (status = 202, body = ReportedJson)))]
pub async fn report(
    axum::extract::State(api): State,
    reporter: Reporter,
    prefer: Prefer,
    mut body: Json<UsageBody>,
) -> Result<Response, Problem> {
    let own = body.value.idempotency(&body.text)?;
    let (context, doors) = reporter.to_report(own.or(body.idempotency))?;
    let mut reported = body.value.read()?;
    reported.reach = api.service.may_report(&context, doors, &reported)?;
    let result = api.service.record_usage(&context, reported).await;
    count(&api, &result);
    let recorded = result?;
    let answer = Answer(ReportedJson::of(&recorded, prefer));
    Ok((status(&recorded), prefer.applied(), answer).into_response())
}

/// Many reports at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchBody {
    /// At most 256 reports, each as for `POST /v1/usage`.
    #[schema(value_type = Vec<UsageBody>)]
    items: Vec<Box<RawValue>>,
}

/// What became of each report, in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchJson {
    /// One per report.
    items: Vec<ItemJson>,
}

/// What became of one report of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ItemJson {
    /// It is recorded.
    Recorded(ReportedJson),
    /// It is refused.
    Problem {
        /// Why.
        problem: ProblemJson,
    },
}

/// Report many calls at once; each stands for itself
///
/// `Prefer: return=minimal` (RFC 7240) answers each as shortly as `POST /v1/usage` does.
#[utoipa::path(post, path = "/v1/usage/batch", tag = "usage", request_body = BatchBody,
    params(("Prefer" = Option<String>, Header, description = "`return=minimal`: short answers")),
    responses((status = 200, body = BatchJson)))]
pub async fn batch(
    axum::extract::State(api): State,
    reporter: Reporter,
    prefer: Prefer,
    body: Json<BatchBody>,
) -> Result<Response, Problem> {
    let (context, doors) = reporter.to_report(body.idempotency)?;
    let texts = body.value.items;
    if texts.is_empty() || texts.len() > BATCH_MAX {
        return Err(Problem::new(
            Kind::InvalidRequest,
            format!(
                "`items` has {} reports, but must have 1 to {BATCH_MAX}",
                texts.len()
            ),
        ));
    }
    let mut bodies: Vec<Result<UsageBody, Problem>> = texts
        .iter()
        .map(|text| parse(text.get().as_bytes()))
        .collect();
    // What cannot be read is answered in its place; the rest goes on.
    let mut refused: Vec<Option<Problem>> = Vec::with_capacity(bodies.len());
    let mut items = Vec::with_capacity(bodies.len());
    for (body, text) in bodies.iter_mut().zip(&texts) {
        let read = match body {
            Ok(body) => body.idempotency(text.get().as_bytes()).and_then(|own| {
                let mut reported = body.read()?;
                reported.reach = api.service.may_report(&context, doors, &reported)?;
                Ok((own, reported))
            }),
            Err(problem) => Err(problem.clone()),
        };
        match read {
            Ok((own, reported)) => {
                refused.push(None);
                items.push(Item {
                    reported,
                    own,
                    request_digest: Sha256::digest(text.get()).into(),
                });
            }
            Err(problem) => refused.push(Some(problem)),
        }
    }
    if doors == Doors::OwnHolds && items.is_empty() {
        return Err(UsageError::KeyEnded.into());
    }
    let mut results = api.service.record_batch(&context, items).await.into_iter();
    let mut answers = Vec::with_capacity(refused.len());
    for problem in refused {
        let result = match problem {
            Some(problem) => Err(problem),
            None => match results.next() {
                Some(result) => {
                    count(&api, &result);
                    result.map_err(Problem::from)
                }
                None => Err(Problem::new(Kind::Internal, "the report has no answer")),
            },
        };
        answers.push(match result {
            Ok(recorded) => ItemJson::Recorded(ReportedJson::of(&recorded, prefer)),
            Err(problem) => ItemJson::Problem {
                problem: problem.into_json(),
            },
        });
    }
    let answer = Answer(BatchJson { items: answers });
    Ok((prefer.applied(), answer).into_response())
}

/// One usage event
#[utoipa::path(get, path = "/v1/usage/{event_id}", tag = "usage",
    params(("event_id" = String, Path)),
    responses((status = 200, body = UsageJson)))]
pub async fn show(
    axum::extract::State(api): State,
    auth: Auth,
    Id(event): Id<EventId>,
) -> Result<Answer<UsageJson>, Problem> {
    let context = auth.to_read()?;
    let usage = api.service.usage_event(&context, event)?;
    Ok(Answer((&usage).into()))
}
