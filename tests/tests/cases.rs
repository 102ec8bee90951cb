//! Every table of `tests/cases/rate` through every way of pricing: native, in a warm instance of
//! the component, in a fresh one, in batches, and over HTTP. The expected prices were worked out by
//! hand, so that no implementation is its own judge.

use farebox::cli::rate::output::ErrorLine;
use farebox_pricing::event::Deployment;
use farebox_tests::http::HttpServer;
use farebox_tests::pricer::{self, Answer, Pricer as _};
use farebox_tests::recorded::OCCURRED_AT_MS;
use farebox_tests::repository;
use farebox_tests::table::{self, Case, Table};
use serde::Deserialize;
use serde_json::Value;

/// Answers that differ from what a case expects, or from each other.
fn failures(name: &str) -> Vec<String> {
    let table = Table::read(name);
    let mut failures = Vec::new();
    let mut cases: Vec<&Case> = Vec::new();
    let mut requests = Vec::new();
    for case in &table.cases {
        match case.request() {
            Ok(request) => {
                cases.push(case);
                requests.push(request);
            }
            Err(error) => {
                let answer = serde_json::to_value(ErrorLine::from(&error)).unwrap();
                let difference = case.difference(&answer);
                failures.extend(difference.map(|d| format!("{name}: {}: {d}", case.name)));
            }
        }
    }
    let mut first: Option<Vec<Answer>> = None;
    for pricer in pricer::all(&table.canonical_book()) {
        let answers = pricer.price(&requests);
        assert_eq!(answers.len(), requests.len());
        for (case, answer) in cases.iter().zip(&answers) {
            let json = pricer::json(answer);
            let place = format!("{name}: {} ({})", case.name, pricer.name());
            failures.extend(case.difference(&json).map(|d| format!("{place}: {d}")));
            if !table::adds_up(&json) {
                failures.push(format!("{place}: does not add up: {json}"));
            }
        }
        // Of decimals, `Debug` shows the scale, which equality passes over.
        if first
            .as_ref()
            .is_some_and(|first| format!("{first:?}") != format!("{answers:?}"))
        {
            failures.push(format!("{name}: {} differs from native", pricer.name()));
        }
        first.get_or_insert(answers);
    }
    failures
}

#[test]
fn every_table_holds_in_every_way_of_pricing() {
    let failures: Vec<_> = table::names()
        .iter()
        .flat_map(|name| failures(name))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What `farebox rate` calls an error, and what the API calls the same: a caller of the API is told
/// which kind of field is wrong, a person at the command line which step failed.
const OTHER_KINDS: [(&str, &str); 3] = [
    ("quantity", "invalid-quantity"),
    ("quantity", "invalid-amount"),
    ("negative-cost", "invalid-amount"),
];

/// A case that the API answers otherwise, and why that is right.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Otherwise {
    table: String,
    case: String,
    answer: Value,
    #[serde(default)]
    why: String,
}

/// Where the API's answer is not what the case expects, nor what the native arithmetic says.
fn http_difference(case: &Case, native: Option<&Answer>, answer: &Value) -> Option<String> {
    let Some((kind, detail)) = case.expected_error() else {
        let native = native.map(pricer::json);
        return case
            .difference(answer)
            .or_else(|| (native.as_ref() != Some(answer)).then(|| "not as native".to_owned()));
    };
    let error = &answer["error"];
    let got = error["type"].as_str().unwrap_or_default();
    let same = got == kind || OTHER_KINDS.contains(&(kind, got));
    (!same || error["detail"] != detail).then(|| format!("expected {kind}: {detail}"))
}

/// The cases of a table that the API answers otherwise.
fn http_differences(name: &str) -> Vec<(Otherwise, String)> {
    let table = Table::read(name);
    let book = table.book();
    let native = pricer::Native::new(&table.canonical_book());
    let mut differences = Vec::new();
    for deployment in [Deployment::Hosted, Deployment::SelfHosted] {
        let (cases, reports): (Vec<_>, Vec<_>) = table
            .cases
            .iter()
            .filter(|case| !case.is_of_a_past())
            .map(|case| (case, case.reported()))
            .filter(|(_, reported)| reported.facts.deployment == deployment)
            // Facts are the host's to give: a caller of the API cannot state them.
            .filter(|(_, reported)| reported.facts.other.is_empty())
            .unzip();
        if cases.is_empty() {
            continue;
        }
        let server = HttpServer::start(Some(&book), deployment, OCCURRED_AT_MS);
        for (case, answer) in cases.iter().zip(server.price(&reports)) {
            let native = case.request().ok().map(|request| native.price(&[request]));
            let native = native.as_ref().and_then(|answers| answers.first());
            if let Some(difference) = http_difference(case, native, &answer) {
                let otherwise = Otherwise {
                    table: name.to_owned(),
                    case: case.name.clone(),
                    answer,
                    why: String::new(),
                };
                differences.push((otherwise, difference));
            }
        }
    }
    differences
}

/// Cases that HTTP answers otherwise stand in a reviewed list, which holds nothing else.
#[test]
fn every_table_holds_over_http() {
    let listed = std::fs::read(repository("tests/cases/rate/http.json")).unwrap();
    let mut listed: Vec<Otherwise> = serde_json::from_slice(&listed).unwrap();
    assert!(listed.iter().all(|otherwise| !otherwise.why.is_empty()));
    for otherwise in &mut listed {
        otherwise.why.clear();
    }
    let names = table::names();
    let found: Vec<_> = names
        .iter()
        .flat_map(|name| http_differences(name))
        .collect();
    for (otherwise, difference) in &found {
        assert!(
            listed.contains(otherwise),
            "{}: {}\n  {difference}\n  got {}",
            otherwise.table,
            otherwise.case,
            otherwise.answer
        );
    }
    assert_eq!(found.len(), listed.len(), "a listed case is answered alike");
}

#[test]
fn no_table_is_lost() {
    let names = table::names();
    let cases: usize = names.iter().map(|name| Table::read(name).cases.len()).sum();
    assert!(
        names.len() >= 19 && cases >= 216,
        "{cases} cases in {names:?}"
    );
}

#[test]
fn names_of_cases_are_told_apart() {
    for table in table::names() {
        let mut names: Vec<_> = Table::read(&table)
            .cases
            .into_iter()
            .map(|case| case.name)
            .collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "{table}");
    }
}
