//! The example of `guest/envoy/envoy.yaml`, as it is: real host, real Envoy, and providers that
//! answer as they once did and keep count of what they served.

use super::client::{Caller, Got, Told, whole};
use super::proxy::Envoy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farebox::app::offline::Offline;
use farebox::app::shipped;
use farebox::cli::rate::input;
use farebox_pricing::event::{Deployment, Facts, KeySource};
use farebox_tests::http::HttpServer;
use farebox_tests::provider::{KeyPlace, Provider, Served};
use farebox_tests::{compiled, pricer};
use hyper::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::runtime::Runtime;

/// What a customer has from each provider.
pub const CUSTOMERS_KEY: &str = "sk-customers-own";
const OPENAI_KEY: &str = "sk-openai";
const ANTHROPIC_KEY: &str = "sk-ant";
const OPENROUTER_KEY: &str = "sk-or";

/// The gateway, with all that stands behind it.
pub struct Gateway {
    pub runtime: Runtime,
    pub host: HttpServer,
    pub envoy: Envoy,
    pub openai: Arc<Provider>,
    pub anthropic: Arc<Provider>,
    pub openrouter: Arc<Provider>,
}

impl Gateway {
    pub fn start() -> Self {
        Self::with(|_, host| host, |example| example)
    }

    /// With a configuration that is not quite the example.
    pub fn changed(changed: impl FnOnce(String) -> String) -> Self {
        Self::with(|_, host| host, changed)
    }

    /// `between` may stand between Envoy and the host.
    pub fn with(
        between: impl FnOnce(&Runtime, SocketAddr) -> SocketAddr,
        changed: impl FnOnce(String) -> String,
    ) -> Self {
        let runtime = Runtime::new().unwrap();
        // The edge prices a call at its own time, and the host's clock stands still.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_ms = i64::try_from(now.unwrap().as_millis()).unwrap();
        let host = HttpServer::start(None, Deployment::Hosted, now_ms);
        let provider = |name, place, key| {
            let provider = Arc::new(Provider::new(name, place, &[key, CUSTOMERS_KEY]));
            let address = runtime.block_on(Arc::clone(&provider).serve());
            (provider, address.port().to_string())
        };
        let (openai, openai_port) = provider("openai", KeyPlace::Bearer, OPENAI_KEY);
        let (anthropic, anthropic_port) = provider("anthropic", KeyPlace::ApiKey, ANTHROPIC_KEY);
        let (openrouter, openrouter_port) =
            provider("openrouter", KeyPlace::Bearer, OPENROUTER_KEY);
        let book = STANDARD.encode(shipped::default_book().unwrap().canonical);
        let host_port = between(&runtime, host.address()).port().to_string();
        let local = "127.0.0.1";
        let values = [
            ("FAREBOX_HOST", local),
            ("FAREBOX_PORT", &host_port),
            ("FAREBOX_BOOK", &book),
            ("OPENAI_HOST", local),
            ("OPENAI_PORT", &openai_port),
            ("OPENAI_API_KEY", OPENAI_KEY),
            ("ANTHROPIC_HOST", local),
            ("ANTHROPIC_PORT", &anthropic_port),
            ("ANTHROPIC_API_KEY", ANTHROPIC_KEY),
            ("OPENROUTER_HOST", local),
            ("OPENROUTER_PORT", &openrouter_port),
            ("OPENROUTER_API_KEY", OPENROUTER_KEY),
        ];
        let envoy = Envoy::example(&values, changed);
        Self {
            runtime,
            host,
            envoy,
            openai,
            anthropic,
            openrouter,
        }
    }

    pub fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Got {
        self.text(method, path, headers, &body.to_string())
    }

    pub fn text(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let caller = Caller::new(self.envoy.address, false);
        let body = body.to_owned();
        let sent = async { whole(caller.send(method, path, headers, body).await).await };
        self.runtime.block_on(sent)
    }

    /// Everything that the providers served.
    pub fn served(&self) -> Vec<Served> {
        let all = [&self.openai, &self.anthropic, &self.openrouter];
        all.into_iter().flat_map(|one| one.served()).collect()
    }

    /// Until the host has this many reports, none of which it refused or priced otherwise.
    pub fn until_reported(&self, reports: usize) {
        self.envoy.until_reported(u64::try_from(reports).unwrap());
        assert_eq!(self.envoy.counted("farebox.difference"), 0);
    }

