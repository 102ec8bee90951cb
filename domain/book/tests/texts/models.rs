//! Models with prices of every kind.

use super::{amount, markup, name};
use farebox_book::amount::Amount;
use farebox_book::text::{
    AllowanceText, ContextText, DayText, HoursText, ModelText, OtherPriceText, PerText, PeriodText,
    RateText, RegionText, TierText, WeekHoursText,
};
use indexmap::IndexMap;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

type Leaf = (
    IndexMap<String, Amount>,
    IndexMap<String, Amount>,
    Vec<RateText>,
);

fn leaf() -> impl Strategy<Value = Leaf> {
    let tokens = prop::sample::select(vec![
        "input",
        "output",
        "cache_read",
        "reasoning",
        "character",
    ]);
    let units = prop::sample::select(vec!["request", "search", "second", "judge_run", "page"]);
    let rates = btree_map(name(), amount(), 0..3);
    (
        btree_map(tokens, amount(), 0..4),
        btree_map(units, amount(), 0..3),
        rates,
    )
        .prop_map(|(tokens, units, rates)| {
            let owned = |map: std::collections::BTreeMap<&str, Amount>| {
                map.into_iter()
                    .map(|(meter, usd)| (meter.to_owned(), usd))
                    .collect()
            };
            let rates = rates.into_iter().map(|(size, usd)| RateText {
                meter: "image".into(),
                attributes: [("size".to_owned(), size)].into_iter().collect(),
                per_million: None,
                per_unit: Some(usd),
            });
            (owned(tokens), owned(units), rates.collect())
        })
}

fn contexts() -> impl Strategy<Value = Vec<ContextText>> {
    btree_map(1_u64..1_000_000, leaf(), 0..3).prop_map(|contexts| {
        let contexts = contexts.into_iter();
        contexts
            .map(|(above, (per_million, per_unit, rates))| ContextText {
                above,
                per_million,
                per_unit,
                rates,
            })
            .collect()
    })
}

fn tiers() -> impl Strategy<Value = Vec<TierText>> {
    let names = prop::sample::select(vec!["flex", "batch", "priority"]);
    btree_map(names, (leaf(), contexts()), 0..3).prop_map(|tiers| {
        let tiers = tiers.into_iter();
        tiers
            .map(
                |(name, ((per_million, per_unit, rates), context))| TierText {
                    name: name.to_owned(),
                    per_million,
                    per_unit,
                    rates,
                    context,
                },
            )
            .collect()
    })
}

fn regions() -> impl Strategy<Value = Vec<RegionText>> {
    btree_map(
        prop_oneof![3 => name(), 1 => Just("*".to_owned())],
        (leaf(), contexts(), tiers(), of(markup())),
        0..2,
    )
    .prop_map(|regions| {
        let regions = regions.into_iter();
        regions
            .map(
                |(name, ((per_million, per_unit, rates), context, tiers, factor))| RegionText {
                    name,
                    factor,
                    per_million,
                    per_unit,
                    rates,
                    context,
                    tiers,
                },
            )
            .collect()
    })
}

fn hours() -> impl Strategy<Value = Vec<HoursText>> {
    let prices = prop_oneof![
        markup().prop_map(|factor| (Some(factor), IndexMap::new())),
        amount().prop_map(|usd| (None, IndexMap::from([("input".to_owned(), usd)]))),
    ];
    of((name(), prices, of(Just("+05:30".to_owned())))).prop_map(|hours| {
        let hours = hours.into_iter();
        hours
            .map(|(name, (factor, per_million), utc_offset)| HoursText {
                name,
                utc_offset,
                when: vec![
                    WeekHoursText {
                        days: vec![DayText::Sat, DayText::Sun],
                        times: Vec::new(),
                    },
                    WeekHoursText {
                        days: Vec::new(),
                        times: vec!["16:30-00:30".into(), "06:00-07:00".into()],
                    },
                ],
                factor,
                per_million,
                ..HoursText::default()
            })
            .collect()
    })
}

fn allowances() -> impl Strategy<Value = Vec<AllowanceText>> {
    of((name(), 0_u64..5000, any::<bool>())).prop_map(|allowance| {
        let allowance = allowance.into_iter();
        allowance
            .map(|(name, count, day)| AllowanceText {
                name,
                meter: "search".into(),
                count,
                per: if day { PerText::Day } else { PerText::Month },
            })
            .collect()
    })
}

fn periods() -> impl Strategy<Value = Vec<PeriodText>> {
    btree_map(
        2025_u32..2035,
        (
            leaf(),
            contexts(),
            tiers(),
            regions(),
            hours(),
            allowances(),
        ),
        0..3,
    )
    .prop_map(|periods| {
        let periods = periods.into_iter();
        periods
            .map(
                |(year, (leaf, context, tiers, regions, hours, allowances))| PeriodText {
                    valid_from: Some(format!("{year}-01-01")),
                    valid_to: None,
                    known_since: (year % 3 == 0).then(|| format!("{year}-02-01")),
                    per_million: leaf.0,
                    per_unit: leaf.1,
                    rates: leaf.2,
                    context,
                    tiers,
                    regions,
                    hours,
                    allowances,
                },
            )
            .collect()
    })
}

pub fn models() -> impl Strategy<Value = Vec<ModelText>> {
    let names = (btree_set(name(), 0..3), btree_set(name(), 0..3));
    let model = (
        names,
        of(1_u64..100_000),
        any::<(bool, bool)>(),
        leaf(),
        contexts(),
        tiers(),
        regions(),
        periods(),
        (hours(), allowances(), of(amount())),
    );
    vec(model, 0..4).prop_map(|models| {
        let models = models.into_iter().enumerate();
        models
            .map(|(number, model)| {
                let ((aliases, prefixes), max_output_tokens, context, leaf, ..) = &model;
                // Aliases of two models would be refused, so each model has its own.
                let own = |names: &std::collections::BTreeSet<String>| -> Vec<String> {
                    names.iter().map(|name| format!("{number}{name}")).collect()
                };
                ModelText {
                    provider: "openai".into(),
                    model: format!("model {number}"),
                    aliases: own(aliases),
                    prefixes: own(prefixes),
                    max_output_tokens: *max_output_tokens,
                    patterns: own(prefixes)
                        .iter()
                        .map(|name: &String| format!("*{name}#"))
                        .collect(),
                    except: if prefixes.is_empty() {
                        Vec::new()
                    } else {
                        vec!["*-tts".into()]
                    },
                    context_inclusive: context.0,
                    context_marginal: context.1 && !context.0,
                    per_million: leaf.0.clone(),
                    per_unit: leaf.1.clone(),
                    rates: leaf.2.clone(),
                    context: model.4.clone(),
                    tiers: model.5.clone(),
                    regions: model.6.clone(),
                    periods: model.7.clone(),
                    hours: model.8.0.clone(),
                    allowances: model.8.1.clone(),
                    other_prices: model
                        .8
                        .2
                        .into_iter()
                        .map(|usd| OtherPriceText {
                            source: "another".into(),
                            meter: "input".into(),
                            per_million: Some(usd),
                            per_unit: None,
                        })
                        .collect(),
                }
            })
            .collect()
    })
}
