//! What is written can be read: emitting is the inverse of parsing, in both formats, and both mean
//! the same book.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use farebox_book::amount::Amount;
use farebox_book::text::{
    AllowanceText, BookText, CapText, ContextText, DayText, DefaultsText, DeploymentsText,
    EstimateText, FailureActionText, FailuresText, FreeText, HoursText, MeterFallbackText,
    ModelText, OtherPriceText, OwnKeysText, PerText, PeriodText, PriceText, RateText, RegionText,
    RoundingText, RuleText, SourceText, StepText, Terms, TierText, UnknownModelsText,
    UnknownRuleText, VolumeText, WeekHoursText, WhenText,
};
use farebox_book::{Format, compile, parse, to_json, to_toml};
use indexmap::IndexMap;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

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

fn unknown_models() -> impl Strategy<Value = UnknownModelsText> {
    let rule = |rule, usd, per_million| UnknownModelsText {
        rule,
        usd,
        per_million,
        per_unit: IndexMap::new(),
        rates: Vec::new(),
    };
    prop_oneof![
        Just(rule(UnknownRuleText::Refuse, None, IndexMap::new())),
        Just(rule(UnknownRuleText::ProviderCost, None, IndexMap::new())),
        amount().prop_map(move |usd| rule(UnknownRuleText::Cap, Some(usd), IndexMap::new())),
        amount().prop_map(move |usd| {
            let prices = IndexMap::from([("input".to_owned(), usd)]);
            rule(UnknownRuleText::DefaultRate, None, prices)
        }),
    ]
}

fn failures() -> impl Strategy<Value = FailuresText> {
    let action = || {
        of(prop::sample::select(vec![
            FailureActionText::Nothing,
            FailureActionText::Estimate,
            FailureActionText::Hold,
            FailureActionText::Seen,
        ]))
    };
    let actions = (action(), action(), action(), action(), action());
    (actions, of(1_u64..10)).prop_map(|(actions, bytes_per_token)| FailuresText {
        client_abort: actions.0,
        upstream_error: actions.1,
        no_usage: actions.2,
        zero_usage: actions.3,
        partial_stream: actions.4,
        estimate: bytes_per_token.map(|bytes| EstimateText {
            bytes_per_token: Some(bytes),
            output_share: Some(Amount::parse("0.5").unwrap()),
        }),
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

fn models() -> impl Strategy<Value = Vec<ModelText>> {
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

fn own_keys() -> impl Strategy<Value = OwnKeysText> {
    (of(amount()), of(amount())).prop_map(|(fixed_usd, share_of_market)| OwnKeysText {
        allowed: None,
        fixed_usd,
        share_of_market,
        cap: None,
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    let paid = prop_oneof![
        Just(Terms::default()),
        markup().prop_map(|markup| Terms {
            markup: Some(markup),
            ..Terms::default()
        }),
        amount().prop_map(|share| Terms {
            share_of_market: Some(share),
            ..Terms::default()
        }),
        of(amount()).prop_map(|share_of_sheet| Terms {
            sheet: Some("retail".into()),
            share_of_sheet,
            ..Terms::default()
        }),
        Just(Terms {
            billed: Some(false),
            ..Terms::default()
        }),
    ];
    let amounts = (
        of(amount()),
        of(amount()),
        of(amount()),
        of(amount()),
        of(amount()),
    );
    let free = amount().prop_map(|quantity| FreeText {
        meter: "search".into(),
        quantity,
        per: PerText::Day,
    });
    let further = (
        any::<bool>(),
        of(free),
        of(volume()),
        patterns(0),
        of(own_keys()),
    );
    (paid, amounts, further).prop_map(|(paid, amounts, further)| Terms {
        minimum_usd: amounts.0,
        preflight_usd: amounts.1,
        maximum_usd: amounts.2,
        maximum_per_day_usd: amounts.3,
        maximum_per_month_usd: amounts.4,
        loss_leader: further.0,
        free: further.1.into_iter().collect(),
        volume: further.2,
        models: further.3,
        own_keys: further.4,
        ..paid
    })
}

fn volume() -> impl Strategy<Value = VolumeText> {
    (1_u32..5, any::<bool>()).prop_map(|(steps, whole)| {
        let steps = (1..=steps).map(|step| StepText {
            above_usd: Amount::parse(&format!("{step}00")).unwrap(),
            factor: Amount::parse("0.95").unwrap(),
        });
        let (graduated, whole) = if whole {
            (Vec::new(), steps.collect())
        } else {
            (steps.collect(), Vec::new())
        };
        VolumeText { graduated, whole }
    })
}

fn patterns(least: usize) -> impl Strategy<Value = Vec<String>> {
    let texts = vec!["*/*", "openai/*", "*/gpt-4o*", "google/gemini"];
    let some = prop::sample::subsequence(texts, least..=4);
    some.prop_map(|some| some.into_iter().map(Into::into).collect())
}

fn prices() -> impl Strategy<Value = PriceText> {
    let amounts = |meter: &'static str| {
        of(amount()).prop_map(move |usd| usd.map(|usd| (meter.to_owned(), usd)))
    };
    (
        patterns(1),
        of(amount()),
        amounts("input"),
        amounts("search"),
    )
        .prop_map(|(models, factor, per_million, per_unit)| PriceText {
            models,
            factor,
            per_million: per_million.into_iter().collect(),
            per_unit: per_unit.into_iter().collect(),
        })
}

fn rules() -> impl Strategy<Value = Vec<RuleText>> {
    let date = |day: &'static str| of(Just(day.to_owned()));
    let when = (
        (of(Just("hosted".to_owned())), of(name()), of(name())),
        patterns(0),
        (
            date("2026-12-01"),
            date("2026-12-25T12:00:00Z"),
            date("22:00-06:30"),
        ),
    )
        .prop_map(|(who, models, time)| WhenText {
            deployment: who.0,
            plan: None,
            feature: who.1,
            org: who.2,
            models,
            from: time.0,
            until: time.1,
            hours: time.2,
        });
    btree_map(name(), (when, terms()), 0..3).prop_map(|rules| {
        rules
            .into_iter()
            .map(|(name, (when, terms))| RuleText { name, when, terms })
            .collect()
    })
}

fn books() -> impl Strategy<Value = BookText> {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_can_be_read(book in books()) {
        let toml = to_toml(&book, &["made\nby a test".to_owned()]);
        let json = to_json(&book).unwrap();
        prop_assert_eq!(&parse(&toml, Format::Toml).unwrap(), &book);
        prop_assert_eq!(&parse(&json, Format::Json).unwrap(), &book);
        let (toml, json) = (compile(&toml, Format::Toml), compile(&json, Format::Json));
        match (toml, json) {
            (Ok(toml), Ok(json)) => prop_assert_eq!(toml.digest, json.digest),
            // Prices at random may be so far apart that a region raises a tier beyond all bounds.
            (Err(toml), Err(json)) => {
                let mut all = toml.iter().chain(&json);
                prop_assert!(all.all(|error| error.message.contains("too dear")), "{:?}", toml);
                prop_assert_eq!(toml.len(), json.len());
            }
            (toml, json) => {
                let errors = (toml.err(), json.err());
                prop_assert!(false, "{:?}", errors);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        for format in [Format::Toml, Format::Json] {
            if let Err(errors) = compile(&text, format) {
                prop_assert!(errors.iter().all(|error| error.line > 0 && error.column > 0));
            }
        }
    }
}
