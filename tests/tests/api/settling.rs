//! Usage without a price waits, and is settled: by the server itself, by an operator at once, or
//! by a decision. No fault of a policy loses it.

use super::server::{Answer, Customer, Server, call, release_file, usage};
use farebox::clock::SystemClock;
use farebox::config::Options;
use farebox::engine::package::Package;
use farebox::service::ledger::write::{
    Action, Actor, CallAudit, Personal, Unpriced, UsageWrite, Write,
};
use farebox::service::time::Clock as _;
use farebox_ledger::command::Reach;
use farebox_ledger::ids::{EventId, OrgId};
use farebox_pricing::event::{KeySource, UsageEvent};
use farebox_pricing::meter::{Meter, Pool, Quantity};
use hyper::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// A book of two models; its name is the hostile policy's mode.
fn book(folder: &std::path::Path, name: &str) -> PathBuf {
    let path = folder.join(format!("{name}.toml"));
    let text = format!(
        r#"
name = "{name}"
as_of = "2026-11-21"
[defaults]
markup = "1.25"
[own_keys]
fixed_usd = "0.0005"
[[models]]
provider = "openai"
model = "gpt-4o-mini"
max_output_tokens = 16384
per_million = {{ input = "0.15", cache_read = "0.075", output = "0.6" }}
[[models]]
provider = "openai"
model = "gpt-4o"
max_output_tokens = 16384
per_million = {{ input = "2.5", output = "10" }}
"#
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn guest(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../target/guests")
        .join(name)
        .with_extension("wasm")
}

/// A server that prices so.
async fn start_failing(change: impl FnOnce(&mut Options)) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read(book(folder.path(), "trap_on_mini")).unwrap();
    let compiled = std::str::from_utf8(&text).unwrap();
    let compiled = farebox_book::compile(compiled, farebox_book::Format::Toml).unwrap();
    let kept = Package {
        component: farebox_tests::guests::component(farebox_tests::guests::HOSTILE),
        book: Some(compiled.canonical),
        book_source: Some(text),
        ..Package::open(&release_file("kept", "10")).unwrap()
    };
    Server::start_with_kept(&kept.to_file(), |options| {
        failing(options);
        change(options);
    })
    .await
}

/// Prices that trap on every rating of one model; quotes are honest.
fn failing(options: &mut Options) {
    let folder = options.data_dir.clone().unwrap();
    let folder = folder.parent().unwrap();
    options.policy = Some(guest(farebox_tests::guests::HOSTILE));
    options.price_book = Some(book(folder, "trap_on_mini"));
    options.settle_interval_ms = Some(0);
}

/// The standard policy with the same prices, which tries again often.
fn repaired(options: &mut Options) {
    let folder = options.data_dir.clone().unwrap();
    options.price_book = Some(book(folder.parent().unwrap(), "repaired"));
    options.settle_interval_ms = Some(100);
}

async fn unpriced(server: &Server) -> Vec<Value> {
    let path = "/v1/admin/usage/unpriced";
    let listed = server.client.admin(Method::GET, path, Value::Null).await;
    listed.expect(200)["items"].as_array().unwrap().clone()
}

async fn settle_unpriced(server: &Server, body: Value) -> Answer {
    let path = "/v1/admin/usage/settle-unpriced";
    server.client.admin(Method::POST, path, body).await
}

/// The value of a metric.
async fn metric(server: &Server, name: &str) -> u64 {
    let page = server.client.send(Method::GET, "/metrics", &[], "").await;
    let page = page.text();
    let line = page.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// One event with a hold, one of an own key without, one that states nothing.
async fn three_that_wait(customer: &Customer) -> (Value, [String; 3]) {
    let id = |answer: Value| answer["event_id"].as_str().unwrap().to_owned();
    let hold = json!({"call": call()});
    let hold = customer.post("/v1/holds", hold).await.expect(201);
    let mut held = usage();
    held["hold_id"] = hold["id"].clone();
    let held = customer.post("/v1/usage", held).await.expect(202);
    assert_eq!(held["reason"], "policy_fault");
    let mut own = usage();
    own["key_source"] = json!("own");
    let own = customer.post("/v1/usage", own).await.expect(202);
    let silent = json!({"provider": "openai", "response": {"id": "chatcmpl-9",
        "object": "chat.completion", "model": "gpt-4o-mini", "choices": []}});
    let silent = customer.post("/v1/usage", silent).await.expect(202);
    assert_eq!(silent["reason"], "no_usage");
    (hold, [id(held), id(own), id(silent)])
}

/// Until the server has tried what waits so often, or settled so much.
async fn until(server: &Server, name: &str, at_least: u64) {
    let by_itself = async {
        while metric(server, name).await < at_least {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), by_itself)
        .await
        .unwrap();
}

/// Settles all that waits with an operator's word for what is bound.
async fn settle_under_bound(server: &Server) -> Answer {
    let bound = server.bound(None).await;
    settle_unpriced(server, json!({"under_release_id": bound})).await
}

#[tokio::test]
async fn usage_that_waits_is_settled_once_a_release_can_price_it() {
    let server = start_failing(|_| {}).await;
    let customer = server.customer("acme", "10").await;
    let (hold, [held, own, silent]) = three_that_wait(&customer).await;
    let waiting = unpriced(&server).await;
    let of = |field: &str| -> Vec<_> { waiting.iter().map(|item| item[field].clone()).collect() };
    assert_eq!(of("event_id"), [&*held, &*own, &*silent]);
    assert_eq!(of("reason"), ["policy_fault", "policy_fault", "no_usage"]);
    assert_eq!(of("key_source"), ["managed", "own", "managed"]);
    assert_eq!(waiting[0]["hold_id"], hold["id"]);
    assert_eq!(metric(&server, "farebox_usage_unpriced ").await, 3);

    // The policy still fails: nothing is charged, nothing lost, and each says why.
    let tried = settle_unpriced(&server, json!({})).await.expect(200);
    let problems: Vec<_> = tried["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["problem"]["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        problems,
        [
            "/problems/policy-fault",
            "/problems/policy-fault",
            "/problems/conflict"
        ]
    );
    assert_eq!(unpriced(&server).await.len(), 3);
    assert_eq!(metric(&server, "farebox_usage_settle_failures ").await, 3);

    let ran_under = server.bound(None).await;
    assert_eq!(of("release_id"), [&*ran_under; 3]);

    // Another release is bound that can. It is not what the calls ran under, so by itself it prices
    // none of them, however often they are tried.
    let server = server.restart_as(repaired).await;
    let customer = customer.of(&server);
    assert_ne!(server.bound(None).await, ran_under);
    until(&server, "farebox_usage_settle_failures ", 9).await;
    assert_eq!(metric(&server, "farebox_usage_settled ").await, 0);
    assert_eq!(unpriced(&server).await.len(), 3);
    // An operator says so.
    settle_under_bound(&server).await.expect(200);
    let waiting = unpriced(&server).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["event_id"], json!(silent));
    assert_eq!(metric(&server, "farebox_usage_settled ").await, 2);

    let id = hold["id"].as_str().unwrap();
    let hold = customer.get(&format!("/v1/holds/{id}")).await.expect(200);
    assert_eq!(hold["status"], "captured");
    let receipt = async |event: &str| {
        let usage = customer.get(&format!("/v1/usage/{event}")).await;
        let charge = usage.expect(200)["charge_id"].as_str().unwrap().to_owned();
        let receipt = customer.get(&format!("/v1/charges/{charge}/receipt")).await;
        receipt.expect(200)
    };
    let held = receipt(&held).await;
    assert_eq!(held["price"]["provider_cost_usd"], "0.00021");
    // The customer has paid its provider: only the fee is left.
    let own = receipt(&own).await;
    assert_eq!(own["facts"]["key_source"], "own");
    assert_eq!(own["price"]["provider_cost_usd"], "0");
    assert_eq!(own["price"]["price_usd"], "0.0005");
}

#[tokio::test]
async fn what_was_saved_on_usage_that_waited_is_said_by_its_settlement() {
    let server = start_failing(|_| {}).await;
    let customer = server.customer("acme", "10").await;
    let (_, [held, own, silent]) = three_that_wait(&customer).await;
    let server = server
        .restart_as(|options| {
            repaired(options);
            options.settle_interval_ms = Some(0);
        })
        .await;
    let customer = customer.of(&server);
    settle_under_bound(&server).await.expect(200);
    let path = format!("/v1/admin/orgs/{}/usage/{silent}/settle", customer.org);
    let body = json!({"write_off": true});
    let written_off = server.client.admin(Method::POST, &path, body).await;
    written_off.expect(200);

    let saved = |of: &Value| {
        let fields = ["market_usd", "saved_usd", "saved_percent"];
        fields.map(|field| of[field].as_str().map(str::to_owned))
    };
    let of = async |event: &str| {
        let usage = customer
            .get(&format!("/v1/usage/{event}"))
            .await
            .expect(200);
        assert!(usage["charge_id"].is_string(), "{usage}");
        saved(&usage)
    };
    let some = |text: &str| Some(text.to_owned());
    // A quarter above the list price is less than nothing saved; on an own key nothing is.
    let dearer = [some("0.00021"), some("-0.0000525"), some("-25")];
    assert_eq!(of(&held).await, dearer);
    assert_eq!(of(&own).await, [some("0.00021"), None, None]);
    assert_eq!(
        of(&silent).await,
        [None, None, None],
        "nobody knows what it was"
    );
    let sums = customer
        .get("/v1/usage?group_by=provider")
        .await
        .expect(200);
    assert_eq!(saved(&sums["items"][0]), dearer, "{sums}");
}

#[tokio::test]
async fn what_only_waited_for_a_pause_is_settled_by_itself_under_its_own_release() {
    let server = start_failing(|options| {
        options.breaker_faults = Some(1);
        options.breaker_pause_ms = Some(86_400_000);
    })
    .await;
    let customer = server.customer("acme", "10").await;
    let ran_under = server.bound(None).await;
    let odd = customer.post("/v1/usage", usage()).await.expect(202);
    assert_eq!(odd["reason"], "policy_fault");
    let good = json!({"provider": "openai", "model": "gpt-4o", "usage": {"input": 1000}});
    let good = customer.post("/v1/usage", good).await.expect(202);
    assert_eq!(good["reason"], "policy_paused");
    let server = server
        .restart_as(|options| {
            repaired(options);
            options.breaker_faults = Some(0);
        })
        .await;
    let customer = customer.of(&server);
    until(&server, "farebox_usage_settled ", 1).await;
    let waiting = unpriced(&server).await;
    assert_eq!(
        (waiting.len(), &waiting[0]["event_id"]),
        (1, &odd["event_id"])
    );
    let path = format!("/v1/usage/{}", good["event_id"].as_str().unwrap());
    let settled = customer.get(&path).await.expect(200);
    let path = format!(
        "/v1/charges/{}/receipt",
        settled["charge_id"].as_str().unwrap()
    );
    let receipt = customer.get(&path).await.expect(200);
    assert_eq!(receipt["release"]["id"], json!(ran_under), "{receipt}");
}

#[tokio::test]
async fn neither_a_candidate_nor_a_revoked_release_prices_what_waits() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let unknown = json!({"provider": "openai", "model": "gpt-99", "usage": {"input": 1}});
    let waiting = customer.post("/v1/usage", unknown).await.expect(202);
    let post = async |path: &str, body: Value| server.client.admin(Method::POST, path, body).await;
    let mut ids = Vec::new();
    for name in ["candidate", "revoked"] {
        let pushed = server.push(&release_file(name, "3")).await.expect(201);
        ids.push(pushed["id"].as_str().unwrap().to_owned());
    }
    let trial = json!({"kind": "canary", "release_id": ids[0], "percent": "5"});
    post("/v1/admin/trials", trial).await.expect(201);
    let path = format!("/v1/admin/policies/{}/revoke", ids[1]);
    post(&path, json!({"why": "wrong"})).await.expect(200);
    let event = waiting["event_id"].as_str().unwrap();
    let one = format!("/v1/admin/orgs/{}/usage/{event}/settle", customer.org);
    for path in [&*one, "/v1/admin/usage/settle-unpriced"] {
        for id in &ids {
            let refused = post(path, json!({"under_release_id": id})).await;
            refused.problem(409, "conflict");
        }
        let nobody = json!({"under_release_id": format!("rel_{}", "5".repeat(64))});
        post(path, nobody).await.problem(404, "not-found");
        let none = json!({"under_release_id": "november"});
        post(path, none).await.problem(400, "invalid-request");
    }
    assert_eq!(unpriced(&server).await.len(), 1);
}

