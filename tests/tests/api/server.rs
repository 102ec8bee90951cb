//! A server of its own for each test, and a client that speaks to it.

use super::described;
use farebox::app::server::{RunningApp, start, start_with};
use farebox::clock::SystemClock;
use farebox::config::{Config, Options};
use farebox::engine::package::Package;
use farebox::service::ledger::LedgerStore as _;
use farebox::service::ledger::releases::ReleaseParts;
use farebox::service::ledger::write::{Action, Actor, Write};
use farebox::service::policy::{Admitted, Digest, LimitClass, ReleaseId, Trust};
use farebox::service::releases::admission;
use farebox::service::time::SharedClock;
use farebox::store::directory::DataDirectory;
use farebox::store::{SqliteStore, StoreOptions};
use farebox_tests::compiled;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// The bootstrap admin key of every test server.
pub const ADMIN: &str = "test-admin-key-0123456789";

/// A running server and its data directory.
pub struct Server {
    pub app: RunningApp,
    pub client: Api,
    folder: tempfile::TempDir,
}

/// A client of one server.
#[derive(Clone)]
pub struct Api {
    http: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The body, when the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The problem, when it is of this kind.
    #[track_caller]
    pub fn problem(self, status: u16, slug: &str) -> Value {
        assert_eq!(
            self.headers
                .get("content-type")
                .map(|value| value.to_str().unwrap()),
            Some("application/problem+json"),
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        let problem = self.expect(status);
        assert_eq!(problem["type"], format!("/problems/{slug}"), "{problem}");
        assert_eq!(problem["status"], status);
        problem
    }
}

/// A customer with a key.
#[derive(Clone)]
pub struct Customer {
    pub api: Api,
    pub org: String,
    pub key: String,
    pub key_id: String,
}

/// Of a server in this folder, whose first start finds the standard policy compiled.
pub fn options(folder: &std::path::Path) -> Options {
    let data_dir = folder.join("data");
    if !data_dir.exists() {
        compiled::put_standard(&data_dir.join("cache"));
    }
    Options {
        data_dir: Some(data_dir),
        listen: Some("127.0.0.1:0".parse().unwrap()),
        admin_key: Some(ADMIN.to_owned()),
        ..Options::default()
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_as(|_| {}).await
    }

    pub async fn start_as(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path());
        change(&mut options);
        let app = start(&Config::load(options).unwrap()).await.unwrap();
        Self::of(app, folder)
    }

    pub async fn start_at(clock: SharedClock) -> Self {
        Self::start_as_at(|_| {}, clock).await
    }

