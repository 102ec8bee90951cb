//! One call, end to end: quote, hold, usage, receipt, replay.

use super::server::{Server, call, usage};
use hyper::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_call_is_quoted_held_charged_and_priced_again() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;

    let quote = customer
        .post("/v1/quotes", json!({"call": call()}))
        .await
        .expect(200);
    let hold = customer
        .post("/v1/holds", json!({"call": call()}))
        .await
        .expect(201);
    assert_eq!(hold["credits"], quote["max_credits"]);
    assert_ne!(hold["balance"]["available_credits"], "10");

    let mut report = usage();
    report["hold_id"] = hold["id"].clone();
    let charged = customer.post("/v1/usage", report).await.expect(200);
    assert_eq!(charged["status"], "charged");
    assert_eq!(charged["replayed"], false);
    // 1000 × 0.15 and 100 × 0.60 USD per million, as the provider lists them.
    assert_eq!(charged["provider_cost_usd"], "0.00021");
    assert_eq!(charged["paid"]["from_hold_credits"], charged["credits"]);
    assert_eq!(charged["paid"]["shortfall_credits"], "0");
    assert_eq!(charged["balance"]["held_credits"], "0");

    let charge = charged["charge_id"].as_str().unwrap();
    let receipt = customer
        .get(&format!("/v1/charges/{charge}/receipt"))
        .await
        .expect(200);
    assert_eq!(receipt["price"]["credits"], charged["credits"]);
    assert_eq!(receipt["price"]["lines"], charged["lines"]);
    let replay = customer
        .post(&format!("/v1/charges/{charge}/replay"), json!({}))
        .await
        .expect(200);
    assert_eq!(replay["same"], true, "{replay}");

    let held = customer
        .get(&format!("/v1/holds/{}", hold["id"].as_str().unwrap()))
        .await;
    assert_eq!(held.expect(200)["status"], "captured");
}

#[tokio::test]
async fn a_job_is_captured_in_parts_and_the_rest_given_back() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let hold = customer
        .post("/v1/holds", json!({"call": call()}))
        .await
        .expect(201);
    let id = hold["id"].as_str().unwrap();
    let part = json!({"provider": "openai", "model": "gpt-4o-mini", "hold_id": id,
        "final": false, "usage": {"input": 100, "output": 10}});
    let first = customer.post("/v1/usage", part).await.expect(200);
    assert!(first["paid"]["hold_left_credits"].is_string(), "{first}");
    let renewed = customer
        .post(
            &format!("/v1/holds/{id}/renew"),
            json!({"ttl_ms": 3_600_000}),
        )
        .await
        .expect(200);
    assert!(renewed["expires_at"].as_str() > hold["expires_at"].as_str());
    let released = customer
        .post(&format!("/v1/holds/{id}/release"), json!({}))
        .await
        .expect(200);
    assert_eq!(released["balance"]["held_credits"], "0");
    let again = customer
        .post(&format!("/v1/holds/{id}/release"), json!({}))
        .await;
    assert_eq!(again.problem(409, "hold-ended")["end"], "released");
    // Usage that comes late is charged all the same.
    let mut late = usage();
    late["hold_id"] = json!(id);
    let late = customer.post("/v1/usage", late).await.expect(200);
    assert_eq!(late["paid"]["from_hold_credits"], "0");
    assert_eq!(late["paid"]["from_wallet_credits"], late["credits"]);
}

#[tokio::test]
async fn a_final_capture_takes_effect_once() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let hold = customer
        .post("/v1/holds", json!({"call": call()}))
        .await
        .expect(201);
    let mut report = usage();
    report["hold_id"] = hold["id"].clone();
    customer.post("/v1/usage", report.clone()).await.expect(200);
    let balance = customer.available().await;
    let again = customer.post("/v1/usage", report).await;
    assert_eq!(again.problem(409, "hold-ended")["end"], "captured");
    assert_eq!(customer.available().await, balance);
}

#[tokio::test]
async fn a_retry_returns_the_first_effect_and_another_body_is_a_conflict() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let hold = customer
        .post_once("/v1/holds", "h-1", json!({"call": call()}))
        .await
        .expect(201);
    let again = customer
        .post_once("/v1/holds", "h-1", json!({"call": call()}))
        .await
        .expect(201);
    assert_eq!(again["id"], hold["id"]);
    assert_eq!(again["credits"], hold["credits"]);
    assert_eq!(again["replayed"], true);
    let mut report = usage();
    report["hold_id"] = hold["id"].clone();
    let first = customer
        .post_once("/v1/usage", "u-1", report.clone())
        .await
        .expect(200);
    let second = customer
        .post_once("/v1/usage", "u-1", report.clone())
        .await
        .expect(200);
    assert_eq!(second["charge_id"], first["charge_id"]);
    assert_eq!(second["lines"], first["lines"]);
    assert_eq!(second["replayed"], true);
    report["usage"]["output"] = json!(101);
    let other = customer.post_once("/v1/usage", "u-1", report).await;
    other.problem(422, "idempotency-conflict");
}

