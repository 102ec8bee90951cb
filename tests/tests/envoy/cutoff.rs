//! Streams that cost more than is put aside for them: what reaches their callers, on the wire, what
//! becomes of their upstreams, and what is charged.

use super::client::Caller;
use super::held::House;
use super::house::Door;
use super::proxy::until;
use super::upstream::{self, Asked, Piece};
use farebox_tests::books;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Bytes;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// A request that sets no limit: the book assumes one of a hundred tokens.
const REQUEST: &str = r#"{"model":"gpt-4o","stream":true,"messages":[]}"#;
const LIMIT: u64 = 100;

/// A book that knows no model's longest answer.
fn book() -> String {
    let text = books::two_models_text("edge");
    let text = text.replace("max_output_tokens = 16384\n", "");
    let text = text.replace(
        "max_output_tokens = 4096",
        &format!("max_output_tokens = {LIMIT}"),
    );
    format!(
        "{text}\n[[models]]\nprovider = \"anthropic\"\nmodel = \"claude-sonnet-4-5\"\n\
         per_million = {{ input = \"2.5\", output = \"10\" }}\n"
    )
}

/// What so many tokens cost, in credits: a quarter more than at the provider, at ten cents a credit.
fn credits(input: u64, output: u64) -> Decimal {
    let millionths = Decimal::from(input) * Decimal::new(25, 1) + Decimal::from(output * 10);
    millionths * Decimal::new(125, 2) / Decimal::from(100_000)
}

/// What is put aside for a request of so many bytes.
fn hold(request: &str) -> Decimal {
    credits(request.len() as u64, LIMIT)
}

/// An event with forty bytes of text, ten tokens, in the words of OpenAI's chat.
fn chat(number: u64) -> String {
    let text = format!("{number:040}");
    let event = json!({
        "id": "call-1", "object": "chat.completion.chunk", "model": "gpt-4o", "usage": null,
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
    });
    format!("data: {event}\n\n")
}

/// The same in Anthropic's, after a beginning that states the prompt.
fn message(number: u64) -> String {
    let event = match number {
        0 => json!({"type": "message_start", "message": {"id": "call-1", "type": "message",
            "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
            "usage": {"input_tokens": 20, "output_tokens": 1}}}),
        _ => json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": format!("{number:040}")}}),
    };
    let kind = event["type"].as_str().unwrap();
    format!("event: {kind}\ndata: {event}\n\n")
}

/// The usual end: what was used, and the mark.
fn end(prompt: u64, completion: u64) -> String {
    let usage = json!({
        "id": "call-1", "object": "chat.completion.chunk", "model": "gpt-4o", "choices": [],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion},
    });
    format!("data: {usage}\n\ndata: [DONE]\n\n")
}

/// The end of the answer on the upstream's side.
type Live = Arc<Mutex<Option<mpsc::Sender<Piece>>>>;

/// A house whose upstream begins to answer, and then says what the test says.
fn house(change: impl FnOnce(&mut Value)) -> (House, Live) {
    house_behind("closed", |_, host| vec![host], change)
}

/// The same with something between it and its host, and what is done while that is away.
fn house_behind(
    when_away: &str,
    between: impl FnOnce(&Runtime, SocketAddr) -> Vec<SocketAddr>,
    change: impl FnOnce(&mut Value),
) -> (House, Live) {
    let live = Live::default();
    let begun = Arc::clone(&live);
    let house = House::planned(&book(), when_away, between, |runtime, plan| {
        let answerer = move |_: &Asked| {
            let (sender, pieces) = mpsc::channel(1);
            *begun.lock().unwrap() = Some(sender);
            upstream::live("text/event-stream", pieces)
        };
        plan.upstream = runtime.block_on(upstream::start(Arc::new(answerer)));
        let key = json!({"header": "x-api-key", "value": "sk-upstream"});
        plan.clusters.insert(
            "anthropic".to_owned(),
            json!({"provider": "anthropic", "api": "messages", "key": key}),
        );
        change(&mut plan.settings);
    });
    (house, live)
}

/// A caller that looks at the bytes.
enum Wire {
    /// The connection, and what came of it and was not looked at.
    Http1(TcpStream, Vec<u8>),
    Http2 {
        body: hyper::body::Incoming,
        /// Its connection lives as long as it does.
        _caller: Box<Caller>,
    },
}

/// What came of a piece of an answer.
#[derive(Debug)]
enum Came {
    Bytes(Vec<u8>),
    /// Its end, and whether it was a good one.
    End(bool),
}

