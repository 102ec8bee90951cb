//! What 801 recorded calls of real providers cost under the shipped price book: each is priced, or
//! stands in the reviewed list of refusals; their totals are a snapshot; and no way of pricing
//! differs from another in a single digit.

use farebox::app::offline::Offline;
use farebox::app::shipped;
use farebox::service::policy::{PolicyEngine as _, PolicyError, Priced};
use farebox_pricing::canonical::BookView;
use farebox_pricing::event::{Deployment, Facts, KeySource, QuoteRequest};
use farebox_pricing::money::{Nanos, Peg};
use farebox_pricing::rating;
use farebox_tests::compiled;
use farebox_tests::http::{HttpServer, Reported};
use farebox_tests::pricer::{self, Pricer as _, Request};
use farebox_tests::recorded::{OCCURRED_AT_MS, Recorded};
use farebox_tests::repository;
use farebox_usage::RequestFacts;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One reviewed refusal: the line (from 1), the answer, and why it is right.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Refused {
    line: usize,
    #[serde(rename = "type")]
    kind: String,
    detail: String,
    #[serde(default, rename = "why")]
    _why: String,
}

fn facts() -> Facts {
    Facts::new(Deployment::Hosted, KeySource::Managed, OCCURRED_AT_MS)
}

fn offline() -> Offline {
    Offline::open(None, None, compiled::folder().to_owned()).unwrap()
}

fn book() -> Vec<u8> {
    shipped::default_book().unwrap().canonical
}

fn requests(recorded: &[Recorded]) -> Vec<Request> {
    recorded
        .iter()
        .map(|recorded| (recorded.call().intake.event, facts()))
        .collect()
}

#[test]
fn every_call_is_priced_or_refused_for_a_reviewed_reason() {
    let reviewed = std::fs::read(repository("tests/cases/rate/refused.json")).unwrap();
    let reviewed: Vec<Refused> = serde_json::from_slice(&reviewed).unwrap();
    let offline = offline();
    let recorded = Recorded::all();
    let mut refused = Vec::new();
    for recorded in &recorded {
        let answer = offline.rate(&recorded.call().intake.event, &facts());
        let json = pricer::json(&answer);
        if let Some(error) = json.get("error") {
            refused.push(Refused {
                line: recorded.line,
                kind: error["type"].as_str().unwrap().to_owned(),
                detail: error["detail"].as_str().unwrap().to_owned(),
                _why: String::new(),
            });
        }
    }
    let listed: Vec<_> = reviewed
        .into_iter()
        .map(|reviewed| Refused {
            _why: String::new(),
            ..reviewed
        })
        .collect();
    assert_eq!(refused, listed);
    let priced = recorded.len() - refused.len();
    assert!(
        priced * 100 >= recorded.len() * 97,
        "only {priced} are priced"
    );
}

#[test]
fn all_ways_of_pricing_agree_in_every_digit() {
    let recorded = Recorded::all();
    let requests = requests(&recorded);
    let book = book();
    let pricers = pricer::all(&book);
    let (native, others) = pricers.split_first().unwrap();
    let expected = native.price(&requests);
    for other in others {
        let answers = other.price(&requests);
        assert_eq!(answers.len(), expected.len());
        for ((recorded, expected), answer) in recorded.iter().zip(&expected).zip(&answers) {
            // Of decimals, `Debug` shows the scale, which equality passes over.
            assert_eq!(
                format!("{answer:?}"),
                format!("{expected:?}"),
                "line {}, {}",
                recorded.line,
                other.name()
            );
        }
    }
}

/// As a gateway would post it: what is not its to say is left away.
fn reported(recorded: &Recorded) -> Reported {
    let Value::Object(mut call) = recorded.json() else {
        panic!("line {} is no object", recorded.line)
    };
    call.remove("source");
    Reported {
        call,
        facts: facts(),
    }
}

#[test]
fn http_agrees_in_every_digit() {
    let recorded = Recorded::all();
    let native = pricer::Native::new(&book()).price(&requests(&recorded));
    let server = HttpServer::start(None, Deployment::Hosted, OCCURRED_AT_MS);
    let reports: Vec<_> = recorded.iter().map(reported).collect();
    let (alone, batched) = reports.split_at(200);
    let mut answers = server.price(alone);
    for batch in batched.chunks(256) {
        answers.extend(server.price_batch(batch));
    }
    assert_eq!(answers.len(), native.len());
    for ((recorded, expected), answer) in recorded.iter().zip(&native).zip(&answers) {
        assert_eq!(*answer, pricer::json(expected), "line {}", recorded.line);
    }
}

/// A refusal is an answer; a fault of the policy never is.
fn or_refused(answer: Result<Priced, PolicyError>) -> Result<Priced, PolicyError> {
    match answer {
        Ok(_) | Err(PolicyError::Refused(_)) => answer,
        Err(fault) => panic!("{fault}"),
    }
}

