//! Request bodies and queries, read strictly: what is not understood is refused, and the answer
//! says where.
//!
//! A body is read from its bytes in one pass. Its SHA-256, with method, path and query, is what makes a
//! retry recognisable.

use super::problem::{Kind, Problem};
use crate::service::releases::Address;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use farebox_ledger::idempotency::Idempotency;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// A body of JSON.
pub struct Json<T> {
    /// What it says.
    pub value: T,
    /// Its text.
    pub text: Bytes,
    /// The caller's idempotency key, where it sent one.
    pub idempotency: Option<Idempotency>,
}

/// The longest idempotency key, in bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_type(request.headers(), "application/json")?;
        let (bytes, idempotency) = received(request, state).await?;
        let value = parse(&bytes)?;
        Ok(Self {
            value,
            text: bytes,
            idempotency,
        })
    }
}

/// A body of WebAssembly.
pub struct Wasm {
    /// The file.
    pub bytes: Bytes,
    /// The caller's idempotency key, where it sent one.
    pub idempotency: Option<Idempotency>,
}

impl<S: Send + Sync> FromRequest<S> for Wasm {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_type(request.headers(), "application/wasm")?;
        let (bytes, idempotency) = received(request, state).await?;
        Ok(Self { bytes, idempotency })
    }
}

/// The whole body, and what makes a retry of it recognisable.
async fn received<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<(Bytes, Option<Idempotency>), Problem> {
    let key = idempotency_key(request.headers())?;
    let uri = request.uri();
    let path = uri.path_and_query().map_or(uri.path(), |all| all.as_str());
    let path = path.to_owned();
    let method = request.method().clone();
    let bytes = bytes(request, state).await?;
    let idempotency = key.map(|key_digest| {
        let mut hash = Sha256::new();
        for part in [method.as_str().as_bytes(), path.as_bytes(), &bytes] {
            hash.update(part);
            hash.update([0]);
        }
        Idempotency {
            key_digest,
            request_digest: hash.finalize().into(),
        }
    });
    Ok((bytes, idempotency))
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::new(Kind::BodyTooLarge, "the body is larger than the limit")
            } else {
                Problem::new(Kind::InvalidRequest, "the body could not be received")
            }
        })
}

fn require_type(headers: &HeaderMap, kind: &str) -> Result<(), Problem> {
    let is_it = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(kind));
    if is_it {
        Ok(())
    } else {
        Err(Problem::new(
            Kind::UnsupportedMediaType,
            format!("send `Content-Type: {kind}`"),
        ))
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    key_digest("Idempotency-Key", key.as_bytes()).map(Some)
}

/// What is kept of an idempotency key, which stands in `field`.
///
/// # Errors
/// It is none.
pub fn key_digest(field: &str, key: &[u8]) -> Result<[u8; 32], Problem> {
    if key.is_empty()
        || key.len() > IDEMPOTENCY_KEY_BYTES_MAX
        || !key.iter().all(u8::is_ascii_graphic)
    {
        return Err(Problem::new(
            Kind::InvalidRequest,
            format!(
                "`{field}` must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters \
                 without spaces"
            ),
        ));
    }
    Ok(Sha256::digest(key).into())
}

/// The value that JSON `bytes` hold.
///
/// # Errors
/// A problem that says where and why not.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A list of the fields in order would be read as the object, names unseen.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::new(
            Kind::InvalidRequest,
            "the body must be a JSON object, not a list",
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let kind = match error.classify() {
            serde_json::error::Category::Data if error.to_string().contains("invalid amount") => {
                Kind::InvalidAmount
            }
            serde_json::error::Category::Data => Kind::InvalidRequest,
            _ => Kind::MalformedJson,
        };
        Problem::new(kind, &error)
            .with("line", error.line())
            .with("column", error.column())
    })
}

/// The query part of the URL.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| Problem::new(Kind::InvalidRequest, rejection.body_text()))
    }
}

/// An id in the path. What has not the form of one is not found, as one of another org is.
pub struct Id<T>(pub T);

impl<S: Send + Sync, T: std::str::FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_found = || Problem::new(Kind::NotFound, "there is nothing with this id");
        let axum::extract::Path(text) =
            axum::extract::Path::<String>::from_request_parts(parts, state)
                .await
                .map_err(|_| not_found())?;
        text.parse().map(Self).map_err(|_| not_found())
    }
}

/// The address of a release in the path. What has not the form of one is not found.
pub struct ReleaseId(pub Address);

impl<S: Send + Sync> FromRequestParts<S> for ReleaseId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Id(address) = Id::from_request_parts(parts, state).await?;
        Ok(Self(address))
    }
}

/// Two ids in the path.
pub struct Pair<A, B>(pub A, pub B);

impl<S, A, B> FromRequestParts<S> for Pair<A, B>
where
    S: Send + Sync,
    A: std::str::FromStr,
    B: std::str::FromStr,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_found = || Problem::new(Kind::NotFound, "there is nothing with these ids");
        let axum::extract::Path((first, second)) =
            axum::extract::Path::<(String, String)>::from_request_parts(parts, state)
                .await
                .map_err(|_| not_found())?;
        match (first.parse(), second.parse()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err(not_found()),
        }
    }
}
