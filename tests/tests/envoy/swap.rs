//! Another book while calls run: the host activates its release, and Envoy takes its book from a file
//! that it watches. No call fails, each is charged by the release that its hold was made under, and
//! none is told a price of another.

use super::client::{Caller, Told, whole};
use super::operator::{activate, charges, push};
use super::proxy::{self, Envoy, HOST, Plan, list, until};
use super::upstream::{self, Asked};
use farebox_book::{Format, compile};
use farebox_pricing::event::Deployment;
use farebox_tests::books;
use farebox_tests::http::HttpServer;
use hyper::Method;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;

const CALLERS: usize = 4;
/// Calls that run under each of the states between two changes.
const CALLS: usize = 25;
const ANSWER: &str = r#"{"id":"ID","object":"chat.completion","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#;
const REQUEST: &str = r#"{"model":"gpt-4o","max_tokens":100,"messages":[]}"#;
/// What a call costs by each of the two books.
const FIRST_USD: &str = "0.004375";
const SECOND_USD: &str = "0.00525";

fn second_text() -> String {
    books::two_models_text("second").replace("markup = \"1.25\"", "markup = \"1.5\"")
}

/// Calls without a pause until it is stopped, and what each was told, by its number.
struct Load {
    runtime: Runtime,
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    told: Arc<Mutex<BTreeMap<String, Told>>>,
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
                    told.lock().unwrap().insert(number, got.in_headers());
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        load
    }

    /// Until so many more calls are over; a caller that failed makes none.
    fn more(&self) {
        let until = self.calls.load(Ordering::SeqCst) + CALLS;
        proxy::until(|| match self.calls.load(Ordering::SeqCst) {
            calls if calls < until => Err(format!("{calls} of {until} calls")),
            _ => Ok(()),
        });
    }

    fn end(self) -> BTreeMap<String, Told> {
        self.stop.store(true, Ordering::SeqCst);
        until(|| match Arc::strong_count(&self.stop) {
            1 => Ok(()),
            callers => Err(format!("{callers} callers go on")),
        });
        self.told.lock().unwrap().clone()
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
    let book = |text: &str| compile(text, Format::Toml).unwrap().canonical;
    let (first_book, second_book) = (book(&text), book(&second_text()));
    let both = plan(list(&[&first_book, &second_book]));
    let first_plan = plan(first_book);
    let second_plan = plan(second_book);
    let envoy = Envoy::watching(&first_plan);
    let first = push(host.address(), text);
    let second = push(host.address(), second_text());
    let key = host.sell_to("1000");
    let everyone = || json!({});
    let silent = || envoy.counted("farebox.other_book");

    let load = Load::begin(envoy.address, &key);
    load.more();
    // With the next book beside this one, whoever is activated when has its price told.
    envoy.swap(&both);
    load.more();
    activate(host.address(), &second, &first, everyone());
    load.more();
    assert_eq!(silent(), 0);
    envoy.swap(&second_plan);
    load.more();
    // Without it, the edge says nothing of what another book prices.
    activate(host.address(), &first, &second, everyone());
    until(|| match silent() {
        0 => Err("no call was silent".to_owned()),
        _ => Ok(()),
    });
    envoy.swap(&first_plan);
    load.more();
    let told = load.end();

    envoy.until_reported(u64::try_from(told.len()).unwrap());
    let charges = charges(&host, &key);
    assert_eq!(charges.len(), told.len(), "each once");
    let mut untold = 0;
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
        let told = &told[number];
        match told.get("price_usd") {
            Some(told) => assert_eq!(told, price, "{release}"),
            None => {
                assert_eq!(told["unpriced"], "other_book");
                untold += 1;
            }
        }
    }
    assert_eq!(by_release.len(), 2, "{by_release:?}");
    let of = |price: &str| {
        let prices = told.values().filter_map(|told| told.get("price_usd"));
        prices.filter(|told| *told == price).count()
    };
    assert!(of(FIRST_USD) >= CALLS && of(SECOND_USD) >= CALLS);
    assert_eq!(silent(), untold);
    assert_eq!(envoy.counted("farebox.difference"), 0);
    println!("{} calls, {untold} told no price", told.len());
    // The host's clock stands, so nothing lapses: what the filters before this one had leased goes
    // back because it is looked after.
    until(|| {
        let wallet = host.read(&key, "/v1/wallet");
        match wallet["balance"]["held_credits"].as_str() {
            Some("0") => Ok(()),
            _ => Err(wallet.to_string()),
        }
    });
}
