//! Calls under leases: held and charged by Envoy itself, with a real host as the authority on money.

use crate::client::{Caller, Got, whole};
use crate::proxy::{Envoy, HOST, Plan};
use axum::response::Response;
use farebox::config::Options;
use farebox_pricing::event::Deployment;
use farebox_tests::books;
use farebox_tests::http::HttpServer;
use farebox_tests::upstream::{self, Asked};
use hyper::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What each call costs: USD 0.004375 at ten cents a credit.
const PRICE: &str = "0.04375";
const TTL_MS: i64 = 30_000;
const DOUBT_MS: i64 = 60_000;

/// An answer within what its request allows: 1,000 prompt and 100 completion tokens.
fn answer(id: &str) -> Response {
    let body = format!(
        r#"{{"id":"{id}","object":"chat.completion","model":"gpt-4o","choices":[],"usage":{{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}}}"#
    );
    upstream::whole("application/json", body.as_bytes())
}

/// A request of so many bytes: as many prompt tokens at most.
fn request(bytes: usize) -> String {
    let empty = r#"{"model":"gpt-4o","max_tokens":100,"messages":[{"role":"user","content":""}]}"#;
    let padding = "x".repeat(bytes.saturating_sub(empty.len()));
    empty.replace(r#""content":"""#, &format!(r#""content":"{padding}""#))
}

/// A host, an upstream that counts, and Envoys between them and their callers.
struct House {
    runtime: Runtime,
    host: HttpServer,
    envoys: Vec<Envoy>,
    served: Arc<AtomicU64>,
    door: Door,
}

/// What a test wants to be otherwise.
struct Wish {
    envoys: usize,
    share_percent: u64,
    renew_ms: u64,
    report_ms: u64,
    timeout_ms: u64,
}

const USUAL: Wish = Wish {
    envoys: 1,
    share_percent: 50,
    renew_ms: 200,
    report_ms: 100,
    timeout_ms: 60_000,
};

impl House {
    fn new(wish: &Wish) -> Self {
        let runtime = Runtime::new().unwrap();
        let text = books::two_models_text("edge");
        let change = |options: &mut Options| {
            options.lease_share_percent = Some(wish.share_percent);
            options.lease_renew_ms = Some(wish.renew_ms);
            options.lease_doubt_ms = Some(DOUBT_MS.unsigned_abs());
        };
        let host = HttpServer::start_as(Some(&text), Deployment::Hosted, books::NOW_MS, change);
        let served = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&served);
        let upstream = runtime.block_on(upstream::start(Arc::new(move |asked: &Asked| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            assert_eq!(asked.headers["authorization"], "Bearer sk-upstream");
            answer(&format!("call-{number}"))
        })));
        let door = runtime.block_on(Door::new(host.address()));
        let key = json!({"header": "authorization", "value": "Bearer sk-upstream"});
        let envoy = |number: usize| {
            Envoy::start(&Plan {
                book: books::two_models("edge").canonical,
                settings: json!({
                    "deployment": "hosted",
                    "host": {"cluster": HOST, "timeout_ms": wish.timeout_ms,
                        "report_ms": wish.report_ms, "edge": format!("edge-{number}")},
                }),
                clusters: BTreeMap::from([(
                    "openai".to_owned(),
                    json!({"provider": "openai", "key": key}),
                )]),
                upstream,
                host: vec![door.address],
                timeout: "0s",
            })
        };
        let envoys = (0..wish.envoys).map(envoy).collect();
        Self {
            runtime,
            host,
            envoys,
            served,
            door,
        }
    }

    fn post(&self, envoy: usize, key: &str, bytes: usize) -> Got {
        self.runtime
            .block_on(send(self.envoys[envoy].address, key, bytes))
    }

    fn counted(&self, name: &str) -> u64 {
        self.envoys.iter().map(|envoy| envoy.counted(name)).sum()
    }

    /// Until the host has as many reports as calls were served.
    fn until_reported(&self) {
        let served = self.served.load(Ordering::SeqCst);
        while self.counted("farebox.reported") < served {
            assert_eq!(self.counted("farebox.unreported"), 0);
            std::thread::yield_now();
        }
        assert_eq!(self.counted("farebox.difference"), 0);
    }

    /// Until nothing is put aside any more.
    fn until_free(&self, key: &str) {
        while self.balance(key, "held_credits") > Decimal::ZERO {
            std::thread::yield_now();
        }
    }

    fn balance(&self, key: &str, field: &str) -> Decimal {
        let wallet = self.host.read(key, "/v1/wallet");
        decimal(wallet["balance"][field].as_str().unwrap())
    }

    fn spent(&self) -> Decimal {
        Decimal::from(self.served.load(Ordering::SeqCst)) * decimal(PRICE)
    }

    /// What was served is what was charged, to the last digit, and the ledger is whole.
    fn settle(self, key: &str, credits: &str) {
        self.until_reported();
        let left = self.balance(key, "posted_credits");
        assert_eq!(left, decimal(credits) - self.spent());
        assert!(left >= Decimal::ZERO);
        assert_eq!(self.balance(key, "shortfall_credits"), Decimal::ZERO);
        drop(self.envoys);
        self.host.verify();
    }
}

