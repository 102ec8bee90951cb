//! Models and prices at random.

use super::{NOW_MS, REGIONS, TIERS, text};
use crate::book::*;
use crate::meter::{Attribute, Meter};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

pub fn meter() -> impl Strategy<Value = Meter> {
    prop_oneof![
        9 => select(Meter::NAMED.to_vec()),
        1 => Just(Meter::Other("judge_run".into())),
    ]
}

pub fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let one = |name: &'static str, values: &'static [&'static str]| {
        of(text(values)).prop_map(move |value| {
            value.map(|value| Attribute {
                name: name.into(),
                value,
            })
        })
    };
    (
        one("quality", &["hd", "low"]),
        one("size", &["big", "small"]),
    )
        .prop_map(|(a, b)| a.into_iter().chain(b).collect())
}

pub fn price() -> impl Strategy<Value = Decimal> {
    (0_i64..5_000_000, 4_u32..14)
        .prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale).normalize())
}

pub fn factor() -> impl Strategy<Value = Decimal> {
    (0_i64..500).prop_map(|hundredths| Decimal::new(hundredths, 2).normalize())
}

fn rates() -> impl Strategy<Value = Vec<Rate>> {
    let plain = prop_oneof![6 => Just(Vec::new()), 1 => attributes()];
    prop::collection::btree_map((meter(), plain), price(), 0..14).prop_map(|rates| {
        rates
            .into_iter()
            .map(|((meter, attributes), usd)| Rate {
                meter,
                attributes,
                usd,
            })
            .collect()
    })
}

type TableKey = (
    Option<Box<str>>,
    Option<Box<str>>,
    Option<u64>,
    Option<Box<Hours>>,
);

/// Two that do not overlap; the generated calls lie in the second.
fn hours() -> impl Strategy<Value = Box<Hours>> {
    let named = |name: &str, spans: &[(u16, u16)]| {
        Box::new(Hours {
            name: name.into(),
            spans: spans.to_vec(),
        })
    };
    select(vec![
        named("early", &[(0, 300)]),
        named("late", &[(300, 1000), (1020, 10_080)]),
    ])
}

fn tables() -> impl Strategy<Value = Vec<RateTable>> {
    let key = (
        of(text(&TIERS)),
        of(text(&REGIONS)),
        of(select(vec![0_u64, 10, 500, 2000])),
        weighted(0.3, hours()),
    );
    let more = prop::collection::btree_map(key, rates(), 0..6);
    (rates(), more).prop_map(|(standard, more)| {
        let mut tables: BTreeMap<TableKey, Vec<Rate>> = more;
        tables.insert((None, None, None, None), standard);
        tables
            .into_iter()
            .map(
                |((service_tier, region, context_above, hours), rates)| RateTable {
                    service_tier,
                    region,
                    context_above,
                    hours,
                    rates,
                },
            )
            .collect()
    })
}

fn allowances() -> impl Strategy<Value = Vec<Allowance>> {
    let one = (meter(), 0_u64..2000, any::<bool>());
    let some = prop::collection::vec(one, 0..3).prop_map(|some| {
        let mut allowances: Vec<Allowance> = some
            .into_iter()
            .map(|(meter, count, day)| Allowance {
                name: "shared".into(),
                meter,
                count,
                per: if day { Per::Day } else { Per::Month },
            })
            .collect();
        allowances.sort_by(|a, b| a.meter.cmp(&b.meter));
        allowances.dedup_by(|a, b| a.meter == b.meter);
        allowances
    });
    prop_oneof![2 => Just(Vec::new()), 1 => some]
}

fn period() -> impl Strategy<Value = Period> {
    (tables(), allowances()).prop_map(|(tables, allowances)| Period {
        valid_from_ms: None,
        valid_to_ms: None,
        known_since_ms: None,
        tables,
        allowances,
    })
}

pub fn periods() -> impl Strategy<Value = Vec<Period>> {
    prop_oneof![
        period().prop_map(|only| vec![only]),
        (period(), period(), -1_i64..2).prop_map(|(mut before, mut after, shift)| {
            let change = Some(NOW_MS + shift);
            (before.valid_to_ms, after.valid_from_ms) = (change, change);
            vec![before, after]
        }),
        // A correction: it holds over all the time, and is known from about now on.
        (period(), period(), -1_i64..2).prop_map(|(first, mut correction, shift)| {
            correction.known_since_ms = Some(NOW_MS + shift);
            vec![first, correction]
        }),
    ]
}

pub const PROVIDERS: [&str; 4] = ["azure", "google", "openai", "vertex_ai"];
pub const NAMES: [&str; 5] = ["a", "ab", "abc", "b", "ünï"];

pub fn models() -> impl Strategy<Value = Vec<Model>> {
    let key = (text(&PROVIDERS), text(&NAMES));
    let model = (
        periods(),
        of(0_u64..3000),
        select(vec![(false, false), (true, false), (false, true)]),
        prop::collection::btree_set("[a-c]{1,4}", 0..3),
        prop::collection::btree_set("[a-c]{1,3}", 0..3),
        prop::collection::btree_set("[a-c#*]{1,4}", 0..3),
        prop::collection::btree_set("[a-c*]{1,2}", 0..2),
    );
    prop::collection::btree_map(key, model, 1..6).prop_map(|models| {
        // A provider's alias, prefix or pattern stands once: later models give way.
        let mut taken: [BTreeSet<(Box<str>, Box<str>)>; 3] = Default::default();
        models
            .into_iter()
            .map(
                |(
                    (provider, name),
                    (periods, max, context, aliases, prefixes, patterns, except),
                )| {
                    let sets = [(0, aliases), (1, prefixes), (2, patterns)];
                    let [aliases, prefixes, patterns] = sets.map(|(kind, names)| {
                        let free =
                            |name: &Box<str>| taken[kind].insert((provider.clone(), name.clone()));
                        names.into_iter().map(Box::from).filter(free).collect()
                    });
                    Model {
                        provider,
                        name: name.into(),
                        aliases,
                        prefixes,
                        patterns,
                        except: except.into_iter().map(Box::from).collect(),
                        max_output_tokens: max,
                        context_inclusive: context.0,
                        context_marginal: context.1,
                        periods,
                    }
                },
            )
            .collect()
    })
}