#[tokio::test]
async fn usage_that_does_not_say_what_it_ran_under_waits_for_an_operator() {
    let server = Server::start_as(|options| options.settle_interval_ms = Some(0)).await;
    let customer = server.customer("acme", "10").await;
    let store = server.app.service().store();
    // As a version before wrote it.
    let event = EventId::new(7);
    let org: OrgId = customer.org.parse().unwrap();
    let usage = UsageWrite {
        org,
        event_id: event,
        occurred_at_ms: SystemClock::new().now_ms(),
        hold: None,
        reach: Reach::Wallet,
        last: true,
        dimensions: Arc::default(),
        event: UsageEvent {
            provider: "openai".into(),
            model_asked: Some("gpt-4o-mini".into()),
            model_served: None,
            service_tier: None,
            region: None,
            feature: None,
            pools: vec![Pool::new(Meter::Input, Quantity::from(1_000))],
            provider_cost_usd: None,
        },
        raw_usage: None,
        audit: CallAudit::default(),
        personal: Personal::default(),
        charge: None,
        unpriced: Some(Unpriced {
            reason: "policy_fault".into(),
            key_source: KeySource::Managed,
            release: None,
        }),
        counts: Vec::new(),
    };
    let write = Write {
        at_ms: SystemClock::new().now_ms(),
        actor: Actor::Host,
        request_id: "before".into(),
        idempotency: None,
        once: None,
        action: Action::Usage(Box::new(usage)),
    };
    store.submit(write).await.unwrap();
    let waiting = unpriced(&server).await;
    assert_eq!(waiting[0]["release_id"], Value::Null);
    let tried = settle_unpriced(&server, json!({})).await.expect(200);
    let problem = &tried["items"][0]["problem"];
    assert_eq!(problem["type"], "/problems/conflict", "{tried}");
    let told = problem["detail"].as_str().unwrap();
    assert!(told.contains("which release it ran under"), "{told}");
    let settled = settle_under_bound(&server).await.expect(200);
    assert_eq!(settled["items"][0]["status"], "charged");
}

