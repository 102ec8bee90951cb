//! For admins: a candidate is tried beside what is bound, in a shadow or a canary.

use super::super::State;
use super::super::amount::Amount;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Id, Json, Query};
use super::super::paging::{self, PageJson};
use super::super::problem::{Kind, Problem};
use super::super::time;
use super::admin_bindings::{ChangeJson, DeploymentJson, scope};
use super::{blocking, text};
use crate::service::ledger::trials::{
    BasisPoints, TrialBounds, TrialKind, TrialRecord, TrialResult, TrialSample, Whom,
};
use crate::service::releases::Address;
use crate::service::trials::NewTrial;
use axum::http::StatusCode;
use farebox_ledger::ids::{OrgId, TransactionId};
use farebox_pricing::exact;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which kind of trial.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrialKindJson {
    /// The candidate prices again what was charged; nobody pays by it.
    Shadow,
    /// The candidate prices the calls of some orgs.
    Canary,
}

/// A trial to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartTrialBody {
    kind: TrialKindJson,
    /// The candidate.
    release_id: String,
    /// Where; absent: where this server runs, and nowhere else is a trial possible.
    deployment: Option<DeploymentJson>,
    /// Only the orgs on this plan.
    plan: Option<String>,
    /// Only this org.
    org_id: Option<String>,
    /// Of a canary: the share of the scope's orgs, above 0 and at most 100. Which ones follows from
    /// their ids; those of a smaller share are among those of a larger one.
    #[schema(value_type = Option<String>, example = "5")]
    percent: Option<Amount>,
    /// Of a canary, instead of `percent`: these orgs.
    org_ids: Option<Vec<String>>,
    /// More faults of the candidate than this end the trial.
    #[serde(default)]
    max_faults: u64,
    /// More calls than this that only one of the two releases prices end the trial. Absent: none do.
    max_refused: Option<u64>,
    /// The trial ends when the prices under the two releases differ, call by call and whichever way, by
    /// more than this part of the sum under what is bound, in percent. Absent: whatever they differ by.
    #[schema(value_type = Option<String>, example = "10")]
    max_change_percent: Option<Amount>,
    /// So many calls are compared before `max_change_percent` may end the trial.
    #[serde(default = "after_calls")]
    after_calls: u64,
    /// For whoever reads the history.
    why: Option<String>,
}

const fn after_calls() -> u64 {
    100
}

/// The most orgs in one list.
const ORGS_MAX: usize = 1_000;

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::InvalidRequest, detail.into())
}

fn points(field: &str, percent: Amount) -> Result<BasisPoints, Problem> {
    BasisPoints::of_percent(percent.0).map_err(|error| invalid(format!("`{field}`: {error}")))
}

/// Whose calls a canary prices.
fn whom(percent: Option<Amount>, org_ids: Option<Vec<String>>) -> Result<Whom, Problem> {
    match (percent, org_ids) {
        (Some(percent), None) => {
            if percent.0.is_zero() {
                return Err(invalid(
                    "a canary of 0 percent prices nobody's calls: begin a `shadow` instead",
                ));
            }
            let share = points("percent", percent)?;
            if share > BasisPoints::WHOLE {
                return Err(invalid("`percent` is more than 100"));
            }
            Ok(Whom::Share(share))
        }
        (None, Some(orgs)) => {
            if orgs.is_empty() || orgs.len() > ORGS_MAX {
                return Err(invalid(format!("`org_ids` must name 1 to {ORGS_MAX} orgs")));
            }
            let parsed: Result<Vec<OrgId>, _> = orgs.iter().map(|org| org.parse()).collect();
            let mut orgs =
                parsed.map_err(|_| Problem::new(Kind::NotFound, "there is no such org"))?;
            orgs.sort_unstable();
            orgs.dedup();
            Ok(Whom::Orgs(orgs.into()))
        }
        _ => Err(invalid(
            "a canary needs `percent` or `org_ids`, and not both",
        )),
    }
}