impl Wire {
    async fn open(envoy: SocketAddr, http2: bool, path: &str, key: &str, request: &str) -> Self {
        let key = format!("Bearer {key}");
        if http2 {
            let caller = Caller::new(envoy, true);
            let headers = [("authorization", key.as_str())];
            let answer = caller
                .send(Method::POST, path, &headers, request.to_owned())
                .await;
            assert_eq!(answer.status(), 200);
            return Self::Http2 {
                body: answer.into_body(),
                _caller: Box::new(caller),
            };
        }
        let mut stream = TcpStream::connect(envoy).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{request}",
            request.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut wire = Self::Http1(stream, Vec::new());
        while !wire.head_is_there() {
            wire.read().await;
        }
        wire
    }

    fn head_is_there(&mut self) -> bool {
        let Self::Http1(_, bytes) = self else {
            return true;
        };
        let text = String::from_utf8_lossy(bytes);
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            return false;
        };
        assert!(head.starts_with("HTTP/1.1 200"), "{text}");
        assert!(head.contains("transfer-encoding: chunked"), "{text}");
        let head = head.len() + 4;
        bytes.drain(..head);
        true
    }

    /// How many bytes came.
    async fn read(&mut self) -> usize {
        let Self::Http1(stream, bytes) = self else {
            return 0;
        };
        stream.read_buf(bytes).await.unwrap()
    }

    /// The next piece of the body.
    async fn next(&mut self) -> Came {
        loop {
            match self {
                Self::Http1(_, bytes) => {
                    if let Some(piece) = chunk(bytes) {
                        return match piece.is_empty() {
                            true => Came::End(true),
                            false => Came::Bytes(piece),
                        };
                    }
                    if self.read().await == 0 {
                        return Came::End(false);
                    }
                }
                Self::Http2 { body, .. } => {
                    return match body.frame().await {
                        None => Came::End(true),
                        Some(Err(_)) => Came::End(false),
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) if data.is_empty() => continue,
                            Ok(data) => Came::Bytes(data.to_vec()),
                            Err(_) => continue,
                        },
                    };
                }
            }
        }
    }

    /// Until these bytes came, and no others.
    async fn has(&mut self, expected: &str) {
        let mut got = Vec::new();
        while got.len() < expected.len() {
            match self.next().await {
                Came::Bytes(bytes) => got.extend(bytes),
                Came::End(good) => panic!("it ended ({good}) before {expected}"),
            }
        }
        assert_eq!(String::from_utf8(got).unwrap(), expected);
    }

    /// All that comes until the end, and whether that is a good one.
    async fn rest(&mut self) -> (String, bool) {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                Came::Bytes(bytes) => all.extend(bytes),
                Came::End(good) => return (String::from_utf8(all).unwrap(), good),
            }
        }
    }
}

/// The first whole chunk of a body.
fn chunk(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let line = bytes.windows(2).position(|two| two == b"\r\n")?;
    let size = std::str::from_utf8(&bytes[..line]).unwrap();
    let size = usize::from_str_radix(size, 16).unwrap();
    let (from, to) = (line + 2, line + 2 + size);
    if bytes.len() < to + 2 {
        return None;
    }
    let piece = bytes[from..to].to_vec();
    bytes.drain(..to + 2);
    Some(piece)
}

/// What came of a stream whose upstream never ends it.
struct Ended {
    /// The events that the caller got, one after the other as they were sent.
    got: u64,
    /// What came after them.
    last: String,
}

/// Sends event after event, each when the caller has the one before, until the caller gets another
/// thing; and waits until the stream is closed on both sides.
async fn run(wire: &mut Wire, live: &Live, event: fn(u64) -> String) -> Ended {
    let upstream = live.lock().unwrap().take().unwrap();
    for number in 0.. {
        let sent = event(number);
        upstream.send(Ok(Bytes::from(sent.clone()))).await.unwrap();
        let mut got = Vec::new();
        while got.len() < sent.len() {
            match wire.next().await {
                Came::Bytes(bytes) => got.extend(bytes),
                Came::End(good) => panic!("it ended ({good}) after {number} events"),
            }
        }
        if got == sent.as_bytes() {
            continue;
        }
        let (rest, good) = wire.rest().await;
        assert!(
            !good,
            "who ends a stream in good order says that it is whole"
        );
        upstream.closed().await;
        let last = String::from_utf8(got).unwrap() + &rest;
        return Ended { got: number, last };
    }
    panic!("a stream without end")
}

/// The last event, and what was told of the price in the comment behind it.
fn told(last: &str) -> (&str, Value) {
    let (event, comment) = last.split_once("\n\n: farebox ").unwrap();
    (event, serde_json::from_str(comment.trim_end()).unwrap())
}

