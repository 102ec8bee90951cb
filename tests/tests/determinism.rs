//! Equal input gives equal output, bit for bit: generated calls of the shipped book are priced
//! natively, in a kept instance, in a fresh one, in batches, and in other orders; and the fuel a
//! call takes is the same each time, within what was measured.

use farebox::app::shipped;
use farebox::engine::Engine;
use farebox::engine::limits::{LimitClass, Trust};
use farebox_pricing::book::{Book, Model};
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::meter::{Attribute, Meter, Pool, Quantity};
use farebox_tests::compiled;
use farebox_tests::pricer::{self, Native, Pricer, Request};
use farebox_tests::recorded::OCCURRED_AT_MS;
use rust_decimal::Decimal;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn text(&mut self, one_in: usize, words: &[&str]) -> Option<Box<str>> {
        self.one_in(one_in).then(|| Box::from(*self.of(words)))
    }

    fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for at in (1..count).rev() {
            order.swap(at, self.below(at + 1));
        }
        order
    }
}

/// A name that leads to the model: its own, an alias, or one that begins with a prefix.
fn name(dice: &mut Dice, model: &Model) -> Box<str> {
    match dice.below(3) {
        0 if !model.aliases.is_empty() => dice.of(&model.aliases).clone(),
        1 if !model.prefixes.is_empty() => format!("{}-2026", dice.of(&model.prefixes)).into(),
        _ => (*model.name).into(),
    }
}

fn quantity(dice: &mut Dice, meter: &Meter) -> Quantity {
    let size = *dice.of(&[10, 5_000, 300_000, 1_000_000_000_000_usize]);
    let units = dice.below(size) as i64;
    let scale = if meter.is_whole() { 0 } else { dice.below(10) };
    Quantity::of(meter, Decimal::new(units, scale as u32)).unwrap()
}

fn pool(dice: &mut Dice, model: &Model) -> Pool {
    let meter = if dice.one_in(12) {
        dice.of(&Meter::NAMED).clone()
    } else {
        let tables = model.periods.iter().flat_map(|period| &period.tables);
        let rates: Vec<_> = tables.flat_map(|table| &table.rates).collect();
        dice.of(&rates).meter.clone()
    };
    let mut pool = Pool::new(meter.clone(), quantity(dice, &meter));
    if dice.one_in(10) {
        pool.attributes = ["quality", "size"]
            .map(|name| Attribute {
                name: name.into(),
                value: (*dice.of(&["hd", "1024x1024", "ü"])).into(),
            })
            .into();
    }
    pool
}

fn request(dice: &mut Dice, book: &Book) -> Request {
    let model = dice.of(&book.models);
    let asked = name(dice, model);
    let mut pools: Vec<Pool> = (0..dice.below(6)).map(|_| pool(dice, model)).collect();
    pools.sort_by(|a, b| (&a.meter, &a.attributes).cmp(&(&b.meter, &b.attributes)));
    pools.dedup_by(|a, b| a.meter == b.meter && a.attributes == b.attributes);
    let event = UsageEvent {
        provider: model.provider.clone(),
        model_asked: (!dice.one_in(20)).then(|| asked.clone()),
        model_served: dice.one_in(2).then_some(asked),
        service_tier: dice.text(4, &["batch", "flex", "priority", "standard", "odd"]),
        region: dice.text(8, &["us", "eu", "global"]),
        feature: dice.text(3, &["lead_enrichment", "support_chat"]),
        pools,
        provider_cost_usd: dice
            .one_in(10)
            .then(|| Decimal::new(dice.below(1_000_000) as i64, 7)),
    };
    let deployment = *dice.of(&[
        Deployment::Hosted,
        Deployment::Hosted,
        Deployment::SelfHosted,
    ]);
    let key_source = *dice.of(&[KeySource::Managed, KeySource::Managed, KeySource::Own]);
    let mut facts = Facts::new(deployment, key_source, OCCURRED_AT_MS);
    facts.occurred_at_ms += dice.below(86_400_000) as i64;
    facts.org = dice.text(2, &["org_a", "org_b"]);
    facts.user = dice.text(4, &["u1", "u2"]);
    facts.month_to_date_usd = Decimal::new(dice.below(1_000_000) as i64, 4);
    if dice.one_in(5) {
        facts.other = vec![Attribute {
            name: "capacity".into(),
            value: "7".into(),
        }];
    }
    (event, facts)
}