/// How a trial ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrialEndJson {
    /// `stopped`, `halted` (by itself), `followed` (by another one) or `promoted`.
    ending: &'static str,
    at: String,
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// What a trial showed.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrialResultJson {
    /// Charges that both releases price.
    compared: u64,
    /// Of those: equal to the last digit.
    same: u64,
    /// Of those: dearer under the candidate.
    dearer: u64,
    /// Of those: cheaper under the candidate.
    cheaper: u64,
    /// Calls that only one of the two prices.
    refused: u64,
    /// Faults of the candidate.
    faults: u64,
    /// The sum of what was compared under what is bound, in USD.
    #[schema(value_type = String)]
    bound_usd: Amount,
    /// The same under the candidate.
    #[schema(value_type = String)]
    candidate_usd: Amount,
    /// How much more that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    change_usd: Option<Amount>,
    /// The sum of how much each call differs, whichever way: what one customer pays more is not made
    /// good by what another pays less.
    #[schema(value_type = String)]
    moved_usd: Amount,
}

impl From<&TrialResult> for TrialResultJson {
    fn from(result: &TrialResult) -> Self {
        Self {
            compared: result.compared,
            same: result.same,
            dearer: result.dearer,
            cheaper: result.cheaper,
            refused: result.refused,
            faults: result.faults,
            bound_usd: Amount(result.bound_usd),
            candidate_usd: Amount(result.candidate_usd),
            change_usd: exact::sub(result.candidate_usd, result.bound_usd)
                .ok()
                .map(Amount),
            moved_usd: Amount(result.moved_usd),
        }
    }
}

/// A charge that the two releases do not price alike.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrialSampleJson {
    org_id: String,
    charge_id: String,
    /// Under what is bound; null: no price.
    #[schema(value_type = Option<String>)]
    bound_usd: Option<Amount>,
    /// Under the candidate; null: no price.
    #[schema(value_type = Option<String>)]
    candidate_usd: Option<Amount>,
    /// Why one of them has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<&TrialSample> for TrialSampleJson {
    fn from(sample: &TrialSample) -> Self {
        Self {
            org_id: sample.org.to_string(),
            charge_id: sample.charge.to_string(),
            bound_usd: sample.bound_usd.map(Amount),
            candidate_usd: sample.candidate_usd.map(Amount),
            reason: sample.reason.as_deref().map(str::to_owned),
        }
    }
}

/// A trial.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrialJson {
    id: String,
    kind: &'static str,
    /// Beside what is bound to this: `hosted`, `hosted/plan:pro` or `hosted/org:org_…`.
    scope: String,
    /// The candidate.
    release_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    percent: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_ids: Option<Vec<String>>,
    max_faults: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_refused: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    max_change_percent: Option<Amount>,
    after_calls: u64,
    at: String,
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Null: it runs.
    end: Option<TrialEndJson>,
    /// What it showed: of one that runs, so far.
    result: TrialResultJson,
    /// The largest differences.
    samples: Vec<TrialSampleJson>,
}

impl TrialJson {
    fn of(record: &TrialRecord, result: &TrialResult) -> Self {
        let TrialRecord { trial, end } = record;
        let (percent, org_ids) = match &trial.kind {
            TrialKind::Shadow => (None, None),
            TrialKind::Canary(Whom::Share(share)) => (Some(Amount(share.percent())), None),
            TrialKind::Canary(Whom::Orgs(orgs)) => {
                (None, Some(orgs.iter().map(ToString::to_string).collect()))
            }
        };
        let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Self {
            id: trial.id.to_string(),
            kind: trial.kind.name(),
            scope: trial.scope.to_string(),
            release_id: trial.release.to_string(),
            percent,
            org_ids,
            max_faults: trial.bounds.faults_max,
            max_refused: trial.bounds.refused_max,
            max_change_percent: trial.bounds.change_max.map(|max| Amount(max.percent())),
            after_calls: trial.bounds.calls_min,
            at: time::show(trial.at_ms),
            by: trial.by.to_string(),
            why: owned(&trial.why),
            end: end.as_ref().map(|end| TrialEndJson {
                ending: end.ending.name(),
                at: time::show(end.at_ms),
                by: end.by.to_string(),
                why: owned(&end.why),
            }),
            result: result.into(),
            samples: result.samples.iter().map(Into::into).collect(),
        }
    }
}

/// Try a candidate beside what is bound
///
/// In a shadow it prices again what is charged, off the path of any call. In a canary it prices the
/// calls of some orgs, and what is bound prices those again. The trial ends by itself when it passes
/// a bound. A trial of the same candidate that runs for the scope ends with it.
#[utoipa::path(post, path = "/v1/admin/trials", tag = "admin", request_body = StartTrialBody,
    responses((status = 201, body = TrialJson)))]
