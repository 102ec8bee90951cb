//! Bad input: each case has a typed, clear answer, and nothing is lost or half-written.

use super::server::{Customer, Server, call, usage};
use hyper::Method;
use serde_json::{Value, json};

async fn usage_of(customer: &Customer, pools: &str) -> super::server::Answer {
    let body = format!(r#"{{"provider":"openai","model":"gpt-4o-mini","usage":{{{pools}}}}}"#);
    raw(customer, "/v1/usage", &body).await
}

async fn raw(customer: &Customer, path: &str, body: &str) -> super::server::Answer {
    let bearer = format!("Bearer {}", customer.key);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    customer
        .api
        .send(Method::POST, path, &headers, body.to_owned())
        .await
}

#[tokio::test]
async fn quantities_that_are_none_are_refused_by_name() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    for (pools, slug, word) in [
        (r#""input":-1"#, "invalid-quantity", "input"),
        (r#""input":1.5"#, "invalid-quantity", "input"),
        (
            r#""input":9223372036854775808"#,
            "invalid-quantity",
            "input",
        ),
        (r#""input":1e400"#, "invalid-amount", "input"),
        (r#""Input":1"#, "invalid-quantity", "Input"),
        (r#""input":"1""#, "invalid-amount", "input"),
        (r#""input":null"#, "invalid-amount", "input"),
        (r#""input":1,"input":2"#, "invalid-request", "input"),
    ] {
        let problem = usage_of(&customer, pools).await.problem(400, slug);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{pools}: {detail}");
    }
    assert_eq!(customer.available().await, "10");
    let listed = customer.get("/v1/usage").await.expect(200);
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn a_pool_without_a_rate_is_recorded_unpriced() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let answer = usage_of(&customer, r#""input":1,"judge_run":1"#)
        .await
        .expect(202);
    assert_eq!(answer["reason"], "not_priced");
}

#[tokio::test]
async fn amounts_with_too_many_digits_are_refused() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let forty = "1234567890123456789012345678901234567890";
    for cost in [
        format!("\"{forty}\""),
        forty.to_owned(),
        format!("0.{forty}"),
        "\"-1\"".to_owned(),
        "\"x\"".to_owned(),
    ] {
        let body = format!(r#"{{"provider":"apify","provider_cost_usd":{cost}}}"#);
        raw(&customer, "/v1/usage", &body)
            .await
            .problem(400, "invalid-amount");
    }
    let grants = format!("/v1/admin/orgs/{}/grants", customer.org);
    for amount in [forty, "0.0000000001", "-1", "9223372037"] {
        let body = json!({"amount_credits": amount, "source": "purchase"});
        let answer = server.client.admin(Method::POST, &grants, body).await;
        answer.problem(400, "invalid-amount");
    }
    assert_eq!(customer.available().await, "10");
}

#[tokio::test]
async fn a_price_that_would_lose_digits_is_recorded_unpriced() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let body = r#"{"provider":"apify","provider_cost_usd":"1234567890.1234567890123456"}"#;
    let answer = raw(&customer, "/v1/usage", body).await.expect(202);
    assert_eq!(answer["reason"], "out_of_range");
    assert_eq!(customer.available().await, "10");
}

#[tokio::test]
async fn malformed_json_is_refused_with_line_and_column() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let problem = raw(&customer, "/v1/usage", "{\n  \"provider\": }").await;
    let problem = problem.problem(400, "malformed-json");
    assert_eq!(
        (problem["line"].as_u64(), problem["column"].as_u64()),
        (Some(2), Some(15))
    );
    raw(&customer, "/v1/usage", "")
        .await
        .problem(400, "malformed-json");
    raw(&customer, "/v1/usage", "{\"provider\":\"\u{0}\"}")
        .await
        .problem(400, "malformed-json");
    for list in ["[]", " [\"openai\"]", "[null, null, null, null]"] {
        let problem = raw(&customer, "/v1/usage", list).await;
        let problem = problem.problem(400, "invalid-request");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|text| text.contains("not a list"))
        );
    }
}

#[tokio::test]
async fn unknown_fields_are_refused_by_name_on_every_body() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let mut with_surprise = usage();
    with_surprise["surprise"] = json!(1);
    let mut call_with_surprise = call();
    call_with_surprise["surprise"] = json!(1);
    for (path, body) in [
        ("/v1/usage", with_surprise),
        ("/v1/quotes", json!({"call": call(), "surprise": 1})),
        ("/v1/quotes", json!({"call": call_with_surprise})),
        ("/v1/holds", json!({"call": call(), "surprise": 1})),
        ("/v1/data-queries", json!({"name": "x", "surprise": 1})),
        ("/v1/usage/batch", json!({"items": [], "surprise": 1})),
        (
            "/v1/usage/lookup",
            json!({"idempotency_keys": ["a"], "surprise": 1}),
        ),
    ] {
        let problem = customer
            .post(path, body)
            .await
            .problem(400, "invalid-request");
        assert!(
            problem["detail"].as_str().unwrap().contains("surprise"),
            "{problem}"
        );
    }
    let query = customer
        .get("/v1/usage?surprise=1")
        .await
        .problem(400, "invalid-request");
    assert!(
        query["detail"].as_str().unwrap().contains("surprise"),
        "{query}"
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = Server::start_as(|options| options.body_bytes_max = Some(2_048)).await;
    let customer = server.customer("acme", "10").await;
    let body = format!(r#"{{"provider":"openai","sse":"{}"}}"#, "x".repeat(4_096));
    raw(&customer, "/v1/usage", &body)
        .await
        .problem(413, "body-too-large");
    customer.post("/v1/usage", usage()).await.expect(200);
}

#[tokio::test]
async fn only_json_is_understood() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let bearer = format!("Bearer {}", customer.key);
    for kind in ["text/plain", "application/xml", "application/jsonp"] {
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        let answer = customer
            .api
            .send(Method::POST, "/v1/usage", &headers, usage().to_string())
            .await;
        answer.problem(415, "unsupported-media-type");
    }
    customer.get("/v1/nowhere").await.problem(404, "not-found");
    let wrong = customer
        .api
        .with_key(&customer.key, Method::PATCH, "/v1/usage", Value::Null);
    wrong.await.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn cached_tokens_above_the_input_are_refused() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let response = json!({"id": "x", "object": "chat.completion", "model": "gpt-4o-mini",
        "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11,
            "prompt_tokens_details": {"cached_tokens": 11}}});
    let report = json!({"provider": "openai", "response": response});
    let problem = customer
        .post("/v1/usage", report)
        .await
        .problem(422, "unreadable-usage");
    assert_eq!(problem["reason"], "details_exceed_total");
    assert_eq!(customer.available().await, "10");
}

#[tokio::test]
async fn an_answer_without_usage_is_recorded_and_keeps_its_hold() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let hold = customer
        .post("/v1/holds", json!({"call": call()}))
        .await
        .expect(201);
    let response = json!({"id": "chatcmpl-2", "object": "chat.completion",
        "model": "gpt-4o-mini", "choices": []});
    let report = json!({"provider": "openai", "hold_id": hold["id"], "response": response});
    let answer = customer.post("/v1/usage", report).await.expect(202);
    assert_eq!(answer["reason"], "no_usage");
    let id = hold["id"].as_str().unwrap();
    let state = customer.get(&format!("/v1/holds/{id}")).await.expect(200);
    assert_eq!(state["status"], "active");
    // A person decides: it is written off, and the hold ends.
    let event = answer["event_id"].as_str().unwrap();
    let path = format!("/v1/admin/orgs/{}/usage/{event}/settle", customer.org);
    let body = json!({"write_off": true});
    let settled = server
        .client
        .admin(Method::POST, &path, body.clone())
        .await
        .expect(200);
    assert_eq!(settled["credits"], "0");
    assert_eq!(customer.available().await, "10");
    server
        .client
        .admin(Method::POST, &path, body)
        .await
        .problem(409, "conflict");
}

#[tokio::test]
async fn usage_that_names_no_pool_says_what_is_missing() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let problem = usage_of(&customer, "")
        .await
        .problem(400, "invalid-request");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("names no pool"), "{detail}");
    // A vouched cost is something to charge.
    let body = json!({"provider": "openai", "model": "gpt-4o-mini", "usage": {},
        "provider_cost_usd": "0.01"});
    customer.post("/v1/usage", body).await.expect(200);
}

