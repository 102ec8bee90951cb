use super::*;
use crate::hold::{HoldEnd, Payer};
use crate::refusal::*;

#[test]
fn a_hold_takes_from_available_and_release_gives_back() {
    let mut ledger = Ledger::with(100);
    let hold = ledger.hold(60);
    assert_eq!(
        (ledger.wallet().posted_nanos(), ledger.available()),
        (100, 40)
    );
    ledger.release(hold).unwrap();
    assert_eq!(ledger.available(), 100);
    assert_eq!(ledger.wallet().held, Nanos::ZERO);
}

#[test]
fn l3_a_hold_beyond_available_is_refused_with_what_is_missing() {
    let mut ledger = Ledger::with(100);
    ledger.hold(60);
    let refusal = ledger.try_hold(41, Dimensions::default()).unwrap_err();
    let exceeds = ExceedsCredits {
        available: n(40),
        missing: n(1),
    };
    assert_eq!(refusal, PlaceHoldRefusal::from(exceeds).into());
    ledger.hold(40);
    assert_eq!(ledger.available(), 0);
}

#[test]
fn l3_the_credit_limit_is_the_floor() {
    let mut ledger = Ledger::with_credit(50);
    let hold = ledger.hold(50);
    assert_eq!(ledger.available(), -50);
    assert!(ledger.try_hold(1, Dimensions::default()).is_err());
    ledger.charge(Some(hold), 50);
    assert_eq!(
        (ledger.wallet().posted_nanos(), ledger.available()),
        (-50, -50)
    );
    let lower = Command::SetCreditLimit(SetCreditLimit {
        org: ORG,
        credit_limit: n(49),
    });
    assert_eq!(
        ledger.refused(lower),
        SetCreditLimitRefusal::BelowUsedCredit { used: n(50) }.into()
    );
}

#[test]
fn a_free_call_needs_no_credits() {
    let mut ledger = Ledger::with_credit(0);
    let hold = ledger.hold(0);
    let (_, charged) = ledger.charge(Some(hold), 0);
    assert_eq!(charged, Charged::default());
    let last = ledger.journal.last().unwrap();
    assert_eq!(last.kind.name(), "charge");
    assert!(last.postings.as_slice().is_empty());
}

#[test]
fn a_hold_names_lots_in_spend_order() {
    let mut ledger = Ledger::with_credit(5);
    let late = ledger.grant(10, 1, None);
    let soon = ledger.grant(10, 1, Some(HOUR_MS * 2));
    let first = ledger.grant(10, 0, None);
    let hold = ledger.hold(32);
    let reserves = &ledger.org().hold(hold).unwrap().reserves;
    let named: Vec<_> = reserves.iter().map(|r| (r.payer, r.amount.get())).collect();
    assert_eq!(
        named,
        [
            (Payer::Grant(first), 10),
            (Payer::Grant(soon), 10),
            (Payer::Grant(late), 10),
            (Payer::Credit, 2)
        ]
    );
}

#[test]
fn l7_an_expired_hold_gives_everything_back_and_ends_once() {
    let mut ledger = Ledger::with(100);
    let hold = ledger.hold(60);
    ledger.pass(HOUR_MS - 1);
    assert_eq!(ledger.state.next_due(ledger.now_ms), None);
    ledger.pass(1);
    assert_eq!(ledger.state.next_due(ledger.now_ms), Some(ORG));
    let effect = ledger.expire();
    assert_eq!(
        effect.outcome,
        Outcome::Expired {
            holds: 1,
            grants: 0
        }
    );
    assert_eq!(ledger.available(), 100);
    assert_eq!(ledger.state.next_due(i64::MAX), None);
    assert_eq!(
        ledger.release(hold).unwrap_err(),
        ReleaseHoldRefusal::HoldNotFound { hold }.into()
    );
    let past = Past::Hold(PastHold {
        end: HoldEnd::Expired,
        dimensions: Arc::default(),
    });
    let release = Command::ReleaseHold(ReleaseHold { org: ORG, hold });
    assert_eq!(ledger.state.recall(&release), Some(Recall::Hold(hold)));
    assert_eq!(
        ledger.apply_with(&release, &past),
        Err(ReleaseHoldRefusal::HoldEnded {
            hold,
            end: HoldEnd::Expired
        }
        .into())
    );
}

#[test]
fn expired_holds_end_before_the_next_command_looks() {
    let mut ledger = Ledger::with(100);
    ledger.hold(100);
    ledger.pass(HOUR_MS);
    ledger.hold(100);
}

#[test]
fn a_renewed_hold_lives_longer_and_may_grow() {
    let mut ledger = Ledger::with(100);
    let hold = ledger.hold(60);
    ledger.pass(HOUR_MS / 2);
    let effect = ledger.renew(hold, HOUR_MS, 30).unwrap();
    let expires_at_ms = ledger.now_ms + HOUR_MS;
    assert_eq!(
        effect.outcome,
        Outcome::Held {
            left: n(90),
            expires_at_ms
        }
    );
    ledger.pass(HOUR_MS - 1);
    // A renewal never shortens, and time alone is given whatever the wallet has.
    ledger.renew(hold, 1, 0).unwrap();
    assert_eq!(
        ledger.org().hold(hold).unwrap().expires_at_ms,
        expires_at_ms
    );
    let too_much = ledger.renew(hold, HOUR_MS, 11).unwrap_err();
    let exceeds = ExceedsCredits {
        available: n(10),
        missing: n(1),
    };
    assert_eq!(too_much, RenewHoldRefusal::from(exceeds).into());
    ledger.pass(1);
    assert_eq!(
        ledger.expire().outcome,
        Outcome::Expired {
            holds: 1,
            grants: 0
        }
    );
}

#[test]
fn an_id_is_held_once_and_not_in_the_past() {
    let mut ledger = Ledger::with(100);
    let command = ledger.placing(1, Dimensions::default());
    ledger.ok(Command::PlaceHold(command.clone()));
    let hold = command.hold;
    assert_eq!(
        ledger.refused(Command::PlaceHold(command.clone())),
        PlaceHoldRefusal::HoldExists { hold }.into()
    );
    let late = PlaceHold {
        hold: HoldId::new(1),
        expires_at_ms: ledger.now_ms,
        ..command
    };
    assert_eq!(
        ledger.refused(Command::PlaceHold(late)),
        PlaceHoldRefusal::ExpiryNotAhead.into()
    );
}

#[test]
fn an_org_without_a_wallet_is_refused() {
    let mut ledger = Ledger::with(100);
    let org = OrgId::new(8);
    let command = PlaceHold {
        org,
        ..ledger.placing(1, Dimensions::default())
    };
    assert_eq!(
        ledger.refused(Command::PlaceHold(command)),
        PlaceHoldRefusal::from(WalletRefusal::WalletNotFound { org }).into()
    );
    let open = |org, commodity| {
        Command::OpenWallet(OpenWallet {
            org,
            commodity,
            credit_limit: Nanos::ZERO,
        })
    };
    let commodity = CommodityId::new(9);
    assert_eq!(
        ledger.refused(open(org, commodity)),
        OpenWalletRefusal::CommodityNotFound { commodity }.into()
    );
    assert_eq!(
        ledger.refused(open(ORG, COMMODITY)),
        OpenWalletRefusal::WalletExists { org: ORG }.into()
    );
}
