//! What a caller was promised holds while releases are swapped: a quote, a hold, a trust.

use super::releases::{activate, post, priced, pushed};
use super::server::{ADMIN, Server, call, release_file, usage};
use farebox::app::server::StartError;
use farebox::clock::ManualClock;
use farebox::config::Options;
use farebox::engine::package::Package;
use farebox_tests::books::NOW_MS;
use hyper::Method;
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn a_quote_holds_under_the_release_that_made_it() {
    let server = Server::start().await;
    let customer = server.customer("acme", "100").await;
    let start = server.bound(None).await;
    let cheap = pushed(&server, "cheap", "10").await;
    let dear = pushed(&server, "dear", "20").await;
    activate(&server, &cheap, &start).await.expect(200);
    let quote = json!({"call": call(), "keep": true});
    let quote = customer.post("/v1/quotes", quote).await.expect(200)["id"].clone();
    activate(&server, &dear, &cheap).await.expect(200);
    // Approved at ten, so it is held, and charged, at ten.
    let with_quote = json!({"call": call(), "quote_id": quote});
    let held = customer.post("/v1/holds", with_quote.clone()).await;
    let mut report = usage();
    report["hold_id"] = held.expect(201)["id"].clone();
    let captured = customer.post("/v1/usage", report).await.expect(200);
    let (price, release) = priced(&customer, &captured).await;
    assert_eq!((price.as_str(), &release), ("0.011", &cheap));
    // What was revoked promises nothing any more.
    let path = format!("/v1/admin/policies/{cheap}/revoke");
    post(&server, &path, json!({"why": "wrong"}))
        .await
        .expect(200);
    let refused = customer.post("/v1/holds", with_quote).await;
    let told = refused.problem(409, "conflict");
    assert!(
        told["detail"]
            .as_str()
            .unwrap()
            .contains("can now cost more"),
        "{told}"
    );
}

/// A book with this price, under which calls that a client aborted wait for a person.
fn careful(name: &str, per_million: &str) -> Vec<u8> {
    let book = format!(
        "name = \"{name}\"\nas_of = \"2026-11-21\"\n[failures]\nclient_abort = \"hold\"\n\
         [[models]]\nprovider = \"openai\"\nmodel = \"gpt-4o-mini\"\n\
         per_million = {{ input = \"{per_million}\", output = \"{per_million}\" }}\n"
    );
    let compiled = farebox_book::compile(&book, farebox_book::Format::Toml).unwrap();
    Package {
        book: Some(compiled.canonical),
        book_source: Some(book.into_bytes()),
        ..Package::open(&release_file(name, per_million)).unwrap()
    }
    .to_file()
}

#[tokio::test]
async fn what_waited_is_settled_under_the_release_that_it_ran_under() {
    let server = Server::start_as(|options| options.settle_interval_ms = Some(0)).await;
    let customer = server.customer("acme", "100").await;
    let start = server.bound(None).await;
    let id = |answer: Value| answer["id"].as_str().unwrap().to_owned();
    let cheap = id(server.push(&careful("cheap", "10")).await.expect(201));
    let dear = id(server.push(&careful("dear", "20")).await.expect(201));
    activate(&server, &cheap, &start).await.expect(200);
    let hold = customer.post("/v1/holds", json!({"call": call()})).await;
    let mut held = usage();
    held["hold_id"] = hold.expect(201)["id"].clone();
    held["aborted"] = json!(true);
    let mut free = usage();
    free["aborted"] = json!(true);
    let mut waiting = Vec::new();
    for report in [held, free] {
        let waits = customer.post("/v1/usage", report).await.expect(202);
        assert_eq!(waits["reason"], "client_abort");
        waiting.push(waits["event_id"].as_str().unwrap().to_owned());
    }
    activate(&server, &dear, &cheap).await.expect(200);
    let mut charged = Vec::new();
    for event in &waiting {
        let path = format!("/v1/admin/orgs/{}/usage/{event}/settle", customer.org);
        let settled = post(&server, &path, json!({})).await.expect(200);
        charged.push(priced(&customer, &settled).await);
    }
    // Held or not, and whatever is bound today.
    assert_eq!(
        charged,
        [
            ("0.011".to_owned(), cheap.clone()),
            ("0.011".to_owned(), cheap)
        ]
    );
}

#[tokio::test]
async fn a_retry_of_a_push_must_say_the_same_in_its_query_too() {
    let server = Server::start().await;
    let bearer = format!("Bearer {ADMIN}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/wasm"),
        ("idempotency-key", "push-1"),
    ];
    let push = async |query: &str| {
        let path = format!("/v1/admin/policies{query}");
        let file = release_file("november", "10");
        server
            .client
            .send(Method::POST, &path, &headers, file)
            .await
    };
    push("?trust=untrusted").await.expect(201);
    push("?trust=untrusted").await.expect(201);
    let other = push("?trust=trusted").await;
    other.problem(422, "idempotency-conflict");
}