async fn send(envoy: SocketAddr, key: &str, bytes: usize) -> Got {
    let caller = Caller::new(envoy, false);
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    let path = "/openai/v1/chat/completions";
    whole(
        caller
            .send(Method::POST, path, &headers, request(bytes))
            .await,
    )
    .await
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// A door in front of the host. Shut, it drops whoever is inside or comes.
struct Door {
    address: SocketAddr,
    is_shut: watch::Sender<bool>,
}

impl Door {
    async fn new(host: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_shut, shut) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                let mut shut = shut.clone();
                if *shut.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut host) = TcpStream::connect(host).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut caller, &mut host) => {}
                        _ = shut.wait_for(|shut| *shut) => {}
                    }
                });
            }
        });
        Self { address, is_shut }
    }
}

#[test]
fn calls_under_a_lease_of_envoy_ask_the_host_nothing() {
    let house = House::new(&Wish {
        report_ms: 2_000,
        ..USUAL
    });
    let key = house.host.sell_to("100");
    let told = |got: Got| {
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.in_headers()["credits"], PRICE);
    };
    // The first asks for a lease, which grows with what calls take.
    (0..60).for_each(|_| told(house.post(0, &key, 1_000)));
    let asked = || {
        let routes = ["/v1/holds", "/v1/leases", "/v1/usage"];
        routes.map(|route| house.host.requests("POST", route))
    };
    let before = asked();
    let batches = house.host.requests("POST", "/v1/usage/batch");
    (0..60).for_each(|_| told(house.post(0, &key, 1_000)));
    assert_eq!(asked(), before);
    let batches = house.host.requests("POST", "/v1/usage/batch") - batches;
    assert!(batches < 30, "{batches} for 60 calls");
    assert!(house.counted("farebox.leased") >= 60);
    house.settle(&key, "100");
}

/// Whatever number of workers and Envoys: the money is spent once, and all that is spent was there.
#[test]
fn two_envoys_and_one_nearly_empty_wallet_end_at_zero_or_above() {
    let house = House::new(&Wish { envoys: 2, ..USUAL });
    // A hundred calls and a half.
    let credits = "4.396875";
    let key = house.host.sell_to(credits);
    let is_empty = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..16_usize)
        .map(|number| {
            let (is_empty, key) = (Arc::clone(&is_empty), key.clone());
            let envoy = house.envoys[number % 2].address;
            house.runtime.spawn(async move {
                let mut served = 0_u64;
                while !is_empty.load(Ordering::SeqCst) {
                    let got = send(envoy, &key, 1_000).await;
                    match got.status.as_u16() {
                        200 => served += 1,
                        402 => is_empty.store(true, Ordering::SeqCst),
                        _ => panic!("{got:?}"),
                    }
                }
                served
            })
        })
        .collect();
    let mut served = 0;
    for caller in callers {
        served += house.runtime.block_on(caller).unwrap();
    }
    assert_eq!(served, house.served.load(Ordering::SeqCst));
    assert!(house.counted("farebox.leased") > 0);
    // Nobody calls any more, so all that was leased comes back.
    house.until_reported();
    house.until_free(&key);
    house.settle(&key, credits);
}

