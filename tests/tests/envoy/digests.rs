//! Which filter runs the policy of a release: the host knows it, and refuses another.

use super::client::{Caller, Got, whole};
use super::held::REQUEST;
use super::operator::{activate, operate};
use super::proxy::{Envoy, HOST, Plan, until};
use super::upstream::{self, Asked};
use farebox::app::shipped::STANDARD_COMPONENT;
use farebox::engine::package::Package;
use farebox::service::policy::LimitClass;
use farebox_book::{Format, compile};
use farebox_pricing::event::Deployment;
use farebox_tests::http::HttpServer;
use farebox_tests::{books, guests};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Runtime;

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#;

struct House {
    runtime: Runtime,
    host: HttpServer,
    envoy: Envoy,
    served: Arc<AtomicUsize>,
}

impl House {
    /// A host that was never told of a filter.
    fn new(leases: bool) -> Self {
        let runtime = Runtime::new().unwrap();
        let text = books::two_models_text("edge");
        let forget = |options: &mut farebox::config::Options| {
            options.policy_filter = None;
            options.lease_renew_ms = Some(200);
        };
        let host = HttpServer::start_as(Some(&text), Deployment::Hosted, books::NOW_MS, forget);
        let served = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&served);
        let upstream = runtime.block_on(upstream::start(Arc::new(move |_: &Asked| {
            let number = count.fetch_add(1, Ordering::SeqCst).to_string();
            let answer = ANSWER.replace("\"1\"", &format!("\"{number}\""));
            upstream::whole("application/json", answer.as_bytes())
        })));
        let envoy = Envoy::start(&Plan {
            book: compile(&text, Format::Toml).unwrap().canonical,
            settings: json!({
                "deployment": "hosted",
                // Not even a host that is away lets it run.
                "host": {"cluster": HOST, "timeout_ms": 60_000, "when_away": "open",
                    "leases": leases},
            }),
            clusters: BTreeMap::from([("openai".to_owned(), json!({"provider": "openai"}))]),
            upstream,
            timeout: "0s",
            host: vec![host.address()],
        });
        Self {
            runtime,
            host,
            envoy,
            served,
        }
    }

    fn call(&self, key: &str) -> Got {
        let bearer = format!("Bearer {key}");
        self.runtime.block_on(async {
            let caller = Caller::new(self.envoy.address, false);
            let path = "/openai/v1/chat/completions";
            let headers = [("authorization", bearer.as_str())];
            whole(caller.send(Method::POST, path, &headers, REQUEST).await).await
        })
    }

    /// Pushes the release of this component, with or without the filter; its address.
    fn push(&self, class: LimitClass, with_filter: bool) -> String {
        let text = books::two_models_text("edge");
        let mut package = Package {
            component: STANDARD_COMPONENT.to_vec(),
            book: Some(compile(&text, Format::Toml).unwrap().canonical),
            book_source: Some(text.into_bytes()),
            ..Package::default()
        };
        if class != LimitClass::of(&package.component) {
            package.declare(class);
        }
        if with_filter {
            let filter = std::fs::read(guests::path(guests::FILTER)).unwrap();
            package.add_filter(&filter).unwrap();
        }
        let (host, kind) = (self.host.address(), "application/wasm");
        let path = "/v1/admin/policies";
        let release = operate(host, "POST", path, kind, package.to_file());
        release["id"].as_str().unwrap().to_owned()
    }
}

fn prices_only_by_its_own_component(leases: bool) {
    let house = House::new(leases);
    let key = house.host.sell_to("10");
    let refused = house.call(&key);
    assert_eq!(refused.status, 403, "{refused:?}");
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(problem["type"], "/problems/filter-not-known", "{problem}");
    let filter = std::fs::read(guests::path(guests::FILTER)).unwrap();
    let digest = hex::encode(farebox_stamp::read(&filter).unwrap());
    assert_eq!(problem["filter"], digest, "what the filter says it is");
    assert!(house.envoy.log().contains(&digest), "{}", house.envoy.log());
    assert_eq!(house.served.load(Ordering::SeqCst), 0);
    assert_eq!(house.envoy.counted("farebox.refused"), 1);

    // Told of it, the host lets it price: nothing is restarted.
    let first = house.push(LimitClass::Native, true);
    let got = house.call(&key);
    assert_eq!(got.in_headers()["price_usd"], "0.004375", "{got:?}");

    // The same rules in another component are another policy.
    let other = house.push(LimitClass::Scripted, false);
    activate(house.host.address(), &other, &first, json!({}));
    let refused = until(|| match house.call(&key) {
        got if got.status == 200 => Err("it still prices".to_owned()),
        got => Ok(got),
    });
    assert_eq!(refused.status, 403, "{refused:?}");
    house.push(LimitClass::Scripted, true);
    let got = house.call(&key);
    assert_eq!(got.in_headers()["price_usd"], "0.004375", "{got:?}");

    let served = u64::try_from(house.served.load(Ordering::SeqCst)).unwrap();
    house.envoy.until_reported(served);
    assert_eq!(house.envoy.counted("farebox.difference"), 0);
    drop(house.envoy);
    house.host.verify();
}

#[test]
fn a_filter_in_envoy_prices_under_leases_only_what_its_own_component_prices() {
    prices_only_by_its_own_component(true);
}

#[test]
fn a_filter_in_envoy_prices_under_holds_only_what_its_own_component_prices() {
    prices_only_by_its_own_component(false);
}
