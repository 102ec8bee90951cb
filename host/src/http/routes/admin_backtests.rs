//! For admins: what the past would have cost under another release, as a job beside requests.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::{Admin, Auth};
use super::super::body::{Id, Json, Query, Wasm};
use super::super::problem::Problem;
use super::super::time;
use super::blocking;
use super::jobs::{Standing, address, ends, range};
use crate::service::backtest::job::Job;
use crate::service::job::JobId;
use crate::wire::{BacktestJson, BacktestReportJson};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// What is rated again, and under what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestBody {
    /// The release, as `rel_…`.
    release_id: String,
    /// What was posted from here on, RFC 3339; absent: from the first charge on.
    since: Option<String>,
    /// What was posted before this; absent: up to now.
    until: Option<String>,
    /// Only charges that this release priced.
    priced_by: Option<String>,
}

/// The same for a file.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BacktestQuery {
    /// What was posted from here on, RFC 3339; absent: from the first charge on.
    since: Option<String>,
    /// What was posted before this; absent: up to now.
    until: Option<String>,
    /// Only charges that this release priced.
    priced_by: Option<String>,
}

fn shown(job: &Job) -> BacktestJson {
    let standing = Standing::of(job, |report| report.whole);
    let question = &job.question;
    let (since, until) = ends(&question.posted_ms);
    let report = standing.report.as_deref();
    BacktestJson {
        id: job.id.to_string(),
        status: standing.status,
        release_id: question.release.to_string(),
        since,
        until,
        priced_by: question.priced_by.map(|release| release.to_string()),
        begun_at: time::show(job.begun_at_ms),
        charges_seen: job.control.seen(),
        permille: job.control.permille(),
        took_ms: standing.took_ms,
        failure: standing.failure,
        report: report.map(|report| BacktestReportJson::of(report, time::show)),
    }
}

/// Begin to rate past charges again under a release; nothing is charged by it
///
/// It runs beside requests, which come first. Two run at once; the latest sixteen that ended are
/// kept until the server stops.
#[utoipa::path(post, path = "/v1/admin/backtests", tag = "admin", request_body = BacktestBody,
    responses((status = 202, body = BacktestJson)))]
pub async fn start(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<BacktestBody>,
) -> Result<(StatusCode, Answer<BacktestJson>), Problem> {
    auth.require_admin()?;
    let body = body.value;
    let release = address("release_id", &body.release_id)?;
    let posted_ms = range(body.since.as_deref(), body.until.as_deref())?;
    let priced_by = body.priced_by.as_deref();
    let priced_by = priced_by
        .map(|text| address("priced_by", text))
        .transpose()?;
    let job = blocking(&api, move |service| {
        service.start_backtest(release, posted_ms, priced_by)
    })
    .await?;
    Ok((StatusCode::ACCEPTED, Answer(shown(&job))))
}

/// The same under a release that was not pushed: the body is its file
///
/// The file is checked, compiled and tried as a push does it, but is not kept with the ledger: to be
/// activated it must be pushed. It is unloaded when the backtest ends.
#[utoipa::path(post, path = "/v1/admin/backtests/file", tag = "admin", params(BacktestQuery),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 202, body = BacktestJson)))]
pub async fn start_file(
    axum::extract::State(api): State,
    Admin(_auth): Admin,
    Query(query): Query<BacktestQuery>,
    file: Wasm,
) -> Result<(StatusCode, Answer<BacktestJson>), Problem> {
    let posted_ms = range(query.since.as_deref(), query.until.as_deref())?;
    let priced_by = query.priced_by.as_deref();
    let priced_by = priced_by
        .map(|text| address("priced_by", text))
        .transpose()?;
    let bytes = file.bytes;
    let job = blocking(&api, move |service| {
        service.start_backtest_of(&bytes, posted_ms, priced_by)
    })
    .await?;
    Ok((StatusCode::ACCEPTED, Answer(shown(&job))))
}

/// How a backtest stands, and what it found once it is over
#[utoipa::path(get, path = "/v1/admin/backtests/{backtest_id}", tag = "admin",
    params(("backtest_id" = String, Path)),
    responses((status = 200, body = BacktestJson)))]
pub async fn show(
    axum::extract::State(api): State,
    auth: Auth,
    Id(id): Id<JobId>,
) -> Result<Answer<BacktestJson>, Problem> {
    auth.require_admin()?;
    Ok(Answer(shown(&*api.service.backtest(id)?)))
}

/// Stop a backtest; what it found until then can be read once it has ended
#[utoipa::path(delete, path = "/v1/admin/backtests/{backtest_id}", tag = "admin",
    params(("backtest_id" = String, Path)),
    responses((status = 202, body = BacktestJson)))]
pub async fn stop(
    axum::extract::State(api): State,
    auth: Auth,
    Id(id): Id<JobId>,
) -> Result<(StatusCode, Answer<BacktestJson>), Problem> {
    auth.require_admin()?;
    let job = api.service.stop_backtest(id)?;
    Ok((StatusCode::ACCEPTED, Answer(shown(&job))))
}
