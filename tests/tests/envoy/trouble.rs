//! Calls that do not go well, or are not what they seem: what the filter tells of them, what it
//! passes on, and what the proxy's record keeps.

use super::client::{Caller, Told, kept, whole};
use super::proxy::{Envoy, Plan, UNKNOWN, refused};
use super::upstream::{self, Asked, Piece};
use axum::response::Response;
use farebox_tests::books;
use farebox_tests::guests;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

const CLUSTER: &str = "openai";
/// What is held back of a request or of an answer, in these tests.
const HELD_BYTES_MAX: usize = 4096;

/// 1,000 prompt and 100 completion tokens of `gpt-4o`: USD 0.0035 at cost, 0.004375 with a quarter
/// on top.
const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#;
const PRICE_USD: &str = "0.004375";
const REQUEST: &str = r#"{"model":"gpt-4o","max_tokens":100,"messages":[]}"#;
const FIRST: &str = "data: {\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
const LAST: &str = "data: {\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":100,\"total_tokens\":1100}}\n\ndata: [DONE]\n\n";

/// Envoy in front of an upstream that answers each call as its test says.
struct Bench {
    runtime: Runtime,
    envoy: Envoy,
}

fn plan(upstream: std::net::SocketAddr) -> Plan {
    Plan {
        book: books::two_models("edge").canonical,
        settings: json!({
            "deployment": "hosted",
            "request_bytes_max": HELD_BYTES_MAX,
            "held_bytes_max": HELD_BYTES_MAX,
            "read_bytes_max": 64 * HELD_BYTES_MAX,
        }),
        clusters: BTreeMap::from([(CLUSTER.to_owned(), json!({"provider": "openai"}))]),
        upstream,
        timeout: "0s",
        host: Vec::new(),
    }
}

impl Bench {
    fn new(answerer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let runtime = Runtime::new().unwrap();
        let upstream = runtime.block_on(upstream::start(Arc::new(answerer)));
        let envoy = Envoy::start(&plan(upstream));
        Self { runtime, envoy }
    }

    fn caller(&self, http2: bool) -> Caller {
        Caller::new(self.envoy.address, http2)
    }
}

/// The path of a call by this name.
fn path(name: &str) -> String {
    format!("/{CLUSTER}/v1/chat/completions?call={name}")
}

fn unpriced(told: &Told) -> &str {
    told.get("unpriced").map_or("priced", String::as_str)
}