pub async fn start(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<StartTrialBody>,
) -> Result<(StatusCode, Answer<TrialJson>), Problem> {
    let operator = auth.to_operate(body.idempotency)?;
    let body = body.value;
    let here = api.service.settings().deployment;
    let release: Address = body
        .release_id
        .parse()
        .map_err(|error| invalid(format!("`release_id`: {error}")))?;
    let kind = match body.kind {
        TrialKindJson::Canary => TrialKind::Canary(whom(body.percent, body.org_ids)?),
        TrialKindJson::Shadow if body.percent.is_none() && body.org_ids.is_none() => {
            TrialKind::Shadow
        }
        TrialKindJson::Shadow => {
            return Err(invalid(
                "`percent` and `org_ids` are of a canary, not of a shadow",
            ));
        }
    };
    let change_max = body.max_change_percent;
    let asked = NewTrial {
        scope: scope(body.deployment, body.plan, body.org_id, here)?,
        release,
        kind,
        bounds: TrialBounds {
            faults_max: body.max_faults,
            refused_max: body.max_refused,
            change_max: change_max
                .map(|max| points("max_change_percent", max))
                .transpose()?,
            calls_min: body.after_calls,
        },
        why: text("why", body.why)?,
    };
    let trial = api.service.start_trial(&operator, asked).await?;
    let shown = api.service.shown(&trial);
    Ok((StatusCode::CREATED, Answer(TrialJson::of(&trial, &shown))))
}

/// Which trials.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrialsQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many, 1 to 1000.
    limit: Option<usize>,
}

/// Every trial, newest first
#[utoipa::path(get, path = "/v1/admin/trials", tag = "admin", params(TrialsQuery),
    responses((status = 200, body = PageJson<TrialJson>)))]
pub async fn list(
    axum::extract::State(api): State,
    auth: Auth,
    Query(query): Query<TrialsQuery>,
) -> Result<Answer<PageJson<TrialJson>>, Problem> {
    auth.require_admin()?;
    let page = paging::request(query.cursor.as_deref(), query.limit)?;
    let trials = blocking(&api, move |service| service.trials(page)).await?;
    let items = trials.items.iter();
    Ok(Answer(PageJson {
        items: items
            .map(|trial| TrialJson::of(trial, &api.service.shown(trial)))
            .collect(),
        next_cursor: trials.next.map(paging::show),
    }))
}

/// A trial, with what it showed
#[utoipa::path(get, path = "/v1/admin/trials/{trial_id}", tag = "admin",
    params(("trial_id" = String, Path)),
    responses((status = 200, body = TrialJson)))]
pub async fn show(
    axum::extract::State(api): State,
    auth: Auth,
    Id(id): Id<TransactionId>,
) -> Result<Answer<TrialJson>, Problem> {
    auth.require_admin()?;
    let trial = blocking(&api, move |service| service.trial(id)).await?;
    Ok(Answer(TrialJson::of(&trial, &api.service.shown(&trial))))
}

/// Why a trial ends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndTrialBody {
    /// For whoever reads the history.
    why: Option<String>,
}

/// End a trial: what is bound prices everyone again, at once
#[utoipa::path(post, path = "/v1/admin/trials/{trial_id}/stop", tag = "admin",
    params(("trial_id" = String, Path)), request_body = EndTrialBody,
    responses((status = 200, body = TrialJson)))]
pub async fn stop(
    axum::extract::State(api): State,
    auth: Auth,
    Id(id): Id<TransactionId>,
    body: Json<EndTrialBody>,
) -> Result<Answer<TrialJson>, Problem> {
    let operator = auth.to_operate(body.idempotency)?;
    let why = text("why", body.value.why)?;
    let trial = api.service.stop_trial(&operator, id, why).await?;
    let shown = api.service.shown(&trial);
    Ok(Answer(TrialJson::of(&trial, &shown)))
}

/// End a trial by activating its candidate for its scope, in one step
#[utoipa::path(post, path = "/v1/admin/trials/{trial_id}/promote", tag = "admin",
    params(("trial_id" = String, Path)), request_body = EndTrialBody,
    responses((status = 200, body = ChangeJson)))]
pub async fn promote(
    axum::extract::State(api): State,
    auth: Auth,
    Id(id): Id<TransactionId>,
    body: Json<EndTrialBody>,
) -> Result<Answer<ChangeJson>, Problem> {
    let operator = auth.to_operate(body.idempotency)?;
    let why = text("why", body.value.why)?;
    let change = api.service.promote(&operator, id, why).await?;
    Ok(Answer((&change).into()))
}
