//! The tables of `tests/cases/usage` over HTTP: each answer of a provider is reported to a real
//! server as a gateway reports it, and what is then on record is what the case expects. The crate
//! that reads usage runs the same tables on its own; here the API, the service and the ledger
//! stand between.

use farebox_pricing::event::{Deployment, Facts, KeySource};
use farebox_tests::http::{HttpServer, Reported};
use farebox_tests::recorded::OCCURRED_AT_MS;
use farebox_tests::repository;
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Why a case cannot be said over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unsaid {
    /// A report is JSON, and JSON is UTF-8: other bytes cannot stand in it.
    Bytes,
    /// A report carries the answer as JSON: an answer that is none makes the report none.
    NotJson,
}

/// The tables, with the families' names.
fn tables() -> BTreeMap<String, Vec<Map<String, Value>>> {
    let entries = std::fs::read_dir(repository("tests/cases/usage")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let cases = serde_json::from_slice(&std::fs::read(&path).unwrap());
            (
                name,
                cases.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            )
        })
        .filter(|(name, _)| name != "refused")
        .collect()
}

/// The report of a case, as of the customer with this number: a customer's response ids count once.
fn report(case: &Map<String, Value>, customer: usize) -> Result<Reported, Unsaid> {
    let mut call = Map::new();
    for field in ["provider", "api", "headers", "response"] {
        let value = case
            .get(field)
            .map(|value| (field.to_owned(), value.clone()));
        call.extend(value);
    }
    if let Some(body) = case.get("body") {
        let body = serde_json::from_str(body.as_str().unwrap()).map_err(|_| Unsaid::NotJson)?;
        call.insert("response".to_owned(), body);
    }
    if let Some(lines) = case.get("sse") {
        let lines: Vec<_> = lines
            .as_array()
            .unwrap()
            .iter()
            .map(Value::as_str)
            .collect();
        let lines: Option<Vec<_>> = lines.into_iter().collect();
        call.insert("sse".to_owned(), lines.unwrap().join("\n").into());
    }
    if ["body_hex", "sse_hex"]
        .iter()
        .any(|field| case.contains_key(*field))
    {
        return Err(Unsaid::Bytes);
    }
    let mut facts = Facts::new(Deployment::Hosted, KeySource::Managed, OCCURRED_AT_MS);
    facts.plan = Some(format!("customer-{customer}").into());
    Ok(Reported { call, facts })
}

/// `10.0` and `10` are the same quantity.
fn number(text: &Value) -> Decimal {
    Decimal::from_str_exact(text.as_str().unwrap())
        .unwrap()
        .normalize()
}

fn pools(event: &Value) -> BTreeMap<String, Decimal> {
    let written = |pool: &Value| {
        let meter = pool["meter"].as_str().unwrap();
        let attributes = pool["attributes"].as_object().cloned().unwrap_or_default();
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
            .collect();
        let attributes = match attributes.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", attributes.join(",")),
        };
        (format!("{meter}{attributes}"), number(&pool["quantity"]))
    };
    event["pools"]
        .as_array()
        .unwrap()
        .iter()
        .map(written)
        .collect()
}

/// Where what is on record is not what the case expects.
fn difference(expected: &Value, answer: &Value) -> Option<String> {
    let (report, recorded) = (&answer["report"], &answer["recorded"]);
    let event = &recorded["event"];
    let wanted = expected["pools"].as_object().unwrap();
    let wanted: BTreeMap<_, _> = wanted
        .iter()
        .map(|(name, text)| (name.clone(), number(text)))
        .collect();
    let got = pools(event);
    if got != wanted {
        return Some(format!("pools\n  expected {wanted:?}\n  got      {got:?}"));
    }
    let complete = Value::from("complete");
    let finish = expected.get("finish").unwrap_or(&complete);
    let fields = [
        ("model", &event["model_served"]),
        ("service_tier", &event["service_tier"]),
        ("region", &event["region"]),
        ("response_id", &recorded["response_id"]),
    ];
    let mut pairs: Vec<_> = fields
        .iter()
        .map(|(name, got)| (*name, &expected[*name], *got))
        .collect();
    pairs.push(("finish", finish, &report["finish"]));
    // With an own key the provider's cost is the customer's, and another one of the two is priced.
    if expected.get("own_key").is_none() {
        let cost = &expected["provider_cost_usd"];
        let same = cost.is_string() && number(cost) == number(&event["provider_cost_usd"]);
        if !same {
            pairs.push(("provider_cost_usd", cost, &event["provider_cost_usd"]));
        }
    }
    let unknown = |value: &Value| value.as_array().map_or(0, Vec::len);
    let unrecognised = expected["unrecognised"].as_object().map_or(0, Map::len);
    if unknown(&report["unknown_fields"]) != unrecognised {
        let got = &report["unknown_fields"];
        return Some(format!("{unrecognised} unrecognised fields, got {got}"));
    }
    pairs
        .into_iter()
        .find(|(_, expected, got)| expected != got)
        .map(|(name, expected, got)| format!("{name}: expected {expected}, got {got}"))
}

/// Where the API's answer to what cannot be understood is not the case's.
fn refusal_difference(expected: &Value, answer: &Result<Value, Value>) -> Option<String> {
    let (kind, path) = (&expected["kind"], &expected["path"]);
    let same = match answer {
        // An answer that states no usage is usage too: it waits for a person's price.
        Ok(answer) => kind == "no_usage" && answer["recorded"]["reason"] == "no_usage",
        // The API says of the report what the reader says of the answer.
        Err(problem) if kind == "unknown_provider" => {
            problem["type"] == "/problems/invalid-request"
        }
        Err(problem) => problem["reason"] == *kind && problem["path"] == *path,
    };
    (!same).then(|| format!("expected {expected}, got {answer:?}"))
}

#[test]
fn every_answer_is_recorded_over_http_as_the_tables_say() {
    let server = HttpServer::start(None, Deployment::Hosted, OCCURRED_AT_MS);
    let mut failures = Vec::new();
    let mut unsaid = BTreeSet::new();
    let (mut cases, mut said) = (0_usize, 0_usize);
    for (family, table) in tables() {
        for case in table {
            cases = cases.saturating_add(1);
            let name = &case["name"];
            // A customer's response ids count once: a case with the id of another has another one.
            let mut answers = (0..).map_while(|customer| {
                let report = report(&case, customer).inspect_err(|why| {
                    unsaid.insert(*why);
                });
                Some(server.recorded(&report.ok()?))
            });
            let first = answers.find(|answer| {
                let answer = answer.as_ref().ok();
                answer.is_none_or(|answer| answer["report"]["replayed"] == false)
            });
            let Some(answer) = first else { continue };
            said = said.saturating_add(1);
            let difference = match (case.get("expect"), &answer) {
                (Some(expected), Ok(answer)) => difference(expected, answer),
                (Some(_), Err(problem)) => Some(problem.to_string()),
                (None, answer) => refusal_difference(&case["error"], answer),
            };
            failures.extend(difference.map(|d| format!("{family}: {name}: {d}")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // Nothing is left out for any other reason, and each of the reasons is needed.
    let reasons = BTreeSet::from([Unsaid::Bytes, Unsaid::NotJson]);
    assert_eq!(unsaid, reasons);
    assert!(said >= 310, "only {said} of {cases} cases went over HTTP");
    // Frames of AWS, which are no text, and answers that are no JSON. One more is a loss.
    assert_eq!(cases.checked_sub(said), Some(12));
}