#[tokio::test]
async fn a_402_is_no_effect_and_the_same_key_works_after_a_top_up() {
    let server = Server::start().await;
    let customer = server.customer("acme", "0.0001").await;
    let hold = json!({"call": call()});
    let refused = customer.post_once("/v1/holds", "h-1", hold.clone()).await;
    let problem = refused.problem(402, "insufficient-credits");
    assert_eq!(problem["available_credits"], "0.0001");
    let grant = json!({"amount_credits": "10", "source": "purchase"});
    let path = format!("/v1/admin/orgs/{}/grants", customer.org);
    server
        .client
        .admin(Method::POST, &path, grant)
        .await
        .expect(201);
    let held = customer
        .post_once("/v1/holds", "h-1", hold)
        .await
        .expect(201);
    assert_eq!(held["replayed"], false);
}

#[tokio::test]
async fn a_402_names_the_largest_output_that_fits() {
    let server = Server::start().await;
    let customer = server.customer("acme", "0.004").await;
    let refused = customer.post("/v1/holds", json!({"call": call()})).await;
    let problem = refused.problem(402, "insufficient-credits");
    let fits = problem["max_output_tokens_affordable"].as_u64().unwrap();
    let with = |tokens: u64| {
        let mut call = call();
        call["max_output_tokens"] = json!(tokens);
        json!({"call": call})
    };
    customer
        .post("/v1/holds", with(fits + 1))
        .await
        .problem(402, "insufficient-credits");
    customer.post("/v1/holds", with(fits)).await.expect(201);
}

#[tokio::test]
async fn a_charge_above_the_wallet_is_a_shortfall_that_stops_new_holds() {
    let server = Server::start().await;
    let customer = server.customer("acme", "0.001").await;
    let charged = customer.post("/v1/usage", usage()).await.expect(200);
    assert_ne!(charged["paid"]["shortfall_credits"], "0");
    assert_eq!(charged["balance"]["available_credits"], "0");
    let free = json!({"call": {"provider": "openai", "model": "gpt-4o-mini", "body_bytes": 1,
        "max_output_tokens": 1}});
    customer
        .post("/v1/holds", free.clone())
        .await
        .problem(402, "shortfall-open");
    let path = format!("/v1/admin/orgs/{}/shortfall/absorb", customer.org);
    server
        .client
        .admin(Method::POST, &path, json!({"note": "goodwill"}))
        .await
        .expect(200);
    customer
        .post("/v1/holds", free)
        .await
        .problem(402, "insufficient-credits");
}

#[tokio::test]
async fn a_real_response_counts_once_through_whichever_door() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let response = json!({"id": "chatcmpl-1", "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18", "choices": [],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
            "prompt_tokens_details": {"cached_tokens": 400}}});
    let report = json!({"provider": "openai", "api": "chat", "response": response});
    let first = customer
        .post_once("/v1/usage", "a", report.clone())
        .await
        .expect(200);
    let meters: Vec<_> = first["lines"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["kind"] == "usage")
        .map(|line| {
            (
                line["meter"].as_str().unwrap(),
                line["quantity"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        meters,
        [("input", "600"), ("cache_read", "400"), ("output", "100")]
    );
    let second = customer
        .post_once("/v1/usage", "b", report.clone())
        .await
        .expect(200);
    assert_eq!(second["charge_id"], first["charge_id"]);
    assert_eq!(second["replayed"], true);
    let batch = customer
        .post("/v1/usage/batch", json!({"items": [report]}))
        .await
        .expect(200);
    assert_eq!(batch["items"][0]["charge_id"], first["charge_id"]);
    assert_eq!(batch["items"][0]["replayed"], true);
}

#[tokio::test]
async fn what_cannot_be_priced_is_recorded_and_keeps_its_hold() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let hold = customer
        .post("/v1/holds", json!({"call": call()}))
        .await
        .expect(201);
    let before = customer.available().await;
    let report = json!({"provider": "openai", "model": "gpt-99", "hold_id": hold["id"],
        "usage": {"input": 10, "output": 1}});
    let unpriced = customer.post("/v1/usage", report).await.expect(202);
    assert_eq!(unpriced["status"], "unpriced");
    assert_eq!(unpriced["reason"], "unknown_model");
    assert_eq!(unpriced["charge_id"], Value::Null);
    assert_eq!(customer.available().await, before);
    let id = hold["id"].as_str().unwrap();
    let state = customer.get(&format!("/v1/holds/{id}")).await.expect(200);
    assert_eq!(
        (state["status"].as_str(), state["unpriced"].as_u64()),
        (Some("active"), Some(1))
    );
    customer
        .post(
            "/v1/quotes",
            json!({"call": {"provider": "openai", "model": "gpt-99",
        "body_bytes": 10}}),
        )
        .await
        .problem(422, "unknown-model");
}

#[tokio::test]
async fn a_vouched_cost_and_a_free_query_need_no_model() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let run = json!({"provider": "apify", "feature": "lead_enrichment",
        "provider_cost_usd": "0.042"});
    let charged = customer.post("/v1/usage", run).await.expect(200);
    assert_eq!(charged["provider_cost_usd"], "0.042");
    assert_eq!(charged["lines"][0]["kind"], "provider_cost");
    let balance = customer.available().await;
    let query = json!({"name": "company_search", "source": "sec_edgar", "records": 3});
    let logged = customer.post("/v1/data-queries", query).await.expect(201);
    assert_eq!(logged["credits"], "0");
    assert_eq!(customer.available().await, balance);
    let queries = customer.get("/v1/data-queries").await.expect(200);
    assert_eq!(queries["items"][0]["id"], logged["id"]);
}

