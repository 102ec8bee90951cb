//! Which reports are recorded already: for whoever has a list of calls and does not know.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Json, key_digest};
use super::super::problem::{Kind, Problem};
use crate::service::batch::BATCH_MAX;
use farebox_ledger::ids::{ChargeId, EventId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The keys of reports.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LookupBody {
    /// At most 256 idempotency keys, each of a report's own.
    #[schema(example = json!(["call-1"]))]
    idempotency_keys: Vec<String>,
}

/// What is recorded under each key, in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct LookupJson {
    /// One per key.
    items: Vec<FoundJson>,
}

/// What is recorded under one key.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundJson {
    idempotency_key: String,
    /// Whether something is.
    recorded: bool,
    /// The usage event.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// Its charge, where it had a price when it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    charge_id: Option<String>,
}

/// Ask which reports are recorded, by their idempotency keys
///
/// Nothing is rated and nothing changes. A call may still be recorded under another key, as the
/// same answer of its provider: reporting it again finds that, too.
#[utoipa::path(post, path = "/v1/usage/lookup", tag = "usage", request_body = LookupBody,
    responses((status = 200, body = LookupJson)))]
pub async fn lookup(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<LookupBody>,
) -> Result<Answer<LookupJson>, Problem> {
    let context = auth.to_read()?;
    let keys = body.value.idempotency_keys;
    if keys.is_empty() || keys.len() > BATCH_MAX {
        let detail = format!(
            "`idempotency_keys` has {} keys, but must have 1 to {BATCH_MAX}",
            keys.len()
        );
        return Err(Problem::new(Kind::InvalidRequest, detail));
    }
    let digests = keys
        .iter()
        .map(|key| key_digest("idempotency_keys", key.as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    let found = api.service.recorded(&context, &digests).await?;
    let items = keys.into_iter().zip(found);
    let items = items.map(|(idempotency_key, found)| {
        let id = |id: EventId| id.to_string();
        let charge = |id: ChargeId| id.to_string();
        FoundJson {
            idempotency_key,
            recorded: found.is_some(),
            event_id: found.and_then(|found| found.event).map(id),
            charge_id: found.and_then(|found| found.charge).map(charge),
        }
    });
    Ok(Answer(LookupJson {
        items: items.collect(),
    }))
}
