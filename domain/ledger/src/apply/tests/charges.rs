use super::*;
use crate::effect::HoldChange;
use crate::hold::{HoldEnd, Payer};
use crate::refusal::*;

fn ended(end: HoldEnd) -> Past {
    Past::Hold(PastHold {
        end,
        dimensions: Arc::default(),
    })
}

#[test]
fn a_charge_posts_price_and_cost_and_gives_the_rest_back() {
    let mut ledger = Ledger::with(100);
    let hold = ledger.hold(60);
    let (_, charged) = ledger.charge(Some(hold), 25);
    assert_eq!((charged.from_hold, charged.hold_left), (n(25), None));
    assert_eq!(ledger.available(), 75);
    assert_eq!(ledger.balance(Account::Revenue), 25);
    assert_eq!(ledger.balance(Account::Cost), 12);
    assert_eq!(ledger.balance(Account::Payable), -12);
    assert!(ledger.org().hold(hold).is_none());
}

#[test]
fn a_hold_is_captured_in_parts() {
    let mut ledger = Ledger::with(100);
    let hold = ledger.hold(60);
    let part = ledger.capturing(Some(hold), 25, false);
    let Outcome::Charged(charged) = ledger.ok(Command::Capture(part)).outcome else {
        panic!()
    };
    assert_eq!(charged.hold_left, Some(n(35)));
    assert_eq!(ledger.available(), 40);
    let command = ledger.capturing(Some(hold), 5, true);
    let effect = ledger.ok(Command::Capture(command));
    let Some(HoldChange::Ended(ended)) = effect.holds.last() else {
        panic!()
    };
    assert_eq!((ended.captured, ended.returned), (n(30), n(30)));
    assert_eq!(ledger.available(), 70);
}

#[test]
fn what_passes_the_hold_comes_from_the_wallet_then_credit_then_shortfall() {
    let mut ledger = Ledger::with(100);
    ledger.ok(Command::SetCreditLimit(SetCreditLimit {
        org: ORG,
        credit_limit: n(5),
    }));
    let other = ledger.hold(30);
    let hold = ledger.hold(60);
    let (_, charged) = ledger.charge(Some(hold), 100);
    let parts = (charged.from_hold, charged.from_wallet);
    assert_eq!(parts, (n(60), n(10)));
    assert_eq!((charged.from_credit, charged.shortfall), (n(5), n(25)));
    assert_eq!(ledger.balance(Account::Revenue), 100);
    assert_eq!(ledger.balance(Account::Shortfall), -25);
    // What another call has put aside is not touched, and nothing goes below the limit (L3).
    assert_eq!(ledger.available(), -5);
    assert_eq!(ledger.org().hold(other).unwrap().left(), n(30));
}

#[test]
fn an_open_shortfall_stops_new_holds_until_it_is_paid() {
    let mut ledger = Ledger::with(100);
    ledger.charge(None, 130);
    assert_eq!(ledger.wallet().shortfall(), n(30));
    for amount in [0, 1] {
        let refusal = ledger.try_hold(amount, Dimensions::default()).unwrap_err();
        assert_eq!(
            refusal,
            PlaceHoldRefusal::ShortfallOpen { open: n(30) }.into()
        );
    }
    let first = ledger.grant(20, 10, None);
    assert_eq!(ledger.wallet().shortfall(), n(10));
    assert_eq!(ledger.left(first), 0);
    ledger.grant(20, 10, None);
    assert_eq!(ledger.balance(Account::Shortfall), 0);
    assert_eq!(ledger.available(), 10);
    assert_eq!(
        ledger.kinds(),
        [
            "grant",
            "charge",
            "grant",
            "settlement",
            "grant",
            "settlement"
        ]
    );
    ledger.hold(10);
}

#[test]
fn credits_freed_by_a_hold_pay_the_shortfall() {
    let mut ledger = Ledger::with(100);
    let other = ledger.hold(80);
    ledger.charge(None, 50);
    assert_eq!(ledger.wallet().shortfall(), n(30));
    ledger.release(other).unwrap();
    assert_eq!(ledger.wallet().shortfall(), Nanos::ZERO);
    assert_eq!(ledger.available(), 50);
}