#[tokio::test]
async fn an_operator_settles_at_once_and_page_by_page() {
    let server = start_failing(|_| {}).await;
    let customer = server.customer("acme", "10").await;
    three_that_wait(&customer).await;
    let server = server
        .restart_as(|options| {
            repaired(options);
            options.settle_interval_ms = Some(0);
        })
        .await;
    let bound = server.bound(None).await;
    let mut statuses = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let body = json!({"limit": 1, "cursor": cursor, "under_release_id": bound});
        let step = settle_unpriced(&server, body).await.expect(200);
        for item in step["items"].as_array().unwrap() {
            statuses.push(item["status"].as_str().unwrap().to_owned());
            assert_eq!(item["charge_id"].is_string(), item["credits"].is_string());
        }
        cursor = step["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(statuses, ["charged", "charged", "unpriced"]);
    for bad in [json!({"limit": 0}), json!({"limit": 257})] {
        let refused = settle_unpriced(&server, bad).await;
        refused.problem(400, "invalid-request");
    }
    let refused = settle_unpriced(&server, json!({"cursor": "x"})).await;
    refused.problem(400, "invalid-cursor");
}

#[tokio::test]
async fn a_settlement_that_is_asked_for_again_is_the_first_one() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let unknown = json!({"provider": "openai", "model": "gpt-99", "usage": {"input": 1}});
    let waiting = customer.post("/v1/usage", unknown).await.expect(202);
    let event = waiting["event_id"].as_str().unwrap();
    let path = format!("/v1/admin/orgs/{}/usage/{event}/settle", customer.org);
    let settle = |key: &'static str, body: Value| {
        let client = server.client.clone();
        let path = path.clone();
        async move {
            let once = [("idempotency-key", key)];
            client
                .with_headers(super::server::ADMIN, Method::POST, &path, &once, body)
                .await
        }
    };
    let write_off = json!({"write_off": true});
    let first = settle("s-1", write_off.clone()).await.expect(200);
    let again = settle("s-1", write_off.clone()).await.expect(200);
    assert_eq!(again["charge_id"], first["charge_id"]);
    assert_eq!(again["credits"], "0");
    settle("s-1", json!({}))
        .await
        .problem(422, "idempotency-conflict");
    settle("s-2", write_off).await.problem(409, "conflict");
}

