use super::*;
use crate::hold::{HoldEnd, Payer};
use crate::refusal::*;

/// How long a lease is in doubt here.
const DOUBT_MS: i64 = 2 * HOUR_MS;

/// A lease for an hour that wants so much, of this share.
fn terms(ledger: &Ledger, want: i64, share_permille: u16) -> LeaseTerms {
    LeaseTerms {
        want: n(want),
        share_permille,
        expires_at_ms: ledger.now_ms + HOUR_MS,
    }
}

fn granting(ledger: &mut Ledger, least: i64, want: i64, share_permille: u16) -> GrantLease {
    GrantLease {
        org: ORG,
        lease: HoldId::new(ledger.id()),
        least: n(least),
        terms: terms(ledger, want, share_permille),
        doubt_ms: DOUBT_MS,
        dimensions: Arc::default(),
        context: Arc::new([]),
    }
}

/// A lease with the turn in which it was granted.
fn lease(ledger: &mut Ledger, want: i64, share_permille: u16) -> HoldId {
    let command = granting(ledger, 0, want, share_permille);
    let lease = command.lease;
    ledger.ok(Command::GrantLease(command));
    lease
}

fn turn(ledger: &Ledger, lease: HoldId) -> TransactionId {
    ledger.org().hold(lease).unwrap().lease.unwrap().turn
}

fn renewing(ledger: &Ledger, lease: HoldId, keep: i64, want: i64) -> Command {
    Command::RenewLease(RenewLease {
        org: ORG,
        lease,
        turn: turn(ledger, lease),
        keep: n(keep),
        terms: terms(ledger, want, 1000),
    })
}

fn returning(ledger: &Ledger, lease: HoldId, keep: i64) -> Command {
    Command::ReturnLease(ReturnLease {
        org: ORG,
        lease,
        turn: turn(ledger, lease),
        keep: n(keep),
    })
}

/// Usage under the lease that waits for its price.
fn unpriced(ledger: &mut Ledger, lease: HoldId) -> EventId {
    let event = EventId::new(ledger.id());
    ledger.ok(Command::RecordUnpriced(RecordUnpriced {
        org: ORG,
        hold: Some(lease),
        reach: Reach::Wallet,
        last: true,
        event,
        dimensions: Arc::default(),
    }));
    event
}

/// What becomes of it when its price comes.
fn settled(ledger: &mut Ledger, event: EventId, price: i64) -> Effect {
    let charge = ChargeId::new(ledger.id());
    ledger.ok(Command::SettleUnpriced(SettleUnpriced {
        org: ORG,
        event,
        charge,
        price: n(price),
        cost: n(0),
        detail_digest: [2; 32],
    }))
}