    pub async fn start_as_at(change: impl FnOnce(&mut Options), clock: SharedClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path());
        change(&mut options);
        let config = Config::load(options).unwrap();
        let app = start_with(&config, clock).await.unwrap();
        Self::of(app, folder)
    }

    fn of(app: RunningApp, folder: tempfile::TempDir) -> Self {
        let client = Api {
            http: Client::builder(TokioExecutor::new()).build_http(),
            base: format!("http://{}", app.address()),
        };
        Self {
            app,
            client,
            folder,
        }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Stops; the data stays until the folder is dropped.
    pub async fn stop(self) -> tempfile::TempDir {
        self.app.stop().await;
        self.folder
    }

    /// Stops, and starts again on the same data.
    pub async fn restart(self) -> Self {
        self.restart_as(|_| {}).await
    }

    /// The same with other options.
    pub async fn restart_as(self, change: impl FnOnce(&mut Options)) -> Self {
        let folder = self.stop().await;
        let mut options = options(folder.path());
        change(&mut options);
        Self::on(folder, options).await
    }

    /// The same at another clock's time.
    pub async fn restart_as_at(
        self,
        change: impl FnOnce(&mut Options),
        clock: SharedClock,
    ) -> Self {
        let folder = self.stop().await;
        let mut options = options(folder.path());
        change(&mut options);
        let config = Config::load(options).unwrap();
        let app = start_with(&config, clock).await.unwrap();
        Self::of(app, folder)
    }

    /// Starts where the release of this file is kept with the ledger, and so was tried once, whatever it
    /// does now.
    pub async fn start_with_kept(file: &[u8], change: impl FnOnce(&mut Options)) -> Self {
        Self::start().await.restart_with_kept(file, change).await
    }

    /// Stops, and starts again on the same data and that release.
    pub async fn restart_with_kept(self, file: &[u8], change: impl FnOnce(&mut Options)) -> Self {
        let folder = self.stop().await;
        let mut options = options(folder.path());
        change(&mut options);
        keep(options.data_dir.as_deref().unwrap(), file).await;
        Self::on(folder, options).await
    }

    /// Starts on the data of a server that was stopped.
    pub async fn on(folder: tempfile::TempDir, options: Options) -> Self {
        let app = start(&Config::load(options).unwrap()).await.unwrap();
        Self::of(app, folder)
    }

    /// Pushes the file of a release.
    pub async fn push(&self, file: &[u8]) -> Answer {
        self.send_file("/v1/admin/policies", file).await
    }

    /// Posts a file to a path.
    pub async fn send_file(&self, path: &str, file: &[u8]) -> Answer {
        let bearer = format!("Bearer {ADMIN}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/wasm"),
        ];
        self.client
            .send(Method::POST, path, &headers, file.to_vec())
            .await
    }

    /// What is bound to everyone, or to the orgs on a plan; `none` where nothing is.
    /// A job that was begun, once it has ended.
    pub async fn ended(&self, path: &str, begun: &Value) -> Value {
        let path = format!("{path}/{}", begun["id"].as_str().unwrap());
        let mut last = Value::Null;
        let over = async {
            loop {
                last = self
                    .client
                    .admin(Method::GET, &path, Value::Null)
                    .await
                    .expect(200);
                if last["status"] != "running" {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(120), over).await;
        assert!(in_time.is_ok(), "{last}");
        assert_ne!(last["status"], "failed", "{last}");
        last
    }

    pub async fn bound(&self, plan: Option<&str>) -> String {
        let path = "/v1/admin/bindings";
        let all = self.client.admin(Method::GET, path, Value::Null).await;
        let all = all.expect(200);
        let mut items = all["items"].as_array().unwrap().iter();
        let found = items.find(|item| item["plan"].as_str() == plan && item["org_id"].is_null());
        let release = found.and_then(|item| item["release_id"].as_str());
        release.unwrap_or("none").to_owned()
    }

    /// A new org with `credits`, and a key with every right of a customer.
    pub async fn customer(&self, name: &str, credits: &str) -> Customer {
        let api = self.client.clone();
        let org = api
            .admin(Method::POST, "/v1/admin/orgs", json!({"name": name}))
            .await
            .expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned();
        if credits != "0" {
            let grant = json!({"amount_credits": credits, "source": "purchase"});
            api.admin(Method::POST, &format!("/v1/admin/orgs/{org}/grants"), grant)
                .await
                .expect(201);
        }
        let body = json!({"name": "gateway", "scopes": ["org:read", "org:write"]});
        let key = api.make_key(&org, body).await;
        Customer {
            api,
            org,
            key: key["key"].as_str().unwrap().to_owned(),
            key_id: key["id"].as_str().unwrap().to_owned(),
        }
    }
}

impl Api {
    /// The same client of another address.
    pub fn at(&self, address: std::net::SocketAddr) -> Self {
        Self {
            http: self.http.clone(),
            base: format!("http://{address}"),
        }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = self.http.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        };
        described::check(&method, path, &answer);
        answer
    }

    pub async fn with_key(&self, key: &str, method: Method, path: &str, body: Value) -> Answer {
        self.with_headers(key, method, path, &[], body).await
    }

    pub async fn with_headers(
        &self,
        key: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let bearer = format!("Bearer {key}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        let bytes = if body.is_null() {
            Bytes::new()
        } else {
            all.push(("content-type", "application/json"));
            body.to_string().into()
        };
        self.send(method, path, &all, bytes).await
    }

    pub async fn admin(&self, method: Method, path: &str, body: Value) -> Answer {
        self.with_key(ADMIN, method, path, body).await
    }

    /// A further key of an org, with its text.
    pub async fn make_key(&self, org: &str, body: Value) -> Value {
        let path = format!("/v1/admin/orgs/{org}/keys");
        self.admin(Method::POST, &path, body).await.expect(201)
    }
}

