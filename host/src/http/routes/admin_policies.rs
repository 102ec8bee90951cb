//! For admins: releases. One is pushed, shown, taken out and revoked; none is ever changed.

use super::super::State;
use super::super::answer::Answer;
use super::super::auth::{Admin, Auth};
use super::super::body::{Json, Query, ReleaseId, Wasm};
use super::super::problem::{Kind, Problem};
use super::super::time;
use super::{blocking, text};
use crate::service::Service;
use crate::service::ledger::releases::{
    ChangeRecord, FilterRecord, ReleaseRecord, SignatureRecord,
};
use crate::service::policy::Trust;
use crate::service::signature::PinnedKeys;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use farebox_pricing::load::Description;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The largest file of a release, in bytes: the largest component with the largest book and its
/// text.
pub const FILE_BYTES_MAX: usize = 56 << 20;

/// How a release is pushed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PushQuery {
    /// Whether its instances may be kept from one call to the next; without it, only the policy
    /// that Farebox ships is trusted. Fixed with the first push.
    trust: Option<TrustJson>,
}

/// Whether a policy may keep its instance from one call to the next.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrustJson {
    /// The operator's own: one warm instance per worker.
    Trusted,
    /// Somebody else's: a fresh instance per batch, so that nothing survives in it.
    Untrusted,
}

impl From<TrustJson> for Trust {
    fn from(json: TrustJson) -> Self {
        match json {
            TrustJson::Trusted => Self::Trusted,
            TrustJson::Untrusted => Self::Untrusted,
        }
    }
}

/// That a release prices nothing any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevocationJson {
    at: String,
    by: String,
    why: String,
}

/// Who signed a release.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignatureJson {
    /// The operator's name for the key, where this server pins it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The public key, hex.
    key: String,
    /// When the signature was pushed.
    at: String,
    /// Who pushed it.
    by: String,
}

impl SignatureJson {
    fn of(record: &SignatureRecord, pinned: &PinnedKeys) -> Self {
        let key = record.signature.key;
        Self {
            name: pinned.name_of(&key).map(str::to_owned),
            key: key.to_string(),
            at: time::show(record.at_ms),
            by: record.by.to_string(),
        }
    }
}

/// A filter that belongs to a component.
#[derive(Debug, Serialize, ToSchema)]
pub struct FilterJson {
    /// The SHA-256 that it carries, in hexadecimal.
    filter: String,
    /// When it was pushed.
    at: String,
    /// Who pushed it.
    by: String,
}

impl From<&FilterRecord> for FilterJson {
    fn from(record: &FilterRecord) -> Self {
        Self {
            filter: hex::encode(record.digest.0),
            at: time::show(record.at_ms),
            by: record.by.to_string(),
        }
    }
}

/// A release.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyJson {
    /// `rel_` and the SHA-256 over the two digests below.
    #[schema(example = "rel_5b0c2a0f3f7c1d9e8a4b6c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f")]
    id: String,
    /// The name of its book.
    name: String,
    /// SHA-256 of the component without its book, hex.
    component: String,
    /// SHA-256 of the canonical book, hex.
    book: String,
    component_bytes: u64,
    book_bytes: u64,
    /// The version of `farebox:policy` it speaks.
    contract: String,
    /// `native` or `scripted`: its limits.
    class: &'static str,
    /// `trusted` or `untrusted`.
    trust: &'static str,
    admitted_at: String,
    admitted_by: String,
    /// Absent: it may price.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<RevocationJson>,
    /// Who signed it, in the order of their keys.
    signed_by: Vec<SignatureJson>,
    /// The filters that run its component in a gateway, in the order of their digests.
    filters: Vec<FilterJson>,
    /// The scopes that it prices now.
    bound_to: Vec<String>,
}

impl PolicyJson {
    fn of(release: &ReleaseRecord, (bound, pinned): &(Vec<ChangeRecord>, PinnedKeys)) -> Self {
        let its = |change: &&ChangeRecord| change.release == Some(release.id);
        let revoked = release.revoked.as_ref();
        Self {
            id: release.id.to_string(),
            name: release.name.to_string(),
            component: hex::encode(release.id.component.0),
            book: hex::encode(release.id.book.0),
            component_bytes: release.component_bytes,
            book_bytes: release.book_bytes,
            contract: release.contract.to_string(),
            class: release.class.name(),
            trust: release.trust.name(),
            admitted_at: time::show(release.admitted_at_ms),
            admitted_by: release.admitted_by.to_string(),
            revoked: revoked.map(|revoked| RevocationJson {
                at: time::show(revoked.at_ms),
                by: revoked.by.to_string(),
                why: revoked.why.to_string(),
            }),
            signed_by: release
                .signatures
                .iter()
                .map(|record| SignatureJson::of(record, pinned))
                .collect(),
            filters: release.filters.iter().map(Into::into).collect(),
            bound_to: bound
                .iter()
                .filter(its)
                .map(|change| change.scope.to_string())
                .collect(),
        }
    }
}

/// What a release is shown against: what is bound, and which keys are pinned.
fn present(service: &Service) -> Result<(Vec<ChangeRecord>, PinnedKeys), Problem> {
    Ok((service.bound()?, service.pinned_keys()?))
}

/// What a policy says of itself. Nothing of it is checked.
#[derive(Debug, Serialize, ToSchema)]
pub struct DescriptionJson {
    name: String,
    version: String,
    summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    book_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    book_as_of: Option<String>,
}

impl From<&Description> for DescriptionJson {
    fn from(said: &Description) -> Self {
        let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Self {
            name: said.name.to_string(),
            version: said.version.to_string(),
            summary: said.summary.to_string(),
            book_name: owned(&said.book_name),
            book_as_of: owned(&said.book_as_of),
        }
    }
}