    /// What is left, of which nothing is held.
    pub fn balance(&self, key: &str) -> Decimal {
        let wallet = self.host.read(key, "/v1/wallet");
        // What is leased for the next calls is not spent.
        amount(&wallet["balance"]["posted_credits"])
    }
}

pub fn amount(value: &Value) -> Decimal {
    let text = value.as_str().unwrap_or_else(|| panic!("{value}"));
    text.parse().unwrap()
}

/// What the component charges for an answer that a provider gave.
pub struct Component(Offline);

impl Component {
    pub fn open() -> Self {
        Self(Offline::open(None, None, compiled::folder().to_owned()).unwrap())
    }

    pub fn credits(&self, served: &Served, key_source: KeySource, at_ms: i64) -> Decimal {
        let call = input::read(served.call.to_string().as_bytes()).unwrap();
        let facts = Facts::new(Deployment::Hosted, key_source, at_ms);
        let answer = pricer::json(&self.0.rate(&call.intake.event, &facts));
        amount(&answer["credits"])
    }
}

/// The price wherever this answer has it.
pub fn told(got: &Got) -> Told {
    match got.in_comment() {
        Some((told, _)) => told,
        None => got.in_headers(),
    }
}

#[test]
fn the_example_sells_calls_of_every_provider_that_it_names_in_envoy() {
    let gateway = Gateway::start();
    let key = gateway.host.sell_to("100");
    let bearer = format!("Bearer {key}");
    let (bearer, api_key) = (
        ("authorization", bearer.as_str()),
        ("x-api-key", key.as_str()),
    );
    let component = Component::open();
    let calls = [
        ("/v1/chat/completions", "gpt-4o", bearer),
        ("/v1/responses", "gpt-4o-mini", bearer),
        ("/v1/messages", "claude-sonnet-4-5", api_key),
        ("/openrouter/v1/chat/completions", "smart", bearer),
    ];
    let mut spent = Decimal::ZERO;
    let mut reports = 0;
    for (path, model, key) in calls {
        for stream in [false, true] {
            let request = json!({"model": model, "max_tokens": 500, "stream": stream});
            let got = gateway.send(Method::POST, path, &[key], &request);
            let served = gateway.served();
            reports += 1;
            assert_eq!(got.status, 200, "{path} {model}: {got:?}");
            assert_eq!(served.len(), reports, "one answer a call");
            let told = told(&got);
            let text = String::from_utf8(got.body).unwrap();
            let served = served.iter().find(|served| text.contains(&served.id));
            let served = served.unwrap_or_else(|| panic!("{path}: {text}"));
            let at_ms = told["occurred_at_ms"].parse().unwrap();
            let expect = component.credits(served, KeySource::Managed, at_ms);
            let credits: Decimal = told["credits"].parse().unwrap();
            assert_eq!(credits, expect, "{path} {model} {stream}");
            spent += credits;
        }
    }
    gateway.until_reported(reports);
    assert_eq!(gateway.balance(&key), Decimal::from(100) - spent);

    let through = gateway.send(Method::GET, "/v1/wallet", &[bearer], &Value::Null);
    let wallet: Value = serde_json::from_slice(&through.body).unwrap();
    let left = amount(&wallet["balance"]["posted_credits"]);
    assert_eq!(left, Decimal::from(100) - spent, "{wallet}");
    for path in ["/v1/files", "/v1/holds", "/v1/admin/orgs"] {
        let got = gateway.send(Method::POST, path, &[bearer], &json!({}));
        assert_eq!(got.status, 404, "{path} is not for sale");
    }
    for request in gateway.openrouter.asked() {
        assert_eq!(request.path, "/api/v1/chat/completions");
    }
    // The providers take no key but their own, and no customer's comes near them.
    for provider in [&gateway.openai, &gateway.anthropic, &gateway.openrouter] {
        for request in provider.asked() {
            let headers = format!("{:?}", request.headers);
            assert!(!headers.contains(&key), "{headers}");
        }
    }
    // As docs/gateway.md stops it.
    gateway.envoy.drain();
    gateway.envoy.until_idle();
    let wallet = gateway.host.read(&key, "/v1/wallet");
    assert_eq!(wallet["balance"]["held_credits"], "0");
}
