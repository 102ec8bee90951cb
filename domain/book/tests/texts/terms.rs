//! Terms of sale, and what becomes of calls that are unknown or did not end well.

use super::{amount, markup, name};
use farebox_book::amount::Amount;
use farebox_book::text::{
    EstimateText, FailureActionText, FailuresText, FreeText, OwnKeysText, PerText, PriceText,
    RuleText, StepText, Terms, UnknownModelsText, UnknownRuleText, VolumeText, WhenText,
};
use indexmap::IndexMap;
use proptest::collection::btree_map;
use proptest::option::of;
use proptest::prelude::*;

pub fn unknown_models() -> impl Strategy<Value = UnknownModelsText> {
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

pub fn failures() -> impl Strategy<Value = FailuresText> {
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

pub fn own_keys() -> impl Strategy<Value = OwnKeysText> {
    (of(amount()), of(amount())).prop_map(|(fixed_usd, share_of_market)| OwnKeysText {
        allowed: None,
        fixed_usd,
        share_of_market,
        cap: None,
    })
}

pub fn terms() -> impl Strategy<Value = Terms> {
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

pub fn prices() -> impl Strategy<Value = PriceText> {
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

pub fn rules() -> impl Strategy<Value = Vec<RuleText>> {
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
