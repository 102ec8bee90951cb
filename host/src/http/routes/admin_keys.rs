//! For admins: API keys.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::Auth;
use super::super::body::{Id, Json, Pair};
use super::super::problem::{Kind, Problem};
use super::super::time;
use super::text;
use crate::service::access::Scope;
use crate::service::ledger::directory::KeyRecord;
use axum::http::StatusCode;
use farebox_ledger::ids::{KeyId, OrgId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a key may do.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub enum ScopeJson {
    /// Everything, for every org.
    #[serde(rename = "admin")]
    Admin,
    /// Read what concerns the org.
    #[serde(rename = "org:read")]
    OrgRead,
    /// Quote, hold, report usage, log queries.
    #[serde(rename = "org:write")]
    OrgWrite,
}

impl From<ScopeJson> for Scope {
    fn from(json: ScopeJson) -> Self {
        match json {
            ScopeJson::Admin => Self::Admin,
            ScopeJson::OrgRead => Self::OrgRead,
            ScopeJson::OrgWrite => Self::OrgWrite,
        }
    }
}

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyBody {
    /// The owner's name for it.
    #[schema(example = "gateway")]
    name: String,
    /// What it may do.
    scopes: Vec<ScopeJson>,
    /// When it no longer works.
    expires_at: Option<String>,
}

/// A key, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyJson {
    #[schema(example = "key_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    id: String,
    org_id: String,
    name: String,
    /// The beginning of its text, to recognise it.
    prefix: String,
    scopes: Vec<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

impl From<&KeyRecord> for KeyJson {
    fn from(key: &KeyRecord) -> Self {
        Self {
            id: key.id.to_string(),
            org_id: key.org.to_string(),
            name: key.name.to_string(),
            prefix: key.prefix.to_string(),
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            created_at: time::show(key.created_at_ms),
            expires_at: key.expires_at_ms.map(time::show),
            revoked_at: key.revoked_at_ms.map(time::show),
        }
    }
}

/// A new key, with its text.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewKeyJson {
    /// The text to send as `Authorization: Bearer …`. Shown once, kept nowhere.
    key: String,
    #[serde(flatten)]
    record: KeyJson,
}

/// Make a key; its text is shown once
#[utoipa::path(post, path = "/v1/admin/orgs/{org_id}/keys", tag = "admin",
    params(("org_id" = String, Path)), request_body = KeyBody,
    responses((status = 201, body = NewKeyJson)))]
pub async fn create(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
    body: Json<KeyBody>,
) -> Result<(StatusCode, Answer<NewKeyJson>), Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let name = text("name", Some(body.value.name))?
        .ok_or_else(|| Problem::new(Kind::InvalidRequest, "`name` is missing"))?;
    let scopes: Vec<Scope> = body.value.scopes.into_iter().map(Into::into).collect();
    let expires_at_ms = time::read_some("expires_at", body.value.expires_at.as_deref())?;
    let (record, key) = api
        .service
        .create_key(&context, name, &scopes, expires_at_ms)
        .await?;
    Ok((
        StatusCode::CREATED,
        Answer(NewKeyJson {
            key: key.reveal().to_owned(),
            record: (&record).into(),
        }),
    ))
}

/// An org's keys, oldest first
#[utoipa::path(get, path = "/v1/admin/orgs/{org_id}/keys", tag = "admin",
    params(("org_id" = String, Path)),
    responses((status = 200, body = Vec<KeyJson>)))]
pub async fn list(
    axum::extract::State(api): State,
    auth: Auth,
    Id(org): Id<OrgId>,
) -> Result<Answer<Vec<KeyJson>>, Problem> {
    let context = auth.to_administer(org, None)?;
    let keys = api.service.keys(&context)?;
    Ok(Answer(keys.iter().map(Into::into).collect()))
}

/// Nothing: which key stands in the path.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {}

/// End a key at once; send `{}`
#[utoipa::path(post, path = "/v1/admin/orgs/{org_id}/keys/{key_id}/revoke", tag = "admin",
    params(("org_id" = String, Path), ("key_id" = String, Path)), request_body = RevokeBody,
    responses((status = 200, body = KeyJson)))]
pub async fn revoke(
    axum::extract::State(api): State,
    auth: Auth,
    Pair(org, key): Pair<OrgId, KeyId>,
    body: Json<RevokeBody>,
) -> Result<Answer<KeyJson>, Problem> {
    let context = auth.to_administer(org, body.idempotency)?;
    let key = api.service.revoke_key(&context, key).await?;
    Ok(Answer((&key).into()))
}
