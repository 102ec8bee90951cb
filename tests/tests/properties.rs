//! What holds for every event on the shipped book, and not only for those somebody thought of:
//! the sandboxed component prices as the native arithmetic does, nobody is charged less than the
//! call cost, lines add up, and, where no tier changes the rate of the whole request, more usage
//! never costs less.

use farebox::app::shipped;
use farebox::engine::limits::Trust;
use farebox::service::policy::Priced;
use farebox_pricing::answer::LineKind;
use farebox_pricing::book::{Model, RateTable};
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::meter::{Meter, Pool, Quantity};
use farebox_tests::pricer::{self, Answer, Batch, Component, Native, Pricer, Request};
use farebox_tests::recorded::OCCURRED_AT_MS;
use farebox_tests::table;
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::cell::LazyCell;

/// The shipped book and the ways to price under it.
struct Subject {
    models: Vec<Model>,
    native: Native,
    others: Vec<Box<dyn Pricer>>,
}

thread_local! {
    static SUBJECT: LazyCell<Subject> = LazyCell::new(|| {
        let shipped = shipped::default_book().unwrap();
        let book = &shipped.canonical;
        let warm = Component::new("component", book, Trust::Trusted);
        let batch = Component::new("component, batch", book, Trust::Trusted);
        Subject {
            models: shipped.book.models,
            native: Native::new(book),
            others: vec![Box::new(warm), Box::new(Batch(batch))],
        }
    });
}

fn tables(model: &Model) -> impl Iterator<Item = &RateTable> {
    model.periods.iter().flat_map(|period| &period.tables)
}

/// The meters that a model has a rate for.
fn meters(model: &Model) -> Vec<Meter> {
    let rates = tables(model).flat_map(|table| &table.rates);
    let mut meters: Vec<_> = rates.map(|rate| rate.meter.clone()).collect();
    meters.sort();
    meters.dedup();
    meters
}

/// Numbers from which a call is made, whatever the book holds.
#[derive(Clone, Debug)]
struct Seed {
    model: prop::sample::Index,
    table: prop::sample::Index,
    /// One for each meter, used in turn; `None` leaves the meter out.
    quantities: Vec<Option<u64>>,
    own_key: bool,
    self_hosted: bool,
}

/// Quantities of every size: most are small, some lie at a threshold, few are absurd.
fn quantity() -> impl Strategy<Value = u64> {
    let thresholds = prop::sample::select(vec![
        100_000_u64,
        128_000,
        199_999,
        200_000,
        256_000,
        272_000,
    ]);
    prop_oneof![
        4 => 0..20_000_u64,
        2 => (thresholds, 0..3_u64).prop_map(|(at, more)| at + more),
        1 => 0..1_000_000_000_000_u64,
    ]
}

fn seed() -> impl Strategy<Value = Seed> {
    (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        prop::collection::vec(prop::option::weighted(0.7, quantity()), 4),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(model, table, quantities, own_key, self_hosted)| Seed {
            model,
            table,
            quantities,
            own_key,
            self_hosted,
        })
}

impl Seed {
    fn request(&self, models: &[Model]) -> Request {
        let model = self.model.get(models);
        let all: Vec<_> = tables(model).collect();
        let table = self.table.get(&all);
        let pools = meters(model)
            .into_iter()
            .zip(self.quantities.iter().cycle())
            .filter_map(|(meter, quantity)| Some(Pool::new(meter, whole((*quantity)?))))
            .collect();
        let event = UsageEvent {
            provider: model.provider.clone(),
            model_asked: Some((&*model.name).into()),
            model_served: None,
            service_tier: table.service_tier.clone(),
            region: table.region.clone(),
            feature: None,
            pools,
            provider_cost_usd: None,
        };
        let deployment = match self.self_hosted {
            true => Deployment::SelfHosted,
            false => Deployment::Hosted,
        };
        let key_source = match self.own_key {
            true => KeySource::Own,
            false => KeySource::Managed,
        };
        (event, Facts::new(deployment, key_source, OCCURRED_AT_MS))
    }
}

