//! Calls that are paid for: held by a real host before they go upstream, and charged by it after.

use super::client::{Caller, Got, whole};
use super::proxy::{Envoy, HOST, Plan};
use super::upstream::{self, Asked, Piece};
use axum::response::Response;
use farebox_book::{Format, compile};
use farebox_pricing::event::Deployment;
use farebox_tests::books;
use farebox_tests::http::HttpServer;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Bytes;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

const ANSWER: &str = r#"{"id":"ID","object":"chat.completion","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#;
const STREAM: &str = r#"data: {"id":"ID","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"what nobody has to keep, because it is only text"}}],"usage":null}

data: {"id":"ID","object":"chat.completion.chunk","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}

data: [DONE]

"#;
pub const REQUEST: &str = r#"{"model":"gpt-4o","max_tokens":100,"messages":[]}"#;
/// What each of the two costs: USD 0.004375 at ten cents a credit.
const CREDITS: &str = "0.04375";

/// A host, an upstream, and Envoy between them and its callers.
pub struct House {
    pub runtime: Runtime,
    pub host: HttpServer,
    pub envoy: Envoy,
    /// The headers of what reached the upstream.
    reached: Arc<Mutex<Vec<hyper::HeaderMap>>>,
    /// The end of the live answer on the upstream's side.
    pub live: Arc<Mutex<Option<mpsc::Sender<Piece>>>>,
}

/// The answer that the path asks for, with the path's number as its id. One that is asked for live
/// begins and has no end.
fn answer(asked: &Asked, live: &Mutex<Option<mpsc::Sender<Piece>>>) -> Response {
    let id = asked.query("call").unwrap();
    if asked.query("live").is_some() {
        let (sender, pieces) = mpsc::channel(4);
        let (first, _) = STREAM.split_once("\n\n").unwrap();
        let first = format!("{}\n\n", first.replace("ID", id));
        sender.try_send(Ok(Bytes::from(first))).unwrap();
        *live.lock().unwrap() = Some(sender);
        return upstream::live("text/event-stream", pieces);
    }
    if let Some(status) = asked.query("error") {
        let mut answer = match asked.query("stream") {
            Some(_) => upstream::whole(
                "text/event-stream",
                b"data: {\"error\":{\"type\":\"overloaded\"}}\n\n",
            ),
            None if status == "502" => upstream::whole("text/html", b"<h1>Bad gateway</h1>"),
            None => upstream::whole("application/json", br#"{"error":{"type":"x"}}"#),
        };
        *answer.status_mut() = status.parse().unwrap();
        return answer;
    }
    match asked.query("stream") {
        Some(_) => upstream::pieces("text/event-stream", STREAM.replace("ID", id).as_bytes(), 50),
        None => upstream::whole("application/json", ANSWER.replace("ID", id).as_bytes()),
    }
}

impl House {
    /// `between` may stand between Envoy and the host.
    fn new(when_away: &str, between: impl FnOnce(&Runtime, SocketAddr) -> Vec<SocketAddr>) -> Self {
        let text = books::two_models_text("edge");
        Self::planned(&text, when_away, between, |_, _| {})
    }

    /// One that sells by the book of this text, in an Envoy whose plan is changed.
    pub fn planned(
        text: &str,
        when_away: &str,
        between: impl FnOnce(&Runtime, SocketAddr) -> Vec<SocketAddr>,
        change: impl FnOnce(&Runtime, &mut Plan),
    ) -> Self {
        Self::started(text, when_away, between, change, Envoy::start)
    }

    /// One whose Envoy is started in its own way.
    pub fn started(
        text: &str,
        when_away: &str,
        between: impl FnOnce(&Runtime, SocketAddr) -> Vec<SocketAddr>,
        change: impl FnOnce(&Runtime, &mut Plan),
        start: impl FnOnce(&Plan) -> Envoy,
    ) -> Self {
        let runtime = Runtime::new().unwrap();
        let host = HttpServer::start(Some(text), Deployment::Hosted, books::NOW_MS);
        let reached: Arc<Mutex<Vec<hyper::HeaderMap>>> = Arc::default();
        let keep = Arc::clone(&reached);
        let live: Arc<Mutex<Option<mpsc::Sender<Piece>>>> = Arc::default();
        let begun = Arc::clone(&live);
        let upstream = runtime.block_on(upstream::start(Arc::new(move |asked: &Asked| {
            keep.lock().unwrap().push(asked.headers.clone());
            answer(asked, &begun)
        })));
        let key = json!({"header": "authorization", "value": "Bearer sk-upstream"});
        let mut plan = Plan {
            book: compile(text, Format::Toml).unwrap().canonical,
            settings: json!({
                "deployment": "hosted",
                "host": {"cluster": HOST, "when_away": when_away, "timeout_ms": 60_000,
                    "leases": false},
            }),
            clusters: BTreeMap::from([(
                "openai".to_owned(),
                json!({"provider": "openai", "key": key}),
            )]),
            upstream,
            timeout: "0s",
            host: between(&runtime, host.address()),
        };
        change(&runtime, &mut plan);
        let envoy = start(&plan);
        Self {
            runtime,
            host,
            envoy,
            reached,
            live,
        }
    }

    pub fn post(&self, path: &str, key: &[(&str, &str)]) -> Got {
        let caller = Caller::new(self.envoy.address, false);
        let path = format!("/openai/v1/chat/completions?{path}");
        self.runtime
            .block_on(async { whole(caller.send(Method::POST, &path, key, REQUEST).await).await })
    }

    /// Until the host has this many reports.
    pub fn until_reported(&self, reports: u64) {
        self.envoy.until_reported(reports);
    }

    /// What a customer may spend, and what is held, in credits.
    pub fn balance(&self, key: &str) -> (Decimal, Decimal) {
        let wallet = self.host.read(key, "/v1/wallet");
        let credits = |field: &str| {
            let text = wallet["balance"][field].as_str();
            text.unwrap_or_else(|| panic!("{wallet}")).parse().unwrap()
        };
        (credits("available_credits"), credits("held_credits"))
    }

    pub fn reached(&self) -> usize {
        self.reached.lock().unwrap().len()
    }
}

fn credits(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn a_call_through_envoy_is_held_and_charged_what_it_was_told() {
    let house = House::new("closed", |_, host| vec![host]);
    let key = house.host.sell_to("1");
    let bearer = format!("Bearer {key}");
    let got = house.post("call=1", &[("authorization", bearer.as_str())]);
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.in_headers()["credits"], CREDITS);
    let got = house.post("call=2&stream=1", &[("x-api-key", key.as_str())]);
    let (told, body) = got.in_comment().unwrap();
    assert_eq!(told["credits"], CREDITS);
    assert_eq!(body, STREAM.replace("ID", "2").as_bytes());
    house.until_reported(2);
    assert_eq!(house.envoy.counted("farebox.difference"), 0);
    let twice = credits(CREDITS) + credits(CREDITS);
    assert_eq!(house.balance(&key), (credits("1") - twice, Decimal::ZERO));
    let usage = house.host.read(&key, "/v1/usage");
    let ids: Vec<&Value> = usage["items"]
        .as_array()
        .unwrap_or_else(|| panic!("{usage}"))
        .iter()
        .map(|event| &event["response_id"])
        .collect();
    assert!(
        ids.contains(&&json!("1")) && ids.contains(&&json!("2")),
        "{usage}"
    );
    for headers in house.reached.lock().unwrap().iter() {
        assert_eq!(headers["authorization"], "Bearer sk-upstream");
        assert!(!headers.contains_key("x-api-key"));
    }
}

/// What was sent to a caller who went away is the book's to judge, and is never just forgotten.
#[test]
fn a_caller_who_goes_away_from_envoy_is_reported_under_the_hold() {
    let house = House::new("closed", |_, host| vec![host]);
    let key = house.host.sell_to("1");
    let bearer = format!("Bearer {key}");
    house.runtime.block_on(async {
        let caller = Caller::new(house.envoy.address, false);
        let path = "/openai/v1/chat/completions?call=1&live=1";
        let key = [("authorization", bearer.as_str())];
        let mut answer = caller.send(Method::POST, path, &key, REQUEST).await;
        answer.frame().await.unwrap().unwrap();
        drop((answer, caller));
        let upstream = house.live.lock().unwrap().take().unwrap();
        // The upstream loses its caller when Envoy has lost its own.
        upstream.closed().await;
    });
    house.until_reported(1);
    let usage = house.host.read(&key, "/v1/usage");
    let event = &usage["items"][0];
    assert_eq!(event["status"], "unpriced", "{event}");
    assert_eq!(
        event["reason"], "no_usage",
        "nothing was seen of it: {event}"
    );
    assert_eq!(event["response_id"], "1", "{event}");
    let (_, held) = house.balance(&key);
    assert!(
        held > Decimal::ZERO,
        "it keeps its hold until it is settled"
    );
}

#[test]
fn what_may_not_run_does_not_leave_envoy() {
    let house = House::new("closed", |_, host| vec![host]);
    let poor = format!("Bearer {}", house.host.sell_to("0.000001"));
    for (key, status, kind) in [
        (None, 401, "/problems/unauthenticated"),
        (Some("Bearer fb_wrong"), 401, "/problems/unauthenticated"),
        (Some(poor.as_str()), 402, "/problems/insufficient-credits"),
    ] {
        let headers: Vec<_> = key.map(|key| ("authorization", key)).into_iter().collect();
        let got = house.post("call=1", &headers);
        let problem: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(got.status, status, "{problem}");
        assert_eq!(problem["type"], kind, "{problem}");
        assert_eq!(got.headers["content-type"], "application/problem+json");
        assert!(got.in_headers().is_empty());
    }
    let caller = Caller::new(house.envoy.address, false);
    let rich = format!("Bearer {}", house.host.sell_to("1"));
    let rich = [("authorization", rich.as_str())];
    let got = house.runtime.block_on(async {
        let path = "/openai/v1/models?call=1";
        whole(caller.send(Method::GET, path, &rich, "").await).await
    });
    assert_eq!(got.status, 405, "neither key leaves with what has no price");
    assert_eq!(house.reached(), 0);
}

/// A door in front of the host: shut, it drops whoever comes.
async fn door(host: SocketAddr, is_open: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            if is_open.load(Ordering::SeqCst) {
                tokio::spawn(async move {
                    let mut host = TcpStream::connect(host).await.unwrap();
                    copy_bidirectional(&mut caller, &mut host).await
                });
            }
        }
    });
    address
}

