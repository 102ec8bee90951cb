//! For admins: orgs.

use super::super::State;
use super::super::amount::Amount;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Id, Json, Query};
use super::super::problem::{Kind, Problem};
use super::super::show::BalanceJson;
use super::super::time;
use super::{blocking, nanos, text};
use crate::service::ledger::directory::OrgRecord;
use axum::http::StatusCode;
use farebox_ledger::ids::OrgId;
use farebox_pricing::money::Nanos;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A new org.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrgBody {
    /// The operator's name for it, which no other org has.
    #[schema(example = "acme")]
    name: String,
    /// Its plan.
    plan: Option<String>,
    /// How far its available credits may go below zero; 0 when not given.
    credit_limit_credits: Option<Amount>,
}

/// An org.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrgJson {
    #[schema(example = "org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    created_at: String,
}

impl From<&OrgRecord> for OrgJson {
    fn from(org: &OrgRecord) -> Self {
        Self {
            id: org.id.to_string(),
            name: org.name.to_string(),
            plan: org.plan.as_deref().map(Into::into),
            created_at: time::show(org.created_at_ms),
        }
    }
}

/// Make an org with an empty wallet
#[utoipa::path(post, path = "/v1/admin/orgs", tag = "admin", request_body = OrgBody,
    responses((status = 201, body = OrgJson)))]
pub async fn create(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<OrgBody>,
) -> Result<(StatusCode, Answer<OrgJson>), Problem> {
    let context = auth.to_administer(api.service.new_org_id(), body.idempotency)?;
    let name = text("name", Some(body.value.name))?
        .ok_or_else(|| Problem::new(Kind::InvalidRequest, "`name` is missing"))?;
    let plan = text("plan", body.value.plan)?;
    let credit_limit = match body.value.credit_limit_credits {
        Some(amount) => nanos("credit_limit_credits", amount)?,
        None => Nanos::ZERO,
    };
    let org = api
        .service
        .create_org(&context, name, plan, credit_limit)
        .await?;
    Ok((StatusCode::CREATED, Answer((&org).into())))
}

/// Which orgs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrgsQuery {
    /// The id of the last org of the page before.
    cursor: Option<String>,
    /// At most so many, 1 to 1000; 100 when not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Orgs, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrgsJson {
    items: Vec<OrgJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Orgs, oldest first
#[utoipa::path(get, path = "/v1/admin/orgs", tag = "admin", params(OrgsQuery),
    responses((status = 200, body = OrgsJson)))]
pub async fn list(
    axum::extract::State(api): State,
    auth: Auth,
    Query(query): Query<OrgsQuery>,
) -> Result<Answer<OrgsJson>, Problem> {
    auth.require_admin()?;
    let limit = super::super::paging::request(None, query.limit)?.limit;
    let after: Option<OrgId> = query
        .cursor
        .map(|cursor| cursor.parse())
        .transpose()
        .map_err(|_| Problem::new(Kind::InvalidCursor, "use `next_cursor` of the page before"))?;
    let orgs = blocking(&api, move |service| service.store().orgs(after, limit)).await?;
    let next_cursor = (orgs.len() == limit)
        .then(|| orgs.last().map(|org| org.id.to_string()))
        .flatten();
    Ok(Answer(OrgsJson {
        items: orgs.iter().map(Into::into).collect(),
        next_cursor,
    }))
}

/// An org
#[utoipa::path(get, path = "/v1/admin/orgs/{org_id}", tag = "admin",
    params(("org_id" = String, Path)),
    responses((status = 200, body = OrgJson)))]
pub async fn show(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
) -> Result<Answer<OrgJson>, Problem> {
    auth.require_admin()?;
    let org = api.service.find_org(org)?;
    Ok(Answer(org.as_ref().into()))
}

/// A plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanBody {
    /// The plan; null: none.
    plan: Option<String>,
}

/// Put an org on another plan; open holds keep theirs
#[utoipa::path(put, path = "/v1/admin/orgs/{org_id}/plan", tag = "admin",
    params(("org_id" = String, Path)), request_body = PlanBody,
    responses((status = 200, body = OrgJson)))]
pub async fn set_plan(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
    body: Json<PlanBody>,
) -> Result<Answer<OrgJson>, Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let plan = text("plan", body.value.plan)?;
    api.service.set_plan(&context, plan).await?;
    let org = api.service.find_org(org)?;
    Ok(Answer(org.as_ref().into()))
}

/// A credit limit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditLimitBody {
    /// How far available credits may go below zero.
    credit_limit_credits: Amount,
}

/// Set how far an org's available credits may go below zero
#[utoipa::path(put, path = "/v1/admin/orgs/{org_id}/credit-limit", tag = "admin",
    params(("org_id" = String, Path)), request_body = CreditLimitBody,
    responses((status = 200, body = Option<BalanceJson>)))]
pub async fn set_credit_limit(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
    body: Json<CreditLimitBody>,
) -> Result<Answer<Option<BalanceJson>>, Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let limit = nanos("credit_limit_credits", body.value.credit_limit_credits)?;
    let acknowledged = api.service.set_credit_limit(&context, limit).await?;
    Ok(Answer(acknowledged.wallet.as_ref().map(Into::into)))
}

/// Forget who made an org's calls: client addresses and user agents; the calls stay
#[utoipa::path(delete, path = "/v1/admin/orgs/{org_id}/personal", tag = "admin",
    params(("org_id" = String, Path)),
    responses((status = 204)))]
pub async fn erase_personal(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
) -> Result<StatusCode, Problem> {
    let context = auth.to_administer(org, None)?;
    api.service.erase_personal(&context).await?;
    Ok(StatusCode::NO_CONTENT)
}