#[tokio::test]
async fn an_own_key_pays_no_provider_cost() {
    let server = Server::start_as(|options| {
        options.deployment = Some(farebox::config::DeploymentOption::SelfHosted);
    })
    .await;
    let customer = server.customer("acme", "10").await;
    let mut report = usage();
    report["key_source"] = json!("own");
    let charged = customer.post("/v1/usage", report).await.expect(200);
    assert_eq!(charged["provider_cost_usd"], "0");
    assert_eq!(charged["market_usd"], "0.00021");
    for line in charged["lines"].as_array().unwrap() {
        assert_eq!(line["kind"], "platform_fee", "{line}");
    }
}

#[tokio::test]
async fn a_batch_answers_each_item_for_itself() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let items = json!({"items": [
        usage(),
        {"provider": "openai", "model": "gpt-4o-mini", "usage": {"input": -1}},
        {"provider": "openai", "model": "gpt-4o-mini", "usage": {"input": 1}, "surprise": true},
        {"provider": "openai", "model": "gpt-99", "usage": {"input": 1}},
        usage(),
    ]});
    let batch = customer
        .post_once("/v1/usage/batch", "b-1", items.clone())
        .await
        .expect(200);
    let kinds: Vec<_> = batch["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            item["status"]
                .as_str()
                .or(item["problem"]["type"].as_str())
                .unwrap()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "charged",
            "/problems/invalid-quantity",
            "/problems/invalid-request",
            "unpriced",
            "charged"
        ]
    );
    let balance = customer.available().await;
    let again = customer
        .post_once("/v1/usage/batch", "b-1", items)
        .await
        .expect(200);
    assert_eq!(again["items"][0]["replayed"], true);
    assert_eq!(
        again["items"][4]["charge_id"],
        batch["items"][4]["charge_id"]
    );
    assert_eq!(customer.available().await, balance);
}

/// A gateway that priced the call itself asks for no more than it compares (RFC 7240).
#[tokio::test]
async fn a_report_is_answered_as_shortly_as_its_caller_prefers() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let preferring = async |path: &str, key: &str, prefer: &str, body: Value| {
        let headers = [("idempotency-key", key), ("prefer", prefer)];
        let (api, own) = (&customer.api, &customer.key);
        let answer = api.with_headers(own, Method::POST, path, &headers, body);
        answer.await
    };
    let short = preferring("/v1/usage", "c-1", "return=minimal", usage()).await;
    assert_eq!(short.headers["preference-applied"], "return=minimal");
    let short = short.expect(200);
    let whole = preferring("/v1/usage", "c-1", "respond-async", usage()).await;
    assert!(!whole.headers.contains_key("preference-applied"));
    let whole = whole.expect(200);
    assert_eq!(
        short,
        json!({
            "event_id": whole["event_id"],
            "status": "charged",
            "charge_id": whole["charge_id"],
            "replayed": false,
            "price_usd": whole["price_usd"],
            "credits": whole["credits"],
            "release": whole["release"],
        })
    );
    assert_eq!(whole["replayed"], true);
    assert!(!whole["lines"].as_array().unwrap().is_empty());

    let unknown = json!({"provider": "openai", "model": "gpt-99", "usage": {"input": 1}});
    let items = json!({"items": [usage(), unknown.clone(), {"surprise": true}]});
    let batch = preferring("/v1/usage/batch", "b-1", "return=minimal", items).await;
    assert_eq!(batch.headers["preference-applied"], "return=minimal");
    let batch = batch.expect(200);
    assert_eq!(batch["items"][0]["price_usd"], whole["price_usd"]);
    assert_eq!(batch["items"][0]["lines"], Value::Null);
    assert_eq!(batch["items"][2]["problem"]["status"], 400);
    let waiting = preferring("/v1/usage", "c-2", "return=minimal", unknown).await;
    let waiting = waiting.expect(202);
    for waiting in [&waiting, &batch["items"][1]] {
        assert_eq!(waiting["status"], "unpriced");
        assert_eq!(waiting["reason"], "unknown_model");
        assert_eq!(waiting["price_usd"], Value::Null);
    }
}

