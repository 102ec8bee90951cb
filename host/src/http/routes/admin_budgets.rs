//! For admins: budgets.

use super::super::State;
use super::super::amount::Amount;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Id, Json, Pair};
use super::super::problem::{Kind, Problem};
use super::super::show::credits;
use super::super::time;
use super::{nanos, text};
use axum::http::StatusCode;
use farebox_ledger::budget::{Budget, BudgetKind, BudgetScope, BudgetUse};
use farebox_ledger::ids::{BudgetId, OrgId};
use farebox_ledger::window::{Window, Zone};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a budget counts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetBody {
    /// `org`, `key`, `project`, `user`, `agent` or `feature`.
    #[schema(example = "project")]
    scope: String,
    /// Which key, project, …; not for `org`.
    value: Option<String>,
    /// `hard` refuses new holds at the limit; `warning` only says so.
    #[schema(example = "hard")]
    kind: String,
    /// `day`, `month` or `total`.
    #[schema(example = "month")]
    window: String,
    /// The IANA time zone in which days and months begin; `UTC` when not given.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// The most that may be spent and held in one window.
    limit_credits: Amount,
}

fn unknown(field: &str, value: &str, known: &str) -> Problem {
    let shown: String = value.chars().take(32).collect();
    Problem::new(
        Kind::InvalidRequest,
        format!("`{field}` is `{shown}`, but must be {known}"),
    )
}

impl BudgetBody {
    fn read(self, id: BudgetId) -> Result<Budget, Problem> {
        let window = Window::from_name(&self.window)
            .ok_or_else(|| unknown("window", &self.window, "`day`, `month` or `total`"))?;
        let kind = BudgetKind::from_name(&self.kind)
            .ok_or_else(|| unknown("kind", &self.kind, "`hard` or `warning`"))?;
        let zone = match &self.time_zone {
            Some(name) => {
                Zone::new(name).map_err(|error| Problem::new(Kind::InvalidRequest, error))?
            }
            None => Zone::utc(),
        };
        Ok(Budget {
            id,
            scope: scope(&self.scope, text("value", self.value)?)?,
            kind,
            window,
            zone,
            limit: nanos("limit_credits", self.limit_credits)?,
        })
    }
}

fn scope(name: &str, value: Option<Box<str>>) -> Result<BudgetScope, Problem> {
    match (name, value) {
        ("org", None) => Ok(BudgetScope::Org),
        ("key", Some(key)) => key
            .parse()
            .map(BudgetScope::Key)
            .map_err(|error| Problem::new(Kind::InvalidRequest, error)),
        ("project", Some(name)) => Ok(BudgetScope::Project(name)),
        ("user", Some(name)) => Ok(BudgetScope::User(name)),
        ("agent", Some(name)) => Ok(BudgetScope::Agent(name)),
        ("feature", Some(name)) => Ok(BudgetScope::Feature(name)),
        ("org", Some(_)) => Err(Problem::new(
            Kind::InvalidRequest,
            "`value` is not for the scope `org`",
        )),
        ("key" | "project" | "user" | "agent" | "feature", None) => Err(Problem::new(
            Kind::InvalidRequest,
            "`value` is missing: it says which one",
        )),
        (other, _) => Err(unknown(
            "scope",
            other,
            "`org`, `key`, `project`, `user`, `agent` or `feature`",
        )),
    }
}

/// A budget.
#[derive(Debug, Serialize, ToSchema)]
pub struct BudgetJson {
    #[schema(example = "budget_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    id: String,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    kind: &'static str,
    window: &'static str,
    time_zone: String,
    limit_credits: String,
    /// What it has counted in the window it last counted in.
    #[serde(skip_serializing_if = "Option::is_none")]
    spent_credits: Option<String>,
    /// Put aside by the active holds it covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_credits: Option<String>,
    /// When that window ends; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    renews_at: Option<String>,
}

impl BudgetJson {
    fn of(budget: &Budget, used: Option<&BudgetUse>) -> Self {
        let value = match &budget.scope {
            BudgetScope::Org => None,
            BudgetScope::Key(key) => Some(key.to_string()),
            BudgetScope::Project(name)
            | BudgetScope::User(name)
            | BudgetScope::Agent(name)
            | BudgetScope::Feature(name) => Some(name.to_string()),
        };
        Self {
            id: budget.id.to_string(),
            scope: budget.scope.name(),
            value,
            kind: budget.kind.name(),
            window: budget.window.name(),
            time_zone: budget.zone.name().to_owned(),
            limit_credits: credits(budget.limit),
            spent_credits: used.map(|used| credits(used.spent)),
            held_credits: used.map(|used| credits(used.held)),
            renews_at: used
                .filter(|used| used.window_end_ms < i64::MAX)
                .map(|used| time::show(used.window_end_ms)),
        }
    }
}

/// Make a budget; it counts from now on
#[utoipa::path(post, path = "/v1/admin/orgs/{org_id}/budgets", tag = "admin",
    params(("org_id" = String, Path)), request_body = BudgetBody,
    responses((status = 201, body = BudgetJson)))]
pub async fn create(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
    body: Json<BudgetBody>,
) -> Result<(StatusCode, Answer<BudgetJson>), Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let mut budget = body.value.read(api.service.new_budget_id())?;
    let (id, _) = api.service.put_budget(&context, budget.clone()).await?;
    budget.id = id;
    Ok((StatusCode::CREATED, Answer(BudgetJson::of(&budget, None))))
}

/// An org's budgets and what each has counted, oldest first
#[utoipa::path(get, path = "/v1/admin/orgs/{org_id}/budgets", tag = "admin",
    params(("org_id" = String, Path)),
    responses((status = 200, body = Vec<BudgetJson>)))]
pub async fn list(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
) -> Result<Answer<Vec<BudgetJson>>, Problem> {
    let context = auth.to_administer(org, None)?;
    api.service.find_org(org)?;
    let budgets = api.service.budgets(&context)?;
    let shown = budgets
        .iter()
        .map(|(budget, used)| BudgetJson::of(budget, Some(used)));
    Ok(Answer(shown.collect()))
}

/// Replace a budget; with the same scope, window and time zone it keeps what it counted
#[utoipa::path(put, path = "/v1/admin/orgs/{org_id}/budgets/{budget_id}", tag = "admin",
    params(("org_id" = String, Path), ("budget_id" = String, Path)), request_body = BudgetBody,
    responses((status = 200, body = BudgetJson)))]
pub async fn replace(
    axum::extract::State(api): State,
    auth: Auth,
    Pair(org, id): Pair<OrgId, BudgetId>,
    body: Json<BudgetBody>,
) -> Result<Answer<BudgetJson>, Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let known = api.service.budgets(&context)?;
    if !known.iter().any(|(budget, _)| budget.id == id) {
        return Err(Problem::new(Kind::NotFound, "there is no such budget"));
    }
    let budget = body.value.read(id)?;
    api.service.put_budget(&context, budget.clone()).await?;
    Ok(Answer(BudgetJson::of(&budget, None)))
}

/// End a budget
#[utoipa::path(delete, path = "/v1/admin/orgs/{org_id}/budgets/{budget_id}", tag = "admin",
    params(("org_id" = String, Path), ("budget_id" = String, Path)),
    responses((status = 204)))]
pub async fn remove(
    axum::extract::State(api): State,
    auth: Auth,
    Pair(org, id): Pair<OrgId, BudgetId>,
) -> Result<StatusCode, Problem> {
    let context = auth.to_administer(org, None)?;
    api.service.remove_budget(&context, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
