//! Each check broken once, and the standard answers, which break none.

use super::*;
use crate::answer::Reason;
use crate::book::{Charge, ChargeRule, FeeCap, Scope};
use crate::event::KeySource::{Managed, Own};
use crate::generated::terms::declares_a_loss;
use crate::generated::{book_and_call, event, facts, request_for, small_book, view};
use crate::meter::Meter;
use crate::{answer, rating as standard};
use proptest::prelude::*;

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn line(kind: LineKind, quantity: &str, unit_price: &str, amount: &str) -> Line {
    Line {
        kind,
        meter: None,
        quantity: d(quantity),
        unit_price_usd: d(unit_price),
        amount_usd: d(amount),
        reason: Reason::ProviderCost,
    }
}

fn answer(lines: Vec<Line>, total: &str) -> Rating {
    Rating {
        lines,
        total_usd: d(total),
    }
}

#[test]
fn each_way_to_cheat_is_named() {
    use LineKind::{Discount, Usage};
    // The call costs 0.01 × 100 = 1.
    let view = view(&small_book(&[(Meter::Input, "0.01")], "1.5"));
    let event = event(&[(Meter::Input, 100)]);
    let paid = || line(Usage, "100", "0.015", "1.5");
    let cases = [
        (
            answer(vec![paid(); 257], "385.5"),
            "an answer has 257 lines, more than 256",
        ),
        (
            answer(
                vec![line(Usage, "1", "1000000001", "1000000001")],
                "1000000001",
            ),
            "line 0: a number is out of range",
        ),
        (
            answer(vec![paid(), line(Usage, "1", "-0.1", "-0.1")], "1.4"),
            "line 1 is negative and no discount",
        ),
        (
            answer(vec![line(Usage, "-100", "-0.015", "1.5")], "1.5"),
            "line 0 is negative and no discount",
        ),
        (
            answer(vec![paid(), line(Discount, "1", "0.1", "0.1")], "1.6"),
            "line 1 is a discount that raises the price",
        ),
        (
            answer(
                vec![line(Usage, "100", "0.015", "1.500000001")],
                "1.500000001",
            ),
            "line 0: the amount 1.500000001 is not its quantity times its unit price",
        ),
        (
            answer(vec![paid()], "1.500000001"),
            "the lines add up to 1.5, the total says 1.500000001",
        ),
        (
            answer(vec![paid(), line(Discount, "1", "-2", "-2")], "-0.5"),
            "the total -0.5 is negative",
        ),
        (
            answer(
                vec![line(Usage, "1", "1000000000", "1000000000"); 2],
                "2000000000",
            ),
            "the total 2000000000 is out of range",
        ),
        (
            answer(
                vec![line(Usage, "100", "0.0099999999", "0.99999999")],
                "0.99999999",
            ),
            "the price 0.99999999 is below the provider cost 1.00",
        ),
        (
            answer(vec![paid(), line(Discount, "1.5", "-0.5", "-0.75")], "0.75"),
            "the price 0.75 is below the provider cost 1.00",
        ),
        (
            answer(vec![], "0"),
            "the price 0 is below the provider cost 1.00",
        ),
    ];
    for (answer, expected) in cases {
        let violation = rating(&view, &event, &facts(Managed), &answer).unwrap_err();
        assert_eq!(violation.to_string(), expected);
    }
    let checked = rating(&view, &event, &facts(Managed), &answer(vec![paid()], "1.5")).unwrap();
    assert_eq!(checked.price_usd, d("1.5"));
    assert_eq!(checked.provider_cost_usd, d("1"));
    assert!(!checked.below_cost);
}

#[test]
fn a_model_the_book_does_not_know_has_no_floor_so_no_price() {
    let view = view(&small_book(&[(Meter::Input, "0.01")], "1"));
    let mut event = event(&[(Meter::Input, 1)]);
    event.model_served = Some("secret".into());
    let answer = answer(vec![line(LineKind::Usage, "1", "5", "5")], "5");
    assert!(matches!(
        rating(&view, &event, &facts(Managed), &answer),
        Err(Violation::CostUnknown(Refusal::UnknownModel { .. }))
    ));
}

