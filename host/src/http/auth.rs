//! Who is asking: the bearer key of a request, and the org it is for.

use super::Api;
use super::observe::RequestId;
use super::problem::{Kind, Problem};
use crate::service::Context;
use crate::service::access::{Caller, Scope};
use crate::service::releases::Operator;
use crate::service::usage::Doors;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use farebox_ledger::idempotency::Idempotency;
use farebox_ledger::ids::OrgId;
use std::sync::Arc;

/// The header by which an admin names the org a call is for.
const ORG_HEADER: &str = "farebox-org";

/// A caller with a valid key.
pub struct Auth {
    caller: Caller,
    named: Option<OrgId>,
    request_id: Box<str>,
}

impl FromRequestParts<Arc<Api>> for Auth {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let key = bearer(&parts.headers)?;
        let caller = api.service.caller(key)?;
        Self::of(parts, caller)
    }
}

impl Auth {
    fn of(parts: &Parts, caller: Caller) -> Result<Self, Problem> {
        let request_id = parts
            .extensions
            .get::<RequestId>()
            .map(|id| id.0.clone())
            .unwrap_or_default();
        Ok(Self {
            caller,
            named: named_org(&parts.headers)?,
            request_id,
        })
    }
}

/// The same, with a key that may have ended: what it began may be reported.
pub struct Reporter(pub Auth);

impl FromRequestParts<Arc<Api>> for Reporter {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let caller = api.service.reporter(bearer(&parts.headers)?)?;
        Auth::of(parts, caller).map(Self)
    }
}

impl Reporter {
    /// To report for the caller's org; with a key that has ended only under the holds that it
    /// placed.
    pub fn to_report(&self, idempotency: Option<Idempotency>) -> Result<(Context, Doors), Problem> {
        let Self(auth) = self;
        let doors = if auth.caller.is_valid() {
            Doors::All
        } else {
            Doors::OwnHolds
        };
        Ok((auth.to_write(idempotency)?, doors))
    }
}

/// The same, refused unless it is an admin's, before any body is read.
pub struct Admin(pub Auth);

impl FromRequestParts<Arc<Api>> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let auth = Auth::from_request_parts(parts, api).await?;
        auth.require_admin()?;
        Ok(Self(auth))
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim())
        .ok_or_else(|| {
            Problem::new(
                Kind::Unauthenticated,
                "send `Authorization: Bearer <key>` with an API key",
            )
        })
}

fn named_org(headers: &HeaderMap) -> Result<Option<OrgId>, Problem> {
    headers
        .get(ORG_HEADER)
        .map(|value| {
            value
                .to_str()
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| Problem::new(Kind::NotFound, "there is no such org"))
        })
        .transpose()
}

impl Auth {
    /// To read what concerns the caller's org.
    pub fn to_read(&self) -> Result<Context, Problem> {
        self.context(Scope::OrgRead, None)
    }

    /// To quote, hold and report for the caller's org.
    pub fn to_write(&self, idempotency: Option<Idempotency>) -> Result<Context, Problem> {
        self.context(Scope::OrgWrite, idempotency)
    }

    fn context(&self, scope: Scope, idempotency: Option<Idempotency>) -> Result<Context, Problem> {
        let org = self.caller.org(scope, self.named)?;
        Ok(self.context_of(org, idempotency))
    }

    /// That the caller is an admin.
    pub fn require_admin(&self) -> Result<(), Problem> {
        Ok(self.caller.require_admin()?)
    }

    /// To do what only an admin may, to the org in the path.
    pub fn to_administer(
        &self,
        org: OrgId,
        idempotency: Option<Idempotency>,
    ) -> Result<Context, Problem> {
        self.caller.require_admin()?;
        Ok(self.context_of(org, idempotency))
    }

    /// The same to any org.
    pub fn administering_any(self) -> Result<impl Fn(OrgId) -> Context + Send + 'static, Problem> {
        self.caller.require_admin()?;
        Ok(move |org| self.context_of(org, None))
    }

    /// To do what only an admin may, and what concerns no single org.
    pub fn to_operate(&self, idempotency: Option<Idempotency>) -> Result<Operator, Problem> {
        self.caller.require_admin()?;
        Ok(Operator {
            actor: self.caller.actor(),
            request_id: self.request_id.clone(),
            idempotency,
        })
    }

    fn context_of(&self, org: OrgId, idempotency: Option<Idempotency>) -> Context {
        Context {
            org,
            actor: self.caller.actor(),
            key: self.caller.key_id(),
            request_id: self.request_id.clone(),
            idempotency,
        }
    }
}
