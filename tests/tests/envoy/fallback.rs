//! Providers that stand in for each other: the router tries the next, which gets its own key, its own
//! name of the model and its own path, and what was served is what is priced.

use super::client::Told;
use super::gateway::{Component, Gateway};
use farebox_pricing::event::KeySource;
use farebox_tests::provider::Request;
use hyper::{Method, StatusCode};
use rust_decimal::Decimal;
use serde_json::{Value, json};

const PATH: &str = "/v1/chat/completions";

/// Whatever the request had of the key of somebody else.
fn keys_of(request: &Request) -> Vec<&str> {
    let all = request.headers.iter();
    let values = all.filter_map(|(_, value)| value.to_str().ok());
    let is_key = |value: &&str| value.contains("sk-") || value.contains("fb_");
    values.filter(is_key).collect()
}

/// A call of this many bytes, spaced as nobody else would.
fn request(model: &str, stream: bool, padding: usize) -> String {
    let padding = "x".repeat(padding);
    format!(
        "{{ \"model\" :\"{model}\",  \"max_tokens\":500, \"temperature\": 1.50,\n \
         \"stream\":{stream}, \"messages\": [\"{padding}\"]}}"
    )
}

#[test]
fn an_upstream_that_stands_in_for_another_in_envoy_gets_its_own_key_and_model_and_is_priced() {
    let gateway = Gateway::start();
    let key = gateway.host.sell_to("1000");
    let bearer = format!("Bearer {key}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-api-key", key.as_str()),
    ];
    let component = Component::open();
    let mut spent = Decimal::ZERO;
    let mut reports = 0;
    for (status, model, padding) in [
        (503, "gpt-4o", 10),
        (429, "smart", 10),
        (500, "smart", 900_000),
    ] {
        gateway.openai.in_trouble(StatusCode::from_u16(status).ok());
        for stream in [false, true] {
            let sent = request(model, stream, padding);
            let got = gateway.text(Method::POST, PATH, &headers, &sent);
            assert_eq!(got.status, 200, "{status} {stream}: {got:?}");
            reports += 1;
            assert_eq!(gateway.openai.asked().len(), reports);
            assert_eq!(gateway.openrouter.served().len(), reports);

            let first = gateway.openai.asked().pop().unwrap();
            let second = gateway.openrouter.asked().pop().unwrap();
            for (asked, path, key, name) in [
                (first, PATH, "Bearer sk-openai", "gpt-4o"),
                (
                    second,
                    "/api/v1/chat/completions",
                    "Bearer sk-or",
                    "openai/gpt-4o",
                ),
            ] {
                assert_eq!(asked.path, path);
                assert_eq!(keys_of(&asked), [key]);
                assert_eq!(
                    asked.text,
                    request(name, stream, padding),
                    "but for the name"
                );
                assert_eq!(
                    asked.headers["content-length"].to_str().unwrap(),
                    asked.text.len().to_string()
                );
            }

            let served = gateway.openrouter.served().pop().unwrap();
            let told: Told = super::gateway::told(&got);
            let at_ms = told["occurred_at_ms"].parse().unwrap();
            let credits: Decimal = told["credits"].parse().unwrap();
            assert_eq!(
                credits,
                component.credits(&served, KeySource::Managed, at_ms)
            );
            spent += credits;
        }
    }
    gateway.until_reported(reports);
    assert_eq!(gateway.balance(&key), Decimal::from(1000) - spent);
    let usage = gateway.host.read(&key, "/v1/usage");
    for event in usage["items"].as_array().unwrap() {
        assert_eq!(event["event"]["provider"], "openrouter", "{event}");
    }
}

#[test]
fn where_nobody_of_a_group_serves_envoy_says_so_and_nothing_is_charged() {
    let gateway = Gateway::start();
    let key = gateway.host.sell_to("1000");
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    gateway.openai.in_trouble(Some(StatusCode::BAD_GATEWAY));
    gateway
        .openrouter
        .in_trouble(Some(StatusCode::SERVICE_UNAVAILABLE));
    let got = gateway.text(Method::POST, PATH, &headers, &request("fast", false, 10));
    assert_eq!(got.status, 503);
    assert_eq!(super::gateway::told(&got)["unpriced"], "upstream_error");
    gateway.until_reported(1);
    for model in ["gpt-4o-2024-08-06", "openai/gpt-4o"] {
        let got = gateway.text(Method::POST, PATH, &headers, &request(model, false, 10));
        let problem: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(got.status, 404, "{problem}");
        assert_eq!(problem["type"], "/problems/model-not-offered");
    }
    assert_eq!(
        gateway.openai.asked().len(),
        1,
        "only the first call went there"
    );
    assert_eq!(gateway.openrouter.asked().len(), 1);
    assert_eq!(
        gateway.balance(&key),
        Decimal::from(1000),
        "and nothing is held"
    );
}

/// Whoever forgets to say which upstream an endpoint is does not send it somebody else's key.
#[test]
fn an_endpoint_that_is_no_member_of_its_group_gets_nothing_from_envoy() {
    let gateway = Gateway::changed(|example| {
        let (before, after) = example.split_once("{upstream: openrouter}").unwrap();
        format!("{before}{{upstream: somebody}}{after}")
    });
    let bearer = format!("Bearer {}", gateway.host.sell_to("1000"));
    gateway
        .openai
        .in_trouble(Some(StatusCode::SERVICE_UNAVAILABLE));
    let headers = [("authorization", bearer.as_str())];
    let got = gateway.send(Method::POST, PATH, &headers, &json!({"model": "smart"}));
    assert_eq!(got.status, 503);
    assert_eq!(gateway.openai.asked().len(), 1);
    assert!(gateway.openrouter.asked().is_empty());
    gateway.until_reported(1);
}
