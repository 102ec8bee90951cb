use super::*;
use crate::budget::{BudgetAlert, BudgetUse};
use crate::refusal::*;

fn used(ledger: &Ledger, budget: BudgetId) -> BudgetUse {
    ledger.org().budget(budget).unwrap().1
}

fn counts(ledger: &Ledger, budget: BudgetId) -> (i64, i64) {
    let used = used(ledger, budget);
    (used.spent.get(), used.held.get())
}

#[test]
fn spent_and_held_both_count() {
    let mut ledger = Ledger::with(1_000);
    let budget = ledger.budget(BudgetScope::Org, BudgetKind::Hard, Window::Day, 100);
    let hold = ledger.hold(60);
    assert_eq!(counts(&ledger, budget), (0, 60));
    let refusal = ledger.try_hold(41, Dimensions::default()).unwrap_err();
    let exceeds = ExceedsBudget {
        budget,
        limit: n(100),
        available: n(40),
        missing: n(1),
        renews_at_ms: Some(START_MS + 24 * HOUR_MS),
    };
    assert_eq!(refusal, PlaceHoldRefusal::from(exceeds).into());
    assert_eq!(counts(&ledger, budget), (0, 60));
    ledger.charge(Some(hold), 30);
    assert_eq!(counts(&ledger, budget), (30, 0));
    ledger.hold(70);
    // A free call fits even then.
    ledger.hold(0);
}

#[test]
fn only_calls_of_its_own_dimension_count() {
    let mut ledger = Ledger::with(1_000);
    let scopes = [
        BudgetScope::Key(KeyId::new(1)),
        BudgetScope::Project("p".into()),
        BudgetScope::User("u".into()),
        BudgetScope::Agent("a".into()),
        BudgetScope::Feature("f".into()),
    ];
    let budgets: Vec<_> = scopes
        .into_iter()
        .map(|scope| ledger.budget(scope, BudgetKind::Hard, Window::Total, 10))
        .collect();
    ledger.hold(100);
    for budget in &budgets {
        assert_eq!(counts(&ledger, *budget), (0, 0));
    }
    let all = Dimensions {
        key: Some(KeyId::new(1)),
        project: Some("p".into()),
        user: Some("u".into()),
        agent: Some("a".into()),
        feature: Some("f".into()),
        plan: None,
    };
    ledger.try_hold(10, all.clone()).unwrap();
    for budget in &budgets {
        assert_eq!(counts(&ledger, *budget), (0, 10));
    }
    assert!(ledger.try_hold(1, all).is_err());
    let other = Dimensions {
        project: Some("q".into()),
        ..Dimensions::default()
    };
    ledger.try_hold(1, other).unwrap();
}

#[test]
fn usage_that_is_there_counts_past_the_limit_and_says_so() {
    let mut ledger = Ledger::with(1_000);
    let budget = ledger.budget(BudgetScope::Org, BudgetKind::Hard, Window::Day, 100);
    let hold = ledger.hold(100);
    let command = ledger.capturing(Some(hold), 130, true);
    let effect = ledger.ok(Command::Capture(command));
    assert_eq!(
        effect.alerts,
        [BudgetAlert {
            budget,
            kind: BudgetKind::Hard,
            limit: n(100),
            used: n(130)
        }]
    );
    assert!(ledger.try_hold(1, Dimensions::default()).is_err());
    // Once is enough.
    let command = ledger.capturing(None, 1, true);
    assert!(ledger.ok(Command::Capture(command)).alerts.is_empty());
}

#[test]
fn a_warning_refuses_nothing() {
    let mut ledger = Ledger::with(1_000);
    let budget = ledger.budget(BudgetScope::Org, BudgetKind::Warning, Window::Day, 10);
    let command = ledger.placing(11, Dimensions::default());
    let effect = ledger.ok(Command::PlaceHold(command));
    let alert = effect.alerts.first().unwrap();
    assert_eq!((alert.budget, alert.kind), (budget, BudgetKind::Warning));
}

#[test]
fn a_new_day_starts_at_zero_but_goes_on_holding() {
    let mut ledger = Ledger::with(1_000);
    let day = ledger.budget(BudgetScope::Org, BudgetKind::Hard, Window::Day, 100);
    let total = ledger.budget(BudgetScope::Org, BudgetKind::Hard, Window::Total, 500);
    ledger.charge(None, 80);
    ledger.pass(24 * HOUR_MS - 1);
    let hold = ledger.hold(20);
    assert!(ledger.try_hold(1, Dimensions::default()).is_err());
    ledger.pass(1);
    ledger.hold(80);
    assert_eq!(counts(&ledger, day), (0, 100));
    ledger.charge(Some(hold), 15);
    assert_eq!(counts(&ledger, day), (15, 80));
    assert_eq!(counts(&ledger, total), (95, 80));
    assert_eq!(used(&ledger, day).window_start_ms, START_MS + 24 * HOUR_MS);
}

#[test]
fn an_expired_hold_no_longer_counts() {
    let mut ledger = Ledger::with(1_000);
    let budget = ledger.budget(BudgetScope::Org, BudgetKind::Hard, Window::Total, 100);
    ledger.hold(100);
    ledger.pass(HOUR_MS);
    ledger.hold(100);
    assert_eq!(counts(&ledger, budget), (0, 100));
}

#[test]
fn a_refund_in_the_window_of_its_charge_counts_back() {
    let mut ledger = Ledger::with(1_000);
    let day = ledger.budget(BudgetScope::Org, BudgetKind::Hard, Window::Day, 100);
    let (first, _) = ledger.charge(None, 50);
    ledger.refund(first, Some(20));
    assert_eq!(counts(&ledger, day), (30, 0));
    ledger.pass(24 * HOUR_MS);
    ledger.charge(None, 7);
    ledger.refund(first, None);
    assert_eq!(counts(&ledger, day), (7, 0));
}

#[test]
fn a_replaced_budget_keeps_its_count_while_it_counts_the_same() {
    let mut ledger = Ledger::with(1_000);
    let id = ledger.budget(BudgetScope::Org, BudgetKind::Hard, Window::Day, 100);
    ledger.charge(None, 80);
    ledger.try_hold(5, feature("f")).unwrap();
    let (budget, _) = ledger.org().budget(id).unwrap().clone();
    let put = |budget: Budget| {
        Command::PutBudget(PutBudget {
            org: ORG,
            budget,
            spent: n(33),
        })
    };
    ledger.ok(put(Budget {
        limit: n(200),
        ..budget.clone()
    }));
    assert_eq!(counts(&ledger, id), (80, 5));
    ledger.try_hold(115, feature("g")).unwrap();
    ledger.ok(put(Budget {
        scope: BudgetScope::Feature("f".into()),
        ..budget
    }));
    assert_eq!(counts(&ledger, id), (33, 5));
    let remove = Command::RemoveBudget(RemoveBudget {
        org: ORG,
        budget: id,
    });
    ledger.ok(remove.clone());
    assert_eq!(
        ledger.refused(remove),
        RemoveBudgetRefusal::BudgetNotFound { budget: id }.into()
    );
    ledger.try_hold(500, feature("f")).unwrap();
}
