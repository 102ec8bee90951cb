//! The policies of `guest/examples`, run in the real engine. A test that needs a language's tools has
//! the language in its name: where they are missing, `cargo xtask test` leaves it out and says so.

use farebox::app::shipped;
use farebox::engine::Engine;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::engine::package::Package;
use farebox::service::policy::{PolicyEngine as _, PolicyError, ReleaseId, rate_requests};
use farebox_book::{Format, compile};
use farebox_pricing::answer::{Line, LineKind, Reason};
use farebox_pricing::canonical::BookView;
use farebox_pricing::event::{Deployment, Facts, KeySource};
use farebox_pricing::rating;
use farebox_tests::pricer::Request;
use farebox_tests::recorded::{OCCURRED_AT_MS, Recorded};
use farebox_tests::table::Table;
use farebox_tests::{guests, repository};
use std::path::Path;

/// See [`tables_agree`].
const TABLES: [&str; 10] = [
    "context",
    "corrections",
    "dates",
    "hours",
    "match",
    "meters",
    "models",
    "regions",
    "tier_cache",
    "tiers",
];

/// An engine whose compiled components outlive the run, in the folder of the commands that the host's
/// tests run on the same policies: a scripted one takes the compiler a while.
fn engine() -> Engine {
    Engine::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache/farebox")).unwrap()
}

fn file(component: &str, book: Vec<u8>) -> Vec<u8> {
    Package {
        component: guests::component(component),
        book: Some(book),
        ..Package::default()
    }
    .to_file()
}

fn book(example: &str) -> Vec<u8> {
    let path = repository(&format!("guest/examples/{example}/book.toml"));
    let text = std::fs::read_to_string(path).unwrap();
    let compiled = compile(&text, Format::Toml).unwrap_or_else(|errors| panic!("{errors:?}"));
    compiled.canonical
}

fn recorded() -> Vec<Request> {
    let facts = Facts::new(Deployment::Hosted, KeySource::Managed, OCCURRED_AT_MS);
    let recorded = Recorded::all();
    let requests = recorded.iter();
    requests
        .map(|recorded| (recorded.call().intake.event, facts.clone()))
        .collect()
}

/// The lines that stand for what the call costs at the provider.
fn cost_lines(lines: &[Line]) -> Vec<&Line> {
    let is_cost = |line: &&Line| matches!(line.kind, LineKind::Usage | LineKind::ProviderCost);
    lines.iter().filter(is_cost).collect()
}

/// The library of a language against the arithmetic that is compiled into the host: every recorded
/// call under the shipped book, its lines, its reasons and its refusals.
fn costs_agree(component: &str) {
    let engine = engine();
    let book = shipped::default_book().unwrap().canonical;
    let admitted = engine.admit(&file(component, book.clone()), None).unwrap();
    assert_eq!(admitted.class, LimitClass::Scripted);
    assert_eq!(admitted.trust, Trust::Untrusted);
    let native = BookView::open(book).unwrap();
    let requests = recorded();
    let mut priced = 0;
    for batch in requests.chunks(admitted.class.limits().batch_events_max) {
        let answers = engine.rate_batch(&admitted.id, &rate_requests(batch));
        for ((event, facts), answer) in batch.iter().zip(answers) {
            match (rating::rate(&native, event, facts), answer) {
                (Ok(expected), Ok(got)) => {
                    let (expected, got) = (cost_lines(&expected.lines), cost_lines(&got.lines));
                    assert_eq!(got, expected, "{event:?}");
                    priced += 1;
                }
                (Err(expected), Err(PolicyError::Refused(got))) => {
                    assert_eq!(got, expected, "{event:?}");
                }
                (expected, got) => panic!("{event:?}: {expected:?} natively, {got:?} here"),
            }
        }
    }
    assert!(priced > 700, "{priced}");
}

/// The same for every table of cases whose book has what the libraries read: no terms of sale, no
/// units that the provider gives away, no context that is marginal, no rule for unknown models. A
/// model that stands under a related provider is one that the libraries do not know.
fn tables_agree(component: &str) {
    let engine = engine();
    let mut priced = 0;
    for name in TABLES {
        let table = Table::read(name);
        let book = table.canonical_book();
        let native = BookView::open(book.clone()).unwrap();
        let admitted = engine.admit(&file(component, book), None);
        let release = admitted
            .unwrap_or_else(|error| panic!("{name}: {error:?}"))
            .id;
        for case in &table.cases {
            let Ok((event, facts)) = case.request() else {
                continue;
            };
            if facts.key_source == KeySource::Own {
                continue;
            }
            match (
                farebox_pricing::rating::rate(&native, &event, &facts),
                engine.rate(&release, &event, &facts),
            ) {
                (Ok(expected), Err(PolicyError::Refused(_))) if of_another(&expected.lines) => {}
                (Ok(expected), Ok(got)) => {
                    let (expected, got) = (cost_lines(&expected.lines), cost_lines(&got.lines));
                    assert_eq!(got, expected, "{name}: {}", case.name);
                    priced += 1;
                }
                (Err(_), Err(PolicyError::Refused(_))) => {}
                (expected, got) => panic!("{name}: {}: {expected:?} natively, {got:?}", case.name),
            }
        }
    }
    assert!(priced > 50, "{priced}");
}

fn of_another(lines: &[Line]) -> bool {
    lines.iter().any(|line| match &line.reason {
        Reason::Rate(rate) => {
            let rules = rate.fallback.as_deref().unwrap_or_default();
            rules.starts_with("provider:")
        }
        _ => false,
    })
}

/// Asked one by one, in a batch, and in a kept instance: the same answers.
fn every_way_agrees(component: &str, book: Vec<u8>, requests: &[Request]) {
    let file = file(component, book);
    let fresh = engine();
    let release = fresh.admit(&file, None).unwrap().id;
    let kept = engine();
    let trusted = kept.admit(&file, Some(Trust::Trusted)).unwrap().id;
    let one_by_one = |engine: &Engine, release: &ReleaseId| {
        let requests = requests.iter();
        let answers = requests.map(|(event, facts)| engine.rate(release, event, facts));
        answers.collect::<Vec<_>>()
    };
    let requests = rate_requests(requests);
    let answers = fresh.rate_batch(&release, &requests);
    assert_eq!(one_by_one(&fresh, &release), answers);
    assert_eq!(one_by_one(&kept, &trusted), answers);
    assert_eq!(kept.rate_batch(&trusted, &requests), answers);
}

#[test]
fn costs_in_javascript_are_those_of_the_native_arithmetic() {
    costs_agree(guests::HAPPY_HOUR);
    tables_agree(guests::HAPPY_HOUR);
}

#[test]
fn every_way_of_pricing_in_javascript_agrees() {
    let book = book("happy-hour");
    let requests: Vec<Request> = recorded().into_iter().step_by(25).collect();
    every_way_agrees(guests::HAPPY_HOUR, book, &requests);
}

#[test]
fn costs_in_python_are_those_of_the_native_arithmetic() {
    costs_agree(guests::SURGE);
    tables_agree(guests::SURGE);
}

#[test]
fn every_way_of_pricing_in_python_agrees() {
    let book = book("surge");
    let requests: Vec<Request> = recorded().into_iter().step_by(25).collect();
    every_way_agrees(guests::SURGE, book, &requests);
}
