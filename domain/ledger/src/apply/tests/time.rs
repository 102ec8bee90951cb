use super::*;
use crate::chain::{ChainError, Head, follow};
use crate::state::{OrgRows, RestoreError};

#[test]
fn a_clock_that_jumps_back_brings_nothing_back_to_life() {
    let mut ledger = Ledger::with(100);
    let lot = ledger.grant(50, 1, Some(HOUR_MS));
    ledger.hold(120);
    ledger.pass(HOUR_MS);
    ledger.expire();
    ledger.now_ms = START_MS - 1_000 * HOUR_MS;
    assert_eq!(ledger.left(lot), 0);
    let command = ledger.capturing(None, 10, true);
    let effect = ledger.ok(Command::Capture(command));
    assert_eq!(effect.at_ms, START_MS + HOUR_MS);
    // A hold for an hour lasts for an hour of the ledger's time.
    let hold = ledger.hold(1);
    let expires_at_ms = START_MS + 2 * HOUR_MS;
    assert_eq!(
        ledger.org().hold(hold).unwrap().expires_at_ms,
        expires_at_ms
    );
    let renewed = ledger.renew(hold, 2 * HOUR_MS, 0).unwrap();
    let expires_at_ms = START_MS + 3 * HOUR_MS;
    let left = n(1);
    assert_eq!(
        renewed.outcome,
        Outcome::Held {
            left,
            expires_at_ms
        }
    );
    let times: Vec<i64> = ledger.journal.iter().map(|t| t.at_ms).collect();
    assert!(times.is_sorted());
}

#[test]
fn l5_the_journal_is_a_chain_and_every_edit_is_found() {
    let mut ledger = Ledger::with(100);
    ledger.charge(None, 130);
    ledger.grant(50, 1, None);
    let check = |journal: &[Transaction]| {
        journal
            .iter()
            .try_fold(Head::genesis(ORG), |head, t| follow(&head, t))
    };
    let head = check(&ledger.journal).unwrap();
    let wallet = ledger.wallet();
    assert_eq!((head.seq, head.hash), (wallet.seq, wallet.head_hash));

    let edit = |change: fn(&mut Transaction)| {
        let mut journal = ledger.journal.clone();
        change(&mut journal[1]);
        check(&journal).unwrap_err()
    };
    let edited = ChainError::Hash { seq: 2 };
    assert_eq!(edit(|t| t.at_ms += 1), edited);
    assert_eq!(edit(|t| t.detail_digest = [9; 32]), edited);
    assert_eq!(edit(|t| t.movements[0].amount_nanos -= 1), edited);
    assert_eq!(edit(|t| t.id = TransactionId::new(1)), edited);
    assert_eq!(edit(|t| t.kind = TransactionKind::Deduction), edited);
    assert_eq!(edit(|t| t.postings = Default::default()), edited);
    assert_eq!(
        edit(|t| {
            t.detail_digest = [9; 32];
            t.hash = crate::chain::hash(t);
        }),
        ChainError::Prev { seq: 3 }
    );
    let mut cut = ledger.journal.clone();
    cut.remove(1);
    let missing = ChainError::Seq {
        expected: 2,
        found: 3,
    };
    assert_eq!(check(&cut), Err(missing));
}

fn restored(rows: OrgRows) -> Result<State, RestoreError> {
    let mut state = State::new(0);
    state.add_commodity(Commodity::of_usd(COMMODITY, "credit".into(), Peg::DEFAULT));
    state.restore(rows).map(|()| state)
}

#[test]
fn a_restored_ledger_goes_on_where_it_was() {
    let mut ledger = Ledger::with_credit(20);
    ledger.grant(50, 1, Some(HOUR_MS * 2));
    ledger.budget(BudgetScope::Org, BudgetKind::Hard, Window::Day, 100);
    ledger.charge(None, 5);
    let hold = ledger.hold(60);
    ledger.state = restored(ledger.rows().unwrap()).unwrap();
    assert_eq!(ledger.state.latest_ms(), START_MS);
    let budget = ledger.org().budgets().next().unwrap();
    assert_eq!((budget.1.spent, budget.1.held), (n(5), n(60)));
    assert!(ledger.try_hold(6, Dimensions::default()).is_err());
    let (_, charged) = ledger.charge(Some(hold), 60);
    assert_eq!(charged.from_hold, n(60));
    ledger.pass(HOUR_MS * 2);
    assert_eq!(
        ledger.expire().outcome,
        Outcome::Expired {
            holds: 0,
            grants: 0
        }
    );
}

#[test]
fn rows_that_contradict_each_other_do_not_start() {
    let mut ledger = Ledger::with(100);
    let hold = ledger.hold(60);
    let good = ledger.rows().unwrap();
    let grant = good.grants[0].id();
    let broken = |change: fn(&mut OrgRows)| {
        let mut rows = good.clone();
        change(&mut rows);
        restored(rows).unwrap_err()
    };
    let wallet = RestoreError::Wallet { org: ORG };
    assert_eq!(broken(|rows| rows.wallet.held = Nanos::ZERO), wallet);
    assert_eq!(broken(|rows| rows.grants[0].remaining = n(99)), wallet);
    assert_eq!(broken(|rows| rows.holds.clear()), wallet);
    assert_eq!(
        broken(|rows| rows.grants.clear()),
        RestoreError::Reserve { hold, grant }
    );
    assert_eq!(
        broken(|rows| rows.holds.push(rows.holds[0].clone())),
        RestoreError::Duplicate { org: ORG }
    );
    let mut state = restored(good.clone()).unwrap();
    assert_eq!(
        state.restore(good),
        Err(RestoreError::OrgExists { org: ORG })
    );
}
