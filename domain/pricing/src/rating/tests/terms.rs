//! The terms of sale: both sides of every threshold, and what holds for all books.

use super::*;
use crate::book::{
    Book, FreeQuota, Maximum, ModelName, ModelPattern, Narrowing, Per, Sale, Sheet, SheetEntry,
    Volume, VolumeStep,
};
use crate::event::{Facts, UsageEvent};
use crate::generated::request_for;
use crate::generated::terms::sale;
use crate::meter::Attribute;

/// One cent for each token of input.
fn cent_book(markup: &str, sale: Sale) -> Book {
    let mut book = small_book(&[(Meter::Input, "0.01")], markup);
    book.charge_rules[0].scope.key_source = Some(Managed);
    book.sale = Some(Box::new(sale));
    book
}

fn any_model() -> Vec<ModelPattern> {
    vec![ModelPattern {
        provider: None,
        model: ModelName::Any,
    }]
}

fn counted(rule: &str, count: &str) -> Facts {
    Facts {
        other: vec![Attribute {
            name: format!("{COUNT_PREFIX}{rule}").into(),
            value: count.into(),
        }],
        ..facts(Managed)
    }
}

fn total(book: &Book, tokens: u32, facts: &Facts) -> Decimal {
    let event = event(&[(Meter::Input, tokens)]);
    rate(&view(book), &event, facts).unwrap().total_usd
}

fn volume(whole: bool) -> Volume {
    let step = |above: &str, factor: &str| VolumeStep {
        above_usd: d(above),
        factor: d(factor),
    };
    Volume {
        name: "volume".into(),
        scope: Scope::default(),
        whole,
        steps: vec![step("10", "0.9"), step("20", "0.5")],
        loss_leader: true,
    }
}

#[test]
fn volume_steps_begin_strictly_above_their_threshold() {
    for (whole, before, expected) in [
        // A call of one dollar.
        (false, "9", "1"),
        (false, "9.01", "0.999"),
        (false, "9.99", "0.901"),
        (false, "10", "0.9"),
        (false, "19", "0.9"),
        (false, "19.5", "0.7"),
        (false, "20", "0.5"),
        (true, "9", "1"),
        (true, "9.01", "0.9"),
        (true, "19", "0.9"),
        (true, "19.01", "0.5"),
    ] {
        let sale = Sale {
            volumes: vec![volume(whole)],
            ..Sale::default()
        };
        let total = total(&cent_book("1", sale), 100, &counted("volume", before));
        assert_eq!(total, d(expected), "{whole} {before}");
    }
}

#[test]
fn one_call_may_pass_every_graduated_step() {
    let sale = Sale {
        volumes: vec![volume(false)],
        ..Sale::default()
    };
    // 10 at full price, 10 at 0.9, 5 at 0.5.
    let total = total(&cent_book("1", sale), 2500, &facts(Managed));
    assert_eq!(total, d("21.5"));
}

fn quota(loss_leader: bool) -> Sale {
    Sale {
        free_quotas: vec![FreeQuota {
            name: "free".into(),
            scope: Scope::default(),
            meter: Meter::Input,
            quantity: d("50"),
            per: Per::Month,
            loss_leader,
        }],
        ..Sale::default()
    }
}

#[test]
fn a_free_quota_ends_with_its_last_unit_and_at_cost_unless_it_declares_a_loss() {
    for (loss_leader, used, expected) in [
        (true, "0", "0.75"),
        (true, "49", "1.485"),
        (true, "50", "1.5"),
        (true, "51", "1.5"),
        // Half of 1.50 is below the dollar that it costs.
        (false, "0", "1"),
        (false, "49", "1.485"),
    ] {
        let book = cent_book("1.5", quota(loss_leader));
        let facts = counted("free", used);
        assert_eq!(
            total(&book, 100, &facts),
            d(expected),
            "{loss_leader} {used}"
        );
        let event = event(&[(Meter::Input, 100)]);
        let counts = counts(&view(&book), &event, &facts, d(expected)).unwrap();
        assert_eq!(counts[0].quantity, d("100"));
    }
}

#[test]
fn a_maximum_cuts_to_the_digit_and_never_below_cost() {
    for (per, loss_leader, before, expected) in [
        (Per::Call, false, "0", "1.2"),
        (Per::Month, false, "0", "1.2"),
        (Per::Month, false, "0.1", "1.1"),
        (Per::Day, false, "0.2", "1"),
        (Per::Month, false, "0.21", "1"),
        (Per::Month, true, "0.21", "0.99"),
        (Per::Month, true, "5", "0"),
    ] {
        let sale = Sale {
            maximums: vec![Maximum {
                name: "most".into(),
                scope: Scope::default(),
                usd: d("1.2"),
                per,
                loss_leader,
            }],
            ..Sale::default()
        };
        let total = total(&cent_book("1.5", sale), 100, &counted("most", before));
        assert_eq!(total, d(expected), "{per:?} {loss_leader} {before}");
    }
}

