//! Every recorded call of a real provider through Envoy: the price that is told is the component's.

use super::client::{Caller, Got, Told, kept, whole};
use super::proxy::{Envoy, HOST, Plan};
use super::upstream::{self, Asked};
use axum::response::Response;
use farebox::app::offline::Offline;
use farebox::app::shipped;
use farebox::cli::rate::input::Call;
use farebox::service::policy::PolicyEngine as _;
use farebox_pricing::event::{Deployment, Facts, KeySource, QuoteRequest};
use farebox_pricing::failure::{Ending, Outcome};
use farebox_tests::http::HttpServer;
use farebox_tests::recorded::Recorded;
use farebox_tests::{compiled, pricer};
use farebox_usage::{Finish, RequestFacts};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How many calls run at once.
const AT_ONCE: usize = 8;

/// The cluster of a recorded call: who answered, and in which family.
fn cluster(json: &Value) -> String {
    let word = |field: &str| json[field].as_str().unwrap().to_owned();
    format!("{}.{}", word("provider"), word("api"))
}

fn clusters(recorded: &[Recorded]) -> BTreeMap<String, Value> {
    let settings = recorded.iter().map(|recorded| {
        let json = recorded.json();
        let settings = json!({"provider": json["provider"], "api": json["api"]});
        (cluster(&json), settings)
    });
    settings.collect()
}

/// The answer of the recorded call that the path names, as it was.
fn replay(recorded: &[Recorded], asked: &Asked) -> Response {
    let line: usize = asked.query("line").unwrap().parse().unwrap();
    let json = recorded[line - 1].json();
    // Other sizes for other lines, and some answers in one piece.
    let cut = [1, 7, 64, 1000, usize::MAX][line % 5];
    match json["sse"].as_str() {
        Some(stream) => {
            upstream::pieces("text/event-stream; charset=utf-8", stream.as_bytes(), cut)
        }
        None if line.is_multiple_of(2) => {
            upstream::whole("application/json", json["response"].to_string().as_bytes())
        }
        None => {
            let body = json["response"].to_string();
            upstream::pieces("application/json", body.as_bytes(), cut)
        }
    }
}

/// The request as it may have been: its text is not recorded, but its model and limits are.
fn request(json: &Value) -> String {
    let request = &json["request"];
    let mut body = json!({"messages": [{"role": "user", "content": "x".repeat(300)}]});
    for (recorded, sent) in [
        ("model", "model"),
        ("stream", "stream"),
        ("max_output", "max_tokens"),
        ("service_tier", "service_tier"),
    ] {
        if !request[recorded].is_null() {
            body[sent] = request[recorded].clone();
        }
    }
    body.to_string()
}

/// What is told of a call, and the body as the provider sent it.
fn told<'g>(got: &'g Got, json: &Value, http2: bool) -> (Told, &'g [u8]) {
    if json["sse"].is_null() {
        return (got.in_headers(), &got.body);
    }
    let (told, body) = got.in_comment().unwrap();
    if http2 {
        assert_eq!(got.in_trailers(), without_detail(&told));
    }
    (told, body)
}

fn without_detail(told: &Told) -> Told {
    let mut told = told.clone();
    told.remove("detail");
    told
}

struct Expected<'a> {
    offline: &'a Offline,
    call: Call,
    facts: Facts,
}

impl Expected<'_> {
    /// What should be told: the component's price of the same event under the same facts.
    fn told(&self) -> Told {
        let field = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let at = self.facts.occurred_at_ms.to_string();
        let mut told = Told::from([field("occurred_at_ms", &at)]);
        let intake = &self.call.intake;
        let ending = Ending {
            failed: intake.finish == Finish::Failed,
            partial: intake.finish == Finish::Partial,
            ..Ending::default()
        };
        if let Some(outcome) = Outcome::of(ending, Some(&intake.event)) {
            told.extend([field("unpriced", outcome.name())]);
            return told;
        }
        let answer = pricer::json(&self.offline.rate(&intake.event, &self.facts));
        match answer["error"]["type"].as_str() {
            Some(kind) => told.extend([field("unpriced", &kind.replace('-', "_"))]),
            None => told.extend(
                ["price_usd", "credits"].map(|name| field(name, answer[name].as_str().unwrap())),
            ),
        }
        told
    }

    /// The most that it could cost, as the component quotes the same request.
    fn quote_usd(&self, api: &str, body: &str) -> Option<String> {
        let api = farebox_usage::Api::from_name(api).unwrap();
        let read = RequestFacts::from_body_of(Some(api), body.as_bytes()).unwrap();
        let request = QuoteRequest {
            provider: self.call.intake.event.provider.clone(),
            model: read.model,
            service_tier: read.service_tier,
            region: None,
            feature: None,
            body_bytes: read.body_bytes,
            max_output_tokens: read.max_output_tokens,
            declared: Vec::new(),
            provider_cost_max_usd: None,
        };
        let engine = self.offline.engine();
        let quote = engine.quote(&self.offline.release(), &request, &self.facts);
        Some(quote.ok()?.total_usd.normalize().to_string())
    }
}

/// One line of the record: the path is the key, in HTTP/1.1 and HTTP/2.
fn path(json: &Value, line: usize, http2: bool) -> String {
    format!("/{}/v1/call?line={line}&http2={http2}", cluster(json))
}

