//! Answers that are dishonest, or no values of the contract at all: none becomes a price.

use super::{Arena, fault, modes};
use farebox::service::policy::{Fault, PolicyEngine as _};
use farebox_pricing::event::KeySource;
use farebox_tests::books::{event, facts, quote_request};

fn check(mode: &str, key_source: KeySource, expected: &str) {
    match Arena::new().rate(mode, &facts(key_source)) {
        Fault::Check(what) | Fault::BelowCost(what) => assert_eq!(what, expected, "{mode}"),
        other => panic!("{mode}: {other:?}"),
    }
}

fn malformed(mode: &str, expected: &str) {
    match Arena::new().rate(mode, &facts(KeySource::Managed)) {
        Fault::Malformed(what) => assert!(what.contains(expected), "{mode}: {what}"),
        other => panic!("{mode}: {other:?}"),
    }
}

#[test]
fn a_total_that_is_off_by_a_nano_is_no_price() {
    check(
        modes::TOTAL_OFF_BY_A_NANO,
        KeySource::Managed,
        "the lines add up to 0.004375000, the total says 0.004375001",
    );
}

#[test]
fn a_line_that_is_off_by_a_nano_is_no_price() {
    check(
        modes::LINE_OFF_BY_A_NANO,
        KeySource::Managed,
        "line 0: the amount 0.002500001 is not its quantity times its unit price",
    );
}

#[test]
fn a_negative_total_is_no_price() {
    check(
        modes::NEGATIVE_TOTAL,
        KeySource::Managed,
        "the total -999999.995625000 is negative",
    );
}

#[test]
fn only_a_discount_may_be_negative() {
    check(
        modes::NEGATIVE_MARKUP,
        KeySource::Managed,
        "line 3 is negative and no discount",
    );
}

#[test]
fn a_price_below_the_provider_cost_is_no_price() {
    check(
        modes::UNDER_COST,
        KeySource::Managed,
        "the price 0.0021875000 is below the provider cost 0.0035000",
    );
}

#[test]
fn what_a_policy_says_about_cost_is_never_believed() {
    check(
        modes::LIE_ABOUT_COST,
        KeySource::Managed,
        "the price 0.000000001 is below the provider cost 0.0035000",
    );
}

#[test]
fn a_fee_on_an_own_key_is_capped_whatever_its_name() {
    check(
        modes::GREEDY,
        KeySource::Own,
        "the charge 1000.000675000 on an own key is above the declared cap 0.00135000",
    );
}

#[test]
fn an_answer_has_an_end() {
    let arena = Arena::new();
    let release = arena.hostile(modes::TOO_MANY_LINES);
    let managed = facts(KeySource::Managed);
    let fault = fault(arena.engine.rate(&release, &event("gpt-4o"), &managed));
    assert!(
        matches!(&fault, Fault::Check(what) if what.contains("259 lines")),
        "{fault:?}"
    );
}

#[test]
fn a_quote_that_does_not_bound_the_call_is_no_quote() {
    let arena = Arena::new();
    let release = arena.hostile(modes::LOW_QUOTE);
    let managed = facts(KeySource::Managed);
    let quoted = fault(
        arena
            .engine
            .quote(&release, &quote_request("gpt-4o"), &managed),
    );
    assert!(
        matches!(&quoted, Fault::Check(what) if what.contains("the most the call can cost")),
        "{quoted:?}"
    );
    assert_eq!(arena.faults(&release), 1);
    let honest = arena
        .engine
        .quote(&arena.honest, &quote_request("gpt-4o"), &managed);
    assert!(honest.is_ok(), "{honest:?}");
}

#[test]
fn what_is_no_value_of_the_contract_is_malformed() {
    malformed(modes::SCALE_200, "scale 200");
    malformed(modes::MINUS_ZERO, "minus zero");
    malformed(modes::UNSORTED, "not sorted");
    malformed(modes::BAD_METER, "`Not A Meter` is not the name of a meter");
    malformed(modes::NO_MODEL, "names no model");
    malformed(modes::POINT_OUTSIDE, "out of bounds");
}
