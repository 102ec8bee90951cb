//! For operators: health, readiness, counts, the API's own description, the list of problems.

use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::metrics::FaultCounts;
use super::super::problem::{Kind, Problem};
use super::super::{State, time};
use super::blocking;
use crate::service::ledger::failure::ReadError;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// That the server is there.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
    /// Which Farebox.
    version: &'static str,
}

const HEALTHY: Health = Health {
    status: "ok",
    version: env!("CARGO_PKG_VERSION"),
};

/// Whether the process answers
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()),
    responses((status = 200, body = Health)))]
pub async fn healthz() -> Answer<Health> {
    Answer(HEALTHY)
}

/// Whether calls can be served: the ledger answers, and takes writes
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()),
    responses((status = 200, body = Health)))]
pub async fn readyz(axum::extract::State(api): State) -> Result<Answer<Health>, Problem> {
    blocking(&api, |service| service.store().gauges()).await?;
    if !api.service.store().takes_writes() {
        let why = "the ledger's writer has ended: start the server again, its log says why";
        return Err(Problem::new(Kind::Unavailable, why));
    }
    Ok(Answer(HEALTHY))
}

/// Counts in the Prometheus text format
#[utoipa::path(get, path = "/metrics", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub async fn metrics(axum::extract::State(api): State) -> Result<Response, Problem> {
    let (gauges, waiting) = blocking(&api, |service| {
        Ok::<_, ReadError>((service.store().gauges()?, service.waiting()?))
    })
    .await?;
    let paused = api.service.faults();
    let paused = paused.iter().filter(|faults| faults.open_for.is_some());
    let faults = FaultCounts {
        by_release: api.service.fault_counts(),
        paused: u64::try_from(paused.count()).unwrap_or(u64::MAX),
        fallbacks: api.service.fallbacks(),
        filters_refused: api.service.filters_refused(),
        trials: api.service.trials_running(),
        trials_halted: api.service.trials_halted(),
    };
    let page = api
        .metrics
        .encode(&gauges, &waiting, faults, api.service.clock().now_ms())
        .map_err(|_| Problem::new(Kind::Internal, "the counts could not be written"))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], page).into_response())
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "operations", security(()),
    responses((status = 200, body = serde_json::Value)))]
pub async fn description(axum::extract::State(api): State) -> Response {
    ([(CONTENT_TYPE, "application/json")], api.openapi.clone()).into_response()
}

/// A kind of problem.
#[derive(Serialize, ToSchema)]
pub struct KindJson {
    r#type: &'static str,
    status: u16,
    title: &'static str,
    meaning: String,
}

impl From<Kind> for KindJson {
    fn from(kind: Kind) -> Self {
        let meaning: Vec<_> = kind.meaning().lines().map(str::trim).collect();
        Self {
            r#type: kind.uri(),
            status: kind.status(),
            title: kind.title(),
            meaning: meaning.join(" "),
        }
    }
}

/// Every kind of problem the API answers with
#[utoipa::path(get, path = "/problems", tag = "operations", security(()),
    responses((status = 200, body = Vec<KindJson>)))]
pub async fn problems() -> Answer<Vec<KindJson>> {
    Answer(Kind::ALL.iter().copied().map(Into::into).collect())
}

/// What a kind of problem means
#[utoipa::path(get, path = "/problems/{slug}", tag = "operations", security(()),
    params(("slug" = String, Path, description = "The last part of a problem's `type`")),
    responses((status = 200, body = KindJson)))]
pub async fn problem(Path(slug): Path<String>) -> Result<Answer<KindJson>, Problem> {
    Kind::ALL
        .iter()
        .find(|kind| kind.slug() == slug)
        .map(|kind| Answer((*kind).into()))
        .ok_or_else(|| Problem::new(Kind::NotFound, "there is no such kind of problem"))
}

/// The end of an org's hash chain, signed.
#[derive(Serialize, ToSchema)]
pub struct HeadJson {
    org_id: String,
    /// The number of the last transaction.
    seq: u64,
    /// Its hash, hex.
    hash: String,
    signed_at: String,
    /// Ed25519 over `farebox/head/1`, a line feed, org (16 bytes), seq (8), hash (32) and the time
    /// of signing in milliseconds (8), hex.
    signature: String,
    /// The key that verifies it, hex.
    public_key: String,
}

/// Signed ends of every org's hash chain, to be kept elsewhere
///
/// `farebox ledger verify --heads FILE` proves that a ledger still passes through them; the file is
/// this answer as it stands.
#[utoipa::path(get, path = "/v1/admin/heads", tag = "admin",
    responses((status = 200, body = Vec<HeadJson>)))]
pub async fn heads(
    axum::extract::State(api): State,
    auth: Auth,
) -> Result<Answer<Vec<HeadJson>>, Problem> {
    auth.require_admin()?;
    let heads = blocking(&api, |service| service.store().signed_heads()).await?;
    let shown = heads.iter().map(|signed| HeadJson {
        org_id: signed.head.org.to_string(),
        seq: signed.head.seq,
        hash: hex::encode(signed.head.hash),
        signed_at: time::show(signed.signed_at_ms),
        signature: hex::encode(signed.signature),
        public_key: hex::encode(signed.public_key),
    });
    Ok(Answer(shown.collect()))
}

/// No such path.
pub async fn unknown_path() -> Problem {
    Problem::new(Kind::NotFound, "there is no such path")
}

/// Such a path, but not with this method.
pub async fn wrong_method() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "see `/openapi.json` for the methods of this path",
    )
}