/// Flips a bit of the newest book, behind the guards of the database.
pub fn damage_book(database: &rusqlite::Connection) {
    let guards: Vec<(String, String)> = database
        .prepare(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'contents'",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for (name, _) in &guards {
        database
            .execute_batch(&format!("DROP TRIGGER {name}"))
            .unwrap();
    }
    let newest = "SELECT book FROM releases ORDER BY admitted_at_ms DESC LIMIT 1";
    let (digest, mut bytes): (Vec<u8>, Vec<u8>) = database
        .query_row(
            &format!("SELECT digest, bytes FROM contents WHERE digest = ({newest})"),
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    database
        .execute(
            "UPDATE contents SET bytes = ?1 WHERE digest = ?2",
            (bytes, digest),
        )
        .unwrap();
    for (_, sql) in &guards {
        database.execute_batch(sql).unwrap();
    }
}

#[tokio::test]
async fn nothing_is_served_where_a_bound_release_does_not_load() {
    let server = Server::start().await;
    let start = server.bound(None).await;
    let own = pushed(&server, "own", "3").await;
    activate(&server, &own, &start).await.expect(200);
    let folder = server.stop().await;
    // A disk that loses a bit: the book is not what its digest says.
    let database = rusqlite::Connection::open(folder.path().join("data/ledger.db")).unwrap();
    damage_book(&database);
    drop(database);
    let options = super::server::options(folder.path());
    let config = farebox::config::Config::load(options).unwrap();
    let Err(error) = farebox::app::server::start(&config).await else {
        panic!("it serves");
    };
    let told = error.to_string();
    match error {
        StartError::Bound { release, .. } => assert_eq!(release.to_string(), own),
        other => panic!("{other}"),
    }
    assert!(
        told.contains("farebox policy activate --data-dir"),
        "{told}"
    );
}

#[tokio::test]
async fn a_release_that_is_not_loaded_is_not_gone_back_to() {
    let server = Server::start().await;
    let start = server.bound(None).await;
    let good = pushed(&server, "good", "3").await;
    let damaged = pushed(&server, "damaged", "4").await;
    activate(&server, &good, &start).await.expect(200);
    activate(&server, &damaged, &good).await.expect(200);
    activate(&server, &good, &damaged).await.expect(200);
    let folder = server.stop().await;
    let database = rusqlite::Connection::open(folder.path().join("data/ledger.db")).unwrap();
    damage_book(&database);
    drop(database);
    let options = super::server::options(folder.path());
    let server = Server::on(folder, options).await;
    let back = json!({"expected": good, "why": "in a hurry"});
    let refused = post(&server, "/v1/admin/bindings/rollback", back).await;
    let told = refused.problem(409, "release-missing");
    assert!(
        told["detail"].as_str().unwrap().contains(&damaged),
        "{told}"
    );
    assert_eq!(server.bound(None).await, good);
    let customer = server.customer("acme", "100").await;
    let held = customer.post("/v1/holds", json!({"call": call()})).await;
    held.expect(201);
}

/// A price rises ten times an hour from now.
const DATED: &str = r#"
name = "dated"
as_of = "2026-11-21"
[[models]]
provider = "openai"
model = "gpt-4o-mini"
per_million = { input = "10", output = "10" }
  [[models.periods]]
  valid_from = "2026-11-21T01:00:00Z"
  per_million = { input = "100", output = "100" }
"#;

#[tokio::test]
async fn a_held_call_is_charged_at_the_time_it_was_held() {
    const HOUR_MS: i64 = 3_600_000;
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let with_the_book = |options: &mut Options| {
        let path = options.data_dir.clone().unwrap();
        let path = path.parent().unwrap().join("dated.toml");
        std::fs::write(&path, DATED).unwrap();
        options.price_book = Some(path);
        options.hold_ttl_ms = Some(86_400_000);
        options.skew_max_ms = Some(1000);
    };
    let server = Server::start_as_at(with_the_book, Arc::clone(&clock) as _).await;
    let customer = server.customer("acme", "100").await;
    let hold = async || {
        let held = customer.post("/v1/holds", json!({"call": call()})).await;
        held.expect(201)["id"].clone()
    };
    let report = |hold: &Value, at: Option<&str>| {
        let mut report = usage();
        report["hold_id"] = hold.clone();
        if let Some(at) = at {
            report["occurred_at"] = json!(at);
        }
        report
    };
    let (long, late, job) = (hold().await, hold().await, hold().await);
    // A clock that is a little ahead changes nothing.
    clock.set(NOW_MS + HOUR_MS - 100);
    let young = hold().await;
    let ahead = report(&young, Some("2026-11-21T01:00:00.500Z"));
    let ahead = customer.post("/v1/usage", ahead).await.expect(200);
    assert_eq!(ahead["price_usd"], "0.011", "{ahead}");
    // The stream ran over the hour, and its report waited for another.
    clock.set(NOW_MS + 2 * HOUR_MS);
    let charged = customer
        .post("/v1/usage", report(&long, None))
        .await
        .expect(200);
    assert_eq!(charged["price_usd"], "0.011", "{charged}");
    let id = charged["charge_id"].as_str().unwrap();
    let receipt = customer
        .get(&format!("/v1/charges/{id}/receipt"))
        .await
        .expect(200);
    assert!(
        receipt.to_string().contains("\"2026-11-21T00:00:00.000Z\""),
        "{receipt}"
    );
    let path = format!("/v1/charges/{id}/replay");
    let replay = customer.post(&path, json!({})).await.expect(200);
    assert_eq!(replay["same"], true, "{replay}");
    // A part of a job says when it ran, while its hold stood; no other time is taken.
    let part = report(&job, Some("2026-11-21T01:30:00Z"));
    let part = customer.post("/v1/usage", part).await.expect(200);
    assert_eq!(part["price_usd"], "0.11", "{part}");
    for at in ["2026-11-20T23:00:00Z", "2026-11-21T03:00:00Z"] {
        let refused = customer.post("/v1/usage", report(&late, Some(at))).await;
        refused.problem(400, "time-out-of-range");
    }
    // Without a hold, the time is now.
    let free = customer.post("/v1/usage", usage()).await.expect(200);
    assert_eq!(free["price_usd"], "0.11", "{free}");
}