/// What was charged is what was told, nothing is held in the end, and the ledger is whole.
fn settle(house: House, key: &str, had: Decimal, charge: Decimal, cut: u64) {
    house.until_reported(1);
    assert_eq!(house.envoy.counted("farebox.cut"), cut);
    assert_eq!(house.envoy.counted("farebox.difference"), 0);
    // A lease goes back when nobody calls.
    until(|| match house.balance(key) {
        (_, held) if held.is_zero() => Ok(()),
        (_, held) => Err(format!("{held} credits are held")),
    });
    assert_eq!(house.balance(key), (had - charge, Decimal::ZERO));
    let usage = house.host.read(key, "/v1/usage");
    assert_eq!(usage["items"][0]["response_id"], "call-1", "{usage}");
    drop(house.envoy);
    house.host.verify();
}

#[test]
fn a_stream_through_envoy_whose_money_is_spent_is_cut_off_and_what_was_streamed_is_charged() {
    for http2 in [false, true] {
        let (house, live) = house(|_| {});
        let had = hold(REQUEST);
        let key = house.host.sell_to(&had.to_string());
        let path = "/openai/v1/chat/completions";
        let ended = house.runtime.block_on(async {
            let mut wire = Wire::open(house.envoy.address, http2, path, &key, REQUEST).await;
            run(&mut wire, &live, chat).await
        });
        // Ten events are the hundred tokens that were put aside.
        assert_eq!(ended.got, 10, "HTTP/2 {http2}");
        let (event, price) = told(&ended.last);
        let data: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["error"]["code"], "insufficient_quota", "{event}");
        let prompt = (REQUEST.len() as u64).div_ceil(4);
        let charge = credits(prompt, 100);
        assert_eq!(price["credits"], charge.normalize().to_string(), "{price}");
        settle(house, &key, had, charge, 1);
    }
}