#[test]
fn the_operator_absorbs_a_shortfall() {
    let mut ledger = Ledger::with_credit(0);
    ledger.charge(None, 30);
    let absorb = |amount: Option<i64>| {
        Command::AbsorbShortfall(AbsorbShortfall {
            org: ORG,
            amount: amount.map(n),
            detail_digest: [0; 32],
        })
    };
    assert_eq!(
        ledger.refused(absorb(Some(31))),
        AbsorbShortfallRefusal::ExceedsShortfall { open: n(30) }.into()
    );
    assert_eq!(
        ledger.refused(absorb(Some(0))),
        AbsorbShortfallRefusal::AmountZero.into()
    );
    ledger.ok(absorb(Some(10)));
    ledger.ok(absorb(None));
    assert_eq!(ledger.balance(Account::Absorbed), -30);
    assert_eq!(ledger.wallet().shortfall(), Nanos::ZERO);
    assert_eq!(
        ledger.refused(absorb(None)),
        AbsorbShortfallRefusal::ExceedsShortfall { open: n(0) }.into()
    );
    ledger.hold(0);
}

#[test]
fn l6_a_captured_hold_is_not_captured_again() {
    let mut ledger = Ledger::with(100);
    let hold = ledger.hold(60);
    ledger.charge(Some(hold), 25);
    let again = Command::Capture(ledger.capturing(Some(hold), 25, true));
    assert_eq!(
        ledger.apply_with(&again, &ended(HoldEnd::Captured)),
        Err(CaptureRefusal::AlreadyCaptured { hold }.into())
    );
    assert_eq!(
        ledger.refused(again),
        CaptureRefusal::HoldNotFound { hold }.into()
    );
    assert_eq!(ledger.available(), 75);
}

#[test]
fn usage_after_release_or_expiry_is_charged_with_and_without_money() {
    for end in [HoldEnd::Released, HoldEnd::Expired] {
        let mut ledger = Ledger::with(20);
        let command = Command::Capture(ledger.capturing(Some(HoldId::new(3)), 15, true));
        let effect = ledger.apply_with(&command, &ended(end)).unwrap();
        let Outcome::Charged(charged) = effect.outcome else {
            panic!()
        };
        assert_eq!((charged.from_wallet, charged.shortfall), (n(15), n(0)));
        let command = Command::Capture(ledger.capturing(Some(HoldId::new(4)), 15, true));
        let effect = ledger.apply_with(&command, &ended(end)).unwrap();
        let Outcome::Charged(charged) = effect.outcome else {
            panic!()
        };
        assert_eq!((charged.from_wallet, charged.shortfall), (n(5), n(10)));
    }
}

#[test]
fn a_hold_that_expires_as_it_is_captured_ends_once_and_the_usage_counts() {
    let mut ledger = Ledger::with(100);
    let hold = ledger.hold(60);
    ledger.pass(HOUR_MS);
    let command = ledger.capturing(Some(hold), 25, true);
    let effect = ledger.ok(Command::Capture(command));
    assert_eq!(effect.holds.len(), 1);
    assert!(matches!(
        effect.holds.first(),
        Some(HoldChange::Ended(ended)) if ended.end == HoldEnd::Expired
    ));
    assert_eq!(ledger.available(), 75);
}

#[test]
fn unpriced_usage_keeps_its_hold_until_its_price_comes() {
    let mut ledger = Ledger::with(100);
    let hold = ledger.hold(60);
    let event = EventId::new(5);
    let record = Command::RecordUnpriced(RecordUnpriced {
        org: ORG,
        hold: Some(hold),
        reach: Reach::Wallet,
        last: true,
        event,
        dimensions: Arc::default(),
    });
    let effect = ledger.ok(record.clone());
    assert!(effect.transactions.is_empty());
    assert_eq!(
        ledger.refused(record),
        RecordUnpricedRefusal::EventExists { event }.into()
    );
    let capture = Command::Capture(ledger.capturing(Some(hold), 1, true));
    assert_eq!(
        ledger.refused(capture),
        CaptureRefusal::AlreadyCaptured { hold }.into()
    );
    assert_eq!(
        ledger.release(hold).unwrap_err(),
        ReleaseHoldRefusal::UsageUnpriced { hold }.into()
    );
    ledger.pass(HOUR_MS * 100);
    assert_eq!(
        ledger.expire().outcome,
        Outcome::Expired {
            holds: 0,
            grants: 0
        }
    );
    assert_eq!(ledger.available(), 40);
    let settle = Command::SettleUnpriced(SettleUnpriced {
        org: ORG,
        event,
        charge: ChargeId::new(6),
        price: n(25),
        cost: n(20),
        detail_digest: [2; 32],
    });
    ledger.ok(settle.clone());
    assert_eq!((ledger.available(), ledger.wallet().held), (75, n(0)));
    assert_eq!(
        ledger.refused(settle),
        SettleUnpricedRefusal::EventNotUnpriced { event }.into()
    );
}

