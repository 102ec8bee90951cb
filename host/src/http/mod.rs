//! The HTTP edge: JSON in, JSON out, problems where something is wrong.
//!
//! The only module that names axum. It turns requests into calls of [`crate::service`] and answers
//! into JSON; it decides nothing about prices or credits. The description at `/openapi.json` is
//! made from the same list as the router, so no route is without one.

mod amount;
mod answer;
mod auth;
mod body;
mod describe;
mod export;
mod failure;
mod metrics;
mod observe;
mod paging;
mod prefer;
mod problem;
mod routes;
mod show;
mod time;

pub use describe::openapi;
pub use problem::Kind;

use crate::service::Service;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use metrics::Metrics;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;

/// Limits of the edge.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
}

/// What handlers share.
pub(crate) struct Api {
    service: Arc<Service>,
    metrics: Metrics,
    limits: Limits,
    openapi: axum::body::Bytes,
}

type State = axum::extract::State<Arc<Api>>;

/// The whole API as a router.
pub fn router(service: Arc<Service>, limits: Limits) -> Router {
    router_with(service, limits, Router::new())
}

/// The same with routes of an embedding program, which get what surrounds the API's own: a request
/// id, a span, the time limit, counts, and an answer where a handler panics.
pub fn router_with(service: Arc<Service>, limits: Limits, more: Router) -> Router {
    let (router, description) = describe::described();
    let text = description.to_pretty_json().unwrap_or_default();
    let api = Arc::new(Api {
        service,
        metrics: Metrics::default(),
        limits,
        openapi: text.into(),
    });
    let panics = Arc::clone(&api);
    router
        .with_state(Arc::clone(&api))
        .merge(more)
        .fallback(routes::operations::unknown_path)
        .method_not_allowed_fallback(routes::operations::wrong_method)
        // One layer of three, outermost first: each layer of its own would put every call of every
        // route into two more boxes.
        .layer((
            axum::middleware::from_fn_with_state(api, observe::observe),
            CatchPanicLayer::custom(move |cause| observe::panicked(&panics, cause)),
            DefaultBodyLimit::max(limits.body_bytes_max),
        ))
}

/// Serves until `stop` is done, then lets open requests end.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    // Answers are small: waiting for more to send with them only costs time.
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
}
