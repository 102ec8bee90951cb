//! For admins: which release prices whom, and every change of it.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Json, Query};
use super::super::paging::{self, PageJson};
use super::super::problem::{Kind, Problem};
use super::super::time;
use super::{blocking, text};
use crate::service::ledger::releases::{BindingScope, ChangeRecord, ScopePart};
use crate::service::releases::Address;
use farebox_pricing::event::Deployment;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Where Farebox runs.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentJson {
    /// The operator's own service.
    Hosted,
    /// On the customer's own machines.
    SelfHosted,
}

impl From<Deployment> for DeploymentJson {
    fn from(deployment: Deployment) -> Self {
        match deployment {
            Deployment::Hosted => Self::Hosted,
            Deployment::SelfHosted => Self::SelfHosted,
        }
    }
}

impl From<DeploymentJson> for Deployment {
    fn from(json: DeploymentJson) -> Self {
        match json {
            DeploymentJson::Hosted => Self::Hosted,
            DeploymentJson::SelfHosted => Self::SelfHosted,
        }
    }
}

/// The scope that a request names; `here` is where this server runs.
pub(super) fn scope(
    deployment: Option<DeploymentJson>,
    plan: Option<String>,
    org_id: Option<String>,
    here: Deployment,
) -> Result<BindingScope, Problem> {
    let part = match (text("plan", plan)?, org_id) {
        (Some(_), Some(_)) => {
            return Err(Problem::new(
                Kind::InvalidRequest,
                "`plan` and `org_id` both narrow the scope: give one of them",
            ));
        }
        (Some(plan), None) => Some(ScopePart::Plan(plan)),
        (None, Some(org)) => {
            let parsed = org.parse();
            let parsed = parsed.map_err(|_| Problem::new(Kind::NotFound, "there is no such org"));
            Some(ScopePart::Org(parsed?))
        }
        (None, None) => None,
    };
    Ok(BindingScope {
        deployment: deployment.map_or(here, Into::into),
        part,
    })
}

/// `none`, or the address of a release.
fn some_address(field: &str, text: &str) -> Result<Option<Address>, Problem> {
    if text == "none" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| {
        Problem::new(
            Kind::InvalidRequest,
            format!("`{field}` must be `none` or a release: {error}"),
        )
    })
}

/// A change of a binding.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeJson {
    /// Such as `hosted`, `hosted/plan:pro` or `hosted/org:org_…`.
    scope: String,
    deployment: DeploymentJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<String>,
    /// What prices it since; null: the release of the wider scope.
    release_id: Option<String>,
    /// What of its own it had until then.
    before_release_id: Option<String>,
    /// `start`, `activate`, `rollback` or `deactivate`.
    kind: &'static str,
    at: String,
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl From<&ChangeRecord> for ChangeJson {
    fn from(change: &ChangeRecord) -> Self {
        let (plan, org_id) = match &change.scope.part {
            None => (None, None),
            Some(ScopePart::Plan(plan)) => (Some(plan.to_string()), None),
            Some(ScopePart::Org(org)) => (None, Some(org.to_string())),
        };
        Self {
            scope: change.scope.to_string(),
            deployment: change.scope.deployment.into(),
            plan,
            org_id,
            release_id: change.release.map(|release| release.to_string()),
            before_release_id: change.before.map(|release| release.to_string()),
            kind: change.kind.name(),
            at: time::show(change.at_ms),
            by: change.by.to_string(),
            why: change.why.as_deref().map(str::to_owned),
        }
    }
}

/// What is bound now.
#[derive(Debug, Serialize, ToSchema)]
pub struct BindingsJson {
    /// Where this server runs.
    deployment: DeploymentJson,
    /// The newest change of every scope that has or had a release of its own.
    items: Vec<ChangeJson>,
}

/// What is bound now, scope by scope
#[utoipa::path(get, path = "/v1/admin/bindings", tag = "admin",
    responses((status = 200, body = BindingsJson)))]
pub async fn list(
    axum::extract::State(api): State,
    auth: Auth,
) -> Result<Answer<BindingsJson>, Problem> {
    auth.require_admin()?;
    let bound = blocking(&api, |service| service.bound()).await?;
    Ok(Answer(BindingsJson {
        deployment: api.service.settings().deployment.into(),
        items: bound.iter().map(Into::into).collect(),
    }))
}

