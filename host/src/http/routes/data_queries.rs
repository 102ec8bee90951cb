//! Free public data: logged, never billed.

use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Json, Query};
use super::super::export::{Row, cell};
use super::super::paging::{PageJson, PageQuery};
use super::super::problem::Problem;
use super::super::show::owned;
use super::super::{State, time};
use super::listing::listed;
use super::reports::{AuditBody, labels};
use super::text;
use crate::http::problem::Kind;
use crate::service::Service;
use crate::service::data_queries::DataQuery;
use crate::service::ledger::view::QueryView;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A free query.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DataQueryBody {
    /// What was queried.
    #[schema(example = "company_search")]
    name: String,
    /// Where the data came from.
    #[schema(example = "sec_edgar")]
    source: Option<String>,
    /// How many records it gave.
    records: Option<u64>,
    project: Option<String>,
    user: Option<String>,
    agent: Option<String>,
    feature: Option<String>,
    audit: Option<AuditBody>,
}

/// A query that was logged.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueryLoggedJson {
    #[schema(example = "query_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    id: String,
    /// Always `0`: public data is free.
    credits: &'static str,
    replayed: bool,
}

/// Log a free query; nothing is charged
#[utoipa::path(post, path = "/v1/data-queries", tag = "usage", request_body = DataQueryBody,
    responses((status = 201, body = QueryLoggedJson)))]
pub async fn record(
    axum::extract::State(api): State,
    auth: Auth,
    body: Json<DataQueryBody>,
) -> Result<(StatusCode, Answer<QueryLoggedJson>), Problem> {
    let context = auth.to_write(body.idempotency)?;
    let value = body.value;
    let (audit, personal) = value.audit.unwrap_or_default().read()?;
    let query = DataQuery {
        name: text("name", Some(value.name))?
            .ok_or_else(|| Problem::new(Kind::InvalidRequest, "`name` is missing"))?,
        source: text("source", value.source)?,
        records: value.records,
        labels: labels(value.project, value.user, value.agent, value.feature)?,
        audit,
        personal,
    };
    let (id, acknowledged) = api.service.record_query(&context, query).await?;
    Ok((
        StatusCode::CREATED,
        Answer(QueryLoggedJson {
            id: id.to_string(),
            credits: "0",
            replayed: acknowledged.replayed,
        }),
    ))
}

/// A free query, as it was logged.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueryJson {
    id: String,
    at: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<String>,
}

impl From<&QueryView> for QueryJson {
    fn from(query: &QueryView) -> Self {
        Self {
            id: query.id.to_string(),
            at: time::show(query.at_ms),
            name: query.name.to_string(),
            source: owned(&query.source),
            records: query.records,
            project: owned(&query.dimensions.project),
            user: owned(&query.dimensions.user),
            agent: owned(&query.dimensions.agent),
            feature: owned(&query.dimensions.feature),
        }
    }
}

impl Row for QueryJson {
    const COLUMNS: &'static [&'static str] = &[
        "id", "at", "name", "source", "records", "project", "user", "agent", "feature",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.at.clone(),
            self.name.clone(),
            cell(&self.source),
            self.records
                .map(|records| records.to_string())
                .unwrap_or_default(),
            cell(&self.project),
            cell(&self.user),
            cell(&self.agent),
            cell(&self.feature),
        ]
    }
}

/// The org's free queries, newest first
#[utoipa::path(get, path = "/v1/data-queries", tag = "usage", params(PageQuery),
    responses((status = 200, body = PageJson<QueryJson>)))]
pub async fn list(
    state: State,
    auth: Auth,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let read = Service::data_queries;
    listed::<_, QueryJson, _>(&state, &auth, &query, &headers, read).await
}