/// A JSON answer that is `bytes` long.
fn padded(bytes: usize) -> String {
    const FIELD: &str = r#""choices":[],"padding":"#;
    let padding = "x".repeat(bytes - ANSWER.len() - r#","padding":"""#.len());
    ANSWER.replace(r#""choices":[]"#, &format!("{FIELD}\"{padding}\""))
}

#[test]
fn what_cannot_be_priced_in_envoy_says_why_and_passes_unchanged() {
    let bench = Bench::new(|asked| match asked.query("call").unwrap() {
        "malformed" => upstream::whole("application/json", b"{\"usage\": {\"prompt_tokens\": 1"),
        "no-usage" => upstream::whole("application/json", br#"{"choices":[]}"#),
        "error" => {
            let mut answer = upstream::whole("application/json", br#"{"error":{"type":"x"}}"#);
            *answer.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
        "unknown-model" => {
            let answer = ANSWER.replace("gpt-4o", "gpt-99");
            upstream::whole("application/json", answer.as_bytes())
        }
        "negative" => {
            let answer = ANSWER.replace("1000", "-1000");
            upstream::whole("application/json", answer.as_bytes())
        }
        "encoded" => {
            let mut answer = upstream::whole("application/json", b"\x1f\x8b\x08 not read");
            let gzip = "gzip".parse().unwrap();
            answer.headers_mut().insert("content-encoding", gzip);
            answer
        }
        "audio" => upstream::whole("audio/mpeg", b"ID3"),
        other => panic!("{other}"),
    });
    let caller = bench.caller(false);
    for (name, status, expect) in [
        ("malformed", 200, "unreadable"),
        ("no-usage", 200, "no_usage"),
        ("error", 500, "upstream_error"),
        ("unknown-model", 200, "unknown_model"),
        ("negative", 200, "unreadable"),
    ] {
        let got = bench.runtime.block_on(caller.post(&path(name), REQUEST));
        assert_eq!(got.status, status, "{name}");
        assert_eq!(unpriced(&got.in_headers()), expect, "{name}: {got:?}");
    }
    for (name, body) in [
        ("encoded", &b"\x1f\x8b\x08 not read"[..]),
        ("audio", b"ID3"),
    ] {
        let got = bench.runtime.block_on(caller.post(&path(name), REQUEST));
        assert_eq!(got.body, body, "{name}");
        assert!(got.in_headers().is_empty(), "{name}: it was not held back");
    }
    assert_eq!(bench.envoy.counted("farebox.priced"), 0);
    assert_eq!(bench.envoy.counted("farebox.unpriced"), 7);
    let record = bench.envoy.record();
    let why = |name| kept(&record[&path(name)]).unwrap()["unpriced"].clone();
    assert_eq!(why("encoded"), "encoded");
    assert_eq!(why("audio"), "no_usage");
    let detail = &kept(&record[&path("unknown-model")]).unwrap()["detail"];
    assert_eq!(detail, "no price for model `gpt-99` of provider `openai`");
}

/// No caller passes for the filter, and no upstream does.
#[test]
fn envoy_asks_for_no_compression_and_passes_nobody_elses_word() {
    let seen: Arc<Mutex<Vec<hyper::HeaderMap>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let bench = Bench::new(move |asked| {
        keep.lock().unwrap().push(asked.headers.clone());
        let mut answer = upstream::whole("application/json", ANSWER.as_bytes());
        let cheap = "0.000001".parse().unwrap();
        answer.headers_mut().insert("farebox-price-usd", cheap);
        answer
    });
    let caller = bench.caller(false);
    let forged = [("farebox-price-usd", "0"), ("accept-encoding", "gzip, br")];
    let got = bench.runtime.block_on(async {
        whole(
            caller
                .send(Method::POST, &path("forged"), &forged, REQUEST)
                .await,
        )
        .await
    });
    assert_eq!(got.in_headers()["price_usd"], PRICE_USD);
    assert_eq!(got.headers.get_all("farebox-price-usd").iter().count(), 1);
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0]["accept-encoding"], "identity");
    assert!(!seen[0].contains_key("farebox-price-usd"));
}

#[test]
fn what_is_none_of_the_filters_business_passes_envoy_as_it_is() {
    let bench = Bench::new(|asked| {
        assert_eq!(asked.headers["accept-encoding"], "gzip");
        upstream::whole("application/json", ANSWER.as_bytes())
    });
    let caller = bench.caller(false);
    let other = format!("/{UNKNOWN}/v1/chat/completions?call=unknown");
    for (method, path) in [(Method::POST, other), (Method::GET, path("get"))] {
        let zipped = [("accept-encoding", "gzip")];
        let got = bench
            .runtime
            .block_on(async { whole(caller.send(method, &path, &zipped, "").await).await });
        assert_eq!(got.body, ANSWER.as_bytes());
        assert!(got.in_headers().is_empty());
        assert!(got.in_trailers().is_empty());
    }
    assert_eq!(bench.envoy.counted("farebox.priced"), 0);
    assert_eq!(bench.envoy.counted("farebox.unpriced"), 0);
}

/// A body beyond the bound is not held back: its price comes behind it, or in the record alone.
#[test]
fn sizes_beyond_their_bounds_pass_envoy_and_are_priced_where_they_can_be() {
    let bench = Bench::new(|asked| {
        let bytes: usize = asked.query("call").unwrap().parse().unwrap();
        let body = padded(bytes);
        match asked.query("stated") {
            Some(_) => upstream::whole("application/json", body.as_bytes()),
            None => upstream::pieces("application/json", body.as_bytes(), 500),
        }
    });
    let (small, large, huge) = (HELD_BYTES_MAX, 3 * HELD_BYTES_MAX, 65 * HELD_BYTES_MAX);
    for stated in ["", "&stated=1"] {
        for (bytes, place) in [
            (small, "headers"),
            (large, "trailers"),
            (huge, "unreadable"),
        ] {
            let path = format!("{}{stated}", path(&bytes.to_string()));
            let got = bench
                .runtime
                .block_on(bench.caller(true).post(&path, REQUEST));
            assert_eq!(got.body, padded(bytes).as_bytes(), "{path}");
            let told = match place {
                "headers" => got.in_headers(),
                _ => got.in_trailers(),
            };
            match place {
                "unreadable" => assert_eq!(unpriced(&told), place),
                _ => assert_eq!(told["price_usd"], PRICE_USD, "{path}: {told:?}"),
            }
        }
    }
    let name = path(&large.to_string());
    let got = bench
        .runtime
        .block_on(bench.caller(false).post(&name, REQUEST));
    assert!(got.in_headers().is_empty());
    let many = "x".repeat(300 * HELD_BYTES_MAX);
    let request = REQUEST.replace("[]", &format!("[\"{many}\"]"));
    let unread = format!("{}&request=large", path(&small.to_string()));
    let got = bench
        .runtime
        .block_on(bench.caller(false).post(&unread, request));
    assert_eq!(
        got.in_headers()["price_usd"],
        PRICE_USD,
        "the served model is priced"
    );
    let record = bench.envoy.record();
    assert_eq!(kept(&record[&name]).unwrap()["price_usd"], PRICE_USD);
    assert_eq!(record[&unread]["quote_usd"], Value::Null, "it was not read");
    assert!(record[&name]["quote_usd"].is_string());
}

/// The upstream's next piece is sent when the caller has the one before.
#[test]
fn a_stream_passes_envoy_piece_by_piece() {
    let (pieces, upstream) = live();
    let bench = Bench::new(move |_| upstream());
    let caller = bench.caller(false);
    bench.runtime.block_on(async {
        pieces
            .send(Ok(Bytes::from_static(FIRST.as_bytes())))
            .await
            .unwrap();
        let mut answer = caller.send(Method::POST, &path("live"), &[], REQUEST).await;
        let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, FIRST.as_bytes());
        pieces
            .send(Ok(Bytes::from_static(LAST.as_bytes())))
            .await
            .unwrap();
        drop(pieces);
        let got = whole(answer).await;
        let (told, before) = got.in_comment().unwrap();
        assert_eq!(before, LAST.as_bytes());
        assert_eq!(told["price_usd"], PRICE_USD);
    });
}

/// What the provider did not end is not ended by the comment.
#[test]
fn a_stream_that_is_cut_in_an_event_gets_no_more_of_it_from_envoy() {
    let bench = Bench::new(|asked| {
        let end = asked.query("call").unwrap();
        let body = match end {
            "inside" => format!("{FIRST}data: {{\"choi"),
            "line" => format!("{FIRST}data: {{}}\n"),
            _ => FIRST.to_owned(),
        };
        upstream::pieces("text/event-stream", body.as_bytes(), 16)
    });
    let caller = bench.caller(false);
    for (name, end) in [
        ("inside", None),
        ("line", Some("}\n")),
        ("event", Some("}\n\n")),
    ] {
        let got = bench.runtime.block_on(caller.post(&path(name), REQUEST));
        let text = String::from_utf8(got.body.clone()).unwrap();
        let comment = got.in_comment();
        assert_eq!(comment.is_some(), end.is_some(), "{name}: {text}");
        if let (Some((told, _)), Some(end)) = (comment, end) {
            assert!(text.ends_with(&format!("\"{end}")), "{name}: {text}");
            assert!(
                matches!(unpriced(&told), "no_usage" | "partial_stream"),
                "{told:?}"
            );
        }
    }
}

#[test]
fn a_call_that_breaks_off_is_in_envoys_record_with_its_side() {
    let (aborted, first) = live();
    let (reset, second) = live();
    let bench = Bench::new(move |asked| match asked.query("call").unwrap() {
        "aborted" => first(),
        _ => second(),
    });
    bench.runtime.block_on(async {
        for (name, pieces) in [("aborted", &aborted), ("reset", &reset)] {
            let caller = bench.caller(false);
            pieces
                .send(Ok(Bytes::from_static(FIRST.as_bytes())))
                .await
                .unwrap();
            let mut answer = caller.send(Method::POST, &path(name), &[], REQUEST).await;
            answer.frame().await.unwrap().unwrap();
            if name == "reset" {
                let broken = std::io::Error::other("the upstream breaks off");
                pieces.send(Err(broken)).await.unwrap();
                while let Some(frame) = answer.frame().await {
                    if frame.is_err() {
                        break;
                    }
                }
            } else {
                drop((answer, caller));
                // The upstream loses its caller when Envoy has lost its own.
                pieces.closed().await;
            }
        }
    });
    let record = bench.envoy.record();
    let why = |name| kept(&record[&path(name)]).unwrap()["unpriced"].clone();
    assert_eq!(
        why("aborted"),
        "client_abort",
        "{}",
        record[&path("aborted")]
    );
    assert_eq!(why("reset"), "upstream_error", "{}", record[&path("reset")]);
}

#[test]
fn envoy_does_not_start_with_a_book_or_settings_that_cannot_be_meant() {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let no_book = Plan {
        book: b"[book]".to_vec(),
        ..plan(nowhere)
    };
    let mut no_settings = plan(nowhere);
    no_settings.settings["usd_per_credit"] = json!("0");
    for (plan, expect) in [
        (no_book, "farebox: not a canonical book"),
        (no_settings, "farebox: `usd_per_credit` is `0`"),
    ] {
        let output = refused(&plan);
        assert!(!output.status.success());
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(log.contains(expect), "{log}");
    }
}

#[test]
fn the_filter_is_small() {
    let module = std::fs::read(guests::path(guests::FILTER)).unwrap();
    assert!(module.len() < 1 << 20, "{} bytes", module.len());
}

/// An upstream's one live answer, and where its pieces come from.
fn live() -> (mpsc::Sender<Piece>, impl Fn() -> Response) {
    let (sender, receiver) = mpsc::channel(4);
    let receiver = Mutex::new(Some(receiver));
    let answer = move || {
        let receiver = receiver.lock().unwrap().take().unwrap();
        upstream::live("text/event-stream", receiver)
    };
    (sender, answer)
}
