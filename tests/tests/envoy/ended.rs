//! Held calls that end otherwise than with their answer: who went away, and who is charged for it.

use crate::client::Caller;
use crate::held::{House, REQUEST};
use crate::upstream;
use farebox_tests::books;
use http_body_util::BodyExt as _;
use hyper::Method;
use rust_decimal::Decimal;
use serde_json::Value;
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
