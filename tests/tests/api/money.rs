//! Grants, budgets, refunds, adjustments, history.

use super::server::{Server, call, usage};
use farebox::clock::ManualClock;
use hyper::Method;
use rust_decimal::Decimal;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn a_hard_budget_refuses_the_hold_and_says_when_it_renews() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let path = format!("/v1/admin/orgs/{}/budgets", customer.org);
    let budget = json!({"scope": "project", "value": "red", "kind": "hard", "window": "day",
        "time_zone": "Europe/Berlin", "limit_credits": "0.001"});
    let budget = server
        .client
        .admin(Method::POST, &path, budget)
        .await
        .expect(201);
    let held = |project: &str| {
        let mut call = call();
        call["project"] = json!(project);
        customer.post("/v1/holds", json!({"call": call}))
    };
    let problem = held("red").await.problem(402, "budget-exceeded");
    assert_eq!(problem["budget_id"], budget["id"]);
    assert_eq!(problem["available_credits"], "0.001");
    assert!(problem["renews_at"].is_string());
    held("blue").await.expect(201);
    for (field, value) in [
        ("time_zone", json!("Mars/Olympus")),
        ("window", json!("week")),
        ("kind", json!("soft")),
        ("scope", json!("planet")),
        ("limit_credits", json!("-1")),
    ] {
        let mut bad = json!({"scope": "project", "value": "x", "kind": "hard", "window": "day",
            "limit_credits": "1"});
        bad[field] = value;
        let answer = server.client.admin(Method::POST, &path, bad).await;
        assert_eq!(answer.status.as_u16(), 400, "{field}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_hard_budget_of_any_scope_and_window_stops_its_own_calls_and_no_others() {
    let server = Server::start().await;
    for scope in ["org", "key", "project", "user", "agent", "feature"] {
        for window in ["day", "month", "total"] {
            let customer = server.customer(&format!("{scope}-{window}"), "10").await;
            let path = format!("/v1/admin/orgs/{}/budgets", customer.org);
            let named = match scope {
                "org" => None,
                "key" => Some(customer.key_id.as_str()),
                _ => Some("mine"),
            };
            let budget = json!({"scope": scope, "value": named, "kind": "hard", "window": window,
                "limit_credits": "0.001"});
            let made = server.client.admin(Method::POST, &path, budget).await;
            let made = made.expect(201);
            let hold = |name: &str| {
                let mut call = call();
                for field in ["project", "user", "agent", "feature"] {
                    call[field] = json!(if field == scope { name } else { "shared" });
                }
                json!({"call": call})
            };
            let refused = customer.post("/v1/holds", hold("mine")).await;
            let problem = refused.problem(402, "budget-exceeded");
            assert_eq!(problem["budget_id"], made["id"], "{scope} {window}");
            assert_eq!(problem["renews_at"].is_string(), window != "total");
            match scope {
                "org" => {}
                "key" => {
                    let api = &server.client;
                    let key = json!({"name": "other", "scopes": ["org:read", "org:write"]});
                    let key = api.make_key(&customer.org, key).await;
                    let key = key["key"].as_str().unwrap();
                    let held = api
                        .with_key(key, Method::POST, "/v1/holds", hold("mine"))
                        .await;
                    held.expect(201);
                }
                _ => {
                    customer
                        .post("/v1/holds", hold("another"))
                        .await
                        .expect(201);
                }
            }
            // What is reported is money that is spent: it is booked, and counts.
            let mut report = usage();
            for field in ["project", "user", "agent", "feature"] {
                report[field] = json!("mine");
            }
            let charged = customer.post("/v1/usage", report).await.expect(200);
            let budgets = server.client.admin(Method::GET, &path, json!(null)).await;
            let budgets = budgets.expect(200);
            assert_eq!(
                budgets[0]["spent_credits"], charged["credits"],
                "{scope} {window}"
            );
        }
    }
}

#[tokio::test]
async fn a_402_names_the_output_that_fits_wallet_and_budgets() {
    let server = Server::start().await;
    let with = |tokens: u64| {
        let mut call = call();
        call["max_output_tokens"] = json!(tokens);
        call["project"] = json!("red");
        json!({"call": call})
    };
    let asks = server.customer("asks", "1").await;
    let cost = async |tokens: u64| {
        let quote = asks.post("/v1/quotes", with(tokens)).await.expect(200);
        quote["max_credits"].as_str().unwrap().to_owned()
    };
    let (fits, more) = (cost(40).await, cost(60).await);
    for (name, wallet, limit) in [
        ("tight-budget", &more, &fits),
        ("tight-wallet", &fits, &more),
    ] {
        let customer = server.customer(name, wallet).await;
        let path = format!("/v1/admin/orgs/{}/budgets", customer.org);
        // The budget of another project stops nobody here.
        for (project, limit) in [("red", limit.as_str()), ("blue", "0.000001")] {
            let budget = json!({"scope": "project", "value": project, "kind": "hard",
                "window": "month", "limit_credits": limit});
            let made = server.client.admin(Method::POST, &path, budget).await;
            made.expect(201);
        }
        // Both are short, and the wallet is looked at first.
        let refused = customer.post("/v1/holds", with(100)).await;
        let problem = refused.problem(402, "insufficient-credits");
        assert_eq!(problem["max_output_tokens_affordable"], 40, "{name}");
        let over = customer.post("/v1/holds", with(41)).await;
        let short = if name == "tight-budget" {
            "budget-exceeded"
        } else {
            "insufficient-credits"
        };
        let over = over.problem(402, short);
        assert_eq!(over["max_output_tokens_affordable"], 40, "{name}");
        customer.post("/v1/holds", with(40)).await.expect(201);
    }
}

#[tokio::test]
async fn a_refund_gives_back_exact_nanos_once() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let charged = customer.post("/v1/usage", usage()).await.expect(200);
    let path = format!("/v1/admin/orgs/{}/refunds", customer.org);
    let refund = json!({"charge_id": charged["charge_id"], "note": "apology"});
    let refunded = server
        .client
        .admin(Method::POST, &path, refund.clone())
        .await
        .expect(201);
    assert_eq!(refunded["amount_credits"], charged["credits"]);
    assert_eq!(customer.available().await, "10");
    // What was charged stays, and beside it stands that nothing of it was earned.
    let sums = customer.get("/v1/usage?group_by=provider").await;
    let sums = sums.expect(200);
    assert_eq!(sums["items"][0]["credits"], charged["credits"], "{sums}");
    assert_eq!(sums["items"][0]["refunded_credits"], charged["credits"]);
    assert_eq!(sums["items"][0]["taken_credits"], "0");
    let again = server.client.admin(Method::POST, &path, refund).await;
    assert!(
        (400..=409).contains(&again.status.as_u16()),
        "{}",
        again.text()
    );
    assert_eq!(customer.available().await, "10");
}

