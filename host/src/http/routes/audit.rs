//! What was done to an org, and by whom. JSON or CSV.

use super::super::auth::Auth;
use super::super::body::Query;
use super::super::export::{Row, cell};
use super::super::paging::{PageJson, PageQuery};
use super::super::problem::Problem;
use super::super::{State, time};
use super::listing::listed;
use crate::service::Service;
use crate::service::ledger::view::AuditView;
use crate::service::ledger::write::Actor;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// Something that was done to the org, by its operator or with its keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditJson {
    id: String,
    at: String,
    /// `key`, `admin` or `host`.
    actor: &'static str,
    /// Which key, or which admin credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<String>,
    /// What, as a stable word.
    verb: String,
    /// On what.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    request_id: String,
}

impl From<&AuditView> for AuditJson {
    fn from(view: &AuditView) -> Self {
        let (actor, actor_id) = match &view.actor {
            Actor::Key(key) => ("key", Some(key.to_string())),
            Actor::Admin(name) => ("admin", Some(name.to_string())),
            Actor::Host => ("host", None),
        };
        Self {
            id: view.id.to_string(),
            at: time::show(view.at_ms),
            actor,
            actor_id,
            verb: view.verb.to_string(),
            subject: view.subject.as_deref().map(Into::into),
            request_id: view.request_id.to_string(),
        }
    }
}

impl Row for AuditJson {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "at",
        "actor",
        "actor_id",
        "verb",
        "subject",
        "request_id",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.at.clone(),
            self.actor.to_owned(),
            cell(&self.actor_id),
            self.verb.clone(),
            cell(&self.subject),
            self.request_id.clone(),
        ]
    }
}

/// What was done to the org, newest first
#[utoipa::path(get, path = "/v1/audit", tag = "wallet", params(PageQuery),
    responses((status = 200, body = PageJson<AuditJson>)))]
pub async fn audit(
    state: State,
    auth: Auth,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let read = Service::audit;
    listed::<_, AuditJson, _>(&state, &auth, &query, &headers, read).await
}
