//! What goes wrong inside a server: a defect, a queue that is full. The answer is typed, it is
//! counted, and the server goes on.

use super::server::{Api, Customer, Server, call};
use axum::Router;
use axum::routing::get;
use farebox::http::{self, Limits};
use hyper::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server serves, on another address that its stop does not end, with more routes.
async fn serve_apart(server: &Server, more: Router) -> (Api, JoinHandle<std::io::Result<()>>) {
    let limits = Limits {
        body_bytes_max: 1_024,
        request_timeout: Duration::from_secs(30),
    };
    let router = http::router_with(Arc::clone(server.app.service()), limits, more);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = server.client.at(listener.local_addr().unwrap());
    let serving = tokio::spawn(http::serve(listener, router, std::future::pending()));
    (api, serving)
}

#[tokio::test]
async fn a_panic_in_a_handler_is_answered_counted_and_stops_nobody() {
    let server = Server::start().await;
    let defect = Router::new().route("/defect", get(async || -> &'static str { panic!("words") }));
    let (api, serving) = serve_apart(&server, defect).await;
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
async fn a_server_whose_writer_has_ended_is_alive_and_not_ready() {
    let server = Server::start().await;
    let (api, serving) = serve_apart(&server, Router::new()).await;
    let customer = Customer {
        api: api.clone(),
        ..server.customer("acme", "10").await
    };
    let get = |path: &'static str| api.send(Method::GET, path, &[], "");
    get("/readyz").await.expect(200);
    let folder = server.stop().await;
    get("/readyz").await.problem(503, "unavailable");
    get("/healthz").await.expect(200);
    // What is read is answered, and no call is taken.
    assert_eq!(customer.available().await, "10");
    let hold = customer.post("/v1/holds", json!({"call": call()})).await;
    hold.problem(503, "busy");
    serving.abort();
    drop(folder);
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

/// A thousand prompt tokens a month are free; the next costs a dollar.
const FREE: &str = r#"
name = "free"
as_of = "2026-11-21"
[defaults]
free = [{ meter = "input", quantity = "1000", per = "month" }]
loss_leader = true
[[models]]
provider = "openai"
model = "gpt"
per_million = { input = "1000000", output = "0" }
"#;

fn report(tokens: u64) -> Value {
    json!({"provider": "openai", "model": "gpt", "usage": {"input": tokens}})
}

/// A replay of the report `first`, on a connection that nobody reads.
async fn replay(connection: &mut TcpStream, customer: &Customer) {
    let body = report(100).to_string();
    let request = format!(
        "POST /v1/usage HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         idempotency-key: first\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        customer.key,
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
}

async fn waiting_writes(server: &Server) -> u64 {
    let page = server.client.send(Method::GET, "/metrics", &[], "").await;
    let page = page.text();
    let line = page
        .lines()
        .find(|line| line.starts_with("farebox_ledger_queue "));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn callers_who_go_away_do_not_move_what_is_counted() {
    let server = Server::start_as(|options| {
        let path = options
            .data_dir
            .clone()
            .unwrap()
            .with_file_name("free.toml");
        std::fs::write(&path, FREE).unwrap();
        options.price_book = Some(path);
    })
    .await;
    let customer = server.customer("acme", "10").await;
    let first = customer.post_once("/v1/usage", "first", report(100)).await;
    assert_eq!(first.expect(200)["price_usd"], "0");
    let mut connections = Vec::new();
    for _ in 0..20 {
        let connection = TcpStream::connect(server.app.address()).await;
        connections.push(connection.unwrap());
    }
    // The writer waits for somebody else's lock, a few seconds, so every replay below is rated and
    // not yet known for one.
    let database = server.folder().join("data/ledger.db");
    let mut other = rusqlite::Connection::open(database).unwrap();
    let lock = other
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    for connection in &mut connections {
        replay(connection, &customer).await;
    }
    let rated = async {
        while waiting_writes(&server).await < 20 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), rated)
        .await
        .unwrap();
    drop(connections);
    lock.rollback().unwrap();
    // Of the thousand, one hundred are gone: not two thousand.
    let taken_back = async {
        loop {
            let next = customer.post("/v1/usage", report(1)).await.expect(200);
            if next["price_usd"] == "0" {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), taken_back)
        .await
        .unwrap();
}