#[test]
fn a_preflight_floor_lifts_the_quote_and_not_the_charge() {
    let sale = Sale {
        preflights: vec![Minimum {
            name: "feature:fetch".into(),
            scope: Scope::default(),
            usd: d("5"),
        }],
        ..Sale::default()
    };
    let book = cent_book("1.5", sale);
    let event = event(&[(Meter::Input, 100)]);
    let request = request_for(&event, true, true);
    let quoted = quote(&view(&book), &request, &facts(Managed)).unwrap();
    assert_eq!(quoted.total_usd, d("5"));
    assert_eq!(total(&book, 100, &facts(Managed)), d("1.5"));
}

#[test]
fn charges_are_multiples_of_the_step() {
    for (rounding, tokens, expected) in [
        (Rounding::AwayFromZero, 4, "0.05"),
        (Rounding::AwayFromZero, 5, "0.05"),
        (Rounding::AwayFromZero, 6, "0.1"),
        (Rounding::HalfEven, 7, "0.05"),
        (Rounding::HalfEven, 8, "0.1"),
        (Rounding::TowardZero, 9, "0.05"),
    ] {
        let sale = Sale {
            step_usd: Some(d("0.05")),
            ..Sale::default()
        };
        let mut book = cent_book("1", sale);
        book.rounding = rounding;
        book.charge_rules[0].loss_leader = true;
        let total = total(&book, tokens, &facts(Managed));
        assert_eq!(total, d(expected), "{rounding:?} {tokens}");
    }
}

#[test]
fn a_rule_holds_from_its_first_moment_until_before_its_last() {
    let minute = 60_000;
    let midnight = 1_699_920_000_000;
    let within = |from_ms, until_ms, minutes| Narrowing {
        from_ms,
        until_ms,
        minutes,
        ..Narrowing::default()
    };
    let dated = within(Some(midnight), Some(midnight + minute), None);
    let by_night = within(None, None, Some((22 * 60, 6 * 60)));
    for (narrowing, at_ms, holds) in [
        (&dated, midnight - 1, false),
        (&dated, midnight, true),
        (&dated, midnight + minute - 1, true),
        (&dated, midnight + minute, false),
        (&by_night, midnight - 2 * 60 * minute - 1, false),
        (&by_night, midnight - 2 * 60 * minute, true),
        (&by_night, midnight + 6 * 60 * minute - 1, true),
        (&by_night, midnight + 6 * 60 * minute, false),
    ] {
        let mut book = small_book(&[(Meter::Input, "0.01")], "2");
        let mut rule = book.charge_rules[0].clone();
        rule.scope.narrowing = Some(Box::new(narrowing.clone()));
        rule.charge = Charge::CostPlus { markup: d("3") };
        book.charge_rules.insert(0, rule);
        let mut facts = facts(Managed);
        facts.occurred_at_ms = at_ms;
        let expected = if holds { "3" } else { "2" };
        assert_eq!(total(&book, 100, &facts), d(expected), "{at_ms}");
    }
}

#[test]
fn cost_market_and_price_may_all_differ() {
    let sale = Sale {
        costs: vec![SheetEntry {
            models: any_model(),
            factor: d("0.6"),
            prices: Vec::new(),
        }],
        sheets: vec![Sheet {
            name: "retail".into(),
            entries: vec![SheetEntry {
                models: any_model(),
                factor: d("0.9"),
                prices: Vec::new(),
            }],
        }],
        ..Sale::default()
    };
    let mut book = cent_book("1.5", sale);
    let event = event(&[(Meter::Input, 100)]);
    for (charge, expected) in [
        (Charge::CostPlus { markup: d("1.5") }, "0.9"),
        (
            Charge::Listed {
                sheet: None,
                share: d("0.8"),
            },
            "0.8",
        ),
        (
            Charge::Listed {
                sheet: Some(0),
                share: d("0.7"),
            },
            "0.63",
        ),
        // Lifted to the cost.
        (
            Charge::Listed {
                sheet: Some(0),
                share: d("0.5"),
            },
            "0.6",
        ),
    ] {
        book.charge_rules[0].charge = charge.clone();
        let view = view(&book);
        assert_eq!(
            total(&book, 100, &facts(Managed)),
            d(expected),
            "{charge:?}"
        );
        let cost = cost(&view, &event, &facts(Managed)).unwrap();
        assert_eq!(cost.provider_cost_usd, d("0.6"));
        assert_eq!(cost.market_usd, Some(d("1")));
    }
}

