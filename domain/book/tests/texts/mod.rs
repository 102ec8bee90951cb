//! Books at random, as people might write them: everything that the text can say.

mod models;
mod terms;

use farebox_book::amount::Amount;
use farebox_book::text::{
    BookText, CapText, DefaultsText, DeploymentsText, MeterFallbackText, ModelText, OverrideText,
    OwnKeysText, RoundingText, SourceText,
};
use indexmap::IndexMap;
use models::models;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use terms::{failures, own_keys, prices, rules, terms, unknown_models};

/// Names with everything that has to be quoted or escaped.
fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 ./:_\"'\\\\#@é語-]{1,12}"
}

fn amount() -> impl Strategy<Value = Amount> {
    (0_u64..1_000_000, 0_u32..9).prop_map(|(digits, scale)| {
        let shown = format!("{digits}e-{scale}");
        Amount::parse(&shown).unwrap()
    })
}

fn markup() -> impl Strategy<Value = Amount> {
    (100_u32..500).prop_map(|hundredths| Amount::parse(&format!("{hundredths}e-2")).unwrap())
}

/// Public names with upstreams among `count` models.
fn routes(count: usize) -> impl Strategy<Value = IndexMap<String, Vec<String>>> {
    let upstreams: Vec<String> = (0..count).map(|n| format!("openai/model {n}")).collect();
    let some = subsequence(upstreams, 1.min(count)..=count);
    btree_map(name(), some, 0..3).prop_map(move |routes| {
        let routes = routes.into_iter().filter(|_| count > 0);
        // No model has such a name or alias.
        routes
            .map(|(name, upstreams)| (format!("public {name}"), upstreams))
            .collect()
    })
}

/// Overrides that change something of `models`.
fn overrides(models: Vec<ModelText>) -> impl Strategy<Value = Vec<OverrideText>> {
    let one = (name(), any::<(Index, bool)>(), of(markup()), amount());
    vec(one, 0..3).prop_map(move |all| {
        if models.is_empty() {
            return Vec::new();
        }
        let of_one = |(reason, (index, dated), factor, usd): (_, (Index, bool), Option<_>, _)| {
            let model = index.get(&models);
            let input = model.per_million.contains_key("input");
            // Only a price that is there has a factor, and only then has every region one.
            let factor = factor.filter(|_| input);
            let region = model.regions.first().filter(|_| input);
            OverrideText {
                reason,
                provider: "openai".into(),
                model: Some(model.model.clone()),
                meters: vec!["input".into()],
                tier: factor.is_none().then(|| "standard".into()),
                region: region.map(|region| region.name.clone()),
                valid_from: dated.then(|| "2020-01-01".into()),
                factor,
                per_million: factor.is_none().then_some(usd),
                per_unit: None,
            }
        };
        all.into_iter().map(of_one).collect()
    })
}

/// A book that compiles, but for prices so far apart that a region raises a tier beyond all bounds.
pub fn books() -> impl Strategy<Value = BookText> {
    plain_books().prop_flat_map(|book| {
        let further = (routes(book.models.len()), overrides(book.models.clone()));
        further.prop_map(move |(routes, overrides)| BookText {
            routes,
            overrides,
            ..book.clone()
        })
    })
}

/// Without what speaks of the book's own models.
fn plain_books() -> impl Strategy<Value = BookText> {
    let head = (
        name(),
        of(Just(RoundingText::HalfEven)),
        vec((name(), name()), 0..3),
    );
    let defaults = (of(markup()), of(amount()), of(1_u64..1_000_000));
    let sold = (of((own_keys(), any::<bool>())), of(terms()), of(terms()));
    let named = (
        btree_map(name(), terms(), 0..3),
        btree_map(name(), terms(), 0..3),
    );
    let fallbacks = (
        of(vec(of(amount()), 0..2)),
        btree_map(name(), amount(), 0..2),
        of(unknown_models()),
        of(failures()),
    );
    let further = (
        vec(prices(), 0..2),
        vec(prices(), 1..3),
        rules(),
        btree_map(name(), terms(), 0..2),
        of(Just(Amount::parse("0.001").unwrap())),
    );
    (head, defaults, sold, named, fallbacks, models(), further).prop_map(
        |(head, defaults, sold, named, fallbacks, models, further)| BookText {
            costs: further.0,
            sheets: [("retail".to_owned(), further.1)].into_iter().collect(),
            rules: further.2,
            orgs: further.3.into_iter().collect(),
            charge_step_usd: further.4,
            routes: IndexMap::new(),
            name: head.0,
            as_of: "2026-11-21".into(),
            rounding: head.1,
            loss_leader: false,
            sources: head
                .2
                .into_iter()
                .map(|(name, version)| SourceText { name, version })
                .collect(),
            defaults: DefaultsText {
                markup: defaults.0,
                minimum_usd: defaults.1,
                max_output_tokens: defaults.2,
                ..DefaultsText::default()
            },
            own_keys: sold.0.map(|(own, capped)| OwnKeysText {
                cap: capped.then(|| CapText {
                    fixed_usd: Some(Amount::parse("1000000").unwrap()),
                    share_of_market: Some(Amount::parse("1000000").unwrap()),
                }),
                ..own
            }),
            deployments: DeploymentsText {
                hosted: sold.1,
                self_hosted: sold.2,
            },
            plans: named.0.into_iter().collect(),
            features: named.1.into_iter().collect(),
            meter_fallbacks: fallbacks.0.map(|factors| {
                let factors = factors.into_iter();
                factors
                    .map(|factor| MeterFallbackText {
                        meter: "reasoning".into(),
                        base: "output".into(),
                        factor,
                        service_tier: factor.map(|_| "flex".to_owned()),
                        name: factor.map(|_| "a rule".to_owned()),
                    })
                    .collect()
            }),
            tier_fallbacks: fallbacks.1.into_iter().collect(),
            unknown_models: fallbacks.2,
            failures: fallbacks.3,
            overrides: Vec::new(),
            models,
        },
    )
}
