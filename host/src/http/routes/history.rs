//! Usage as it was: row by row, or summed. JSON or CSV.

use super::super::auth::Auth;
use super::super::body::{Id, Query};
use super::super::export::{format, respond};
use super::super::paging::{self, PageJson};
use super::super::problem::{Kind, Problem};
use super::super::{State, time};
use super::listing::page;
use super::usage_events::UsageJson;
use super::usage_groups::{RowsOrSums, UsageGroupJson, group_by};
use super::{blocking, text};
use crate::service::Context;
use crate::service::ledger::view::UsageFilter;
use axum::http::HeaderMap;
use axum::response::Response;
use farebox_ledger::ids::KeyId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which usage, and how it is shown.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// Recorded from here on, RFC 3339.
    from: Option<String>,
    /// Recorded before, RFC 3339.
    to: Option<String>,
    key_id: Option<String>,
    provider: Option<String>,
    /// The model that answered, else the one asked.
    model: Option<String>,
    feature: Option<String>,
    project: Option<String>,
    user: Option<String>,
    agent: Option<String>,
    /// Only what waits, or waited at first, for a price.
    unpriced: Option<bool>,
    /// Sum by these, in this order, with commas: `day`, `model`, `provider`, `feature`, `key`,
    /// `project`, `user`, `agent`. Without it: row by row.
    group_by: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many items, 1 to 1000; 100 when not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `json` or `csv`; `Accept: text/csv` says the same.
    format: Option<String>,
}

impl UsageQuery {
    fn filter(&mut self) -> Result<UsageFilter, Problem> {
        let key = self
            .key_id
            .take()
            .map(|id| id.parse())
            .transpose()
            .map_err(|_| Problem::new(Kind::NotFound, "there is no such key"))?;
        Ok(UsageFilter {
            from_ms: time::read_some("from", self.from.as_deref())?,
            to_ms: time::read_some("to", self.to.as_deref())?,
            key,
            provider: text("provider", self.provider.take())?,
            model: text("model", self.model.take())?,
            feature: text("feature", self.feature.take())?,
            project: text("project", self.project.take())?,
            user: text("user", self.user.take())?,
            agent: text("agent", self.agent.take())?,
            unpriced: self.unpriced,
        })
    }
}

/// The org's usage, newest first, or summed
///
/// With `group_by` each item is a sum over all that the filter admits; there are no pages then.
#[utoipa::path(get, path = "/v1/usage", tag = "usage", params(UsageQuery),
    responses((status = 200, body = RowsOrSums)))]
pub async fn usage(
    state: State,
    auth: Auth,
    Query(mut query): Query<UsageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let context = auth.to_read()?;
    let filter = query.filter()?;
    answer(state, context, filter, query, &headers).await
}

/// The usage of one of the org's keys, newest first, or summed
#[utoipa::path(get, path = "/v1/keys/{key_id}/usage", tag = "usage",
    params(("key_id" = String, Path), UsageQuery),
    responses((status = 200, body = RowsOrSums)))]
pub async fn key_usage(
    state: State,
    auth: Auth,
    Id(key): Id<KeyId>,
    Query(mut query): Query<UsageQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let context = auth.to_read()?;
    state.service.require_key(&context, key)?;
    let filter = UsageFilter {
        key: Some(key),
        ..query.filter()?
    };
    answer(state, context, filter, query, &headers).await
}

async fn answer(
    axum::extract::State(api): State,
    context: Context,
    filter: UsageFilter,
    query: UsageQuery,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let format = format(query.format.as_deref(), headers)?;
    if let Some(by) = query.group_by.as_deref().map(group_by).transpose()? {
        let groups = blocking(&api, move |service| {
            service.usage_groups(&context, &filter, &by).map(|groups| {
                groups
                    .iter()
                    .map(|group| UsageGroupJson::of(group, &by))
                    .collect()
            })
        })
        .await?;
        return Ok(respond(
            format,
            PageJson {
                items: groups,
                next_cursor: None,
            },
        ));
    }
    let asked = paging::request(query.cursor.as_deref(), query.limit)?;
    let found = blocking(&api, move |service| service.usage(&context, &filter, asked)).await?;
    Ok(respond::<UsageJson>(format, page(found)))
}