#[derive(Default)]
struct Totals {
    calls: u64,
    provider_cost_usd: Decimal,
    market_usd: Decimal,
    price_usd: Decimal,
    nanos: Decimal,
}

impl Totals {
    fn add(&mut self, priced: &Priced) {
        self.calls += 1;
        self.provider_cost_usd += priced.provider_cost_usd;
        self.market_usd += priced.market_usd.unwrap_or_default();
        self.price_usd += priced.price_usd;
        let nanos = Peg::DEFAULT.to_nanos(priced.price_usd, priced.rounding);
        self.nanos += Decimal::from(nanos.map(Nanos::get).unwrap());
    }

    fn row(&self, name: &str) -> String {
        let credits = self.nanos / Decimal::from(1_000_000_000);
        format!(
            "{name}\n  calls {} | provider cost {} | market {} | price {} | credits {}\n",
            self.calls,
            self.provider_cost_usd.normalize(),
            self.market_usd.normalize(),
            self.price_usd.normalize(),
            credits.normalize()
        )
    }
}

#[test]
fn totals_by_provider_and_model() {
    let offline = offline();
    let mut totals: BTreeMap<String, Totals> = BTreeMap::new();
    for recorded in Recorded::all() {
        let event = recorded.call().intake.event;
        let priced = offline.rate(&event, &facts());
        let Ok(priced) = or_refused(priced) else {
            continue;
        };
        let model = event.model().unwrap();
        for name in [
            "all".to_owned(),
            event.provider.to_string(),
            format!("{} {model}", event.provider),
        ] {
            totals.entry(name).or_default().add(&priced);
        }
    }
    let mut table = String::new();
    for (name, totals) in &totals {
        write!(table, "{}", totals.row(name)).unwrap();
    }
    insta::assert_snapshot!(table);
}

/// The JSON text of the last `usage.cost` that an answer states.
fn stated_cost(json: &Value) -> Option<String> {
    if let Some(response) = json.get("response") {
        return Some(response.get("usage")?.get("cost")?.as_number()?.to_string());
    }
    let stream = json.get("sse")?.as_str()?;
    let events = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    events
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|event| Some(event.get("usage")?.get("cost")?.as_number()?.to_string()))
        .next_back()
}

#[test]
fn what_openrouter_says_a_call_cost_is_its_provider_cost() {
    let offline = offline();
    let mut stated = 0;
    for recorded in Recorded::all() {
        let event = recorded.call().intake.event;
        if &*event.provider != "openrouter" {
            continue;
        }
        let json = recorded.json();
        let priced = offline.rate(&event, &facts()).unwrap();
        if let Some(cost) = stated_cost(&json) {
            stated += 1;
            let cost = Decimal::from_str_exact(&cost)
                .or_else(|_| Decimal::from_scientific(&cost))
                .unwrap();
            assert_eq!(priced.provider_cost_usd, cost, "line {}", recorded.line);
        } else {
            panic!("line {} states no cost", recorded.line);
        }
    }
    assert_eq!(stated, 7);
}

/// What a quote before the call would have known.
fn quote_request(recorded: &Recorded) -> QuoteRequest {
    let event = recorded.call().intake.event;
    let json = recorded.json();
    let facts = RequestFacts::from_recorded(json["request"].to_string().as_bytes()).unwrap();
    QuoteRequest {
        provider: event.provider,
        model: facts.model,
        service_tier: facts.service_tier,
        region: None,
        feature: None,
        body_bytes: facts.body_bytes,
        max_output_tokens: facts.max_output_tokens,
        declared: Vec::new(),
        provider_cost_max_usd: None,
    }
}

/// The content of the answers was emptied; `body_bytes` and the limits on output are as recorded.
#[test]
fn a_quote_before_the_call_bounds_its_price() {
    let offline = offline();
    let native = BookView::open(book()).unwrap();
    for recorded in Recorded::all() {
        let event = recorded.call().intake.event;
        let request = quote_request(&recorded);
        let quote = offline
            .engine()
            .quote(&offline.release(), &request, &facts());
        let natively = rating::quote(&native, &request, &facts());
        assert_eq!(
            format!("{:?}", quote.clone().ok()),
            format!("{:?}", natively.ok()),
            "line {}",
            recorded.line
        );
        let Ok(priced) = or_refused(offline.rate(&event, &facts())) else {
            continue;
        };
        let quote = quote.unwrap_or_else(|error| panic!("line {}: {error:?}", recorded.line));
        assert!(
            quote.total_usd >= priced.price_usd,
            "line {}: quoted {}, priced {}",
            recorded.line,
            quote.total_usd,
            priced.price_usd
        );
    }
}
