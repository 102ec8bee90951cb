//! Every table of `tests/cases/rate` through every way of pricing: native, in a warm instance of
//! the component, in a fresh one, and in batches. The expected prices were worked out by hand, so
//! that no implementation is its own judge.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; the lint's own exemption stops at its functions"
)]

use farebox::cli::rate::output::ErrorLine;
use farebox_tests::pricer::{self, Answer};
use farebox_tests::table::{self, Case, Table};

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

#[test]
fn no_table_is_lost() {
    let names = table::names();
    let cases: usize = names.iter().map(|name| Table::read(name).cases.len()).sum();
    assert!(
        names.len() >= 8 && cases >= 132,
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