#[tokio::test]
async fn a_payment_buys_once_whatever_the_idempotency_key() {
    let server = Server::start().await;
    let customer = server.customer("acme", "0").await;
    let path = format!("/v1/admin/orgs/{}/grants", customer.org);
    let grant = json!({"amount_credits": "5", "source": "purchase",
        "cash_paid": {"currency": "USD", "minor_units": 50},
        "payment": {"provider": "stripe", "id": "pi_1"}});
    let first = server
        .client
        .admin(Method::POST, &path, grant.clone())
        .await
        .expect(201);
    let second = server
        .client
        .admin(Method::POST, &path, grant)
        .await
        .expect(201);
    assert_eq!(second["id"], first["id"]);
    assert_eq!(second["replayed"], true);
    assert_eq!(customer.available().await, "5");
}

#[tokio::test]
async fn adjustments_go_both_ways_but_not_below_zero() {
    let server = Server::start().await;
    let customer = server.customer("acme", "5").await;
    let path = format!("/v1/admin/orgs/{}/adjustments", customer.org);
    let adjust = |amount: &str| {
        let body = json!({"amount_credits": amount, "note": "count again"});
        server.client.admin(Method::POST, &path, body)
    };
    adjust("1.5").await.expect(200);
    adjust("-6").await.expect(200);
    assert_eq!(customer.available().await, "0.5");
    adjust("-1").await.problem(402, "insufficient-credits");
    adjust("0").await.problem(400, "invalid-request");
    let transactions = customer.get("/v1/transactions").await.expect(200);
    assert_eq!(transactions["items"][0]["note"], "count again");
}

#[tokio::test]
async fn an_expired_hold_gives_everything_back_and_late_usage_is_still_charged() {
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let server = Server::start_at(clock.clone()).await;
    for (name, credits, shortfall) in [("rich", "10", false), ("poor", "0.01", true)] {
        let customer = server.customer(name, credits).await;
        let body = json!({"call": call(), "ttl_ms": 1_000});
        let hold = customer.post("/v1/holds", body).await.expect(201);
        clock.advance(1_000);
        if shortfall {
            // Somebody else spends it in between.
            let path = format!("/v1/admin/orgs/{}/adjustments", customer.org);
            let all = json!({"amount_credits": "-0.01", "note": "spent"});
            server
                .client
                .admin(Method::POST, &path, all)
                .await
                .expect(200);
        }
        let mut report = usage();
        report["hold_id"] = hold["id"].clone();
        let charged = customer.post("/v1/usage", report).await.expect(200);
        assert_eq!(charged["paid"]["from_hold_credits"], "0");
        let open = charged["paid"]["shortfall_credits"] == charged["credits"];
        assert_eq!(open, shortfall, "{charged}");
    }
}

