//! Every model of the shipped price book can be priced within the limits of the sandbox: alone,
//! and in the heaviest batches. A model's prices are decoded when it is first asked for, so the
//! first call is the dearest, and one that does not fit would never be priced.

use farebox::app::shipped;
use farebox::engine::Engine;
use farebox::engine::limits::Trust;
use farebox::engine::package::Package;
use farebox::service::policy::{PolicyEngine, PolicyError};
use farebox_pricing::book::Model;
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::meter::{Meter, Pool, Quantity};
use farebox_tests::pricer::{Batch, Component, Native, Pricer, Request};
use farebox_tests::recorded::OCCURRED_AT_MS;

/// One unit of everything that the model has a price for.
fn request(model: &Model) -> Request {
    let tables = model.periods.iter().flat_map(|period| &period.tables);
    let mut meters: Vec<Meter> = tables
        .flat_map(|table| table.rates.iter().map(|rate| rate.meter.clone()))
        .collect();
    meters.sort();
    meters.dedup();
    let event = UsageEvent {
        provider: model.provider.clone(),
        model_asked: Some((*model.name).into()),
        model_served: None,
        service_tier: None,
        region: None,
        feature: None,
        pools: meters
            .into_iter()
            .map(|meter| Pool::new(meter, Quantity::ONE))
            .collect(),
        provider_cost_usd: None,
    };
    let facts = Facts::new(Deployment::Hosted, KeySource::Managed, OCCURRED_AT_MS);
    (event, facts)
}

fn rates(model: &Model) -> usize {
    let tables = model.periods.iter().flat_map(|period| &period.tables);
    tables.map(|table| table.rates.len()).sum()
}

#[test]
fn every_model_fits_the_sandbox_alone_and_in_the_heaviest_batches() {
    let mut shipped = shipped::default_book().unwrap();
    let models = &mut shipped.book.models;
    models.sort_by_key(|model| std::cmp::Reverse(rates(model)));
    let requests: Vec<_> = models.iter().map(request).collect();
    let expected = Native::new(&shipped.canonical).price(&requests);
    let alone = Component::new("alone", &shipped.canonical, Trust::Trusted);
    let batch = Component::new("batch", &shipped.canonical, Trust::Trusted);
    for pricer in [Box::new(alone) as Box<dyn Pricer>, Box::new(Batch(batch))] {
        let answers = pricer.price(&requests);
        assert_eq!(answers.len(), expected.len());
        for ((event, _), (answer, expected)) in requests.iter().zip(answers.iter().zip(&expected)) {
            let place = format!("{}, {} {:?}", pricer.name(), event.provider, event.model());
            assert!(
                !matches!(expected, Err(PolicyError::Fault(_))),
                "{place}: {expected:?}"
            );
            assert_eq!(answer, expected, "{place}");
        }
    }
}

#[test]
fn every_shipped_book_passes_the_trial_of_a_pushed_release() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest/standard/books");
    let cache = tempfile::tempdir().unwrap();
    let engine = Engine::new(cache.path().to_owned()).unwrap();
    let mut tried = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let compiled = farebox_book::compile(&text, farebox_book::Format::Toml).unwrap();
        let package = Package {
            component: shipped::STANDARD_COMPONENT.to_vec(),
            book: Some(compiled.canonical),
            book_source: Some(text.into_bytes()),
            ..Package::default()
        };
        // As somebody else's, so that nothing is overlooked because it is our own.
        let admitted = engine.admit(&package.to_file(), Some(Trust::Untrusted));
        let admitted = admitted.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let fuel = engine.fuel(&admitted.id).unwrap();
        assert!((1..fuel.limit).contains(&fuel.used_max), "{fuel:?}");
        tried += 1;
    }
    assert!(tried > 6, "{tried}");
}