#[tokio::test]
async fn a_tier_that_a_provider_only_echoes_is_no_tier() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    for (index, tier) in ["auto", "default"].into_iter().enumerate() {
        let response = json!({"id": format!("chatcmpl-{index}"), "object": "chat.completion",
            "model": "gpt-4o-mini", "choices": [], "service_tier": tier,
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}});
        let report = json!({"provider": "openai", "response": response});
        let charged = customer.post("/v1/usage", report).await.expect(200);
        assert_eq!(charged["provider_cost_usd"], "0.00021", "{tier}");
    }
}

#[tokio::test]
async fn two_sources_or_none_are_refused() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let mut two = usage();
    two["sse"] = json!("data: [DONE]\n\n");
    customer
        .post("/v1/usage", two)
        .await
        .problem(400, "invalid-request");
    let none = json!({"provider": "openai", "model": "gpt-4o-mini"});
    customer
        .post("/v1/usage", none)
        .await
        .problem(400, "invalid-request");
    let unbounded = json!({"call": {"provider": "openai", "model": "gpt-4o-mini"}});
    customer
        .post("/v1/quotes", unbounded)
        .await
        .problem(400, "invalid-request");
}

#[tokio::test]
async fn a_time_outside_the_declared_skew_is_refused() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    for (at, slug) in [
        ("2001-01-01T00:00:00Z", "time-out-of-range"),
        ("9999-01-01T00:00:00Z", "time-out-of-range"),
        ("yesterday", "invalid-request"),
    ] {
        let mut report = usage();
        report["occurred_at"] = json!(at);
        customer.post("/v1/usage", report).await.problem(400, slug);
    }
}

#[tokio::test]
async fn holds_refuse_lives_out_of_range_and_bad_idempotency_keys() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    for ttl_ms in [0, -1, 999, i64::MAX] {
        let body = json!({"call": call(), "ttl_ms": ttl_ms});
        customer
            .post("/v1/holds", body)
            .await
            .problem(400, "invalid-request");
    }
    for key in ["", "with space", &"x".repeat(256)] {
        let answer = customer.post_once("/v1/usage", key, usage()).await;
        answer.problem(400, "invalid-request");
    }
}

#[tokio::test]
async fn a_data_directory_in_use_and_a_changed_peg_stop_the_start() {
    let server = Server::start().await;
    let options = super::server::options(server.folder());
    let config = farebox::config::Config::load(options.clone()).unwrap();
    let second = farebox::app::server::start(&config).await;
    assert!(matches!(
        second,
        Err(farebox::app::server::StartError::Store(_))
    ));
    let folder = server.stop().await;
    let config = farebox::config::Config::load(farebox::config::Options {
        credit_usd: Some("1".to_owned()),
        ..options
    })
    .unwrap();
    let changed = farebox::app::server::start(&config).await;
    assert!(matches!(
        changed,
        Err(farebox::app::server::StartError::PegChanged { .. })
    ));
    drop(folder);
}