/// Who is not sure whether a report arrived says it again, in whatever company.
#[tokio::test]
async fn a_report_with_a_key_of_its_own_counts_once_in_any_batch() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let with = |key: &str, input: u64| {
        let mut report = usage();
        report["usage"]["input"] = json!(input);
        report["idempotency_key"] = json!(key);
        report
    };
    let first = customer
        .post("/v1/usage", with("call-1", 700))
        .await
        .expect(200);
    let batch = json!({"items": [with("call-2", 700), with("call-1", 700), with("call-1", 701)]});
    let batch = customer
        .post_once("/v1/usage/batch", "b-1", batch)
        .await
        .expect(200);
    let items = batch["items"].as_array().unwrap();
    assert_eq!(items[0]["replayed"], false);
    assert_eq!(items[1]["replayed"], true);
    assert_eq!(items[1]["charge_id"], first["charge_id"]);
    assert_eq!(
        items[2]["problem"]["type"],
        "/problems/idempotency-conflict"
    );
    let again = customer
        .post_once("/v1/usage", "elsewhere", with("call-2", 700))
        .await
        .expect(200);
    assert_eq!(again["charge_id"], items[0]["charge_id"]);
    customer
        .post("/v1/usage", with("no key", 700))
        .await
        .problem(400, "invalid-request");

    let asked = json!({"idempotency_keys": ["call-2", "call-3", "call-1"]});
    let found = customer
        .post("/v1/usage/lookup", asked.clone())
        .await
        .expect(200);
    assert_eq!(found["items"][0]["charge_id"], items[0]["charge_id"]);
    assert_eq!(
        found["items"][1],
        json!({"idempotency_key": "call-3", "recorded": false})
    );
    assert_eq!(found["items"][2]["event_id"], first["event_id"]);
    let other = server.customer("other", "10").await;
    let found = other.post("/v1/usage/lookup", asked).await.expect(200);
    for item in found["items"].as_array().unwrap() {
        assert_eq!(item["recorded"], false, "{item}");
    }
    let many: Vec<String> = (0..257).map(|number| number.to_string()).collect();
    for keys in [json!([]), json!(many), json!(["a b"])] {
        customer
            .post("/v1/usage/lookup", json!({"idempotency_keys": keys}))
            .await
            .problem(400, "invalid-request");
    }
}

#[tokio::test]
async fn a_kept_quote_bounds_its_hold() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let quote = customer
        .post("/v1/quotes", json!({"call": call(), "keep": true}))
        .await
        .expect(200);
    let mut larger = call();
    larger["max_output_tokens"] = json!(200);
    let refused = customer
        .post(
            "/v1/holds",
            json!({"call": larger, "quote_id": quote["id"]}),
        )
        .await;
    refused.problem(409, "conflict");
    customer
        .post(
            "/v1/holds",
            json!({"call": call(), "quote_id": quote["id"]}),
        )
        .await
        .expect(201);
}

#[tokio::test]
async fn a_quote_that_is_asked_for_again_is_the_one_that_was_kept() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let keep = json!({"call": call(), "keep": true});
    let first = customer
        .post_once("/v1/quotes", "q-1", keep.clone())
        .await
        .expect(200);
    let again = customer.post_once("/v1/quotes", "q-1", keep).await;
    assert_eq!(again.expect(200), first);
    // It is really there: a hold can be placed under it.
    let hold = json!({"call": call(), "quote_id": first["id"]});
    customer.post("/v1/holds", hold).await.expect(201);
    let mut larger = call();
    larger["max_output_tokens"] = json!(200);
    let other = json!({"call": larger, "keep": true});
    customer
        .post_once("/v1/quotes", "q-1", other)
        .await
        .problem(422, "idempotency-conflict");
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let charged = customer.post("/v1/usage", usage()).await.expect(200);
    let wallet = customer.get("/v1/wallet").await.expect(200);
    let server = server.restart().await;
    let customer = customer.of(&server);
    assert_eq!(customer.get("/v1/wallet").await.expect(200), wallet);
    let charge = charged["charge_id"].as_str().unwrap();
    let replay = customer
        .post(&format!("/v1/charges/{charge}/replay"), json!({}))
        .await
        .expect(200);
    assert_eq!(replay["same"], true);
}
