//! What surrounds every request: an id, a span, a time limit, a count.
//!
//! Bodies, queries and keys are never logged: a span has the method, the route and the id.

use super::Api;
use super::problem::{Kind, Problem};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument as _;

static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: the caller's, where it sent a sane one, else made here.
#[derive(Clone, Debug)]
pub struct RequestId(pub Box<str>);

/// Where a release's file is compiled, and how long that may take: longer than the two compilations of a
/// policy that brings its interpreter may, after those of another that came first.
const COMPILING: [&str; 2] = ["/v1/admin/policies", "/v1/admin/backtests/file"];
const COMPILING_TIMEOUT: Duration = Duration::from_secs(1_800);

/// The longest request id that is taken over, in bytes.
const ID_BYTES_MAX: usize = 64;

fn given(headers: &HeaderMap) -> Option<Box<str>> {
    headers
        .get(&HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=ID_BYTES_MAX).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        })
        .map(Into::into)
}

/// The answer of a handler that panicked. The message may hold anything, so only its place in the
/// program is logged, by the panic hook of the process.
pub fn panicked(api: &Api, _cause: Box<dyn Any + Send>) -> Response {
    api.metrics.panicked();
    tracing::error!("a handler panicked");
    Problem::new(
        Kind::Internal,
        "this is a defect of the server; it is logged under the request id. Retry with the same \
         idempotency key to learn whether it took effect",
    )
    .into_response()
}

/// What the handler answers. One that changes something goes on when its caller has gone away, or
/// its time is over: what it handed to the ledger takes effect, and what follows from that (counts
/// that are taken back, a hold that is remembered) must happen too.
async fn answer(next: Next, request: Request, changes: bool) -> Response {
    if !changes {
        return next.run(request).await;
    }
    let handler = tokio::spawn(next.run(request).in_current_span());
    handler.await.unwrap_or_else(|_| {
        // Panics are caught further in, so the runtime itself is ending.
        Problem::new(Kind::Internal, "the server is going down").into_response()
    })
}

/// Wraps every request.
pub async fn observe(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let clock = api.service.clock();
    let started = clock.elapsed();
    let id = given(request.headers()).unwrap_or_else(|| format!("{:032x}", clock.next_id()).into());
    let route: Arc<str> = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".into(), |path| path.as_str().into());
    let method = request.method().clone();
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", %method, %route, %id);
    let mut limit = api.limits.request_timeout;
    if method == Method::POST && COMPILING.contains(&&*route) {
        limit = limit.max(COMPILING_TIMEOUT);
    }
    let changes = !method.is_safe();
    let mut response = async {
        match tokio::time::timeout(limit, answer(next, request, changes)).await {
            Ok(response) => response,
            Err(_) => Problem::new(
                Kind::Timeout,
                "retry with the same idempotency key to learn whether it took effect",
            )
            .into_response(),
        }
    }
    .instrument(span.clone())
    .await;
    let status = response.status();
    let took = clock.elapsed().saturating_sub(started);
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), ?took, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), ?took, "answered");
        }
    });
    api.metrics.answered(&method, &route, status.as_u16(), took);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER.clone(), value);
    }
    response
}
