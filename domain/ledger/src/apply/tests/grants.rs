use super::*;
use crate::refusal::*;

#[test]
fn each_source_has_its_account() {
    let mut ledger = Ledger::with_credit(0);
    for (source, account) in [
        (GrantSource::Purchase, Account::Funding),
        (GrantSource::Promotional, Account::Promotion),
        (GrantSource::Adjustment, Account::Adjustment),
    ] {
        let command = GrantCredits {
            source,
            ..ledger.granting(10)
        };
        ledger.ok(Command::GrantCredits(command));
        assert_eq!(ledger.balance(account), -10);
    }
    assert_eq!(ledger.available(), 30);
}

#[test]
fn a_grant_that_makes_no_sense_is_refused() {
    let mut ledger = Ledger::with(1);
    let good = ledger.granting(10);
    let bad = [
        (
            GrantCredits {
                source: GrantSource::Refund,
                ..good.clone()
            },
            GrantCreditsRefusal::SourceRefund,
        ),
        (
            GrantCredits {
                amount: Nanos::ZERO,
                ..good.clone()
            },
            GrantCreditsRefusal::AmountZero,
        ),
        (
            GrantCredits {
                expires_at_ms: Some(ledger.now_ms),
                ..good.clone()
            },
            GrantCreditsRefusal::ExpiryNotAhead,
        ),
        (
            GrantCredits {
                amount: Nanos::MAX,
                ..good.clone()
            },
            WalletRefusal::OutOfRange.into(),
        ),
    ];
    for (command, refusal) in bad {
        assert_eq!(
            ledger.refused(Command::GrantCredits(command)),
            refusal.into()
        );
    }
    ledger.ok(Command::GrantCredits(good.clone()));
    let grant = good.grant;
    assert_eq!(
        ledger.refused(Command::GrantCredits(good)),
        GrantCreditsRefusal::GrantExists { grant }.into()
    );
}

#[test]
fn l8_an_expired_lots_rest_is_breakage() {
    let mut ledger = Ledger::with(100);
    let lot = ledger.grant(50, 1, Some(HOUR_MS));
    ledger.charge(None, 20);
    ledger.pass(HOUR_MS);
    assert_eq!(ledger.state.next_due(ledger.now_ms), Some(ORG));
    let effect = ledger.expire();
    assert_eq!(
        effect.outcome,
        Outcome::Expired {
            holds: 0,
            grants: 1
        }
    );
    assert_eq!(
        (ledger.left(lot), ledger.balance(Account::Breakage)),
        (0, 30)
    );
    assert_eq!(ledger.available(), 100);
}

#[test]
fn l8_a_lot_does_not_expire_under_a_hold_that_named_it() {
    let mut ledger = Ledger::with_credit(0);
    let lot = ledger.grant(50, 1, Some(HOUR_MS / 2));
    let hold = ledger.hold(30);
    ledger.pass(HOUR_MS / 2);
    ledger.expire();
    assert_eq!(ledger.balance(Account::Breakage), 20);
    assert_eq!((ledger.left(lot), ledger.available()), (30, 0));
    // Nothing else may spend it, and what the hold gives back breaks at once.
    assert!(ledger.try_hold(1, Dimensions::default()).is_err());
    let (_, charged) = ledger.charge(Some(hold), 12);
    assert_eq!(charged.from_hold, n(12));
    assert_eq!(ledger.balance(Account::Breakage), 38);
    assert_eq!((ledger.left(lot), ledger.wallet().posted_nanos()), (0, 0));
    assert_eq!(ledger.state.next_due(i64::MAX), None);
}

#[test]
fn a_grant_pays_back_credit() {
    let mut ledger = Ledger::with_credit(50);
    ledger.charge(None, 40);
    let lot = ledger.grant(100, 1, None);
    assert_eq!(ledger.wallet().overdraft, Nanos::ZERO);
    assert_eq!((ledger.left(lot), ledger.available()), (60, 60));
    assert_eq!(ledger.kinds(), ["charge", "grant", "repayment"]);
}

#[test]
fn a_cash_refund_takes_only_what_no_hold_has_named() {
    let mut ledger = Ledger::with_credit(0);
    let grant = ledger.grant(100, 1, None);
    ledger.charge(None, 10);
    let hold = ledger.hold(30);
    let refund = |ledger: &mut Ledger, amount: Option<i64>| {
        ledger.apply(Command::RefundGrant(RefundGrant {
            org: ORG,
            grant,
            refund: RefundId::new(1),
            amount: amount.map(n),
            detail_digest: [0; 32],
        }))
    };
    assert_eq!(
        refund(&mut ledger, Some(61)),
        Err(RefundGrantRefusal::ExceedsGrant { left: n(60) }.into())
    );
    assert_eq!(
        refund(&mut ledger, Some(0)),
        Err(RefundGrantRefusal::AmountZero.into())
    );
    refund(&mut ledger, Some(20)).unwrap();
    refund(&mut ledger, None).unwrap();
    assert_eq!(ledger.balance(Account::Funding), -40);
    assert_eq!(ledger.available(), 0);
    ledger.charge(Some(hold), 30);
    assert_eq!(
        refund(&mut ledger, None),
        Err(RefundGrantRefusal::GrantNotFound { grant }.into())
    );
}

#[test]
fn a_deduction_takes_no_more_than_there_is() {
    let mut ledger = Ledger::with(100);
    let deduct = |amount| {
        Command::Deduct(Deduct {
            org: ORG,
            amount: n(amount),
            detail_digest: [0; 32],
        })
    };
    ledger.ok(deduct(60));
    assert_eq!(ledger.balance(Account::Adjustment), 60);
    let exceeds = ExceedsCredits {
        available: n(40),
        missing: n(1),
    };
    assert_eq!(
        ledger.refused(deduct(41)),
        DeductRefusal::from(exceeds).into()
    );
    assert_eq!(ledger.refused(deduct(0)), DeductRefusal::AmountZero.into());
}