#[test]
fn a_rule_may_speak_of_the_name_asked_the_name_served_or_the_books_own() {
    let mut book = small_book(&[(Meter::Input, "0.01")], "2");
    book.models[0].aliases = vec!["public".into()];
    let mut event = event(&[(Meter::Input, 100)]);
    event.model_asked = Some("public".into());
    event.model_served = Some("m-2026".into());
    for (name, expected) in [
        (ModelName::Is("public".into()), "3"),
        (ModelName::Begins("m-20".into()), "3"),
        (ModelName::Is("m".into()), "3"),
        (ModelName::Any, "3"),
        (ModelName::Is("m-2025".into()), "2"),
    ] {
        let mut book = book.clone();
        let mut rule = book.charge_rules[0].clone();
        rule.scope.narrowing = Some(Box::new(Narrowing {
            models: vec![ModelPattern {
                provider: Some("openai".into()),
                model: name.clone(),
            }],
            ..Narrowing::default()
        }));
        rule.charge = Charge::CostPlus { markup: d("3") };
        book.charge_rules.insert(0, rule);
        let rating = rate(&view(&book), &event, &facts(Managed)).unwrap();
        assert_eq!(rating.total_usd, d(expected), "{name:?}");
    }
}

/// A book with generated further terms, in which no rule refuses and no price jumps.
fn smooth(mut book: Book, sale: Option<Box<Sale>>, share: i64) -> Book {
    book.charge_rules[0].charge = Charge::Listed {
        sheet: None,
        share: Decimal::new(share, 2),
    };
    book.sale = sale;
    if let Some(sale) = &mut book.sale {
        sale.access.clear();
        for volume in &mut sale.volumes {
            volume.whole = false;
        }
    }
    book
}

fn three_meters() -> Book {
    small_book(
        &[
            (Meter::Input, "0.001"),
            (Meter::Output, "0.004"),
            (Meter::Search, "0.01"),
        ],
        "1",
    )
}

fn call_of(quantities: &[u32; 3]) -> UsageEvent {
    let meters = [Meter::Input, Meter::Output, Meter::Search];
    let pools: Vec<_> = meters.into_iter().zip(*quantities).collect();
    event(&pools)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn without_whole_volume_more_of_anything_never_costs_less(
        sale in sale(false),
        share in 50_i64..200,
        quantities in prop::array::uniform3(0_u32..2000),
        more in 0_usize..3,
        by in 1_u32..2000,
        other in crate::generated::terms::counts(),
    ) {
        let view = view(&smooth(three_meters(), sale, share));
        let facts = Facts { other, ..facts(Managed) };
        let mut larger = quantities;
        larger[more] += by;
        if let (Ok(less), Ok(more)) = (
            rate(&view, &call_of(&quantities), &facts),
            rate(&view, &call_of(&larger), &facts),
        ) {
            prop_assert!(less.total_usd <= more.total_usd, "{less:#?} {more:#?}");
        }
    }

    #[test]
    fn splitting_a_call_changes_its_price_by_no_more_than_the_rounding(
        sale in sale(true),
        share in 50_i64..200,
        parts in prop::collection::vec(prop::array::uniform3(0_u32..500), 1..5),
    ) {
        // Minimums and maximums of a call are declared to depend on how it is cut.
        let mut book = smooth(three_meters(), sale, share);
        book.charge_rules[0].loss_leader = true;
        let mut step = Decimal::ZERO;
        if let Some(sale) = &mut book.sale {
            sale.maximums.retain(|most| most.per == Per::Month);
            // The rest of a month is what rounded charges leave of it.
            if !sale.maximums.is_empty() {
                sale.step_usd = None;
            }
            step = sale.step_usd.unwrap_or_default();
        }
        let view = view(&book);
        let mut whole = [0; 3];
        let mut split = Decimal::ZERO;
        let mut counters: std::collections::BTreeMap<Box<str>, Decimal> =
            std::collections::BTreeMap::new();
        for part in &parts {
            for (sum, one) in whole.iter_mut().zip(part) {
                *sum += one;
            }
            let facts = Facts {
                other: counters
                    .iter()
                    .map(|(rule, count)| Attribute {
                        name: format!("{COUNT_PREFIX}{rule}").into(),
                        value: count.to_string().into(),
                    })
                    .collect(),
                ..facts(Managed)
            };
            let event = call_of(part);
            if event.pools.iter().all(|pool| pool.quantity.get().is_zero()) {
                continue;
            }
            let total = rate(&view, &event, &facts).unwrap().total_usd;
            split = exact::add(split, total).unwrap();
            for count in counts(&view, &event, &facts, total).unwrap() {
                let counter = counters.entry(count.rule).or_insert(Decimal::ZERO);
                *counter = exact::add(*counter, count.quantity).unwrap();
            }
        }
        if whole.iter().any(|quantity| *quantity > 0) {
            let whole = rate(&view, &call_of(&whole), &facts(Managed)).unwrap().total_usd;
            let most = step * Decimal::from(parts.len() + 1);
            prop_assert!((whole - split).abs() <= most, "{whole} {split}");
        }
    }
}