#[test]
fn a_lot_for_a_feature_pays_for_nothing_else() {
    let mut ledger = Ledger::with(10);
    let lot = ledger.scoped(100, "search");
    let refusal = ledger.try_hold(11, feature("chat")).unwrap_err();
    let exceeds = ExceedsCredits {
        available: n(10),
        missing: n(1),
    };
    assert_eq!(refusal, PlaceHoldRefusal::from(exceeds).into());
    let hold = ledger.try_hold(105, feature("search")).unwrap();
    ledger.charge(Some(hold), 20);
    assert_eq!(ledger.left(lot), 80);
    // Nor does it pay a shortfall: nobody can say what that was for.
    ledger.charge(None, 15);
    assert_eq!(ledger.wallet().shortfall(), n(5));
    assert_eq!(ledger.left(lot), 80);
    let movements = &ledger.journal.last().unwrap().movements;
    assert!(movements.iter().all(|m| m.payer != Payer::Grant(lot)));
}

#[test]
fn a_balance_out_of_range_is_refused_never_wrapped() {
    let mut ledger = Ledger::with(10);
    ledger.charge(None, i64::MAX);
    let shortfall = i64::MAX - 10;
    assert_eq!(ledger.balance(Account::Shortfall), -shortfall);
    let command = Command::Capture(ledger.capturing(None, 1, true));
    assert_eq!(
        ledger.refused(command),
        CaptureRefusal::from(WalletRefusal::OutOfRange).into()
    );
    let command = GrantCredits {
        amount: Nanos::MAX,
        ..ledger.granting(1)
    };
    assert_eq!(
        ledger.refused(Command::GrantCredits(command)),
        GrantCreditsRefusal::from(WalletRefusal::OutOfRange).into()
    );
    let hold = Command::RenewHold(RenewHold {
        org: ORG,
        hold: HoldId::new(1),
        expires_at_ms: i64::MAX,
        extra: Nanos::MAX,
    });
    assert!(ledger.apply(hold).is_err());
}

/// Whoever may spend no more is charged to what was put aside while they could.
#[test]
fn what_reaches_no_further_than_its_hold_leaves_the_wallet_alone() {
    let mut ledger = Ledger::with(100);
    let hold = ledger.hold(60);
    let reaching = |ledger: &mut Ledger, price| {
        let capture = ledger.capturing(Some(hold), price, false);
        Command::Capture(Capture {
            reach: Reach::Hold,
            ..capture
        })
    };
    let most = reaching(&mut ledger, 60);
    let beyond = reaching(&mut ledger, 61);
    let refused = |left| {
        CaptureRefusal::BeyondHold {
            hold,
            left: n(left),
        }
        .into()
    };
    assert_eq!(ledger.refused(beyond), refused(60));
    ledger.ok(most);
    let more = reaching(&mut ledger, 1);
    assert_eq!(ledger.refused(more), refused(0));
    ledger.release(hold).unwrap();
    let past = Past::Hold(PastHold {
        end: HoldEnd::Released,
        dimensions: Arc::default(),
    });
    let free = reaching(&mut ledger, 0);
    let ended = ledger.apply_with(&free, &past).unwrap_err();
    assert_eq!(ended, refused(0));
    let event = EventId::new(ledger.id());
    let unpriced = Command::RecordUnpriced(RecordUnpriced {
        org: ORG,
        hold: Some(hold),
        reach: Reach::Hold,
        last: false,
        event,
        dimensions: Arc::default(),
    });
    let refused = RecordUnpricedRefusal::BeyondHold { hold, left: n(0) };
    let ended = ledger.apply_with(&unpriced, &past).unwrap_err();
    assert_eq!(ended, refused.into());
    assert_eq!(ledger.available(), 40);
}