#[test]
fn a_host_that_is_away_keeps_calls_in_envoy() {
    let shut = Arc::new(AtomicBool::new(false));
    let house = House::new("closed", |runtime, host| {
        vec![runtime.block_on(door(host, shut))]
    });
    let bearer = format!("Bearer {}", house.host.sell_to("1"));
    let got = house.post("call=1", &[("authorization", bearer.as_str())]);
    assert_eq!(got.status, 503);
    assert_eq!(house.reached(), 0);
    assert_eq!(house.envoy.counted("farebox.away"), 1);
}

/// Its name has no address, or all its addresses are unwell: the proxy knows without asking.
#[test]
fn a_host_without_an_address_keeps_calls_in_envoy_and_the_filter_lives() {
    let house = House::new("closed", |_, _| Vec::new());
    let bearer = format!("Bearer {}", house.host.sell_to("1"));
    for away in 1..=3 {
        let got = house.post("call=1", &[("authorization", bearer.as_str())]);
        assert_eq!(got.status, 503);
        let problem: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(problem["type"], "/problems/unavailable");
        assert_eq!(house.envoy.counted("farebox.away"), away);
    }
    assert_eq!(house.reached(), 0);
}

#[test]
fn reports_wait_in_envoy_for_a_host_that_is_away() {
    let is_open = Arc::new(AtomicBool::new(false));
    let shut = Arc::clone(&is_open);
    let house = House::new("open", |runtime, host| {
        vec![runtime.block_on(door(host, shut))]
    });
    let key = house.host.sell_to("1");
    let bearer = format!("Bearer {key}");
    let got = house.post("call=1", &[("authorization", bearer.as_str())]);
    assert_eq!(got.in_headers()["credits"], CREDITS);
    assert_eq!(house.balance(&key), (credits("1"), Decimal::ZERO));
    assert_eq!(house.envoy.counted("farebox.reported"), 0);
    is_open.store(true, Ordering::SeqCst);
    house.until_reported(1);
    assert_eq!(house.envoy.counted("farebox.difference"), 0);
    assert_eq!(
        house.balance(&key),
        (credits("1") - credits(CREDITS), Decimal::ZERO)
    );
}

#[test]
fn an_upstream_that_envoy_does_not_reach_costs_nothing() {
    let house = House::new("closed", |_, host| vec![host]);
    drop(house.runtime);
    let runtime = Runtime::new().unwrap();
    let key = house.host.sell_to("1");
    let bearer = format!("Bearer {key}");
    let house = House { runtime, ..house };
    let got = house.post("call=1", &[("authorization", bearer.as_str())]);
    assert_eq!(got.status, 503);
    assert!(got.in_headers().is_empty());
    house.until_reported(1);
    assert_eq!(house.balance(&key), (credits("1"), Decimal::ZERO));
}
