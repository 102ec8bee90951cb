//! Cases of rating; those of quotes and terms, and the properties, stand beside it.

mod properties;
mod quote;
mod terms;

use super::*;
use crate::answer::{Line, Rating};
use crate::book::{
    Charge, ChargeRule, FeeCap, MeterFallback, Minimum, RateTable, Scope, TierFallback,
};
use crate::event::KeySource::{Managed, Own};
use crate::exact;
use crate::generated::{event, facts, small_book, view};
use crate::meter::{Meter, Quantity};
use crate::money::Rounding;
use proptest::prelude::*;
use rust_decimal::Decimal;

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn shown(rating: &Rating) -> Vec<String> {
    let line = |line: &Line| {
        format!(
            "{:?} {} {} x {} = {}",
            line.kind,
            line.meter.as_ref().map_or("-", Meter::name),
            line.quantity.normalize(),
            line.unit_price_usd.normalize(),
            line.amount_usd.normalize()
        )
    };
    rating.lines.iter().map(line).collect()
}

#[test]
fn a_call_is_its_pools_and_a_markup() {
    let book = small_book(
        &[
            (Meter::Input, "0.00000015"),
            (Meter::CacheRead, "0.000000075"),
            (Meter::Output, "0.0000006"),
        ],
        "1.25",
    );
    let event = event(&[
        (Meter::Input, 12),
        (Meter::CacheRead, 0),
        (Meter::Output, 74),
    ]);
    let rating = rate(&view(&book), &event, &facts(Managed)).unwrap();
    assert_eq!(
        shown(&rating),
        [
            "Usage input 12 x 0.00000015 = 0.0000018",
            "Usage output 74 x 0.0000006 = 0.0000444",
            "Markup - 0.0000462 x 0.25 = 0.00001155",
        ]
    );
    assert_eq!(rating.total_usd, d("0.00005775"));
}

#[test]
fn a_vouched_cost_wins_and_needs_no_model() {
    let book = small_book(&[(Meter::Input, "0.1")], "1.5");
    let mut event = event(&[]);
    event.model_asked = None;
    event.provider = "apify".into();
    event.provider_cost_usd = Some(d("0.04"));
    let rating = rate(&view(&book), &event, &facts(Managed)).unwrap();
    assert_eq!(
        shown(&rating),
        [
            "ProviderCost - 1 x 0.04 = 0.04",
            "Markup - 0.04 x 0.5 = 0.02"
        ]
    );
    let cost = cost(&view(&book), &event, &facts(Managed)).unwrap();
    assert_eq!(cost.provider_cost_usd, d("0.04"));
    assert_eq!(cost.market_usd, Some(d("0.04")));
    event.provider_cost_usd = Some(d("-0.01"));
    assert!(rate(&view(&book), &event, &facts(Managed)).is_err());
}

#[test]
fn own_keys_pay_a_fee_and_never_the_usage() {
    let mut book = small_book(&[(Meter::Input, "0.001")], "1.5");
    book.own_key_cap = FeeCap {
        fixed_usd: d("0.01"),
        share_of_market: d("0.1"),
    };
    book.charge_rules.push(ChargeRule {
        name: "own".into(),
        scope: Scope::default(),
        charge: Charge::PlatformFee {
            fixed_usd: d("0.002"),
            share_of_market: d("0.05"),
        },
        loss_leader: false,
    });
    book.minimums.push(Minimum {
        name: "least".into(),
        scope: Scope::default(),
        usd: d("5"),
    });
    let event = event(&[(Meter::Input, 100)]);
    let book = view(&book);
    let rating = rate(&book, &event, &facts(Own)).unwrap();
    assert_eq!(
        shown(&rating),
        [
            "PlatformFee - 1 x 0.002 = 0.002",
            "PlatformFee - 0.1 x 0.05 = 0.005",
            // Up to the fixed cap of 0.01, not to the minimum of 5.
            "Minimum - 1 x 0.003 = 0.003",
        ]
    );
    let cost = cost(&book, &event, &facts(Own)).unwrap();
    assert_eq!(cost.basis, CostBasis::OwnKey);
    assert_eq!(cost.provider_cost_usd, Decimal::ZERO);
    assert_eq!(cost.market_usd, Some(d("0.1")));
    assert_eq!(
        rate(&book, &event, &facts(Managed)).unwrap().total_usd,
        d("5")
    );
}

