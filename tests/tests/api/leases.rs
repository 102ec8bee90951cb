//! Leases over HTTP: what an edge takes, renews, reports under and returns.

use super::server::{ADMIN, Answer, Customer, Server, call};
use farebox::clock::ManualClock;
use farebox::config::Options;
use farebox::service::time::SharedClock;
use farebox::store::directory::DataDirectory;
use farebox::store::verify::{Evidence, verify};
use hyper::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::sync::Arc;

/// 2026-11-21T00:00:00Z.
const NOW_MS: i64 = 1_795_219_200_000;
const BOOK: &str = r#"
name = "leases"
as_of = "2026-11-21"
[[models]]
provider = "openai"
model = "gpt-4o-mini"
max_output_tokens = 16384
per_million = { input = "0.15", output = "30" }
"#;
const TTL_MS: i64 = 30_000;
const DOUBT_MS: i64 = 60_000;

struct House {
    server: Server,
    clock: Arc<ManualClock>,
    customer: Customer,
}

impl House {
    /// A customer with ten credits, of which a lease takes up to half.
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let shared: SharedClock = clock.clone();
        let server = Server::start_as_at(Self::options, shared).await;
        let customer = server.customer("acme", "10").await;
        Self {
            server,
            clock,
            customer,
        }
    }

    fn options(options: &mut Options) {
        let data_dir = options.data_dir.clone().unwrap();
        let book = data_dir.parent().unwrap().join("book.toml");
        std::fs::write(&book, BOOK).unwrap();
        options.price_book = Some(book);
        options.lease_share_percent = Some(50);
        options.lease_doubt_ms = Some(DOUBT_MS.unsigned_abs());
    }

    /// The same, stopped and started again.
    async fn restart(self) -> Self {
        let shared: SharedClock = self.clock.clone();
        let server = self.server.restart_as_at(Self::options, shared).await;
        Self {
            customer: self.customer.of(&server),
            server,
            clock: self.clock,
        }
    }

    async fn lease(&self, edge: &str, needed: &str) -> Value {
        let body = json!({"edge": edge, "needed_credits": needed});
        self.customer.post("/v1/leases", body).await.expect(201)
    }

    async fn renew(&self, lease: &Value, keep: &str, free: &str, recent: &str) -> Answer {
        let body = json!({"turn": lease["turn"], "keep_credits": keep, "free_credits": free,
            "recent_credits": recent});
        let path = format!("/v1/leases/{}/renew", lease["id"].as_str().unwrap());
        self.customer.post(&path, body).await
    }

    async fn give_back(&self, lease: &Value, keep: &str) -> Answer {
        let body = json!({"turn": lease["turn"], "keep_credits": keep});
        let path = format!("/v1/leases/{}/release", lease["id"].as_str().unwrap());
        self.customer.post(&path, body).await
    }

    /// A report under the lease.
    async fn report(&self, lease: &Value) -> Answer {
        let report = json!({"provider": "openai", "model": "gpt-4o-mini",
            "usage": {"input": 1000, "output": 100}, "hold_id": lease["id"]});
        self.customer.post("/v1/usage", report).await
    }

    async fn status(&self, lease: &Value) -> Value {
        let path = format!("/v1/holds/{}", lease["id"].as_str().unwrap());
        self.customer.get(&path).await.expect(200)
    }

    /// What the wallet has, whoever asks.
    async fn wallet(&self) -> Value {
        let org = [("farebox-org", self.customer.org.as_str())];
        let api = &self.server.client;
        let asked = api.with_headers(ADMIN, Method::GET, "/v1/wallet", &org, Value::Null);
        asked.await.expect(200)
    }

    async fn available(&self) -> Decimal {
        decimal(&json!(self.customer.available().await))
    }

    async fn stop(self) {
        let folder = self.server.stop().await;
        let directory = DataDirectory::new(folder.path().join("data"));
        let report = verify(&directory, Evidence::default()).unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }
}