fn granted(effect: &Effect) -> (i64, i64) {
    match effect.outcome {
        Outcome::Leased { granted, left, .. } => (granted.get(), left.get()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn l3_leases_together_never_pass_what_there_is() {
    let mut ledger = Ledger::with(100);
    let first = granting(&mut ledger, 0, 1_000, 500);
    assert_eq!(granted(&ledger.ok(Command::GrantLease(first))), (50, 50));
    let second = granting(&mut ledger, 0, 1_000, 500);
    assert_eq!(granted(&ledger.ok(Command::GrantLease(second))), (25, 25));
    let modest = granting(&mut ledger, 0, 3, 500);
    assert_eq!(granted(&ledger.ok(Command::GrantLease(modest))), (3, 3));
    // A waiting call counts for more than the share, but not for more than there is.
    let waiting = granting(&mut ledger, 20, 0, 500);
    assert_eq!(granted(&ledger.ok(Command::GrantLease(waiting))), (20, 20));
    let missing = granting(&mut ledger, 3, 0, 500);
    let exceeds = ExceedsCredits {
        available: n(2),
        missing: n(1),
    };
    assert_eq!(
        ledger.refused(Command::GrantLease(missing)),
        GrantLeaseRefusal::from(exceeds).into()
    );
    assert_eq!(ledger.available(), 2);
}

#[test]
fn a_lease_takes_from_budgets_as_from_the_wallet() {
    let mut ledger = Ledger::with(1_000);
    let budget = ledger.budget(BudgetScope::Org, BudgetKind::Hard, Window::Total, 100);
    let first = lease(&mut ledger, 1_000, 600);
    assert_eq!(ledger.org().hold(first).unwrap().left(), n(60));
    let refusal = {
        let command = granting(&mut ledger, 41, 0, 1000);
        ledger.refused(Command::GrantLease(command))
    };
    let exceeds = ExceedsBudget {
        budget,
        limit: n(100),
        available: n(40),
        missing: n(1),
        renews_at_ms: None,
    };
    assert_eq!(refusal, GrantLeaseRefusal::from(exceeds).into());
    // It gives back and takes in one step: all that the budget has.
    let renewed = renewing(&ledger, first, 10, 1_000);
    assert_eq!(granted(&ledger.ok(renewed)), (100, 100));
    let renewed = renewing(&ledger, first, 10, 0);
    assert_eq!(granted(&ledger.ok(renewed)), (10, 10));
    assert_eq!(ledger.available(), 990);
    assert_eq!(ledger.org().budget(budget).unwrap().1.held, n(10));
}

#[test]
fn what_was_charged_is_part_of_what_a_lease_was_given() {
    let mut ledger = Ledger::with(100);
    let id = lease(&mut ledger, 50, 1000);
    // Many calls are charged to it; none of them ends it.
    ledger.charge(Some(id), 10);
    ledger.charge(Some(id), 5);
    let renewed = renewing(&ledger, id, 20, 7);
    assert_eq!(granted(&ledger.ok(renewed)), (27, 12));
    assert_eq!(ledger.available(), 100 - 27);
    // Told to keep less than was charged, it keeps nothing, and no charge is undone.
    let renewed = renewing(&ledger, id, 3, 0);
    assert_eq!(granted(&ledger.ok(renewed)), (15, 0));
    assert_eq!(ledger.available(), 85);
    // A charge beyond it is the wallet's.
    let (_, charged) = ledger.charge(Some(id), 4);
    assert_eq!((charged.from_hold, charged.from_wallet), (n(0), n(4)));
    let gone = returning(&ledger, id, 0);
    assert_eq!(ledger.ok(gone).outcome, Outcome::Done);
    assert_eq!(ledger.available(), 81);
}

#[test]
fn l8_what_would_be_spent_first_is_given_back_last() {
    let mut ledger = Ledger::with_credit(10);
    let late = ledger.grant(10, 1, None);
    let soon = ledger.grant(10, 1, Some(HOUR_MS * 9));
    let id = lease(&mut ledger, 25, 1000);
    let renewed = renewing(&ledger, id, 12, 0);
    ledger.ok(renewed);
    let reserves = &ledger.org().hold(id).unwrap().reserves;
    let named: Vec<_> = reserves.iter().map(|r| (r.payer, r.amount.get())).collect();
    assert_eq!(named, [(Payer::Grant(soon), 10), (Payer::Grant(late), 2)]);
    assert_eq!(ledger.wallet().held_on_credit, Nanos::ZERO);
}

#[test]
fn a_lease_in_doubt_stays_put_aside_and_pays_what_is_reported_late() {
    let mut ledger = Ledger::with(100);
    let id = lease(&mut ledger, 60, 1000);
    ledger.pass(HOUR_MS + DOUBT_MS - 1);
    assert_eq!(ledger.state.next_due(ledger.now_ms), None);
    assert!(ledger.org().hold(id).unwrap().is_in_doubt(ledger.now_ms));
    let (_, charged) = ledger.charge(Some(id), 25);
    assert_eq!(charged.from_hold, n(25));
    assert_eq!(ledger.available(), 40);
    ledger.pass(1);
    let effect = ledger.expire();
    let [crate::effect::HoldChange::Ended(ended)] = &effect.holds[..] else {
        panic!("{:?}", effect.holds)
    };
    assert_eq!(
        (ended.end, ended.captured, ended.returned),
        (HoldEnd::Lapsed, n(25), n(35))
    );
    assert_eq!(ledger.available(), 75);
    // What comes even later is paid by the wallet.
    let capture = ledger.capturing(Some(id), 5, false);
    let past = Past::Hold(PastHold {
        end: HoldEnd::Lapsed,
        dimensions: Arc::default(),
    });
    let effect = ledger.apply_with(&Command::Capture(capture), &past);
    let Outcome::Charged(charged) = effect.unwrap().outcome else {
        panic!()
    };
    assert_eq!((charged.from_hold, charged.from_wallet), (n(0), n(5)));
}

#[test]
fn a_lease_that_is_renewed_in_doubt_goes_on() {
    let mut ledger = Ledger::with(100);
    let id = lease(&mut ledger, 60, 1000);
    ledger.pass(HOUR_MS);
    let renewed = renewing(&ledger, id, 60, 0);
    assert_eq!(granted(&ledger.ok(renewed)), (60, 60));
    assert!(!ledger.org().hold(id).unwrap().is_in_doubt(ledger.now_ms));
}

#[test]
fn a_lease_obeys_its_holders_last_word_alone() {
    let mut ledger = Ledger::with(100);
    let id = lease(&mut ledger, 60, 1000);
    let late = renewing(&ledger, id, 0, 0);
    let late_return = returning(&ledger, id, 0);
    let renewed = renewing(&ledger, id, 60, 10);
    ledger.ok(renewed);
    let passed = RenewLeaseRefusal::Lost(LeaseLost::TurnPassed { lease: id });
    assert_eq!(ledger.refused(late), passed.into());
    let passed = ReturnLeaseRefusal::Lost(LeaseLost::TurnPassed { lease: id });
    assert_eq!(ledger.refused(late_return), passed.into());
    // It is no hold for one call, and such a one is no lease.
    assert_eq!(
        ledger.release(id).unwrap_err(),
        ReleaseHoldRefusal::IsLease { hold: id }.into()
    );
    assert_eq!(
        ledger.renew(id, HOUR_MS, 1).unwrap_err(),
        RenewHoldRefusal::IsLease { hold: id }.into()
    );
    let hold = ledger.hold(1);
    let of_hold = Command::ReturnLease(ReturnLease {
        org: ORG,
        lease: hold,
        turn: turn(&ledger, id),
        keep: n(0),
    });
    let not_found = ReturnLeaseRefusal::Lost(LeaseLost::NotFound { lease: hold });
    assert_eq!(ledger.refused(of_hold), not_found.into());
}

/// One call without a price must not put all that was leased out of reach.
#[test]
fn a_lease_whose_holder_never_comes_back_lapses_though_usage_waits_for_its_price() {
    let mut ledger = Ledger::with(100);
    let id = lease(&mut ledger, 60, 1000);
    let event = unpriced(&mut ledger, id);
    ledger.pass(HOUR_MS + DOUBT_MS - 1);
    assert_eq!(ledger.state.next_due(ledger.now_ms), None);
    ledger.pass(1);
    let effect = ledger.expire();
    let [crate::effect::HoldChange::Ended(ended)] = &effect.holds[..] else {
        panic!("{:?}", effect.holds)
    };
    assert_eq!((ended.end, ended.returned), (HoldEnd::Lapsed, n(60)));
    let effect = settled(&mut ledger, event, 5);
    let Outcome::Charged(charged) = effect.outcome else {
        panic!()
    };
    assert_eq!((charged.from_hold, charged.from_wallet), (n(0), n(5)));
    assert_eq!(ledger.available(), 95);
}

#[test]
fn a_returned_lease_is_kept_for_usage_without_a_price_alone() {
    let mut ledger = Ledger::with(100);
    let id = lease(&mut ledger, 60, 1000);
    let event = unpriced(&mut ledger, id);
    let renewed = renewing(&ledger, id, 60, 0);
    ledger.ok(renewed);
    let kept = returning(&ledger, id, 7);
    assert_eq!(granted(&ledger.ok(kept)), (7, 7));
    assert_eq!(ledger.available(), 93);
    let again = renewing(&ledger, id, 7, 0);
    let ended = RenewLeaseRefusal::Lost(LeaseLost::Ended {
        lease: id,
        end: HoldEnd::Captured,
    });
    assert_eq!(ledger.refused(again), ended.into());
    ledger.pass(HOUR_MS + DOUBT_MS);
    ledger.expire();
    let effect = settled(&mut ledger, event, 5);
    let Outcome::Charged(charged) = effect.outcome else {
        panic!()
    };
    assert_eq!((charged.from_hold, charged.hold_left), (n(5), None));
    assert_eq!(ledger.available(), 95);
}

#[test]
fn a_lease_gets_nothing_while_a_shortfall_is_open() {
    let mut ledger = Ledger::with(10);
    let id = lease(&mut ledger, 10, 500);
    ledger.charge(None, 8);
    let open = n(3);
    assert_eq!(ledger.wallet().shortfall(), open);
    let command = granting(&mut ledger, 0, 1, 1000);
    assert_eq!(
        ledger.refused(Command::GrantLease(command)),
        GrantLeaseRefusal::ShortfallOpen { open }.into()
    );
    // What it gives back pays first.
    let renewed = renewing(&ledger, id, 3, 10);
    assert_eq!(granted(&ledger.ok(renewed)), (3, 3));
    assert_eq!(ledger.wallet().shortfall(), n(1));
    let renewed = renewing(&ledger, id, 0, 10);
    ledger.ok(renewed);
    assert_eq!(ledger.wallet().shortfall(), n(0));
}
