//! What goes wrong inside a server: a defect, a queue that is full. The answer is typed, it is
//! counted, and the server goes on.

use super::server::{Server, call};
use axum::Router;
use axum::routing::get;
use farebox::http::{self, Limits};
use hyper::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_panic_in_a_handler_is_answered_counted_and_stops_nobody() {
    let server = Server::start().await;
    let limits = Limits {
        body_bytes_max: 1_024,
        request_timeout: Duration::from_secs(30),
    };
    let defect = Router::new().route("/defect", get(async || -> &'static str { panic!("words") }));
    let router = http::router_with(Arc::clone(server.app.service()), limits, defect);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = server.client.at(listener.local_addr().unwrap());
    let serving = tokio::spawn(http::serve(listener, router, std::future::pending()));
    for _ in 0..2 {
        let answer = api.send(Method::GET, "/defect", &[], "").await;
        assert!(answer.headers.contains_key("x-request-id"));
        let problem = answer.problem(500, "internal");
        // What the panic said is nobody else's business.
        assert!(!problem.to_string().contains("words"), "{problem}");
    }
    let page = api.send(Method::GET, "/metrics", &[], "").await.text();
    for line in [
        "farebox_http_panics_total 2",
        "farebox_http_requests_total{method=\"GET\",route=\"/defect\",status=\"500\"} 2",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    serving.abort();
}

#[tokio::test]
async fn a_full_queue_is_answered_at_once_and_the_server_goes_on() {
    let server = Server::start_as(|options| options.queue_max = Some(1)).await;
    let customer = server.customer("acme", "10").await;
    // Somebody else holds the file, so the writer waits, and soon one more write with it.
    let database = server.folder().join("data/ledger.db");
    assert!(database.is_file());
    let mut other = rusqlite::Connection::open(database).unwrap();
    let lock = other
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    let mut holds = tokio::task::JoinSet::new();
    for index in 0..8 {
        let customer = customer.clone();
        holds.spawn(async move {
            let key = format!("h-{index}");
            let answer = customer
                .post_once("/v1/holds", &key, json!({"call": call()}))
                .await;
            (key, answer)
        });
    }
    let (key, refused) = holds.join_next().await.unwrap().unwrap();
    assert_eq!(refused.headers["retry-after"], "1");
    refused.problem(503, "busy");
    lock.rollback().unwrap();
    let mut placed = 0;
    while let Some(answer) = holds.join_next().await {
        let (_, answer) = answer.unwrap();
        match answer.status.as_u16() {
            201 => placed += 1,
            503 => drop(answer.problem(503, "busy")),
            _ => panic!("{}", answer.text()),
        }
    }
    // What was handed over before the queue was full took effect.
    assert!(placed > 0);
    // The refusal was no effect: the same key works now.
    let retried = customer.post_once("/v1/holds", &key, json!({"call": call()}));
    assert_eq!(retried.await.expect(201)["replayed"], Value::Bool(false));
}