fn decimal(value: &Value) -> Decimal {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_lease_takes_its_share_and_says_what_prices_its_calls() {
    let house = House::new().await;
    let lease = house.lease("edge-1", "1").await;
    // Eight calls like this one, but not more than half of what there is.
    assert_eq!(lease["granted_credits"], "5");
    assert_eq!(lease["expires_in_ms"], TTL_MS);
    assert_eq!(lease["renew_in_ms"], 1000);
    assert_eq!(lease["now_ms"], NOW_MS);
    let vouched = &lease["vouched"];
    assert_eq!(vouched["org_id"], house.customer.org);
    assert_eq!(vouched["deployment"], "hosted");
    assert_eq!(vouched["usd_per_credit"], "0.1");
    assert_eq!(vouched["month_to_date_usd"], "0");
    assert_eq!(vouched["release_id"], house.server.bound(None).await);
    assert_eq!(vouched["book"].as_str().unwrap().len(), 64);
    assert_eq!(house.lease("edge-2", "0.1").await["granted_credits"], "0.8");
    let status = house.status(&lease).await;
    assert_eq!(
        (&status["status"], &status["lease"]),
        (&json!("active"), &json!(true))
    );
    let metrics = house
        .server
        .client
        .admin(Method::GET, "/metrics", Value::Null)
        .await;
    let metrics = metrics.text();
    for line in [
        "farebox_leases_active 2",
        "farebox_leases_in_doubt 0",
        "farebox_leased_nano_credits 5800000000",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // More than is there is for nobody.
    let body = json!({"edge": "edge-3", "needed_credits": "4.3"});
    let short = house.customer.post("/v1/leases", body).await;
    let short = short.problem(402, "insufficient-credits");
    assert_eq!(short["available_credits"], "4.2");
    house.stop().await;
}

#[tokio::test]
async fn calls_under_a_lease_are_charged_to_it_and_the_rest_goes_back() {
    let house = House::new().await;
    let lease = house.lease("edge-1", "1").await;
    let first = house.report(&lease).await.expect(200);
    assert_eq!(first["paid"]["from_hold_credits"], first["credits"]);
    let second = house.report(&lease).await.expect(200);
    // What both cost is spent; half a credit is free, and calls took a quarter of one.
    let spent = decimal(&first["credits"]) + decimal(&second["credits"]);
    let keep = (spent + Decimal::new(5, 1)).to_string();
    let renewed = house.renew(&lease, &keep, "0.5", "0.25").await.expect(200);
    assert_eq!(renewed["free_credits"], "1");
    assert_eq!(decimal(&renewed["granted_credits"]), spent + Decimal::ONE);
    assert_eq!(house.available().await, Decimal::from(9) - spent);
    let returned = house.give_back(&renewed, "0").await.expect(200);
    assert_eq!(returned["balance"]["held_credits"], "0");
    assert_eq!(house.available().await, Decimal::from(10) - spent);
    assert_eq!(house.status(&lease).await["status"], "released");
    let late = house.renew(&renewed, &keep, "0", "0").await;
    assert_eq!(late.problem(409, "hold-ended")["end"], "released");
    house.stop().await;
}

#[tokio::test]
async fn all_calls_of_a_lease_are_priced_by_the_same_facts() {
    let house = House::new().await;
    let lease = house.lease("edge-1", "1").await;
    house.report(&lease).await.expect(200);
    let second = house.report(&lease).await.expect(200);
    let path = format!(
        "/v1/charges/{}/receipt",
        second["charge_id"].as_str().unwrap()
    );
    let receipt = house.customer.get(&path).await.expect(200);
    assert_eq!(receipt["facts"]["month_to_date_usd"], "0", "{receipt}");
    // A lease that is granted now knows of both.
    let other = house.lease("edge-2", "1").await;
    let month = decimal(&other["vouched"]["month_to_date_usd"]);
    assert_eq!(month, decimal(&second["price_usd"]) * Decimal::TWO);
    // When the plan changes, the next calls need another one.
    let path = format!("/v1/admin/orgs/{}/plan", house.customer.org);
    let plan = json!({"plan": "pro"});
    house
        .server
        .client
        .admin(Method::PUT, &path, plan)
        .await
        .expect(200);
    let renewed = house.renew(&lease, "5", "5", "1").await.expect(200);
    assert_eq!(renewed["superseded"], true);
    assert_eq!(renewed["free_credits"], "0");
    house.stop().await;
}

#[tokio::test]
async fn a_lease_in_doubt_pays_late_reports_and_then_lapses() {
    let house = House::new().await;
    let lease = house.lease("edge-1", "1").await;
    house.clock.advance(TTL_MS + DOUBT_MS - 1);
    assert_eq!(house.status(&lease).await["status"], "in_doubt");
    // As old as the lease, and far beyond the skew of the clocks.
    let report = json!({"provider": "openai", "model": "gpt-4o-mini", "hold_id": lease["id"],
        "usage": {"input": 1000, "output": 100}, "occurred_at": "2026-11-21T00:00:10Z"});
    let late = house.customer.post("/v1/usage", report).await.expect(200);
    assert_eq!(late["paid"]["from_hold_credits"], late["credits"]);
    let left = Decimal::from(10) - decimal(&late["credits"]);
    assert_eq!(house.available().await, Decimal::from(5));
    house.clock.advance(1);
    // Whatever concerns the org ends what is due.
    let after = house.report(&lease).await.expect(200);
    assert_eq!(after["paid"]["from_wallet_credits"], after["credits"]);
    assert_eq!(house.status(&lease).await["status"], "lapsed");
    let renewed = house.renew(&lease, "5", "5", "1").await;
    assert_eq!(renewed.problem(409, "hold-ended")["end"], "lapsed");
    assert_eq!(house.available().await, left - decimal(&after["credits"]));
    house.stop().await;
}

#[tokio::test]
async fn a_call_gets_what_lies_idle_in_leases() {
    let house = House::new().await;
    let first = house.lease("edge-1", "1").await;
    let second = house.lease("edge-2", "1").await;
    assert_eq!(house.customer.available().await, "2.5");
    // More than is available, and less than is there.
    let of = |tokens: u32| {
        json!({"call": {"provider": "openai", "model": "gpt-4o-mini", "body_bytes": 0,
            "max_output_tokens": tokens}})
    };
    let hold = {
        let customer = house.customer.clone();
        let body = of(10_000);
        tokio::spawn(async move { customer.post("/v1/holds", body).await })
    };
    // Its edge hears of it when it renews, and gives back at once. The clock stands, so the hold
    // waits however long that takes.
    let mut turn = first.clone();
    while turn["recalled"] != true {
        assert!(!hold.is_finished());
        turn = house.renew(&turn, "5", "5", "1").await.expect(200);
    }
    assert_eq!(turn["free_credits"], "0");
    house.renew(&turn, "0.5", "0.5", "0").await.expect(200);
    let held = hold.await.unwrap().expect(201);
    assert_eq!(held["credits"], "3");
    house.give_back(&second, "0").await.expect(200);
    house.stop().await;
}

/// What waits for leases goes by how long it waits, not by the hour: an operator, or the machine, may
/// set that back meanwhile.
#[tokio::test]
async fn a_call_waits_no_longer_for_leases_when_the_clock_is_set_back() {
    let house = House::new().await;
    let lease = house.lease("edge-1", "1").await;
    house.lease("edge-2", "1").await;
    let beyond = json!({"call": {"provider": "openai", "model": "gpt-4o-mini", "body_bytes": 0,
        "max_output_tokens": 10_000}});
    let hold = {
        let customer = house.customer.clone();
        tokio::spawn(async move { customer.post("/v1/holds", beyond).await })
    };
    let mut turn = lease;
    while turn["recalled"] != true {
        assert!(!hold.is_finished());
        turn = house.renew(&turn, "5", "5", "1").await.expect(200);
    }
    // An hour back, and on again by what a call waits at most and by two renewals.
    house.clock.set(NOW_MS - 3_600_000);
    house.clock.advance(2_000);
    let refused = hold.await.unwrap();
    let refused = refused.problem(402, "insufficient-credits");
    assert_eq!(refused["available_credits"], "2.5");
    let renewed = house.renew(&turn, "5", "5", "1").await.expect(200);
    assert_eq!(renewed["recalled"], false);
    house.stop().await;
}

/// What cannot be found in all leases together is not asked back: nobody could work meanwhile.
#[tokio::test]
async fn a_call_that_no_lease_can_pay_for_is_refused_at_once_and_recalls_nothing() {
    let house = House::new().await;
    let lease = house.lease("edge-1", "1").await;
    let beyond = json!({"call": {"provider": "openai", "model": "gpt-4o-mini",
        "body_bytes": 4_000_000_000_u64, "max_output_tokens": 16_384}});
    let refused = house.customer.post("/v1/holds", beyond).await;
    refused.problem(402, "insufficient-credits");
    let renewed = house.renew(&lease, "5", "5", "1").await.expect(200);
    assert_eq!(renewed["recalled"], false);
    // Of a lease in doubt nobody gives anything back.
    house.clock.advance(TTL_MS);
    let more = json!({"call": {"provider": "openai", "model": "gpt-4o-mini",
        "body_bytes": 0, "max_output_tokens": 16_384}});
    let held = house.customer.post("/v1/holds", more.clone()).await;
    held.expect(201);
    let refused = house.customer.post("/v1/holds", more).await;
    refused.problem(402, "insufficient-credits");
    house.stop().await;
}

#[tokio::test]
async fn a_retry_takes_effect_once_and_what_comes_late_does_nothing() {
    let house = House::new().await;
    let customer = &house.customer;
    let body = json!({"edge": "edge-1", "needed_credits": "1"});
    let first = customer
        .post_once("/v1/leases", "g", body.clone())
        .await
        .expect(201);
    let again = customer
        .post_once("/v1/leases", "g", body)
        .await
        .expect(201);
    assert_eq!(again["replayed"], true);
    for field in ["id", "turn", "granted_credits", "vouched"] {
        assert_eq!(first[field], again[field], "{field}");
    }
    assert_eq!(customer.available().await, "5");
    let path = format!("/v1/leases/{}/renew", first["id"].as_str().unwrap());
    let body = json!({"turn": first["turn"], "keep_credits": "1", "free_credits": "1",
        "recent_credits": "0.5"});
    let renewed = customer
        .post_once(&path, "r", body.clone())
        .await
        .expect(200);
    let again = customer
        .post_once(&path, "r", body.clone())
        .await
        .expect(200);
    assert_eq!(
        (&renewed["turn"], &again["replayed"]),
        (&again["turn"], &json!(true))
    );
    assert_eq!(customer.available().await, "8");
    customer.post(&path, body).await.problem(409, "turn-passed");
    house
        .give_back(&first, "0")
        .await
        .problem(409, "turn-passed");
    assert_eq!(customer.available().await, "8");
    // As a hold it can be neither released nor renewed.
    let hold = format!("/v1/holds/{}", first["id"].as_str().unwrap());
    let released = customer.post(&format!("{hold}/release"), json!({})).await;
    released.problem(409, "conflict");
    let renewed = customer.post(&format!("{hold}/renew"), json!({})).await;
    renewed.problem(409, "conflict");
    house.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let house = House::new().await;
    let customer = &house.customer;
    for (body, slug) in [
        (json!({"needed_credits": "1"}), "invalid-request"),
        (
            json!({"edge": "", "needed_credits": "1"}),
            "invalid-request",
        ),
        (
            json!({"edge": "e\n", "needed_credits": "1"}),
            "invalid-request",
        ),
        (
            json!({"edge": "e", "needed_credits": "-1"}),
            "invalid-amount",
        ),
        (
            json!({"edge": "e", "needed_credits": "0.0000000001"}),
            "invalid-amount",
        ),
        (
            json!({"edge": "e", "needed_credits": "1", "share": 1}),
            "invalid-request",
        ),
    ] {
        let answer = customer.post("/v1/leases", body).await;
        answer.problem(400, slug);
    }
    let lease = house.lease("edge-1", "1").await;
    let path = format!("/v1/leases/{}/renew", lease["id"].as_str().unwrap());
    let bad_turn = json!({"turn": "1", "keep_credits": "1", "free_credits": "1",
        "recent_credits": "1"});
    customer
        .post(&path, bad_turn)
        .await
        .problem(400, "invalid-request");
    // A hold for one call is no lease, and another org's lease is none.
    let hold = customer
        .post("/v1/holds", json!({"call": call()}))
        .await
        .expect(201);
    let mut of_hold = lease.clone();
    of_hold["id"] = hold["id"].clone();
    house
        .renew(&of_hold, "1", "1", "1")
        .await
        .problem(404, "not-found");
    house
        .give_back(&of_hold, "0")
        .await
        .problem(404, "not-found");
    let other = house.server.customer("other", "10").await;
    let body = json!({"turn": lease["turn"], "keep_credits": "0", "free_credits": "0",
        "recent_credits": "0"});
    other.post(&path, body).await.problem(404, "not-found");
    let read_only = json!({"name": "reads", "scopes": ["org:read"]});
    let api = &house.server.client;
    let key = api.make_key(&customer.org, read_only).await;
    let body = json!({"edge": "e", "needed_credits": "1"});
    let key = key["key"].as_str().unwrap();
    let refused = api.with_key(key, Method::POST, "/v1/leases", body).await;
    refused.problem(403, "forbidden");
    house.stop().await;
}

#[tokio::test]
async fn a_hard_budget_is_leased_like_the_wallet() {
    let house = House::new().await;
    let budget = json!({"scope": "key", "value": house.customer.key_id, "kind": "hard",
        "window": "month", "limit_credits": "2"});
    let path = format!("/v1/admin/orgs/{}/budgets", house.customer.org);
    house
        .server
        .client
        .admin(Method::POST, &path, budget)
        .await
        .expect(201);
    let first = house.lease("edge-1", "0.5").await;
    assert_eq!(first["granted_credits"], "1");
    let second = house.lease("edge-2", "0.5").await;
    assert_eq!(second["granted_credits"], "0.5");
    let body = json!({"edge": "edge-3", "needed_credits": "0.6"});
    let refused = house.customer.post("/v1/leases", body).await;
    let refused = refused.problem(402, "budget-exceeded");
    assert_eq!(refused["available_credits"], "0.5");
    house.give_back(&first, "0").await.expect(200);
    house.lease("edge-3", "0.6").await;
    house.stop().await;
}

/// What a counting book charges for a call depends on the calls before it.
#[tokio::test]
async fn calls_that_are_counted_are_not_leased_for() {
    let book = r#"
name = "counts"
as_of = "2026-11-21"
[defaults]
markup = "1.25"
[[models]]
provider = "openai"
model = "gpt-4o-mini"
max_output_tokens = 16384
per_million = { input = "0.15", output = "0.6" }
[[rules]]
name = "first tokens free"
terms = { free = [{ meter = "input", quantity = "1000", per = "month" }], loss_leader = true }
"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.toml");
    std::fs::write(&path, book).unwrap();
    let change = |options: &mut Options| options.price_book = Some(path.clone());
    let server = Server::start_as(change).await;
    let customer = server.customer("acme", "10").await;
    let body = json!({"edge": "e", "needed_credits": "1"});
    customer
        .post("/v1/leases", body)
        .await
        .problem(409, "not-leased");
}

/// An edge whose clock was set back an hour reports calls before their lease. They ran all the same.
#[tokio::test]
async fn a_report_under_a_lease_is_not_refused_for_its_time() {
    let house = House::new().await;
    let lease = house.lease("edge-1", "1").await;
    for at in ["2026-11-20T23:00:10Z", "2026-11-21T09:00:00Z"] {
        let report = json!({"provider": "openai", "model": "gpt-4o-mini", "hold_id": lease["id"],
            "usage": {"input": 1000, "output": 100}, "occurred_at": at});
        let charged = house.customer.post("/v1/usage", report).await.expect(200);
        assert_eq!(charged["paid"]["from_hold_credits"], charged["credits"]);
    }
    house.stop().await;
}

/// What ran before the key was revoked is charged all the same.
#[tokio::test]
async fn a_revoked_key_may_report_under_its_lease_and_nothing_else() {
    let house = House::new().await;
    let lease = house.lease("edge-1", "1").await;
    let customer = &house.customer;
    let released = customer
        .post("/v1/holds", json!({"call": call()}))
        .await
        .expect(201);
    let path = format!("/v1/holds/{}/release", released["id"].as_str().unwrap());
    customer.post(&path, json!({})).await.expect(200);
    let path = format!(
        "/v1/admin/orgs/{}/keys/{}/revoke",
        customer.org, customer.key_id
    );
    let api = &house.server.client;
    api.admin(Method::POST, &path, json!({})).await.expect(200);
    let renewed = house.renew(&lease, "5", "5", "1").await;
    renewed.problem(401, "key-ended");
    let charged = house.report(&lease).await.expect(200);
    assert_eq!(charged["paid"]["from_hold_credits"], charged["credits"]);
    let of_lease = json!({"provider": "openai", "model": "gpt-4o-mini",
        "usage": {"input": 1000, "output": 100}, "hold_id": lease["id"], "final": false});
    let mut of_none = of_lease.clone();
    of_none.as_object_mut().unwrap().remove("hold_id");
    let batch = json!({"items": [of_lease, of_none]});
    let batch = customer.post("/v1/usage/batch", batch).await.expect(200);
    assert_eq!(batch["items"][0]["status"], "charged", "{batch}");
    assert_eq!(batch["items"][1]["problem"]["type"], "/problems/key-ended");
    customer
        .post("/v1/usage", of_none)
        .await
        .problem(401, "key-ended");
    // Whoever found the key gets nothing beyond what was put aside while it was valid.
    let before = house.wallet().await;
    let mut dear = json!({"provider": "openai", "model": "gpt-4o-mini",
        "usage": {"input": 1000}, "provider_cost_usd": "100000", "hold_id": lease["id"]});
    dear["usage"]["input"] = json!(1_000_000_000_000_u64);
    customer
        .post("/v1/usage", dear)
        .await
        .problem(401, "key-ended");
    let mut under_old = json!({"provider": "openai", "model": "gpt-4o-mini",
        "usage": {"input": 1000}});
    under_old["hold_id"] = released["id"].clone();
    customer
        .post("/v1/usage", under_old)
        .await
        .problem(401, "key-ended");
    assert_eq!(house.wallet().await, before);
    customer.get("/v1/wallet").await.problem(401, "key-ended");
    house.stop().await;
}

#[tokio::test]
async fn a_lease_outlives_a_restart() {
    let house = House::new().await;
    let lease = house.lease("edge-1", "1").await;
    house.report(&lease).await.expect(200);
    let house = house.restart().await;
    let status = house.status(&lease).await;
    assert_eq!(status["lease"], true, "{status}");
    assert_eq!(status["status"], "active", "{status}");
    // Its holder goes on where it was, by the turn that it was told before.
    let renewed = house.renew(&lease, "5", "4", "1").await.expect(200);
    assert_eq!(renewed["id"], lease["id"]);
    assert_eq!(renewed["vouched"], lease["vouched"]);
    assert_eq!(decimal(&renewed["granted_credits"]), Decimal::from(5));
    let charged = house.report(&lease).await.expect(200);
    assert_eq!(charged["paid"]["from_hold_credits"], charged["credits"]);
    // What was in doubt when it stopped still is.
    house.clock.advance(TTL_MS);
    let house = house.restart().await;
    assert_eq!(house.status(&lease).await["status"], "in_doubt");
    house.clock.advance(DOUBT_MS);
    let late = house.report(&lease).await.expect(200);
    assert_eq!(late["paid"]["from_wallet_credits"], late["credits"]);
    assert_eq!(house.status(&lease).await["status"], "lapsed");
    house.stop().await;
}