impl Customer {
    /// The same customer of a server that was started again.
    pub fn of(&self, server: &Server) -> Self {
        Self {
            api: server.client.clone(),
            ..self.clone()
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.api
            .with_key(&self.key, Method::GET, path, Value::Null)
            .await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.api.with_key(&self.key, Method::POST, path, body).await
    }

    pub async fn post_once(&self, path: &str, key: &str, body: Value) -> Answer {
        self.api
            .with_headers(
                &self.key,
                Method::POST,
                path,
                &[("idempotency-key", key)],
                body,
            )
            .await
    }

    /// What new calls can spend.
    pub async fn available(&self) -> String {
        self.get("/v1/wallet").await.expect(200)["balance"]["available_credits"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// Keeps the release of a file with the ledger of a server that is stopped, as if it was admitted.
pub async fn keep(data_dir: &std::path::Path, file: &[u8]) {
    let package = Package::open(file).unwrap();
    let clock: SharedClock = Arc::new(SystemClock::new());
    let directory = DataDirectory::new(data_dir);
    let store = SqliteStore::open(directory, Arc::clone(&clock), StoreOptions::default()).unwrap();
    let digest = |bytes: &[u8]| Digest(Sha256::digest(bytes).into());
    let book = package.book.unwrap();
    let release = Admitted {
        id: ReleaseId {
            component: digest(&package.component),
            book: digest(&book),
        },
        name: "kept".into(),
        contract: "1.0.0".into(),
        class: LimitClass::Native,
        trust: Trust::Untrusted,
        parts: ReleaseParts {
            component: package.component.into(),
            book: book.into(),
            book_source: package.book_source.map(Into::into),
            signatures: package.signatures.into(),
            filters: [].into(),
        },
    };
    let at_ms = clock.now_ms();
    let write = Write {
        at_ms,
        actor: Actor::Host,
        request_id: "test".into(),
        idempotency: None,
        once: None,
        action: Action::Directory(admission(release, at_ms)),
    };
    store.submit(write).await.unwrap();
    store.close();
}

/// The file of a release: the standard policy, and a book under which a token of any model costs so
/// many USD per million.
pub fn release_file(name: &str, per_million: &str) -> Vec<u8> {
    let text = format!(
        "# The book `{name}`.\nname = \"{name}\"\nas_of = \"2026-11-21\"\n\
         [plans.pro]\nmarkup = \"1\"\n[[models]]\nprovider = \"openai\"\nmodel = \"gpt-4o-mini\"\n\
         per_million = {{ input = \"{per_million}\", output = \"{per_million}\" }}\n"
    );
    Package {
        component: farebox::app::shipped::STANDARD_COMPONENT.to_vec(),
        book: Some(
            farebox_book::compile(&text, farebox_book::Format::Toml)
                .unwrap()
                .canonical,
        ),
        book_source: Some(text.into_bytes()),
        ..Package::default()
    }
    .to_file()
}

/// A call of a model that the shipped book knows.
pub fn call() -> Value {
    json!({"provider": "openai", "model": "gpt-4o-mini", "body_bytes": 1000, "max_output_tokens": 100})
}

/// What it used.
pub fn usage() -> Value {
    json!({"provider": "openai", "model": "gpt-4o-mini", "usage": {"input": 1000, "output": 100}})
}
