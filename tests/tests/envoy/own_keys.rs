//! Customers who pay the provider themselves: their key goes there and nowhere else, and what they
//! are charged is the platform's fee.

use super::gateway::{CUSTOMERS_KEY, Component, Gateway, told};
use farebox_pricing::event::KeySource;
use hyper::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

/// Passes everything on, and keeps what went to the host.
async fn overheard(host: SocketAddr, said: Arc<Mutex<Vec<u8>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            let said = Arc::clone(&said);
            let (mut asks, mut hears) = caller.into_split();
            let (mut answers, mut listens) = TcpStream::connect(host).await.unwrap().into_split();
            tokio::spawn(async move { copy(&mut answers, &mut hears).await });
            tokio::spawn(async move {
                let mut piece = vec![0; 16 << 10];
                while let Ok(bytes @ 1..) = asks.read(&mut piece).await {
                    said.lock().unwrap().extend_from_slice(&piece[..bytes]);
                    listens.write_all(&piece[..bytes]).await.unwrap();
                }
            });
        }
    });
    address
}

#[test]
fn a_customers_own_key_goes_through_envoy_to_the_provider_alone_and_only_the_fee_is_charged() {
    let said: Arc<Mutex<Vec<u8>>> = Arc::default();
    let heard = Arc::clone(&said);
    let gateway = Gateway::with(
        |runtime, host| runtime.block_on(overheard(host, heard)),
        |example| example,
    );
    let key = gateway.host.sell_to("100");
    let bearer = format!("Bearer {CUSTOMERS_KEY}");
    let ours = ("farebox-key", key.as_str());
    let component = Component::open();
    let mut spent = Decimal::ZERO;
    let mut reports = 0;
    for (path, model, theirs) in [
        (
            "/v1/chat/completions",
            "gpt-4o",
            ("authorization", bearer.as_str()),
        ),
        (
            "/v1/responses",
            "gpt-4o",
            ("authorization", bearer.as_str()),
        ),
        (
            "/v1/messages",
            "claude-sonnet-4-5",
            ("x-api-key", CUSTOMERS_KEY),
        ),
    ] {
        for stream in [false, true] {
            let request = json!({"model": model, "max_tokens": 500, "stream": stream});
            let got = gateway.send(Method::POST, path, &[ours, theirs], &request);
            assert_eq!(got.status, 200, "{path}: {got:?}");
            reports += 1;
            let told = told(&got);
            let at_ms = told["occurred_at_ms"].parse().unwrap();
            let text = String::from_utf8(got.body).unwrap();
            let served = gateway.served();
            let served = served
                .iter()
                .find(|served| text.contains(&served.id))
                .unwrap();
            let credits: Decimal = told["credits"].parse().unwrap();
            assert_eq!(credits, component.credits(served, KeySource::Own, at_ms));
            assert_ne!(
                credits,
                component.credits(served, KeySource::Managed, at_ms)
            );
            spent += credits;
        }
    }
    gateway.until_reported(reports);
    assert_eq!(gateway.balance(&key), Decimal::from(100) - spent);

    for provider in [&gateway.openai, &gateway.anthropic] {
        for request in provider.asked() {
            let headers = format!("{:?}", request.headers);
            assert!(headers.contains(CUSTOMERS_KEY), "{headers}");
            assert!(
                !headers.contains(&key) && !headers.contains("farebox-"),
                "{headers}"
            );
        }
    }
    let said = String::from_utf8_lossy(&said.lock().unwrap()).into_owned();
    assert!(said.contains(&key), "this is what the host was told");
    assert!(!said.contains(CUSTOMERS_KEY));
    let log = gateway.envoy.log();
    let record = format!("{:?}", gateway.envoy.record());
    for written in [log, record] {
        assert!(
            !written.contains(CUSTOMERS_KEY) && !written.contains(&key),
            "{written}"
        );
    }
}

/// Without the header of ours the call is one under the gateway's own key, and what stands in the
/// provider's header is taken for ours: so it is refused.
#[test]
fn a_customers_own_key_alone_buys_nothing_from_envoy() {
    let gateway = Gateway::start();
    let bearer = format!("Bearer {CUSTOMERS_KEY}");
    let theirs = ("authorization", bearer.as_str());
    for ours in [None, Some(("farebox-key", "fb_wrong"))] {
        let headers: Vec<_> = ours.into_iter().chain([theirs]).collect();
        let request = json!({"model": "gpt-4o"});
        let got = gateway.send(Method::POST, "/v1/chat/completions", &headers, &request);
        let problem: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(got.status, 401, "{problem}");
        assert_eq!(problem["type"], "/problems/unauthenticated");
    }
    assert!(gateway.openai.asked().is_empty());
}
