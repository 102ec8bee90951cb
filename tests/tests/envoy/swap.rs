//! Another book while calls run: the host activates its release, and Envoy takes its book from a file
//! that it watches. No call fails, and each is charged by the release that its hold was made under.

use crate::client::{Caller, whole};
use crate::proxy::{Envoy, HOST, Plan};
use crate::upstream::{self, Asked};
use farebox::app::shipped::STANDARD_COMPONENT;
use farebox::engine::package::Package;
use farebox_book::{Format, compile};
use farebox_pricing::event::Deployment;
use farebox_tests::books;
use farebox_tests::http::{ADMIN_KEY, HttpServer};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;

const CALLERS: usize = 4;
/// Calls that run under each of the four states between two swaps.
const CALLS: usize = 25;
const ANSWER: &str = r#"{"id":"ID","object":"chat.completion","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#;
const REQUEST: &str = r#"{"model":"gpt-4o","max_tokens":100,"messages":[]}"#;
/// What a call costs by each of the two books.
const FIRST_USD: &str = "0.004375";
const SECOND_USD: &str = "0.00525";

fn second_text() -> String {
    books::two_models_text("second").replace("markup = \"1.25\"", "markup = \"1.5\"")
}

/// What the operator asks of the host.
fn operate(host: SocketAddr, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Value {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("http://{host}{path}"))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("content-type", kind);
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = agent.build().into();
    let mut answer = agent.run(request.body(body).unwrap()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(answer.status().is_success(), "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn push(host: SocketAddr, text: String) -> String {
    let package = Package {
        component: STANDARD_COMPONENT.to_vec(),
        book: Some(compile(&text, Format::Toml).unwrap().canonical),
        book_source: Some(text.into_bytes()),
        ..Package::default()
    };
    let path = "/v1/admin/policies";
    let release = operate(host, "POST", path, "application/wasm", package.to_file());
    release["id"].as_str().unwrap().to_owned()
}

fn activate(host: SocketAddr, release: &str, expected: &str) {
    let body = json!({"release_id": release, "expected": expected, "why": "test"});
    let body = body.to_string().into_bytes();
    let path = "/v1/admin/bindings/activate";
    operate(host, "POST", path, "application/json", body);
}

/// Calls without a pause until it is stopped, and what each was told, by its number.
struct Load {
    runtime: Runtime,
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    told: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Load {
    fn begin(envoy: SocketAddr, key: &str) -> Self {
        let load = Self {
            runtime: Runtime::new().unwrap(),
            stop: Arc::default(),
            calls: Arc::default(),
            told: Arc::default(),
        };
        let numbers = Arc::new(AtomicUsize::new(0));
        for _ in 0..CALLERS {
            let (stop, calls) = (Arc::clone(&load.stop), Arc::clone(&load.calls));
            let (told, numbers) = (Arc::clone(&load.told), Arc::clone(&numbers));
            let bearer = format!("Bearer {key}");
            load.runtime.spawn(async move {
                let caller = Caller::new(envoy, false);
                while !stop.load(Ordering::SeqCst) {
                    let number = numbers.fetch_add(1, Ordering::SeqCst).to_string();
                    let path = format!("/openai/v1/chat/completions?call={number}");
                    let key = [("authorization", bearer.as_str())];
                    let got = whole(caller.send(Method::POST, &path, &key, REQUEST).await).await;
                    assert_eq!(got.status, 200, "{got:?}");
                    let price = got.in_headers()["price_usd"].clone();
                    told.lock().unwrap().insert(number, price);
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        load
    }

    /// Until so many more calls are over; a caller that failed makes none.
    fn more(&self) {
        let until = self.calls.load(Ordering::SeqCst) + CALLS;
        while self.calls.load(Ordering::SeqCst) < until {
            std::thread::yield_now();
        }
    }

    fn end(self) -> BTreeMap<String, String> {
        self.stop.store(true, Ordering::SeqCst);
        while Arc::strong_count(&self.stop) > 1 {
            std::thread::yield_now();
        }
        self.told.lock().unwrap().clone()
    }
}

/// Each charge by the number of its call: its price and its release.
fn charges(host: &HttpServer, key: &str) -> BTreeMap<String, (String, String)> {
    let mut all = BTreeMap::new();
    let mut page = "/v1/usage?limit=100".to_owned();
    loop {
        let items = host.read(key, &page);
        for event in items["items"].as_array().unwrap() {
            let charge = event["charge_id"].as_str().unwrap();
            let receipt = host.read(key, &format!("/v1/charges/{charge}/receipt"));
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let of = (
                text(&receipt["price"]["price_usd"]),
                text(&receipt["release"]["id"]),
            );
            let number = text(&event["response_id"]);
            assert!(all.insert(number, of).is_none(), "charged twice: {event}");
        }
        match items["next_cursor"].as_str() {
            Some(cursor) => page = format!("/v1/usage?limit=100&cursor={cursor}"),
            None => return all,
        }
    }
}

#[test]
fn another_book_reaches_a_running_envoy_without_a_failed_call_and_each_is_charged_by_its_release() {
    let runtime = Runtime::new().unwrap();
    let text = books::two_models_text("first");
    let host = HttpServer::start(Some(&text), Deployment::Hosted, books::NOW_MS);
    let upstream = runtime.block_on(upstream::start(Arc::new(|asked: &Asked| {
        let answer = ANSWER.replace("ID", asked.query("call").unwrap());
        upstream::whole("application/json", answer.as_bytes())
    })));
    let plan = |book: Vec<u8>| Plan {
        book,
        settings: json!({"deployment": "hosted", "host": {"cluster": HOST, "timeout_ms": 60_000}}),
        clusters: BTreeMap::from([("openai".to_owned(), json!({"provider": "openai"}))]),
        upstream,
        timeout: "0s",
        host: vec![host.address()],
    };
    let first_plan = plan(compile(&text, Format::Toml).unwrap().canonical);
    let second_plan = plan(compile(&second_text(), Format::Toml).unwrap().canonical);
    let envoy = Envoy::watching(&first_plan);
    let first = push(host.address(), text);
    let second = push(host.address(), second_text());
    let key = host.sell_to("1000");

    let load = Load::begin(envoy.address, &key);
    load.more();
    envoy.swap(&second_plan);
    load.more();
    activate(host.address(), &second, &first);
    load.more();
    activate(host.address(), &first, &second);
    load.more();
    envoy.swap(&first_plan);
    load.more();
    let told = load.end();

    let reported = u64::try_from(told.len()).unwrap();
    while envoy.counted("farebox.reported") < reported {
        assert_eq!(envoy.counted("farebox.unreported"), 0, "{}", envoy.log());
        std::thread::yield_now();
    }
    let charges = charges(&host, &key);
    assert_eq!(charges.len(), told.len(), "each once");
    let mut differ = 0;
    let mut by_release: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, (price, release)) in &charges {
        let expect = if *release == first {
            FIRST_USD
        } else {
            SECOND_USD
        };
        assert!([&first, &second].contains(&release), "{release}");
        assert_eq!(price, expect, "{release}");
        *by_release.entry(release).or_default() += 1;
        differ += u64::from(told[number] != *price);
    }
    assert_eq!(by_release.len(), 2, "{by_release:?}");
    let of = |price: &str| told.values().filter(|told| *told == price).count();
    assert_eq!(of(FIRST_USD) + of(SECOND_USD), told.len());
    assert!(of(SECOND_USD) > 0, "the edge never had the second book");
    // Where the two had not the same book, that is what the counter says: of each such call.
    while envoy.counted("farebox.difference") < differ {
        std::thread::yield_now();
    }
    assert_eq!(envoy.counted("farebox.difference"), differ);
    println!("{} calls, {differ} told otherwise than charged", told.len());
}
