//! A house of tests: a host, an upstream that counts, and Envoys between them and their callers.

use super::client::{Caller, Got, whole};
use super::proxy::{Envoy, HOST, Plan, until};
use axum::response::Response;
use farebox::config::Options;
use farebox_pricing::event::Deployment;
use farebox_tests::books;
use farebox_tests::http::HttpServer;
use farebox_tests::upstream::{self, Asked, Piece};
use http_body_util::BodyExt as _;
use hyper::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// What each call costs: USD 0.004375 at ten cents a credit.
pub const PRICE: &str = "0.04375";
pub const TTL_MS: i64 = 30_000;
pub const DOUBT_MS: i64 = 60_000;

/// What each call uses.
const USAGE: &str = r#""usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}"#;

/// An answer within what its request allows: 1,000 prompt and 100 completion tokens.
fn answer(id: &str) -> Response {
    let body = format!(
        r#"{{"id":"{id}","object":"chat.completion","model":"gpt-4o","choices":[],{USAGE}}}"#
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
pub struct House {
    pub runtime: Runtime,
    pub host: HttpServer,
    pub envoys: Vec<Envoy>,
    /// How many calls the upstream has answered to their end.
    pub served: Arc<AtomicU64>,
    pub door: Door,
    open: Open,
}

/// Streams that the upstream has begun, and ends when it is told to.
type Open = Arc<Mutex<Vec<mpsc::Sender<Piece>>>>;

/// What a test wants to be otherwise.
pub struct Wish {
    pub envoys: usize,
    pub share_percent: u64,
    pub renew_ms: u64,
    pub report_ms: u64,
    pub timeout_ms: u64,
    pub leases: bool,
}

pub const USUAL: Wish = Wish {
    envoys: 1,
    share_percent: 50,
    renew_ms: 200,
    report_ms: 100,
    timeout_ms: 60_000,
    leases: true,
};

impl House {
    pub fn new(wish: &Wish) -> Self {
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
        let open = Open::default();
        let streams = Arc::clone(&open);
        let upstream = runtime.block_on(upstream::start(Arc::new(move |asked: &Asked| {
            assert_eq!(asked.headers["authorization"], "Bearer sk-upstream");
            if asked.query("until").is_some() {
                let (stream, pieces) = mpsc::channel(1);
                streams.lock().unwrap().push(stream);
                return upstream::live("text/event-stream", pieces);
            }
            let number = count.fetch_add(1, Ordering::SeqCst);
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
                        "leases": wish.leases, "report_ms": wish.report_ms, "edge": format!("edge-{number}")},
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
            open,
        }
    }

    pub fn post(&self, envoy: usize, key: &str, bytes: usize) -> Got {
        self.runtime
            .block_on(send(self.envoys[envoy].address, key, bytes))
    }

    /// Begins a stream, which the upstream ends in [`House::end_streams`].
    pub fn begin(&self, envoy: usize, key: &str) -> hyper::Response<hyper::body::Incoming> {
        let caller = Caller::new(self.envoys[envoy].address, false);
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str())];
        let path = "/openai/v1/chat/completions?until=told";
        self.runtime
            .block_on(caller.send(Method::POST, path, &headers, request(1_000)))
    }

    /// The upstream says what each stream used, and ends it.
    pub fn end_streams(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let number = self.served.fetch_add(1, Ordering::SeqCst);
            let end = format!(
                "data: {{\"id\":\"call-{number}\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o\",\"choices\":[],{USAGE}}}\n\ndata: [DONE]\n\n"
            );
            let sent = self.runtime.block_on(stream.send(Ok(end.into())));
            sent.expect("somebody reads");
        }
    }

    /// Calls one after the other until there is no Envoy any more.
    pub fn call_on(&self, envoy: usize, key: &str) -> JoinHandle<()> {
        let caller = Caller::new(self.envoys[envoy].address, false);
        let bearer = format!("Bearer {key}");
        self.runtime.spawn(async move {
            let headers = [("authorization", bearer.as_str())];
            let path = "/openai/v1/chat/completions";
            let send = || caller.try_send(Method::POST, path, &headers, request(1_000));
            while let Ok(answer) = send().await {
                assert_eq!(answer.status(), 200);
                if answer.into_body().collect().await.is_err() {
                    break;
                }
            }
        })
    }

    pub fn counted(&self, name: &str) -> u64 {
        self.envoys.iter().map(|envoy| envoy.counted(name)).sum()
    }

    /// Until the host has as many reports as calls were served.
    pub fn until_reported(&self) {
        let served = self.served.load(Ordering::SeqCst);
        until(|| {
            let unreported = self.counted("farebox.unreported");
            let log = || self.envoys.iter().map(Envoy::log).collect::<String>();
            assert_eq!(unreported, 0, "{}", log());
            match self.counted("farebox.reported") {
                reported if reported < served => Err(format!("{reported} of {served}")),
                _ => Ok(()),
            }
        });
        assert_eq!(self.counted("farebox.difference"), 0);
    }

    /// Until nothing is put aside any more.
    pub fn until_free(&self, key: &str) {
        self.until_held(key, Decimal::is_zero);
    }

    /// Until what is put aside is as it should be.
    pub fn until_held(&self, key: &str, mut is_it: impl FnMut(&Decimal) -> bool) -> Decimal {
        until(|| {
            let held = self.balance(key, "held_credits");
            if is_it(&held) {
                Ok(held)
            } else {
                Err(format!("{held} credits are put aside"))
            }
        })
    }

    /// Whose key it is.
    pub fn org(&self, key: &str) -> String {
        let wallet = self.host.read(key, "/v1/wallet");
        wallet["org_id"].as_str().unwrap().to_owned()
    }

    /// Ends the key.
    pub fn revoke(&self, key: &str) {
        let path = format!("/v1/admin/orgs/{}/keys", self.org(key));
        let (_, keys) = self.host.administer("GET", &path, &Value::Null);
        let id = keys[0]["id"].as_str().unwrap_or_else(|| panic!("{keys}"));
        let path = format!("{path}/{id}/revoke");
        let (status, revoked) = self.host.administer("POST", &path, &json!({}));
        assert_eq!(status, 200, "{revoked}");
    }

    pub fn balance(&self, key: &str, field: &str) -> Decimal {
        let wallet = self.host.read(key, "/v1/wallet");
        decimal(wallet["balance"][field].as_str().unwrap())
    }

    pub fn spent(&self) -> Decimal {
        Decimal::from(self.served.load(Ordering::SeqCst)) * decimal(PRICE)
    }

    /// The same of an Envoy that was killed.
    pub fn settled_by_log(self, key: &str, credits: &str) {
        let left = self.balance(key, "posted_credits");
        assert_eq!(left, decimal(credits) - self.spent());
        drop(self.envoys);
        self.host.verify();
    }

    /// What was served is what was charged, to the last digit, and the ledger is whole.
    pub fn settle(self, key: &str, credits: &str) {
        self.until_reported();
        let left = self.balance(key, "posted_credits");
        assert_eq!(left, decimal(credits) - self.spent());
        assert!(left >= Decimal::ZERO);
        assert_eq!(self.balance(key, "shortfall_credits"), Decimal::ZERO);
        drop(self.envoys);
        self.host.verify();
    }
}

pub async fn send(envoy: SocketAddr, key: &str, bytes: usize) -> Got {
    send_as(envoy, key, bytes, "ordinary").await
}

/// The same under a request id of the caller's own.
pub async fn send_as(envoy: SocketAddr, key: &str, bytes: usize, id: &str) -> Got {
    let caller = Caller::new(envoy, false);
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("x-request-id", id)];
    let path = "/openai/v1/chat/completions";
    whole(
        caller
            .send(Method::POST, path, &headers, request(bytes))
            .await,
    )
    .await
}

pub fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// A door in front of the host. Shut, it drops whoever is inside or comes.
pub struct Door {
    pub address: SocketAddr,
    pub is_shut: watch::Sender<bool>,
}

impl Door {
    pub async fn new(host: SocketAddr) -> Self {
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
