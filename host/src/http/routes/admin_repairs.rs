//! For admins: wrong bills put right, as a job beside requests.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Id, Json};
use super::super::problem::Problem;
use super::super::time;
use super::jobs::{Standing, address, ends, range};
use super::{blocking, text};
use crate::service::job::JobId;
use crate::service::repair::Job;
use crate::wire::{RepairJson, RepairReportJson};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

/// What is put right, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RepairBody {
    /// The release that charged wrongly, as `rel_…`.
    wrong_release_id: String,
    /// The release that should have.
    corrected_release_id: String,
    /// Charges posted from here on, RFC 3339; absent: from the first on.
    since: Option<String>,
    /// Charges posted before this; absent: up to now.
    until: Option<String>,
    /// Whether corrections are posted; else they are only told.
    #[serde(default)]
    post: bool,
    /// Whether what was charged too little is taken too.
    #[serde(default)]
    debit: bool,
    /// Why; shown to customers beside each correction.
    why: Option<String>,
}

fn shown(job: &Job) -> RepairJson {
    let standing = Standing::of(job, |report| report.whole);
    let question = &job.question;
    let (since, until) = ends(&question.posted_ms);
    let report = standing.report.as_deref();
    RepairJson {
        id: job.id.to_string(),
        status: standing.status,
        wrong_release_id: question.wrong.to_string(),
        corrected_release_id: question.corrected.to_string(),
        since,
        until,
        post: question.post,
        debit: question.debit,
        begun_at: time::show(job.begun_at_ms),
        charges_seen: job.control.seen(),
        permille: job.control.permille(),
        took_ms: standing.took_ms,
        failure: standing.failure,
        report: report.map(|report| RepairReportJson::of(report, time::show)),
    }
}

/// Begin to put right what a wrong release charged
///
/// Each charge is priced again under the corrected release. Without `post` the differences are only
/// told, by customer. With it they are posted as corrections that name the charge: what was too much
/// goes back at once, what was too little is taken only with `debit`. Running it again changes
/// nothing.
#[utoipa::path(post, path = "/v1/admin/repairs", tag = "admin", request_body = RepairBody,
    responses((status = 202, body = RepairJson)))]
pub async fn start(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<RepairBody>,
) -> Result<(StatusCode, Answer<RepairJson>), Problem> {
    let operator = auth.to_operate(body.idempotency)?;
    let body = body.value;
    let releases = [
        address("wrong_release_id", &body.wrong_release_id)?,
        address("corrected_release_id", &body.corrected_release_id)?,
    ];
    let posted_ms = range(body.since.as_deref(), body.until.as_deref())?;
    let why = text("why", body.why)?;
    let how = (body.post, body.debit);
    let job = blocking(&api, move |service| {
        service.start_repair(operator, releases, posted_ms, how, why)
    })
    .await?;
    Ok((StatusCode::ACCEPTED, Answer(shown(&job))))
}

/// How a repair stands, and what it found and posted once it is over
#[utoipa::path(get, path = "/v1/admin/repairs/{repair_id}", tag = "admin",
    params(("repair_id" = String, Path)),
    responses((status = 200, body = RepairJson)))]
pub async fn show(
    axum::extract::State(api): State,
    auth: Auth,
    Id(id): Id<JobId>,
) -> Result<Answer<RepairJson>, Problem> {
    auth.require_admin()?;
    Ok(Answer(shown(&*api.service.repair(id)?)))
}

/// Stop a repair; what it posted stands, and running it again goes on
#[utoipa::path(delete, path = "/v1/admin/repairs/{repair_id}", tag = "admin",
    params(("repair_id" = String, Path)),
    responses((status = 202, body = RepairJson)))]
pub async fn stop(
    axum::extract::State(api): State,
    auth: Auth,
    Id(id): Id<JobId>,
) -> Result<(StatusCode, Answer<RepairJson>), Problem> {
    auth.require_admin()?;
    let job = api.service.stop_repair(id)?;
    Ok((StatusCode::ACCEPTED, Answer(shown(&job))))
}