#[test]
fn generated_calls_cost_the_same_in_every_way_and_order() {
    let shipped = shipped::default_book().unwrap();
    let mut dice = Dice(0x5eed_f00d_cafe_0001);
    let requests: Vec<Request> = (0..1_500)
        .map(|_| request(&mut dice, &shipped.book))
        .collect();
    let expected = Native::new(&shipped.canonical).price(&requests);
    let priced = expected.iter().filter(|answer| answer.is_ok()).count();
    assert!(
        priced > 500,
        "only {priced} of the generated calls have a price"
    );
    for pricer in pricer::all(&shipped.canonical) {
        for _ in 0..2 {
            let order = dice.shuffled(requests.len());
            let permuted: Vec<Request> = order.iter().map(|at| requests[*at].clone()).collect();
            let answers = pricer.price(&permuted);
            for (at, answer) in order.into_iter().zip(answers) {
                let place = format!("{}: {:?}", pricer.name(), requests[at]);
                assert_eq!(answer, expected[at], "{place}");
                assert_eq!(bits(&answer), bits(&expected[at]), "{place}");
            }
        }
    }
}

/// Every number of a price with its scale, which equality of decimals does not see.
fn bits(answer: &pricer::Answer) -> Vec<[u8; 16]> {
    let Ok(priced) = answer else {
        return Vec::new();
    };
    let lines = priced.lines.iter();
    lines
        .flat_map(|line| [line.quantity, line.unit_price_usd, line.amount_usd])
        .chain([priced.price_usd, priced.provider_cost_usd])
        .chain(priced.market_usd)
        .map(|decimal| decimal.serialize())
        .collect()
}

/// Four pools of a model that is found by a prefix, a markup, a plan and an org: a call as a
/// gateway sees it.
fn usual_call() -> Request {
    let pool = |meter, quantity: u32| Pool::new(meter, Quantity::from(quantity));
    let event = UsageEvent {
        provider: "anthropic".into(),
        model_asked: Some("claude-sonnet-4-0".into()),
        model_served: Some("claude-sonnet-4-20250514".into()),
        service_tier: None,
        region: None,
        feature: Some("lead_enrichment".into()),
        pools: vec![
            pool(Meter::Input, 3),
            pool(Meter::CacheRead, 4_890),
            pool(Meter::CacheWrite5m, 353),
            pool(Meter::Output, 323),
        ],
        provider_cost_usd: None,
    };
    let mut facts = Facts::new(Deployment::Hosted, KeySource::Managed, OCCURRED_AT_MS);
    facts.plan = Some("pro".into());
    facts.org = Some("org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01".into());
    (event, facts)
}

#[test]
fn a_warm_call_takes_little_fuel_and_the_same_each_time() {
    let book = shipped::default_book().unwrap().canonical;
    let engine = Engine::new(compiled::folder().to_owned()).unwrap();
    let component = shipped::STANDARD_COMPONENT;
    let release = engine
        .load_release(component, book, LimitClass::Native, Trust::Trusted)
        .unwrap();
    let (event, facts) = usual_call();
    let batch = [(&event, &facts); 256];
    let fuel = |events: usize| engine.fuel_of(&release, &batch[..events]).unwrap();
    fuel(1);
    fuel(256);
    let (one, all) = (fuel(1), fuel(256));
    assert_eq!((fuel(1), fuel(256)), (one, all));
    let each = all / 256;
    assert!(
        one <= 12_500 && each <= 11_500,
        "{one} alone, {each} in a batch"
    );
}
