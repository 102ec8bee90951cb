//! What every list of an org's things does: read who asks and which page, read it where reading may
//! take long, answer it as JSON or CSV.

use super::super::auth::Auth;
use super::super::export::{Row, format, respond};
use super::super::paging::{self, PageJson, PageQuery};
use super::super::problem::Problem;
use super::super::{Api, State};
use super::blocking;
use crate::service::ledger::view::{Page, PageRequest};
use crate::service::{Context, Service};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;

/// A page as it is shown.
pub fn page<V, J>(page: Page<V>) -> PageJson<J>
where
    J: for<'a> From<&'a V>,
{
    PageJson {
        items: page.items.iter().map(J::from).collect(),
        next_cursor: page.next.map(paging::show),
    }
}

/// The page of the caller's org that `read` gives.
pub async fn listed<V, J, E>(
    axum::extract::State(api): &State,
    auth: &Auth,
    query: &PageQuery,
    headers: &HeaderMap,
    read: fn(&Service, &Context, PageRequest) -> Result<Page<V>, E>,
) -> Result<Response, Problem>
where
    V: Send + 'static,
    J: Row + Serialize + for<'a> From<&'a V>,
    E: Into<Problem> + Send + 'static,
{
    let context = auth.to_read()?;
    let format = format(query.format.as_deref(), headers)?;
    let asked = paging::request(query.cursor.as_deref(), query.limit)?;
    let api: &Arc<Api> = api;
    let found = blocking(api, move |service| read(service, &context, asked)).await?;
    Ok(respond::<J>(format, page(found)))
}
