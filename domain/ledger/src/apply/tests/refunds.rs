use super::*;
use crate::refusal::*;

#[test]
fn a_refund_goes_back_into_the_lots_from_last_to_first() {
    let mut ledger = Ledger::with_credit(0);
    let first = ledger.grant(10, 1, None);
    let second = ledger.grant(10, 2, None);
    let (charge, _) = ledger.charge(None, 15);
    assert_eq!((ledger.left(first), ledger.left(second)), (0, 5));
    ledger.refund(charge, Some(3));
    assert_eq!((ledger.left(first), ledger.left(second)), (0, 8));
    ledger.refund(charge, Some(4));
    assert_eq!((ledger.left(first), ledger.left(second)), (2, 10));
    let over = ledger.try_refund(charge, Some(9)).unwrap_err();
    assert_eq!(
        over,
        RefundChargeRefusal::ExceedsCharge { left: n(8) }.into()
    );
    ledger.refund(charge, None);
    assert_eq!((ledger.left(first), ledger.left(second)), (10, 10));
    assert_eq!(ledger.balance(Account::Revenue), 0);
    // The provider was paid all the same.
    assert_eq!(ledger.balance(Account::Cost), 7);
    assert!(ledger.try_refund(charge, None).is_err());
}

#[test]
fn what_goes_back_into_an_expired_lot_expires_with_it() {
    let mut ledger = Ledger::with_credit(0);
    let lot = ledger.grant(10, 1, Some(HOUR_MS));
    let (charge, _) = ledger.charge(None, 6);
    ledger.pass(HOUR_MS);
    ledger.expire();
    let refunded = ledger.refund(charge, None);
    assert_eq!(refunded.grants, n(6));
    assert_eq!(
        (ledger.left(lot), ledger.balance(Account::Breakage)),
        (0, 10)
    );
    assert_eq!(ledger.available(), 0);
    assert_eq!(
        ledger.kinds(),
        ["grant", "charge", "breakage", "charge_refund", "breakage"]
    );
}

#[test]
fn what_was_shortfall_is_forgiven_first() {
    let mut ledger = Ledger::with(10);
    let (charge, _) = ledger.charge(None, 30);
    let refunded = ledger.refund(charge, Some(15));
    assert_eq!((refunded.shortfall, refunded.grants), (n(15), n(0)));
    assert_eq!(ledger.wallet().shortfall(), n(5));
    let refunded = ledger.refund(charge, None);
    assert_eq!((refunded.shortfall, refunded.grants), (n(5), n(10)));
    assert_eq!(
        (ledger.available(), ledger.balance(Account::Revenue)),
        (10, 0)
    );
}

#[test]
fn an_absorbed_shortfall_is_not_refunded_to_the_customer() {
    let mut ledger = Ledger::with_credit(0);
    let (charge, _) = ledger.charge(None, 30);
    ledger.ok(Command::AbsorbShortfall(AbsorbShortfall {
        org: ORG,
        amount: Some(n(20)),
        detail_digest: [0; 32],
    }));
    let refunded = ledger.refund(charge, None);
    assert_eq!((refunded.shortfall, refunded.absorbed), (n(10), n(20)));
    assert_eq!(
        (ledger.available(), ledger.balance(Account::Absorbed)),
        (0, 0)
    );
}

#[test]
fn a_settled_shortfall_and_repaid_credit_come_back_as_a_new_lot() {
    let mut ledger = Ledger::with_credit(10);
    let (charge, charged) = ledger.charge(None, 30);
    assert_eq!((charged.from_credit, charged.shortfall), (n(10), n(20)));
    ledger.grant(25, 1, None);
    assert_eq!(ledger.wallet().overdraft, n(5));
    let refunded = ledger.refund(charge, None);
    // Five were still owed on credit; the other twenty-five had been paid.
    assert_eq!((refunded.credit, refunded.new_grant), (n(5), n(25)));
    assert_eq!(ledger.available(), 25);
    let lot = ledger.org().grants().next().unwrap();
    assert_eq!(lot.terms.source, GrantSource::Refund);
    assert_eq!(lot.terms.expires_at_ms, None);
}

#[test]
fn a_refund_pays_what_another_call_left_open() {
    let mut ledger = Ledger::with(20);
    let (charge, _) = ledger.charge(None, 20);
    ledger.charge(None, 5);
    ledger.refund(charge, None);
    assert_eq!(
        (ledger.wallet().shortfall(), ledger.available()),
        (n(0), 15)
    );
}

#[test]
fn an_unknown_or_free_charge_is_not_refunded() {
    let mut ledger = Ledger::with(20);
    let charge = ChargeId::new(1);
    assert_eq!(
        ledger.try_refund(charge, None).unwrap_err(),
        RefundChargeRefusal::ChargeNotFound { charge }.into()
    );
    let (charge, _) = ledger.charge(None, 0);
    assert_eq!(
        ledger.try_refund(charge, None).unwrap_err(),
        RefundChargeRefusal::ExceedsCharge { left: n(0) }.into()
    );
    assert_eq!(
        ledger.try_refund(charge, Some(0)).unwrap_err(),
        RefundChargeRefusal::AmountZero.into()
    );
}