#[test]
fn one_dollar_over_two_envoys_still_buys_a_call_of_sixty_cents() {
    let house = House::new(&Wish {
        envoys: 2,
        // Idle leases go back by themselves, but not that soon.
        renew_ms: 2_000,
        ..USUAL
    });
    let key = house.host.sell_to("10");
    for envoy in 0..2 {
        // Each could cost twenty cents: half of what is there is leased, and half of the rest.
        let got = house.post(envoy, &key, 60_000);
        assert_eq!(got.status, 200, "{got:?}");
    }
    assert!(house.balance(&key, "available_credits") < Decimal::from(6));
    let got = house.post(1, &key, 185_000);
    assert_eq!(got.status, 200, "{got:?}");
    house.settle(&key, "10");
}

#[test]
fn calls_go_on_in_envoy_without_a_host_until_the_lease_is_spent() {
    let house = House::new(&Wish {
        timeout_ms: 500,
        renew_ms: 15_000,
        ..USUAL
    });
    let key = house.host.sell_to("10");
    assert_eq!(house.post(0, &key, 1_000).status, 200);
    house.until_reported();
    let leased = house.balance(&key, "held_credits");
    assert!(leased > Decimal::ZERO);
    house.door.is_shut.send(true).unwrap();
    let before = house.served.load(Ordering::SeqCst);
    let got = loop {
        let got = house.post(0, &key, 1_000);
        if got.status != 200 {
            break got;
        }
    };
    assert_eq!(got.status, 503);
    let problem: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(problem["type"], "/problems/unavailable");
    let alone = house.served.load(Ordering::SeqCst) - before;
    assert!(alone > 0);
    assert!(
        Decimal::from(alone) * decimal(PRICE) <= leased,
        "{alone} of {leased}"
    );
    // What they used is told when somebody listens.
    house.door.is_shut.send(false).unwrap();
    house.settle(&key, "10");
}

#[test]
fn what_a_killed_envoy_had_leased_comes_back_and_its_loss_is_bounded() {
    let mut house = House::new(&Wish {
        report_ms: 600_000,
        ..USUAL
    });
    let key = house.host.sell_to("10");
    for _ in 0..5 {
        assert_eq!(house.post(0, &key, 1_000).status, 200);
    }
    // It dies before it has told of anything.
    house.envoys.clear();
    let leased = house.balance(&key, "held_credits");
    assert!(house.spent() <= leased, "what is lost was leased");
    assert_eq!(house.balance(&key, "posted_credits"), Decimal::from(10));
    house.host.advance(TTL_MS);
    assert_eq!(house.balance(&key, "held_credits"), leased, "in doubt");
    house.host.advance(DOUBT_MS);
    house.until_free(&key);
    assert_eq!(house.balance(&key, "available_credits"), Decimal::from(10));
    house.host.verify();
}

#[test]
fn a_revoked_key_is_stopped_in_envoy_when_its_lease_is_renewed() {
    let house = House::new(&USUAL);
    let key = house.host.sell_to("10");
    assert_eq!(house.post(0, &key, 1_000).status, 200);
    let wallet = house.host.read(&key, "/v1/wallet");
    let org = wallet["org_id"]
        .as_str()
        .unwrap_or_else(|| panic!("{wallet}"));
    let (_, keys) =
        house
            .host
            .administer("GET", &format!("/v1/admin/orgs/{org}/keys"), &Value::Null);
    let id = keys[0]["id"].as_str().unwrap_or_else(|| panic!("{keys}"));
    let path = format!("/v1/admin/orgs/{org}/keys/{id}/revoke");
    let (status, revoked) = house.host.administer("POST", &path, &json!({}));
    assert_eq!(status, 200, "{revoked}");
    let refused = loop {
        let got = house.post(0, &key, 1_000);
        if got.status != 200 {
            break got;
        }
    };
    assert_eq!(refused.status, 401);
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(problem["type"], "/problems/key-ended");
    // What ran before is charged all the same.
    house.until_reported();
    drop(house.envoys);
    house.host.verify();
}