#[tokio::test]
async fn every_kind_of_charge_is_priced_again() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let mut own = usage();
    own["key_source"] = json!("own");
    let nothing_used = json!({"provider": "openai", "model": "gpt-4o-mini", "usage": {"input": 0}});
    let cost_plus = json!({"provider": "apify", "feature": "lead_enrichment",
        "provider_cost_usd": "0.042"});
    let mut charges = Vec::new();
    for (report, basis) in [
        (usage(), "policy"),
        (own, "policy"),
        (cost_plus, "policy"),
        (nothing_used, "policy"),
    ] {
        let charged = customer.post("/v1/usage", report).await.expect(200);
        charges.push((charged["charge_id"].clone(), basis));
    }
    let unknown = json!({"provider": "openai", "model": "gpt-99", "usage": {"input": 1}});
    let waiting = customer.post("/v1/usage", unknown).await.expect(202);
    let event = waiting["event_id"].as_str().unwrap();
    let path = format!("/v1/admin/orgs/{}/usage/{event}/settle", customer.org);
    let written_off = server
        .client
        .admin(Method::POST, &path, json!({"write_off": true}))
        .await
        .expect(200);
    charges.push((written_off["charge_id"].clone(), "write_off"));
    for (charge, basis) in charges {
        let charge = charge.as_str().unwrap();
        let path = format!("/v1/charges/{charge}/replay");
        let replay = customer.post(&path, json!({})).await.expect(200);
        assert_eq!(replay["basis"], basis, "{replay}");
        assert_eq!(replay["same"], true, "{replay}");
        assert_eq!(replay["replayed"], replay["charged"], "{replay}");
        let receipt = customer.get(&format!("/v1/charges/{charge}/receipt")).await;
        let receipt = receipt.expect(200);
        assert_eq!(receipt["basis"], basis);
        assert_eq!(receipt["release"].is_null(), basis == "write_off");
    }
}