fn whole(quantity: u64) -> Quantity {
    Quantity::new(Decimal::from(quantity)).expect("within the range of a quantity")
}

fn one(pricer: &dyn Pricer, request: &Request) -> Answer {
    let mut answers = pricer.price(std::slice::from_ref(request));
    answers.pop().expect("an answer to each request")
}

/// What the customer pays is no less than what the call cost its payer, and what its lines say.
fn keeps_the_floor(request: &Request, priced: &Priced) {
    let (event, facts) = request;
    let place = format!("{} {:?}", event.provider, event.model());
    assert!(!priced.below_cost, "{place}");
    assert!(priced.price_usd >= priced.provider_cost_usd, "{place}");
    let used: Decimal = priced
        .lines
        .iter()
        .filter(|line| line.kind == LineKind::Usage)
        .map(|line| line.amount_usd)
        .sum();
    match facts.key_source {
        KeySource::Managed => {
            assert_eq!(priced.provider_cost_usd, used, "{place}");
        }
        KeySource::Own => assert!(priced.provider_cost_usd.is_zero(), "{place}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_component_prices_as_the_native_arithmetic_does(
        seeds in prop::collection::vec(seed(), 1..24)
    ) {
        SUBJECT.with(|subject| {
            let requests: Vec<_> =
                seeds.iter().map(|seed| seed.request(&subject.models)).collect();
            let native = subject.native.price(&requests);
            for other in &subject.others {
                let answers = other.price(&requests);
                // Of decimals, `Debug` shows the scale, which equality passes over.
                assert_eq!(format!("{answers:?}"), format!("{native:?}"), "{}", other.name());
            }
            for answer in &native {
                assert!(table::adds_up(&pricer::json(answer)), "{answer:?}");
            }
        });
    }

    #[test]
    fn nobody_pays_less_than_the_call_cost(seed in seed()) {
        SUBJECT.with(|subject| {
            let request = seed.request(&subject.models);
            for pricer in &subject.others {
                if let Ok(priced) = one(pricer.as_ref(), &request) {
                    keeps_the_floor(&request, &priced);
                }
            }
        });
    }

    #[test]
    fn more_of_any_pool_never_costs_less(
        seed in seed(),
        pool in any::<prop::sample::Index>(),
        more in 1..300_000_u64,
    ) {
        SUBJECT.with(|subject| {
            let less = seed.request(&subject.models);
            let model = seed.model.get(&subject.models);
            if less.0.pools.is_empty() || tables(model).any(|table| table.context_above.is_some()) {
                return;
            }
            let mut greater = less.clone();
            let pool = pool.index(greater.0.pools.len());
            let quantity = greater.0.pools[pool].quantity.get() + Decimal::from(more);
            greater.0.pools[pool].quantity = Quantity::new(quantity).unwrap();
            for pricer in &subject.others {
                let prices = (one(pricer.as_ref(), &less), one(pricer.as_ref(), &greater));
                if let (Ok(less), Ok(greater)) = prices {
                    assert!(greater.price_usd >= less.price_usd, "{less:?}\n{greater:?}");
                    assert!(greater.provider_cost_usd >= less.provider_cost_usd);
                }
            }
        });
    }
}

/// The generated events are not all refused, and reach what makes prices differ.
#[test]
fn generated_events_reach_prices() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    SUBJECT.with(|subject| {
        let requests: Vec<_> = (0..800)
            .map(|_| {
                seed()
                    .new_tree(&mut runner)
                    .unwrap()
                    .current()
                    .request(&subject.models)
            })
            .collect();
        let answers = subject.native.price(&requests);
        let priced = answers.iter().filter(|answer| answer.is_ok()).count();
        let tiers = requests
            .iter()
            .filter(|(event, _)| event.service_tier.is_some())
            .count();
        assert!(priced >= 600, "only {priced} of 800 have a price");
        assert!(tiers >= 30, "only {tiers} of 800 name a service tier");
    });
}