#[tokio::test]
async fn a_clock_that_jumps_back_brings_nothing_to_life() {
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let server = Server::start_at(clock.clone()).await;
    let customer = server.customer("acme", "10").await;
    let body = json!({"call": call(), "ttl_ms": 1_000});
    let hold = customer.post("/v1/holds", body).await.expect(201);
    clock.advance(2_000);
    let released = format!("/v1/holds/{}/release", hold["id"].as_str().unwrap());
    customer
        .post(&released, json!({}))
        .await
        .problem(409, "hold-ended");
    clock.set(1_700_000_000_000);
    customer
        .post(&released, json!({}))
        .await
        .problem(409, "hold-ended");
    customer.post("/v1/usage", usage()).await.expect(200);
    let transactions = customer.get("/v1/transactions").await.expect(200);
    let times: Vec<_> = transactions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["at"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        times.is_sorted_by(|newer, older| newer >= older),
        "{times:?}"
    );
}

#[tokio::test]
async fn history_pages_sums_and_exports() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    for index in 0..5 {
        let mut report = usage();
        report["project"] = json!(if index % 2 == 0 { "even" } else { "odd" });
        customer.post("/v1/usage", report).await.expect(200);
    }
    let mut seen = Vec::new();
    let mut path = "/v1/usage?limit=2".to_owned();
    loop {
        let page = customer.get(&path).await.expect(200);
        for item in page["items"].as_array().unwrap() {
            seen.push(item["id"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/usage?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|newer, older| newer > older), "{seen:?}");

    let sums = customer
        .get("/v1/usage?group_by=project,model")
        .await
        .expect(200);
    let events: Vec<_> = sums["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sum| {
            (
                sum["group"]["project"].as_str().unwrap(),
                sum["events"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(events, [("even", 3), ("odd", 2)]);
    assert_eq!(sums["items"][0]["quantities"]["input"], "3000");

    let csv = customer.get("/v1/usage?format=csv").await.text();
    assert_eq!(csv.lines().count(), 6);
    assert!(csv.starts_with("id,occurred_at,"));
    let accept = [("accept", "text/csv")];
    let csv = customer
        .api
        .with_headers(
            &customer.key,
            Method::GET,
            "/v1/transactions",
            &accept,
            json!(null),
        )
        .await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(csv.text().lines().count(), 7);

    let own = customer
        .get(&format!("/v1/keys/{}/usage?group_by=key", customer.key_id))
        .await;
    assert_eq!(own.expect(200)["items"][0]["events"], 5);
    for bad in [
        "/v1/usage?cursor=x",
        "/v1/usage?limit=0",
        "/v1/usage?group_by=mood",
        "/v1/usage?format=xml",
        "/v1/usage?group_by=day,day",
    ] {
        let answer = customer.get(bad).await;
        assert_eq!(answer.status.as_u16(), 400, "{bad}");
    }
}

#[tokio::test]
async fn personal_data_is_erased_and_the_call_stays() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let mut report = usage();
    report["audit"] = json!({"client_ip": "203.0.113.7", "user_agent": "curl/8",
        "latency_ms": 12, "status": 200, "streaming": false});
    let charged = customer.post("/v1/usage", report).await.expect(200);
    let path = format!("/v1/usage/{}", charged["event_id"].as_str().unwrap());
    let before = customer.get(&path).await.expect(200);
    assert_eq!(before["client_ip"], "203.0.113.7");
    assert_eq!(before["latency_ms"], 12);
    let personal = format!("/v1/admin/orgs/{}/personal", customer.org);
    server
        .client
        .admin(Method::DELETE, &personal, json!(null))
        .await
        .expect(204);
    let after = customer.get(&path).await.expect(200);
    assert_eq!(after["client_ip"], json!(null));
    assert_eq!(after["latency_ms"], 12);
}

#[tokio::test]
async fn concurrent_holds_never_pass_the_wallet() {
    let server = Server::start().await;
    let customer = server.customer("acme", "0.05").await;
    let quote = customer
        .post("/v1/quotes", json!({"call": call()}))
        .await
        .expect(200);
    let one: Decimal = quote["max_credits"].as_str().unwrap().parse().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let customer = customer.clone();
        tasks.spawn(async move {
            customer
                .post("/v1/holds", json!({"call": call()}))
                .await
                .status
                .as_u16()
        });
    }
    let mut placed = 0_u64;
    while let Some(status) = tasks.join_next().await {
        match status.unwrap() {
            201 => placed += 1,
            402 => {}
            other => panic!("{other}"),
        }
    }
    // As many as fit, and one more would not.
    let wallet = Decimal::new(5, 2);
    assert!(Decimal::from(placed) * one <= wallet, "{placed} × {one}");
    assert!(Decimal::from(placed + 1) * one > wallet, "{placed} × {one}");
}