#[tokio::test]
async fn a_policy_that_fails_for_one_org_is_paused_for_it_alone() {
    let server = start_failing(|options| {
        options.breaker_faults = Some(3);
        options.breaker_pause_ms = Some(86_400_000);
    })
    .await;
    let odd = server.customer("odd", "10").await;
    let other = server.customer("other", "10").await;
    let reason = async |customer: &Customer| {
        let answer = customer.post("/v1/usage", usage()).await.expect(202);
        answer["reason"].as_str().unwrap().to_owned()
    };
    let mut reasons = Vec::new();
    for _ in 0..5 {
        reasons.push(reason(&odd).await);
    }
    // Nothing is lost while it is paused.
    let paused = [
        "policy_fault",
        "policy_fault",
        "policy_fault",
        "policy_paused",
        "policy_paused",
    ];
    assert_eq!(reasons, paused);
    assert_eq!(unpriced(&server).await.len(), 5);
    let hold = odd.post("/v1/holds", json!({"call": call()})).await;
    assert_eq!(hold.headers["retry-after"], "5");
    hold.problem(503, "policy-fault");
    // Somebody else is served.
    other
        .post("/v1/holds", json!({"call": call()}))
        .await
        .expect(201);
    assert_eq!(reason(&other).await, "policy_fault");
    let path = "/v1/admin/policy-faults";
    let faults = server.client.admin(Method::GET, path, Value::Null).await;
    let faults = faults.expect(200);
    let of = |customer: &Customer| {
        let mut all = faults.as_array().unwrap().iter();
        let found = all.find(|faults| faults["org_id"] == customer.org).unwrap();
        (found["total"].as_u64().unwrap(), found["paused"] == true)
    };
    assert_eq!(of(&odd), (3, true));
    assert_eq!(of(&other), (1, false));
    let bound = server.bound(None).await;
    let counted = format!("farebox_policy_faults_total{{release=\"{bound}\",fault=\"trap\"}}");
    assert_eq!(metric(&server, &counted).await, 4);
    assert_eq!(metric(&server, "farebox_policy_pauses ").await, 1);
}