#[test]
fn context_tiers_hold_for_the_whole_request_on_the_right_side_of_the_threshold() {
    let mut book = small_book(&[(Meter::Input, "0.01"), (Meter::Output, "0.02")], "1");
    let mut above: RateTable = book.models[0].periods[0].tables[0].clone();
    above.context_above = Some(200);
    for rate in &mut above.rates {
        rate.usd = exact::mul(rate.usd, d("2")).unwrap();
    }
    book.models[0].periods[0].tables.push(above);
    for (inclusive, prompt, cached, expected) in [
        (false, 199, 0, "2.01"),
        (false, 200, 0, "2.02"),
        (false, 201, 0, "4.06"),
        (true, 199, 0, "2.01"),
        (true, 200, 0, "4.04"),
        // Tokens read from the cache are tokens of the prompt.
        (false, 100, 101, "4.06"),
    ] {
        book.models[0].context_inclusive = inclusive;
        book.meter_fallbacks = vec![MeterFallback {
            service_tier: None,
            meter: Meter::CacheRead,
            base: Meter::Input,
            factor: Decimal::ONE,
            name: None,
        }];
        let event = event(&[
            (Meter::Input, prompt),
            (Meter::CacheRead, cached),
            (Meter::Output, 1),
        ]);
        let rating = rate(&view(&book), &event, &facts(Managed)).unwrap();
        assert_eq!(
            rating.total_usd,
            d(expected),
            "{inclusive} {prompt} {cached}"
        );
    }
}

#[test]
fn a_service_tier_is_its_tables_else_its_factor_else_refused() {
    let mut book = small_book(&[(Meter::Input, "0.01"), (Meter::Search, "1")], "1");
    book.models[0].periods[0].tables.push(RateTable {
        service_tier: Some("priority".into()),
        region: None,
        context_above: None,
        hours: None,
        rates: vec![crate::book::Rate {
            meter: Meter::Input,
            attributes: Vec::new(),
            usd: d("0.03"),
        }],
    });
    book.tier_fallbacks = vec![TierFallback {
        service_tier: "batch".into(),
        factor: d("0.5"),
    }];
    let book = view(&book);
    for (tier, expected) in [
        (None, Some("1.01")),
        (Some("default"), Some("1.01")),
        (Some("standard"), Some("1.01")),
        // A meter the tier has no rate for costs what it costs at the standard tier.
        (Some("priority"), Some("1.03")),
        (Some("batch"), Some("0.505")),
        (Some("scale"), None),
    ] {
        let mut event = event(&[(Meter::Input, 1), (Meter::Search, 1)]);
        event.service_tier = tier.map(Into::into);
        let total = rate(&book, &event, &facts(Managed)).map(|rating| rating.total_usd);
        assert_eq!(total.ok(), expected.map(d), "{tier:?}");
    }
}

#[test]
fn what_has_no_price_is_refused_by_name() {
    let mut book = small_book(&[(Meter::Input, "0.01")], "1");
    book.models[0].periods[0].valid_to_ms = Some(1_700_000_000_001);
    let book = view(&book);
    let refusal = |event| {
        rate(&book, &event, &facts(Managed))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refusal(event(&[(Meter::Output, 1)])),
        "model `m` has no rate for `output`"
    );
    assert_eq!(refusal(event(&[])), "model `m` has no rate for `request`");
    let mut other = event(&[(Meter::Input, 1)]);
    other.model_served = Some("x".into());
    assert_eq!(
        refusal(other),
        "no price for model `x` of provider `openai`"
    );
    let mut half = event(&[(Meter::Input, 1)]);
    half.pools[0].quantity = Quantity::new(d("0.5")).unwrap();
    assert_eq!(refusal(half), "out of range: fraction of `input`");
    let mut later = facts(Managed);
    later.occurred_at_ms += 1;
    assert!(rate(&book, &event(&[(Meter::Input, 1)]), &later).is_err());
}