#[test]
fn every_recorded_call_costs_in_envoy_what_the_component_charges() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let recorded = Arc::new(Recorded::all());
    let lines = Arc::clone(&recorded);
    let replayed = Arc::new(move |asked: &Asked| replay(&lines, asked));
    let upstream = runtime.block_on(upstream::start(replayed));
    let envoy = Envoy::start(&Plan {
        book: shipped::default_book().unwrap().canonical,
        settings: json!({"deployment": "hosted"}),
        clusters: clusters(&recorded),
        upstream,
        timeout: "0s",
        host: Vec::new(),
    });
    let answers = runtime.block_on(call_all(&envoy, &recorded));
    let priced = envoy.counted("farebox.priced");
    assert_eq!(envoy.counted("farebox.fault"), 0);
    let record = envoy.record();

    let offline = Offline::open(None, None, compiled::folder().to_owned()).unwrap();
    let mut with_price = 0;
    for ((line, http2), got) in &answers {
        let json = recorded[line - 1].json();
        assert_eq!(got.status, 200, "line {line}");
        let (told, body) = told(got, &json, *http2);
        let sent = json["sse"]
            .as_str()
            .map_or_else(|| json["response"].to_string(), Into::into);
        assert_eq!(String::from_utf8_lossy(body), sent, "line {line}");
        let at = told["occurred_at_ms"].parse().unwrap();
        let expected = Expected {
            offline: &offline,
            call: recorded[line - 1].call(),
            facts: Facts::new(Deployment::Hosted, KeySource::Managed, at),
        };
        assert_eq!(
            without_detail(&told),
            expected.told(),
            "line {line}, HTTP/2 {http2}"
        );
        with_price += u64::from(told.contains_key("price_usd"));
        let call = &record[&path(&json, *line, *http2)];
        assert_eq!(
            without_detail(&kept(call).unwrap()),
            without_detail(&told),
            "line {line}"
        );
        let quoted = call["quote_usd"].as_str().map(Into::into);
        let expect = expected.quote_usd(json["api"].as_str().unwrap(), &request(&json));
        assert_eq!(quoted, expect, "line {line}");
    }
    assert_eq!(answers.len(), 2 * recorded.len());
    assert_eq!(with_price, priced);
    assert!(
        with_price * 100 >= 2 * 801 * 97,
        "only {with_price} are priced"
    );
}

/// What the host charges by what the filter sends it is what the filter told, of every answer.
#[test]
fn every_recorded_call_is_charged_through_envoy_what_it_was_told() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let recorded = Arc::new(Recorded::all());
    let lines = Arc::clone(&recorded);
    let replayed = Arc::new(move |asked: &Asked| replay(&lines, asked));
    let upstream = runtime.block_on(upstream::start(replayed));
    // Both read one clock, because prices have dates.
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let host = HttpServer::start(None, Deployment::Hosted, now_ms);
    let key = host.sell_to("1000000");
    let envoy = Envoy::start(&Plan {
        book: shipped::default_book().unwrap().canonical,
        settings: json!({
            "deployment": "hosted",
            "host": {"cluster": HOST, "timeout_ms": 60_000},
        }),
        clusters: clusters(&recorded),
        upstream,
        timeout: "0s",
        host: vec![host.address()],
    });
    let answers = runtime.block_on(call_each(&envoy, &recorded, &key));
    let ran = answers.iter().filter(|(_, got)| got.status == 200).count();
    assert!(ran * 100 >= recorded.len() * 97, "only {ran} ran");
    envoy.until_reported(ran as u64);
    assert_eq!(envoy.counted("farebox.difference"), 0, "{}", envoy.log());
}

/// Every line, over HTTP/1.1 and HTTP/2 by turns, paid for with this key.
async fn call_each(envoy: &Envoy, recorded: &[Recorded], key: &str) -> Vec<(usize, Got)> {
    let callers = [false, true].map(|http2| Arc::new(Caller::new(envoy.address, http2)));
    let mut running = JoinSet::new();
    let mut answers = Vec::new();
    for recorded in recorded {
        if running.len() >= AT_ONCE {
            answers.extend(running.join_next().await.map(Result::unwrap));
        }
        let json = recorded.json();
        let (line, body, key) = (recorded.line, request(&json), key.to_owned());
        let http2 = line.is_multiple_of(2);
        let caller = Arc::clone(&callers[usize::from(http2)]);
        let path = path(&json, line, http2);
        running.spawn(async move {
            let headers = [("x-api-key", key.as_str())];
            let answer = caller.send(Method::POST, &path, &headers, body).await;
            (line, whole(answer).await)
        });
    }
    answers.extend(running.join_all().await);
    answers
}

/// Every line over HTTP/1.1 and over HTTP/2.
async fn call_all(envoy: &Envoy, recorded: &[Recorded]) -> BTreeMap<(usize, bool), Got> {
    let callers = [false, true].map(|http2| Arc::new(Caller::new(envoy.address, http2)));
    let mut running = JoinSet::new();
    let mut answers = BTreeMap::new();
    for recorded in recorded {
        let json = recorded.json();
        for (http2, caller) in [false, true].into_iter().zip(&callers) {
            if running.len() >= AT_ONCE {
                answers.extend(running.join_next().await.map(Result::unwrap));
            }
            let caller = Arc::clone(caller);
            let (line, body) = (recorded.line, request(&json));
            let path = path(&json, line, http2);
            running.spawn(async move { ((line, http2), caller.post(&path, body).await) });
        }
    }
    answers.extend(running.join_all().await);
    answers
}
