//! For admins: which policy failed for whom, and for whom it is paused.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::problem::Problem;
use super::super::time;
use super::receipts::ReleaseJson;
use crate::service::breaker::Faults;
use serde::Serialize;
use utoipa::ToSchema;

/// The faults of a release for an org, since the start of the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct FaultsJson {
    org_id: String,
    release: ReleaseJson,
    /// Since the last good answer.
    in_a_row: u32,
    total: u64,
    /// The last one, in words.
    last: String,
    last_at: String,
    /// Whether calls are not priced for now.
    paused: bool,
    /// For how long from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_for_ms: Option<u64>,
}

impl From<&Faults> for FaultsJson {
    fn from(faults: &Faults) -> Self {
        let millis =
            |rest: std::time::Duration| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        Self {
            org_id: faults.org.to_string(),
            release: (&faults.release).into(),
            in_a_row: faults.in_a_row,
            total: faults.total,
            last: faults.last.to_string(),
            last_at: time::show(faults.last_at_ms),
            paused: faults.open_for.is_some(),
            paused_for_ms: faults.open_for.map(millis),
        }
    }
}

/// Policy faults by release and org, the latest first
#[utoipa::path(get, path = "/v1/admin/policy-faults", tag = "admin",
    responses((status = 200, body = Vec<FaultsJson>)))]
pub async fn list(
    axum::extract::State(api): State,
    auth: Auth,
) -> Result<Answer<Vec<FaultsJson>>, Problem> {
    auth.require_admin()?;
    let faults = api.service.faults();
    Ok(Answer(faults.iter().map(Into::into).collect()))
}