#[test]
fn a_stream_of_anthropics_through_envoy_is_cut_off_in_its_own_words() {
    for http2 in [false, true] {
        let (house, live) = house(|_| {});
        let request = REQUEST.replace("gpt-4o", "claude-sonnet-4-5");
        let had = hold(&request);
        let key = house.host.sell_to(&had.to_string());
        let ended = house.runtime.block_on(async {
            let path = "/anthropic/v1/messages";
            let mut wire = Wire::open(house.envoy.address, http2, path, &key, &request).await;
            run(&mut wire, &live, message).await
        });
        // Its beginning, and ten with text.
        assert_eq!(ended.got, 11, "HTTP/2 {http2}");
        let (event, price) = told(&ended.last);
        let data = event.strip_prefix("event: error\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], "error", "{event}");
        assert_eq!(data["error"]["type"], "billing_error", "{event}");
        // Its prompt as it was stated.
        let charge = credits(20, 100);
        assert_eq!(price["credits"], charge.normalize().to_string(), "{price}");
        settle(house, &key, had, charge, 1);
    }
}

/// Half as much as the hold is there beside it: it is got, and spent to the last event that fits.
#[test]
fn a_stream_through_envoy_gets_all_that_there_is_before_it_is_cut_off() {
    for leases in [false, true] {
        let (house, live) = house(|settings| settings["host"]["leases"] = json!(leases));
        let had = hold(REQUEST) + credits(0, 50);
        let key = house.host.sell_to(&had.to_string());
        let ended = house.runtime.block_on(async {
            let path = "/openai/v1/chat/completions";
            let mut wire = Wire::open(house.envoy.address, false, path, &key, REQUEST).await;
            run(&mut wire, &live, chat).await
        });
        let prompt = (REQUEST.len() as u64).div_ceil(4);
        let most = (0..).take_while(|events| credits(prompt, events * 10) <= had);
        assert_eq!(Some(ended.got), most.last(), "leases {leases}");
        let (_, price) = told(&ended.last);
        let charge = credits(prompt, ended.got * 10);
        assert_eq!(price["credits"], charge.normalize().to_string(), "{price}");
        settle(house, &key, had, charge, 1);
    }
}

/// Three times as long as was thought before.
#[test]
fn a_stream_through_envoy_that_can_get_more_runs_to_its_end() {
    for (leases, http2) in [(false, true), (true, false)] {
        let (house, live) = house(|settings| settings["host"]["leases"] = json!(leases));
        let had = Decimal::ONE;
        let key = house.host.sell_to("1");
        let (all, good) = house.runtime.block_on(async {
            let path = "/openai/v1/chat/completions";
            let mut wire = Wire::open(house.envoy.address, http2, path, &key, REQUEST).await;
            let upstream = live.lock().unwrap().take().unwrap();
            let feed = async move {
                for piece in (0..30).map(chat).chain([end(12, 300)]) {
                    upstream.send(Ok(Bytes::from(piece))).await.unwrap();
                }
            };
            let (_, rest) = tokio::join!(feed, wire.rest());
            rest
        });
        assert!(good, "leases {leases}: {all}");
        let charge = credits(12, 300);
        let (body, price) = all.split_once(": farebox ").unwrap();
        let sent: String = (0..30).map(chat).chain([end(12, 300)]).collect();
        assert_eq!(body, sent);
        let price: Value = serde_json::from_str(price.trim_end()).unwrap();
        assert_eq!(price["credits"], charge.normalize().to_string(), "{price}");
        settle(house, &key, had, charge, 0);
    }
}

/// Who closes at once loses what was not sent yet.
#[test]
fn the_last_event_from_envoy_waits_for_a_caller_who_does_not_read() {
    for http2 in [false, true] {
        let (house, live) = house(|_| {});
        let had = hold(REQUEST);
        let key = house.host.sell_to(&had.to_string());
        let (all, good) = house.runtime.block_on(async {
            let path = "/openai/v1/chat/completions";
            let mut wire = Wire::open(house.envoy.address, http2, path, &key, REQUEST).await;
            let upstream = live.lock().unwrap().take().unwrap();
            for number in 0.. {
                // Until nobody hears it any more.
                if upstream.send(Ok(Bytes::from(chat(number)))).await.is_err() {
                    break;
                }
            }
            wire.rest().await
        });
        assert!(!good, "HTTP/2 {http2}");
        let at = all
            .find("data: {\"error\"")
            .unwrap_or_else(|| panic!("{all}"));
        let (body, last) = all.split_at(at);
        let got = body.matches("\n\n").count() as u64;
        let sent: String = (0..got).map(chat).collect();
        assert_eq!(body, sent);
        let (_, price) = told(last);
        let prompt = (REQUEST.len() as u64).div_ceil(4);
        let charge = credits(prompt, got * 10);
        assert_eq!(price["credits"], charge.normalize().to_string(), "{price}");
        settle(house, &key, had, charge, 1);
    }
}

/// The host goes away after the stream has begun, and the stream needs more than was put aside: with `closed`
/// it is cut off at that, with `open` it runs to its end; what was streamed is charged once, when the
/// host is back.
#[test]
fn a_stream_whose_host_goes_away_is_cut_off_or_runs_on_as_is_declared_and_charged_once() {
    for (leases, is_open) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut door = None;
        let (house, live) = house_behind(
            if is_open { "open" } else { "closed" },
            |runtime, host| vec![door.insert(runtime.block_on(Door::new(host))).address],
            |settings| {
                settings["host"]["leases"] = json!(leases);
                settings["host"]["timeout_ms"] = json!(500);
            },
        );
        let door = door.unwrap();
        // A lease may have all of it, so the longest stream costs more.
        let had = hold(REQUEST) * Decimal::from(4);
        let key = house.host.sell_to(&had.to_string());
        let prompt = (REQUEST.len() as u64).div_ceil(4);
        let (events, all) = house.runtime.block_on(async {
            let path = "/openai/v1/chat/completions";
            let mut wire = Wire::open(house.envoy.address, false, path, &key, REQUEST).await;
            door.is_shut.send(true).unwrap();
            if !is_open {
                let ended = run(&mut wire, &live, chat).await;
                return (ended.got, ended.last);
            }
            let upstream = live.lock().unwrap().take().unwrap();
            for number in 0..60 {
                let sent = chat(number);
                upstream.send(Ok(Bytes::from(sent.clone()))).await.unwrap();
                wire.has(&sent).await;
            }
            let last = Bytes::from(end(prompt, 600));
            upstream.send(Ok(last)).await.unwrap();
            drop(upstream);
            let (all, good) = wire.rest().await;
            assert!(good, "leases {leases}: {all}");
            (60, all)
        });
        match (leases, is_open) {
            (false, false) => assert_eq!(events, 10),
            (true, false) => assert!((10..50).contains(&events), "{events}"),
            (_, true) => {}
        }
        assert_eq!(all.contains("insufficient_quota"), !is_open, "{all}");
        let charge = credits(prompt, events * 10);
        let (_, price) = all.split_once(": farebox ").unwrap();
        let price: Value = serde_json::from_str(price.trim_end()).unwrap();
        assert_eq!(price["credits"], charge.normalize().to_string(), "{price}");
        let away = house.envoy.counted("farebox.away");
        assert!(away > 0, "leases {leases}, open {is_open}: {events} {all}");
        assert_eq!(house.envoy.counted("farebox.reported"), 0);
        door.is_shut.send(false).unwrap();
        house.until_reported(1);
        // What a wallet has not is a shortfall of the customer's, and no gift.
        let wallet = house.host.read(&key, "/v1/wallet");
        let short = wallet["balance"]["shortfall_credits"].as_str().unwrap();
        let short: Decimal = short.parse().unwrap();
        assert_eq!(short, (charge - had).max(Decimal::ZERO), "{wallet}");
        settle(house, &key, had + short, charge, u64::from(!is_open));
    }
}