/// A release, and what its policy says.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownPolicyJson {
    #[serde(flatten)]
    release: PolicyJson,
    policy: DescriptionJson,
    /// How its sandboxes come to their book: `kept` from call to call where it is trusted; else fresh
    /// for each batch, `prepared` with the book in their memory, or `loading` it each time.
    instances: &'static str,
    /// The most fuel that a call of a model of its own book takes: the same on every machine.
    fuel_per_call: u64,
    /// The fuel that a call may take.
    fuel_per_call_max: u64,
}

/// Push a release: one `.wasm` that carries its price book
///
/// The file is what `farebox policy build --book` makes; with `--filter` it says which filters run the
/// same policy in a gateway. It is checked, compiled and tried with its
/// book here, and never on the path of a call. The same file twice is one release; it prices nothing
/// until it is activated.
#[utoipa::path(post, path = "/v1/admin/policies", tag = "admin", params(PushQuery),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, body = PolicyJson)))]
pub async fn push(
    axum::extract::State(api): State,
    Admin(auth): Admin,
    Query(query): Query<PushQuery>,
    file: Wasm,
) -> Result<(StatusCode, Answer<PolicyJson>), Problem> {
    let operator = auth.to_operate(file.idempotency)?;
    let trust = query.trust.map(Into::into);
    let bytes = file.bytes;
    let admitted = blocking(&api, move |service| service.admit_pushed(&bytes, trust)).await?;
    let release = api.service.keep_release(&operator, admitted).await?;
    let present = present(&api.service)?;
    Ok((
        StatusCode::CREATED,
        Answer(PolicyJson::of(&release, &present)),
    ))
}

/// Every release, oldest first
#[utoipa::path(get, path = "/v1/admin/policies", tag = "admin",
    responses((status = 200, body = Vec<PolicyJson>)))]
pub async fn list(
    axum::extract::State(api): State,
    auth: Auth,
) -> Result<Answer<Vec<PolicyJson>>, Problem> {
    auth.require_admin()?;
    let (releases, present) = blocking(&api, |service| {
        Ok::<_, Problem>((service.releases()?, present(service)?))
    })
    .await?;
    let shown = releases
        .iter()
        .map(|release| PolicyJson::of(release, &present));
    Ok(Answer(shown.collect()))
}

/// A release, and what its policy says of itself
#[utoipa::path(get, path = "/v1/admin/policies/{release_id}", tag = "admin",
    params(("release_id" = String, Path)),
    responses((status = 200, body = ShownPolicyJson)))]
pub async fn show(
    axum::extract::State(api): State,
    auth: Auth,
    ReleaseId(address): ReleaseId,
) -> Result<Answer<ShownPolicyJson>, Problem> {
    auth.require_admin()?;
    let (described, present) = blocking(&api, move |service| {
        Ok::<_, Problem>((service.describe_release(address)?, present(service)?))
    })
    .await?;
    Ok(Answer(ShownPolicyJson {
        release: PolicyJson::of(&described.release, &present),
        policy: (&described.description).into(),
        instances: described.instances.name(),
        fuel_per_call: described.fuel.used_max,
        fuel_per_call_max: described.fuel.limit,
    }))
}

/// A release as the one file it was pushed as
#[utoipa::path(get, path = "/v1/admin/policies/{release_id}/file", tag = "admin",
    params(("release_id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/wasm")))]
pub async fn file(
    axum::extract::State(api): State,
    auth: Auth,
    ReleaseId(address): ReleaseId,
) -> Result<Response, Problem> {
    auth.require_admin()?;
    let file = blocking(&api, move |service| service.export_release(address)).await?;
    let name = format!("attachment; filename=\"{address}.wasm\"");
    let headers = [
        (CONTENT_TYPE, "application/wasm"),
        (CONTENT_DISPOSITION, &*name),
    ];
    Ok((headers, file).into_response())
}

/// The price book of a release as its author wrote it, comments and all
#[utoipa::path(get, path = "/v1/admin/policies/{release_id}/book", tag = "admin",
    params(("release_id" = String, Path)),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn book(
    axum::extract::State(api): State,
    auth: Auth,
    ReleaseId(address): ReleaseId,
) -> Result<Response, Problem> {
    auth.require_admin()?;
    let parts = blocking(&api, move |service| service.release_parts(address)).await?;
    let text = parts.book_source.ok_or_else(|| {
        Problem::new(
            Kind::NotFound,
            "the release was pushed without the text of its book",
        )
    })?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text.to_vec()).into_response())
}

/// Why a release may no longer price.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokePolicyBody {
    /// For whoever reads the history.
    #[schema(example = "sells gpt-4o-mini below cost")]
    why: String,
}

/// End a release for all pricing, calls that are held under it included
///
/// What was held under it is charged under what is bound then. A release that is bound to any scope
/// is not revoked: activate another one first.
#[utoipa::path(post, path = "/v1/admin/policies/{release_id}/revoke", tag = "admin",
    params(("release_id" = String, Path)), request_body = RevokePolicyBody,
    responses((status = 200, body = PolicyJson)))]
pub async fn revoke(
    axum::extract::State(api): State,
    auth: Auth,
    ReleaseId(address): ReleaseId,
    body: Json<RevokePolicyBody>,
) -> Result<Answer<PolicyJson>, Problem> {
    let operator = auth.to_operate(body.idempotency)?;
    let why = text("why", Some(body.value.why))?
        .ok_or_else(|| Problem::new(Kind::InvalidRequest, "`why` is missing"))?;
    let release = api.service.revoke_release(&operator, address, why).await?;
    let present = present(&api.service)?;
    Ok(Answer(PolicyJson::of(&release, &present)))
}