#[test]
fn a_declared_loss_leader_may_sell_below_cost_and_is_marked() {
    let mut book = small_book(&[(Meter::Input, "0.01")], "0.5");
    book.loss_leader = true;
    let view = view(&book);
    let event = event(&[(Meter::Input, 100)]);
    let half = standard::rate(&view, &event, &facts(Managed)).unwrap();
    assert_eq!(half.lines[1].kind, LineKind::Discount);
    assert_eq!(half.total_usd, d("0.5"));
    assert!(
        rating(&view, &event, &facts(Managed), &half)
            .unwrap()
            .below_cost
    );
}

#[test]
fn an_own_key_pays_at_most_the_cap_whatever_the_lines_are_called() {
    let mut book = small_book(&[(Meter::Input, "0.01")], "1");
    book.own_key_cap = FeeCap {
        fixed_usd: d("0.002"),
        share_of_market: d("0.05"),
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
    let view = view(&book);
    let event = event(&[(Meter::Input, 100)]);
    let at_cap = standard::rate(&view, &event, &facts(Own)).unwrap();
    assert_eq!(at_cap.total_usd, d("0.052"));
    assert!(rating(&view, &event, &facts(Own), &at_cap).is_ok());
    for kind in [LineKind::Usage, LineKind::PlatformFee, LineKind::Minimum] {
        let above = answer(
            vec![line(kind, "1", "0.052000001", "0.052000001")],
            "0.052000001",
        );
        assert!(matches!(
            rating(&view, &event, &facts(Own), &above),
            Err(Violation::AboveOwnKeyCap { .. })
        ));
    }
}

#[test]
fn a_quote_below_the_worst_case_is_refused() {
    let view = view(&small_book(
        &[(Meter::Input, "0.01"), (Meter::Output, "0.02")],
        "1.5",
    ));
    let mut request = request_for(
        &event(&[(Meter::Input, 100), (Meter::Output, 10)]),
        true,
        true,
    );
    let honest = standard::quote(&view, &request, &facts(Managed)).unwrap();
    assert_eq!(quote(&view, &request, &facts(Managed), &honest), Ok(()));
    let low = answer::Quote {
        lines: vec![line(LineKind::Usage, "1", "1.19", "1.19")],
        total_usd: d("1.19"),
        max_output_tokens: Some(10),
    };
    let below = |bound: &str| {
        Err(Violation::BelowCostBound {
            total: d("1.19"),
            bound: d(bound),
        })
    };
    assert_eq!(quote(&view, &request, &facts(Managed), &low), below("1.2"));
    // Assuming less output than the book (1000 tokens) does not lower the bound ...
    request.max_output_tokens = None;
    assert_eq!(quote(&view, &request, &facts(Managed), &low), below("21"));
    // ... and claiming to cover more raises it.
    let more = answer::Quote {
        max_output_tokens: Some(2000),
        ..low
    };
    assert_eq!(quote(&view, &request, &facts(Managed), &more), below("41"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_standard_answers_pass(generated in book_and_call()) {
        let (book, event, facts) = generated;
        let view = view(&book);
        if let Ok(answer) = standard::rate(&view, &event, &facts) {
            let checked = rating(&view, &event, &facts, &answer).unwrap();
            prop_assert!(declares_a_loss(&book) || !checked.below_cost);
        }
        let request = request_for(&event, false, false);
        if let Ok(answer) = standard::quote(&view, &request, &facts) {
            prop_assert_eq!(quote(&view, &request, &facts, &answer), Ok(()));
        }
    }

    #[test]
    fn a_total_that_is_off_by_the_least_is_caught(generated in book_and_call(), down in any::<bool>()) {
        let (book, event, facts) = generated;
        let view = view(&book);
        if let Ok(mut answer) = standard::rate(&view, &event, &facts) {
            let off = if down { d("-0.000000000000000001") } else { d("0.000000000000000001") };
            answer.total_usd = exact::add(answer.total_usd, off).unwrap();
            let caught = matches!(
                rating(&view, &event, &facts, &answer),
                Err(Violation::WrongTotal { .. })
            );
            prop_assert!(caught);
        }
    }
}