/// Which part of the history.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Of this deployment; without it and the next two: of every scope.
    #[param(inline)]
    deployment: Option<DeploymentJson>,
    /// Of this plan in the deployment.
    plan: Option<String>,
    /// Of this org in the deployment.
    org_id: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many, 1 to 1000; 100 when not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Every change of what prices whom, newest first: who, when and why
#[utoipa::path(get, path = "/v1/admin/bindings/history", tag = "admin", params(HistoryQuery),
    responses((status = 200, body = PageJson<ChangeJson>)))]
pub async fn history(
    axum::extract::State(api): State,
    auth: Auth,
    Query(query): Query<HistoryQuery>,
) -> Result<Answer<PageJson<ChangeJson>>, Problem> {
    auth.require_admin()?;
    let page = paging::request(query.cursor.as_deref(), query.limit)?;
    let here = api.service.settings().deployment;
    let names_one = query.deployment.is_some() || query.plan.is_some() || query.org_id.is_some();
    let scope = match names_one {
        true => Some(scope(query.deployment, query.plan, query.org_id, here)?),
        false => None,
    };
    let changes = blocking(&api, move |service| {
        service.binding_changes(scope.as_ref(), page)
    })
    .await?;
    Ok(Answer(PageJson {
        items: changes.items.iter().map(Into::into).collect(),
        next_cursor: changes.next.map(paging::show),
    }))
}

/// Who is to be priced by what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateBody {
    /// The release; `none` takes a plan's or an org's own away, so that the deployment's holds.
    release_id: String,
    /// Where; absent: where this server runs.
    deployment: Option<DeploymentJson>,
    /// Only the orgs on this plan.
    plan: Option<String>,
    /// Only this org.
    org_id: Option<String>,
    /// What you believe is bound to exactly this scope: a release, or `none`. When it is not,
    /// nothing changes and the answer is `binding-moved`.
    expected: String,
    /// For whoever reads the history.
    why: Option<String>,
}

/// Let a release price a scope, at once and for all workers
///
/// The most specific scope wins: an org's, else its plan's, else the deployment's. Calls that are
/// held under another release are charged under that one.
#[utoipa::path(post, path = "/v1/admin/bindings/activate", tag = "admin",
    request_body = ActivateBody,
    responses((status = 200, body = ChangeJson)))]
pub async fn activate(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<ActivateBody>,
) -> Result<Answer<ChangeJson>, Problem> {
    let operator = auth.to_operate(body.idempotency)?;
    let body = body.value;
    let here = api.service.settings().deployment;
    let scope = scope(body.deployment, body.plan, body.org_id, here)?;
    let release = some_address("release_id", &body.release_id)?;
    let expected = some_address("expected", &body.expected)?;
    let why = text("why", body.why)?;
    let change = api
        .service
        .activate(&operator, scope, release, expected, why)
        .await?;
    Ok(Answer((&change).into()))
}

/// Whose price goes back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackBody {
    /// Where; absent: where this server runs.
    deployment: Option<DeploymentJson>,
    /// Only the orgs on this plan.
    plan: Option<String>,
    /// Only this org.
    org_id: Option<String>,
    /// What you believe is bound to exactly this scope: a release, or `none`. When it is not,
    /// nothing changes and the answer is `binding-moved`.
    expected: String,
    /// For whoever reads the history.
    why: Option<String>,
}

/// Go back to what a scope was bound to before
///
/// Each rollback goes one activation further back, past releases that were revoked.
#[utoipa::path(post, path = "/v1/admin/bindings/rollback", tag = "admin",
    request_body = RollbackBody,
    responses((status = 200, body = ChangeJson)))]
pub async fn rollback(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<RollbackBody>,
) -> Result<Answer<ChangeJson>, Problem> {
    let operator = auth.to_operate(body.idempotency)?;
    let body = body.value;
    let here = api.service.settings().deployment;
    let scope = scope(body.deployment, body.plan, body.org_id, here)?;
    let expected = some_address("expected", &body.expected)?;
    let why = text("why", body.why)?;
    let change = api
        .service
        .roll_back(&operator, scope, expected, why)
        .await?;
    Ok(Answer((&change).into()))
}