#[test]
fn digits_are_never_lost_and_nothing_wraps() {
    let book = view(&small_book(
        &[
            (Meter::Second, "0.000000000000000000000001"),
            (Meter::Input, "9223372036"),
        ],
        "1",
    ));
    let mut tiny = event(&[(Meter::Second, 1)]);
    tiny.pools[0].quantity = Quantity::new(d("0.000000001")).unwrap();
    assert_eq!(
        rate(&book, &tiny, &facts(Managed)).unwrap_err().to_string(),
        "out of range: amount of `second`"
    );
    let mut huge = event(&[(Meter::Input, 1)]);
    huge.pools[0].quantity = Quantity::MAX;
    assert_eq!(
        rate(&book, &huge, &facts(Managed)).unwrap_err().to_string(),
        "out of range: provider cost"
    );
}

#[test]
fn a_related_provider_supplies_the_model_and_is_named() {
    let book = view(&small_book(&[(Meter::Input, "0.01")], "1"));
    let mut event = event(&[(Meter::Input, 1)]);
    event.provider = "azure".into();
    let rating = rate(&book, &event, &facts(Managed)).unwrap();
    let crate::answer::Reason::Rate(reason) = &rating.lines[0].reason else {
        panic!("{:?}", rating.lines[0]);
    };
    assert_eq!(reason.fallback.as_deref(), Some("provider:openai"));
}

#[test]
fn a_fee_per_call_is_due_once() {
    let book = view(&small_book(
        &[(Meter::Input, "0.01"), (Meter::Request, "0.5")],
        "1",
    ));
    for (pools, expected) in [
        (vec![(Meter::Input, 1)], "0.51"),
        (vec![(Meter::Input, 1), (Meter::Request, 3)], "1.51"),
        (vec![], "0.5"),
    ] {
        let rating = rate(&book, &event(&pools), &facts(Managed)).unwrap();
        assert_eq!(rating.total_usd, d(expected), "{pools:?}");
    }
}

#[test]
fn the_rate_card_shows_selling_and_list_price_in_pages() {
    let mut book = small_book(&[(Meter::Input, "0.01")], "1.5");
    for (provider, name) in [("openai", "n"), ("together", "m"), ("together", "meta/x")] {
        book.models.push(crate::book::Model {
            provider: provider.into(),
            name: name.into(),
            prefixes: Vec::new(),
            ..book.models[0].clone()
        });
    }
    let book = view(&book);
    let pages = |provider: Option<&str>, prefix: Option<&str>| {
        let mut request = crate::card::RateCardRequest {
            provider: provider.map(Into::into),
            model_prefix: prefix.map(Into::into),
            after: None,
            limit: 1,
        };
        let mut seen = Vec::new();
        loop {
            let page = rate_card(&book, &request, &facts(Managed)).unwrap();
            for entry in &page.entries {
                assert_eq!(entry.rates[0].unit_price_usd, d("0.015"));
                assert_eq!(entry.rates[0].market_usd, d("0.01"));
                seen.push(format!("{}:{}", entry.provider, entry.model));
            }
            request.after = page.next;
            if request.after.is_none() {
                return seen;
            }
        }
    };
    assert_eq!(
        pages(None, None),
        ["openai:m", "openai:n", "together:m", "together:meta/x"]
    );
    assert_eq!(
        pages(Some("together"), None),
        ["together:m", "together:meta/x"]
    );
    assert_eq!(pages(Some("together"), Some("meta")), ["together:meta/x"]);
    assert_eq!(
        pages(None, Some("m")),
        ["openai:m", "together:m", "together:meta/x"]
    );
    assert!(pages(Some("nobody"), None).is_empty());
}
