//! The HTTP API as one more way of pricing: a real server on port 0 with a data directory of its
//! own, started through the server's own configuration, and asked as a gateway asks it.
//!
//! Calls are posted as they are written, so that the reader of the API, the service, the sandbox
//! and the ledger all stand between a case and its price. The server's clock is set to the time of
//! each call: a gateway reports a call when it happens.

pub mod own;

use super::{compiled, guests};
use farebox::app::server::{RunningApp, start_with};
use farebox::clock::ManualClock;
use farebox::config::{Config, DeploymentOption, Options};
use farebox::store::directory::DataDirectory;
use farebox::store::verify::{Evidence, verify};
use farebox_pricing::event::{Deployment, Facts, KeySource};
use serde_json::{Map, Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use ureq::http::Request;

/// The key of its operator.
pub const ADMIN_KEY: &str = "test-admin-key-0123456789";

/// A call as a gateway would report it, and what the host would vouch for.
#[derive(Clone, Debug)]
pub struct Reported {
    /// The body of the report, without what the facts say.
    pub call: Map<String, Value>,
    /// The facts. Its org is the server's to say.
    pub facts: Facts,
}

/// A server under one price book, in one deployment.
pub struct HttpServer {
    // Dropped in this order: the server stops before its runtime ends and its directory goes.
    app: Option<RunningApp>,
    runtime: Runtime,
    clock: Arc<ManualClock>,
    agent: ureq::Agent,
    base: String,
    /// One for each plan that was asked for.
    customers: RefCell<BTreeMap<Option<Box<str>>, Customer>>,
    /// How many have a past of their own.
    own: Cell<u32>,
    folder: TempDir,
}

#[derive(Clone)]
struct Customer {
    org: String,
    key: String,
}

struct Answer {
    status: u16,
    body: Value,
}

impl HttpServer {
    /// Starts a server. `book` is TOML; absent: the shipped book.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(book: Option<&str>, deployment: Deployment, now_ms: i64) -> Self {
        Self::start_as(book, deployment, now_ms, |_| {})
    }

    /// The same with other options.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_as(
        book: Option<&str>,
        deployment: Deployment,
        now_ms: i64,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        compiled::put_standard(&data_dir.join("cache"));
        let price_book = book.map(|text| -> PathBuf {
            let path = folder.path().join("book.toml");
            std::fs::write(&path, text).unwrap();
            path
        });
        let mut options = Options {
            data_dir: Some(data_dir),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            admin_key: Some(ADMIN_KEY.to_owned()),
            deployment: Some(match deployment {
                Deployment::Hosted => DeploymentOption::Hosted,
                Deployment::SelfHosted => DeploymentOption::SelfHosted,
            }),
            price_book,
            policy_filter: Some(guests::path(guests::FILTER)),
            ..Options::default()
        };
        change(&mut options);
        let config = Config::load(options).unwrap();
        let clock = Arc::new(ManualClock::at(now_ms));
        let runtime = Runtime::new().unwrap();
        let shared = Arc::clone(&clock);
        let app = runtime
            .block_on(async { start_with(&config, shared).await })
            .unwrap();
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        Self {
            base: format!("http://{}", app.address()),
            app: Some(app),
            runtime,
            clock,
            agent: agent.build().into(),
            customers: RefCell::default(),
            own: Cell::default(),
            folder,
        }
    }

    /// Where it listens.
    ///
    /// # Panics
    /// It has stopped.
    pub fn address(&self) -> SocketAddr {
        self.app.as_ref().unwrap().address()
    }

    /// Moves the server's clock on.
    pub fn advance(&self, ms: i64) {
        self.clock.advance(ms);
    }

    /// How many requests to this route, as its description spells it, were answered.
    ///
    /// # Panics
    /// The server does not say.
    pub fn requests(&self, method: &str, route: &str) -> u64 {
        let page = self.agent.get(format!("{}/metrics", self.base)).call();
        let page = page.unwrap().body_mut().read_to_string().unwrap();
        let of_route = |line: &&str| {
            line.starts_with("farebox_http_requests_total")
                && line.contains(&format!("method=\"{method}\""))
                && line.contains(&format!("route=\"{route}\""))
        };
        let counts = page.lines().filter(of_route);
        counts
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
            .sum()
    }

    /// What the operator asks. The status and the body.
    ///
    /// # Panics
    /// The server does not answer, or not with JSON.
    pub fn administer(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.call(ADMIN_KEY, method, path, Some(body));
        (answer.status, answer.body)
    }

    /// Stops, and proves all that is stored.
    ///
    /// # Panics
    /// Something of it contradicts itself.
    pub fn verify(mut self) {
        if let Some(app) = self.app.take() {
            self.runtime.block_on(app.stop());
        }
        let directory = DataDirectory::new(self.folder.path().join("data"));
        let report = verify(&directory, Evidence::default()).unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }

    /// The key of a new customer with this many credits, an amount that no other has.
    pub fn sell_to(&self, credits: &str) -> String {
        self.open(&json!({"name": format!("with {credits}")}), credits)
            .key
    }

    /// What a customer's key reads.
    ///
    /// # Panics
    /// It may not.
    pub fn read(&self, key: &str, path: &str) -> Value {
        let answer = self.call(key, "GET", path, None);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Reports each call on its own. The answers, in the form of `farebox rate`.
    ///
    /// # Panics
    /// The server answers with something else than a price or a problem.
    pub fn price(&self, reports: &[Reported]) -> Vec<Value> {
        let mut answers = vec![Value::Null; reports.len()];
        // Time goes forward, as it does for a server.
        let mut order: Vec<usize> = (0..reports.len()).collect();
        order.sort_by_key(|index| reports[*index].facts.occurred_at_ms);
        for index in order {
            let report = &reports[index];
            self.clock.set(report.facts.occurred_at_ms);
            let customer = self.customer(report.facts.plan.as_deref());
            let answer = self.post(&customer.key, "/v1/usage", &body(report));
            answers[index] = self.line(&customer, report, answer);
        }
        answers
    }

    /// Reports calls of the same moment and plan as one batch. The answers, in the form of
    /// `farebox rate`.
    ///
    /// # Panics
    /// The server refuses the batch, or an item is no price.
    pub fn price_batch(&self, reports: &[Reported]) -> Vec<Value> {
        let first = &reports.first().unwrap().facts;
        self.clock.set(first.occurred_at_ms);
        let customer = self.customer(first.plan.as_deref());
        let items: Vec<Value> = reports.iter().map(body).collect();
        let answer = self.post(&customer.key, "/v1/usage/batch", &json!({"items": items}));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let items = answer.body["items"].as_array().unwrap();
        reports
            .iter()
            .zip(items)
            .map(|(report, item)| {
                let status = if item["status"] == "unpriced" {
                    202
                } else {
                    200
                };
                let body = item.clone();
                self.line(&customer, report, Answer { status, body })
            })
            .collect()
    }

    /// What is recorded of the last report's event: `GET /v1/usage/{id}`, or the problem.
    ///
    /// # Panics
    /// The server answers with neither.
    pub fn recorded(&self, report: &Reported) -> Result<Value, Value> {
        let customer = self.customer(report.facts.plan.as_deref());
        let answer = self.post(&customer.key, "/v1/usage", &body(report));
        if answer.status >= 400 {
            return Err(answer.body);
        }
        let id = answer.body["event_id"].as_str().unwrap();
        let event = self.call(&customer.key, "GET", &format!("/v1/usage/{id}"), None);
        assert_eq!(event.status, 200, "{}", event.body);
        Ok(json!({"report": answer.body, "recorded": event.body}))
    }

    /// Anything else that a customer on this plan asks. The status and the body.
    ///
    /// # Panics
    /// The server does not answer, or not with JSON.
    pub fn ask(
        &self,
        plan: Option<&str>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let customer = self.customer(plan);
        let answer = self.call(&customer.key, method, path, body);
        (answer.status, answer.body)
    }

    fn line(&self, customer: &Customer, report: &Reported, answer: Answer) -> Value {
        let fields = [
            "provider_cost_usd",
            "market_usd",
            "price_usd",
            "credits",
            "lines",
        ];
        match answer.status {
            200 => {
                assert_eq!(answer.body["replayed"], false, "{}", answer.body);
                let of = |field: &str| (field.to_owned(), answer.body[field].clone());
                Value::Object(fields.into_iter().map(of).collect())
            }
            // Recorded without a price. Why is said to whoever asks for the price again.
            202 => {
                let event = answer.body["event_id"].as_str().unwrap();
                let path = format!("/v1/admin/orgs/{}/usage/{event}/settle", customer.org);
                let key_source = key_source(&report.facts);
                let settled = self.post(ADMIN_KEY, &path, &json!({"key_source": key_source}));
                let problem = problem(&settled.body);
                let kind = problem["error"]["type"].as_str().unwrap().replace('-', "_");
                assert_eq!(answer.body["reason"], kind.as_str(), "{}", settled.body);
                problem
            }
            _ => problem(&answer.body),
        }
    }

    fn customer(&self, plan: Option<&str>) -> Customer {
        let plan: Option<Box<str>> = plan.map(Into::into);
        let known = self.customers.borrow().get(&plan).cloned();
        known.unwrap_or_else(|| {
            let name = plan.as_deref().unwrap_or("no plan");
            let customer = self.new_customer(&format!("on {name}"), plan.as_deref());
            self.customers.borrow_mut().insert(plan, customer.clone());
            customer
        })
    }

    fn new_customer(&self, name: &str, plan: Option<&str>) -> Customer {
        let body = match plan {
            Some(plan) => json!({"name": name, "plan": plan}),
            None => json!({"name": name}),
        };
        // More than all cases cost, among them the dearest that the ledger can hold.
        self.open(&body, "1000000")
    }

    fn open(&self, body: &Value, credits: &str) -> Customer {
        let create = |path: &str, body: &Value| {
            let answer = self.post(ADMIN_KEY, path, body);
            assert_eq!(answer.status, 201, "{}", answer.body);
            answer.body
        };
        let org = create("/v1/admin/orgs", body)["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let grant = json!({"source": "promotional", "amount_credits": credits});
        create(&format!("/v1/admin/orgs/{org}/grants"), &grant);
        let key = json!({"name": "gateway", "scopes": ["org:read", "org:write"]});
        let key = create(&format!("/v1/admin/orgs/{org}/keys"), &key);
        let key = key["key"].as_str().unwrap().to_owned();
        Customer { org, key }
    }

    fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.call(key, "POST", path, Some(body))
    }

    fn call(&self, key: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {key}"));
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).unwrap())
            }
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        Answer { status, body }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some(app) = self.app.take() {
            self.runtime.block_on(app.stop());
        }
    }
}

fn body(report: &Reported) -> Value {
    let mut body = report.call.clone();
    body.insert("key_source".to_owned(), key_source(&report.facts).into());
    Value::Object(body)
}

const fn key_source(facts: &Facts) -> &'static str {
    match facts.key_source {
        KeySource::Managed => "managed",
        KeySource::Own => "own",
    }
}

/// A problem of the API as `farebox rate` writes an error.
fn problem(body: &Value) -> Value {
    let kind = body["type"].as_str().unwrap_or_else(|| panic!("{body}"));
    let kind = kind.strip_prefix("/problems/").unwrap();
    json!({"error": {"type": kind, "detail": body["detail"]}})
}
