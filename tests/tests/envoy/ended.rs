//! Held calls that end otherwise than with their answer: who went away, and who is charged for it.

use super::client::{Caller, whole};
use super::held::{House, REQUEST};
use super::upstream::{self, Asked};
use farebox_tests::books;
use http_body_util::BodyExt as _;
use hyper::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

const PATH: &str = "/openai/v1/chat/completions?call=1";

/// A house by whose book a caller who goes away is looked at, and a provider's error is free.
fn wary(live: Option<(bool, &'static str)>) -> (House, Option<mpsc::UnboundedReceiver<()>>) {
    let text = format!(
        "{}\n[failures]\nclient_abort = \"hold\"\nupstream_error = \"nothing\"\n",
        books::two_models_text("edge")
    );
    let mut asked = None;
    let house = House::planned(
        &text,
        "closed",
        |_, host| vec![host],
        |runtime, plan| {
            if let Some((hangs_up, timeout)) = live {
                let (upstream, when_asked) = runtime.block_on(upstream::silent(hangs_up));
                plan.upstream = upstream;
                plan.timeout = timeout;
                asked = Some(when_asked);
            }
        },
    );
    (house, asked)
}

/// The one event that the host has of a customer, which it has not priced; its hold stands.
fn unpriced(house: &House, key: &str) -> Value {
    house.until_reported(1);
    let usage = house.host.read(key, "/v1/usage");
    let event = usage["items"][0].clone();
    assert_eq!(event["status"], "unpriced", "{usage}");
    let (_, held) = house.balance(key);
    assert!(held > Decimal::ZERO, "{event}");
    event
}

/// The provider runs on and bills: in HTTP/2 a call is cancelled by itself, without its connection.
#[test]
fn a_caller_who_leaves_envoy_before_the_answer_is_not_let_off() {
    for http2 in [false, true] {
        let (house, asked) = wary(Some((false, "0s")));
        let key = house.host.sell_to("1");
        let bearer = format!("Bearer {key}");
        // Its connection lives on, as that of a gateway with other calls does.
        let caller = Caller::new(house.envoy.address, http2);
        house.runtime.block_on(async {
            let mut asked = asked.unwrap();
            let headers = [("authorization", bearer.as_str())];
            tokio::select! {
                answer = caller.send(Method::POST, PATH, &headers, REQUEST) => {
                    panic!("HTTP/2 {http2}: {answer:?}")
                }
                _ = asked.recv() => {}
            }
        });
        let event = unpriced(&house, &key);
        assert_eq!(event["reason"], "client_abort", "HTTP/2 {http2}: {event}");
        drop(caller);
    }
}

#[test]
fn a_caller_who_leaves_envoy_in_a_stream_is_the_one_who_left() {
    for http2 in [false, true] {
        let (house, _) = wary(None);
        let key = house.host.sell_to("1");
        let bearer = format!("Bearer {key}");
        let caller = Caller::new(house.envoy.address, http2);
        house.runtime.block_on(async {
            let path = format!("{PATH}&live=1");
            let headers = [("authorization", bearer.as_str())];
            let mut answer = caller.send(Method::POST, &path, &headers, REQUEST).await;
            answer.frame().await.unwrap().unwrap();
            drop(answer);
            let upstream = house.live.lock().unwrap().take().unwrap();
            // The upstream loses its caller when Envoy has lost its own.
            upstream.closed().await;
        });
        let event = unpriced(&house, &key);
        assert_eq!(event["reason"], "client_abort", "HTTP/2 {http2}: {event}");
        drop(caller);
    }
}

/// Who was asked and did not answer in time, or hung up, may bill the call: it is not forgotten.
#[test]
fn a_provider_that_envoy_does_not_wait_for_is_not_free() {
    for (hangs_up, timeout, status) in [(false, "0.2s", 504), (true, "0s", 503)] {
        let (house, _) = wary(Some((hangs_up, timeout)));
        let key = house.host.sell_to("1");
        let bearer = format!("Bearer {key}");
        let got = house.post("call=1", &[("authorization", bearer.as_str())]);
        assert_eq!(got.status, status, "{got:?}");
        let event = unpriced(&house, &key);
        assert_eq!(event["reason"], "no_usage", "{event}");
    }
}

/// A client that tries again after each error would otherwise lock up its wallet.
#[test]
fn a_providers_error_through_envoy_holds_no_money() {
    let house = House::planned(
        &books::two_models_text("edge"),
        "closed",
        |_, host| vec![host],
        |_, _| {},
    );
    let key = house.host.sell_to("1");
    let bearer = format!("Bearer {key}");
    for (call, path) in ["error=429", "error=500", "error=502", "error=200&stream=1"]
        .iter()
        .enumerate()
    {
        let path = format!("call={call}&{path}");
        house.post(&path, &[("authorization", bearer.as_str())]);
    }
    house.until_reported(4);
    assert_eq!(house.balance(&key), (Decimal::ONE, Decimal::ZERO));
}

/// Of a body that counts nothing, in a path that names its model as AWS writes it.
#[test]
fn what_headers_count_is_charged_through_envoy() {
    let text = format!(
        "{}\n[[models]]\nprovider = \"bedrock\"\nmodel = \"cohere.command-r-v1:0\"\n\
         max_output_tokens = 4096\nper_million = {{ input = \"2.5\", output = \"10\" }}\n",
        books::two_models_text("edge")
    );
    let house = House::planned(
        &text,
        "closed",
        |_, host| vec![host],
        |runtime, plan| {
            let bedrock = json!({"provider": "bedrock", "api": "invoke"});
            plan.clusters.insert("bedrock".to_owned(), bedrock);
            let answerer = |_: &Asked| {
                let mut answer = upstream::whole("application/json", br#"{"text": "a secret"}"#);
                for (name, value) in [
                    ("x-amzn-bedrock-input-token-count", "1000"),
                    ("x-amzn-bedrock-output-token-count", "100"),
                    ("x-amzn-requestid", "r-1"),
                ] {
                    let name = hyper::header::HeaderName::from_static(name);
                    answer.headers_mut().insert(name, value.parse().unwrap());
                }
                answer
            };
            plan.upstream = runtime.block_on(upstream::start(Arc::new(answerer)));
        },
    );
    let key = house.host.sell_to("1");
    let caller = Caller::new(house.envoy.address, true);
    let got = house.runtime.block_on(async {
        let path = "/bedrock/model/cohere.command-r-v1%3A0/invoke";
        let headers = [("x-api-key", key.as_str())];
        whole(
            caller
                .send(Method::POST, path, &headers, r#"{"message": "x"}"#)
                .await,
        )
        .await
    });
    assert_eq!(got.in_headers()["price_usd"], "0.004375", "{got:?}");
    house.until_reported(1);
    assert_eq!(house.envoy.counted("farebox.difference"), 0);
    let usage = house.host.read(&key, "/v1/usage");
    assert_eq!(usage["items"][0]["response_id"], "r-1", "{usage}");
}
