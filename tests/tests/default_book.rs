//! Every model of the shipped price book can be priced within the limits of the sandbox: alone,
//! and in the heaviest batches. A model's prices are decoded when it is first asked for, so the
//! first call is the dearest, and one that does not fit would never be priced.

use farebox::app::shipped;
use farebox::engine::limits::Trust;
use farebox::service::policy::PolicyError;
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
