//! Every table of `tests/cases/rate` through every way of pricing: native, in a warm instance of
//! the component, in a fresh one, in batches, and over HTTP. The expected prices were worked out by
//! hand, so that no implementation is its own judge.

use farebox::cli::rate::output::ErrorLine;
use farebox_pricing::canonical::BookView;
use farebox_pricing::event::Deployment;
use farebox_tests::http::own::Contract;
use farebox_tests::http::{HttpServer, Reported};
use farebox_tests::past::{self, Past};
use farebox_tests::pricer::{self, Answer, Pricer as _};
use farebox_tests::recorded::OCCURRED_AT_MS;
use farebox_tests::repository;
use farebox_tests::table::{self, Case, Table};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

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

/// What a server under the table's book answers to each case that it can be asked. Cases of a past
/// have a customer of their own, who makes the calls of that past first.
fn http_answers<'c>(
    server: &HttpServer,
    name: &str,
    book: &str,
    cases: Vec<(&'c Case, Reported)>,
) -> Vec<(&'c Case, Value)> {
    let pasts = past::all();
    let (own, shared): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|(case, _)| case.is_of_a_past());
    let (shared, reports): (Vec<_>, Vec<_>) = shared.into_iter().unzip();
    let mut answers: Vec<_> = shared.into_iter().zip(server.price(&reports)).collect();
    for (case, report) in own {
        let past = past_of(&pasts, name, case);
        if past.is_some_and(|past| past.why_not.is_some()) {
            continue;
        }
        let calls = past.map(Past::reports).unwrap_or_default();
        let contract = case.org().map(|org| Contract { org, book });
        answers.push((case, server.price_after(&calls, &report, contract)));
    }
    answers
}

/// The past of a case, where it has one.
///
/// # Panics
/// Nobody wrote the calls that come to what the case says was counted.
fn past_of<'p>(pasts: &'p [Past], table: &str, case: &Case) -> Option<&'p Past> {
    let counts = case.counts();
    let past = pasts
        .iter()
        .find(|past| past.table == table && past.counts == counts);
    let told = past.is_some() || counts.is_empty();
    assert!(told, "{table}: {}: pasts.json lacks {counts:?}", case.name);
    past
}

/// The cases of a table that the API answers otherwise.
fn http_differences(name: &str) -> Vec<(Otherwise, String)> {
    let table = Table::read(name);
    let book = table.book();
    let native = pricer::Native::new(&table.canonical_book());
    let mut differences = Vec::new();
    for deployment in [Deployment::Hosted, Deployment::SelfHosted] {
        let cases: Vec<(&Case, Reported)> = table
            .cases
            .iter()
            .map(|case| (case, case.reported()))
            .filter(|(_, reported)| reported.facts.deployment == deployment)
            .collect();
        if cases.is_empty() {
            continue;
        }
        let server = HttpServer::start(Some(&book), deployment, OCCURRED_AT_MS);
        for (case, answer) in http_answers(&server, name, &book, cases) {
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
    let unlisted: Vec<_> = found
        .iter()
        .filter(|(otherwise, _)| !listed.contains(otherwise))
        .map(|(of, difference)| {
            let Otherwise {
                table,
                case,
                answer,
                ..
            } = of;
            format!("{table}: {case}\n  {difference}\n  got {answer}")
        })
        .collect();
    assert!(unlisted.is_empty(), "{}", unlisted.join("\n"));
    assert_eq!(found.len(), listed.len(), "a listed case is answered alike");
}

/// Every past is needed, and the rules count of it what the cases say: else a server that counts
/// otherwise could still meet the prices on one side of a threshold.
#[test]
fn pasts_come_to_what_the_cases_say_was_counted() {
    let pasts = past::all();
    let mut used = BTreeSet::new();
    let mut unasked = Vec::new();
    for name in table::names() {
        let table = Table::read(&name);
        let book = BookView::open(table.canonical_book()).unwrap();
        for case in &table.cases {
            let Some(past) = past_of(&pasts, &name, case) else {
                continue;
            };
            used.insert((&past.table, &past.counts));
            if past.why_not.is_some() {
                unasked.push(format!("{name}: {}", case.name));
                continue;
            }
            let mut facts = case.reported().facts;
            facts.other.clear();
            let counted = past.counted(&book, &facts);
            assert_eq!(counted, past.counts, "{name}: {}", case.name);
        }
    }
    assert_eq!(used.len(), pasts.len(), "a past of no case, or one twice");
    // All that is not asked over HTTP. One more is a loss, and is to be reviewed as such.
    let broken = "compute_units: a broken count is refused, not read as zero";
    assert_eq!(unasked, [broken]);
}

/// What makes something free, or chooses a price, is the host's to say.
#[test]
fn a_caller_who_states_facts_is_refused() {
    let mut asked = 0_usize;
    for name in table::names() {
        let table = Table::read(&name);
        let stated: Vec<_> = table.cases.iter().map(Case::stated).collect();
        let stated: Vec<_> = stated
            .into_iter()
            .filter(|report| report.call.contains_key("facts"))
            .collect();
        if stated.is_empty() {
            continue;
        }
        asked = asked.saturating_add(stated.len());
        let server = HttpServer::start(Some(&table.book()), Deployment::Hosted, OCCURRED_AT_MS);
        for answer in server.price(&stated) {
            assert_eq!(answer["error"]["type"], "invalid-request", "{answer}");
        }
    }
    assert!(asked >= 11, "{asked} cases state facts");
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
