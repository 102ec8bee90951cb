//! For admins: all usage that waits for a price, of any org, and one more try for it.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Json, Query};
use super::super::paging;
use super::super::problem::{Kind, Problem, ProblemJson};
use super::super::show::credits;
use super::super::time;
use super::admin_usage::under;
use super::blocking;
use super::receipts::EventJson;
use super::reports::KeySourceJson;
use crate::service::ledger::view::UsageView;
use crate::service::waiting::{STEP_MAX, Tried};
use farebox_ledger::ids::{EventId, OrgId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which part of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UnpricedQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many, 1 to 1000; 100 when not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

fn after(cursor: Option<&str>) -> Result<Option<EventId>, Problem> {
    cursor
        .map(str::parse)
        .transpose()
        .map_err(|_| Problem::new(Kind::InvalidCursor, "use `next_cursor` of the page before"))
}

/// Usage that waits for a price.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnpricedJson {
    org_id: String,
    event_id: String,
    occurred_at: String,
    recorded_at: String,
    /// Why it had no price: a stable code.
    reason: Option<String>,
    /// Whose provider key served it.
    key_source: Option<KeySourceJson>,
    /// The release that it ran under, which alone prices it unless you name another.
    #[serde(skip_serializing_if = "Option::is_none")]
    release_id: Option<String>,
    /// The hold that is kept for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_id: Option<String>,
    event: EventJson,
}

impl UnpricedJson {
    fn of(org: OrgId, usage: &UsageView) -> Self {
        let unpriced = usage.unpriced.as_ref();
        Self {
            org_id: org.to_string(),
            event_id: usage.id.to_string(),
            occurred_at: time::show(usage.occurred_at_ms),
            recorded_at: time::show(usage.recorded_at_ms),
            reason: unpriced.map(|unpriced| unpriced.reason.to_string()),
            key_source: unpriced.map(|unpriced| unpriced.key_source.into()),
            release_id: unpriced
                .and_then(|unpriced| unpriced.release)
                .map(|release| release.to_string()),
            hold_id: usage.hold.map(|hold| hold.to_string()),
            event: (&usage.event).into(),
        }
    }
}

/// Usage that waits for a price, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnpricedPageJson {
    items: Vec<UnpricedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Usage of every org that waits for a price, oldest first
#[utoipa::path(get, path = "/v1/admin/usage/unpriced", tag = "admin", params(UnpricedQuery),
    responses((status = 200, body = UnpricedPageJson)))]
pub async fn list(
    axum::extract::State(api): State,
    auth: Auth,
    Query(query): Query<UnpricedQuery>,
) -> Result<Answer<UnpricedPageJson>, Problem> {
    auth.require_admin()?;
    let limit = paging::request(None, query.limit)?.limit;
    let after = after(query.cursor.as_deref())?;
    let found = blocking(&api, move |service| service.list_waiting(after, limit)).await?;
    let next_cursor = (found.len() == limit)
        .then(|| found.last().map(|(_, usage)| usage.id.to_string()))
        .flatten();
    Ok(Answer(UnpricedPageJson {
        items: found
            .iter()
            .map(|(org, usage)| UnpricedJson::of(*org, usage))
            .collect(),
        next_cursor,
    }))
}

/// Which part of the list is tried.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleUnpricedBody {
    /// `next_cursor` of the answer before.
    cursor: Option<String>,
    /// At most so many, 1 to 256; 256 when not given.
    limit: Option<usize>,
    /// What prices the usage that its own release has no price for, or that was revoked or is not
    /// loaded; not the candidate of a trial. When not given, such usage waits on.
    under_release_id: Option<String>,
}

/// What became of one event.
#[derive(Debug, Serialize, ToSchema)]
pub struct TriedJson {
    org_id: String,
    event_id: String,
    /// `charged`, or `unpriced` where it still waits.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    charge_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credits: Option<String>,
    /// Why it still waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemJson>,
}

impl From<Tried> for TriedJson {
    fn from(tried: Tried) -> Self {
        let (charge, problem) = match tried.result {
            Ok(charge) => (Some(charge), None),
            Err(error) => (None, Some(Problem::from(error).into_json())),
        };
        Self {
            org_id: tried.org.to_string(),
            event_id: tried.event.to_string(),
            status: if charge.is_some() {
                "charged"
            } else {
                "unpriced"
            },
            charge_id: charge.as_ref().map(|(id, _)| id.to_string()),
            credits: charge.map(|(_, pricing)| credits(pricing.price)),
            problem,
        }
    }
}

/// What became of the events that were tried.
#[derive(Debug, Serialize, ToSchema)]
pub struct SettledPageJson {
    items: Vec<TriedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Rate usage that waits for a price again, oldest first, and charge what has one now
///
/// Each is tried whenever it was tried last, with the release that it ran under: whatever is bound by
/// now, what has run is priced by no other release unless you name one. What states nothing that was
/// used is left for a decision: `POST /v1/admin/orgs/{org_id}/usage/{event_id}/settle`. Call it
/// with `next_cursor` until there is none.
#[utoipa::path(post, path = "/v1/admin/usage/settle-unpriced", tag = "admin",
    request_body = SettleUnpricedBody,
    responses((status = 200, body = SettledPageJson)))]
pub async fn settle(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<SettleUnpricedBody>,
) -> Result<Answer<SettledPageJson>, Problem> {
    let context_of = auth.administering_any()?;
    let limit = body.value.limit.unwrap_or(STEP_MAX);
    if !(1..=STEP_MAX).contains(&limit) {
        return Err(Problem::new(
            Kind::InvalidRequest,
            format!("`limit` is `{limit}`, but must be 1 to {STEP_MAX}"),
        ));
    }
    let after = after(body.value.cursor.as_deref())?;
    let under = under(&api, body.value.under_release_id).await?;
    let runtime = tokio::runtime::Handle::current();
    let step = blocking(&api, move |service| {
        runtime.block_on(service.settle_waiting(context_of, after, limit, under, |_| true))
    })
    .await?;
    Ok(Answer(SettledPageJson {
        items: step.tried.into_iter().map(Into::into).collect(),
        next_cursor: step.next.map(|event| event.to_string()),
    }))
}
