//! The auditor finds what was tampered with, and says which invariant it breaks.

use super::*;
use crate::chain::Head;
use crate::effect::HoldChange;
use crate::grant::Grant;
use crate::hold::{EndedHold, Hold, Payer};
use crate::transaction::{Movement, Posting, Postings};
use crate::verify::{Auditor, Invariant, Violation};

/// All rows of an org, as a store would stream them.
#[derive(Clone)]
struct Rows {
    wallet: Wallet,
    grants: Vec<Grant>,
    journal: Vec<Transaction>,
    active: Vec<Hold>,
    ended: Vec<(Nanos, EndedHold)>,
}

impl Rows {
    /// Hashes everything again: what somebody with write access could do.
    fn chain_again(&mut self) {
        let mut head = Head::genesis(ORG);
        for transaction in &mut self.journal {
            transaction.seq = head.seq + 1;
            transaction.prev_hash = head.hash;
            transaction.hash = crate::chain::hash(transaction);
            head.seq = transaction.seq;
            head.hash = transaction.hash;
        }
        self.wallet.seq = head.seq;
        self.wallet.head_hash = head.hash;
    }

    fn audit<'h>(
        &self,
        exported: impl IntoIterator<Item = &'h Head>,
    ) -> Vec<(Invariant, Violation)> {
        let mut auditor = Auditor::new(ORG, self.wallet);
        exported
            .into_iter()
            .for_each(|head| auditor.expect_head(head));
        self.grants.iter().for_each(|grant| auditor.grant(grant));
        self.journal.iter().for_each(|t| auditor.transaction(t));
        self.active
            .iter()
            .for_each(|hold| auditor.active_hold(hold));
        for (amount, hold) in &self.ended {
            auditor.ended_hold(*amount, hold);
        }
        let findings = auditor.finish();
        assert!(findings.iter().all(|finding| finding.org == ORG));
        findings
            .into_iter()
            .map(|finding| (finding.invariant, finding.violation))
            .collect()
    }

    fn broken(&self, change: impl FnOnce(&mut Self)) -> Vec<Invariant> {
        let mut rows = self.clone();
        change(&mut rows);
        let mut found: Vec<_> = rows.audit(None).into_iter().map(|(l, _)| l).collect();
        found.sort();
        found.dedup();
        found
    }
}

/// Lots, holds, a charge in parts, a shortfall, an expiry: a bit of everything.
fn rows() -> Rows {
    let mut ledger = Ledger::with_credit(0);
    let mut grants = vec![
        ledger.grant(20, 1, Some(HOUR_MS / 2)),
        ledger.grant(100, 2, None),
    ];
    let (charge, _) = ledger.charge(None, 30);
    ledger.refund(charge, Some(25));
    let hold = ledger.hold(40);
    let command = ledger.capturing(Some(hold), 10, true);
    let effect = ledger.ok(Command::Capture(command));
    let mut ended = Vec::new();
    for change in &effect.holds {
        if let HoldChange::Ended(hold) = change {
            ended.push((n(40), hold.clone()));
        }
    }
    ledger.pass(HOUR_MS / 2);
    ledger.expire();
    ledger.charge(None, 100);
    grants.push(ledger.grant(80, 2, None));
    ledger.hold(10);
    ledger.charge(None, 1);
    let known = ledger.org().grants().cloned().collect::<Vec<_>>();
    let effect_rows = grants
        .into_iter()
        .map(|id| known.iter().find(|grant| grant.id() == id).cloned());
    let spent = ledger.charges.iter().flat_map(|(_, past)| &past.grants);
    let mut grants: Vec<Grant> = effect_rows.flatten().collect();
    for grant in spent {
        if !grants.iter().any(|own| own.id() == grant.id()) {
            let mut grant = grant.clone();
            grant.remaining = Nanos::ZERO;
            grants.push(grant);
        }
    }
    Rows {
        wallet: ledger.wallet(),
        grants,
        journal: ledger.journal.clone(),
        active: ledger.org().holds().cloned().collect(),
        ended,
    }
}

#[test]
fn an_honest_ledger_has_no_findings() {
    assert_eq!(rows().audit(None), []);
}

#[test]
fn l5_edited_removed_moved_and_cut_off_rows_are_found() {
    let rows = rows();
    let only = [Invariant::L5];
    assert_eq!(rows.broken(|r| r.journal[2].detail_digest = [9; 32]), only);
    assert_eq!(rows.broken(|r| r.journal[3].at_ms -= 1), only);
    assert!(
        rows.broken(|r| {
            r.journal.remove(2);
        })
        .contains(&Invariant::L5)
    );
    assert!(
        rows.broken(|r| r.journal.swap(2, 3))
            .contains(&Invariant::L5)
    );
    assert!(
        rows.broken(|r| {
            r.journal.pop();
        })
        .contains(&Invariant::L5)
    );
    assert_eq!(rows.broken(|r| r.wallet.head_hash = [0; 32]), only);
}

#[test]
fn l5_an_exported_head_finds_a_journal_that_was_hashed_again() {
    let mut rows = rows();
    let last = rows.journal.last().unwrap();
    let head = Head {
        org: ORG,
        seq: last.seq,
        hash: last.hash,
    };
    assert_eq!(rows.audit(Some(&head)), []);
    rows.journal[2].detail_digest = [9; 32];
    rows.chain_again();
    assert_eq!(rows.audit(None), []);
    let seq = head.seq;
    assert_eq!(
        rows.audit(Some(&head)),
        [(Invariant::L5, Violation::ExportedHead { seq })]
    );
    // What the new journal exports of itself since then does not speak for it.
    let last = rows.journal.last().unwrap();
    let later = Head {
        hash: last.hash,
        ..head
    };
    assert_eq!(rows.audit(Some(&later)), []);
    for exported in [[&head, &later], [&later, &head]] {
        assert_eq!(
            rows.audit(exported),
            [(Invariant::L5, Violation::ExportedHead { seq })]
        );
    }
    let beyond = Head {
        seq: seq + 1,
        ..head
    };
    assert_eq!(
        rows.audit(Some(&beyond)),
        [(Invariant::L5, Violation::ExportedHead { seq: seq + 1 })]
    );
}

#[test]
fn l1_postings_of_another_kind_and_movements_that_differ_are_found() {
    let rows = rows();
    let found = rows.broken(|r| {
        // The charge pays the operator's promotion account instead of revenue.
        let postings = r.journal[2].postings.as_slice().to_vec();
        let moved = postings.into_iter().map(|posting| Posting {
            account: match posting.account {
                Account::Revenue => Account::Promotion,
                account => account,
            },
            ..posting
        });
        let mut moved: Vec<Posting> = moved.collect();
        moved.sort_by_key(|posting| posting.account);
        r.journal[2].postings = Postings::new(moved).unwrap();
        r.chain_again();
    });
    assert!(found.contains(&Invariant::L1));
    let found = rows.broken(|r| {
        r.journal[2].movements[0].amount_nanos += 1;
        r.chain_again();
    });
    assert!(found.contains(&Invariant::L1));
    let found = rows.broken(|r| {
        r.journal[0].commodity = CommodityId::new(5);
        r.chain_again();
    });
    assert_eq!(found, [Invariant::L1]);
    let unbalanced = Postings::new(vec![Posting {
        account: Account::Wallet,
        amount_nanos: 1,
    }]);
    let mut auditor = Auditor::new(ORG, rows.wallet);
    auditor.unbalanced(TransactionId::new(1), 1, [0; 32], unbalanced.unwrap_err());
    assert_eq!(auditor.take_findings()[0].invariant, Invariant::L1);
}

#[test]
fn l2_balances_lots_and_holds_that_the_journal_does_not_make_are_found() {
    let rows = rows();
    let only = [Invariant::L2];
    let more = |wallet: &mut Wallet, account| {
        wallet.balances = wallet.balances.after(account, 1).unwrap();
    };
    for account in Account::ALL {
        assert_eq!(rows.broken(|r| more(&mut r.wallet, account)), only);
    }
    assert_eq!(rows.broken(|r| r.grants[0].remaining = n(1)), only);
    assert_eq!(rows.broken(|r| r.wallet.held = n(11)), only);
    assert_eq!(rows.broken(|r| r.wallet.overdraft = n(1)), only);
    assert_eq!(rows.broken(|r| r.active.clear()), only);
    assert!(rows.broken(|r| r.grants.clear()).contains(&Invariant::L2));
}

#[test]
fn l3_more_credit_than_the_limit_is_found() {
    let mut ledger = Ledger::with_credit(10);
    ledger.charge(None, 10);
    let rows = Rows {
        wallet: ledger.wallet(),
        grants: Vec::new(),
        journal: ledger.journal.clone(),
        active: Vec::new(),
        ended: Vec::new(),
    };
    assert_eq!(rows.audit(None), []);
    assert_eq!(
        rows.broken(|r| r.wallet.credit_limit = n(9)),
        [Invariant::L3]
    );
}

#[test]
fn l6_what_counts_twice_is_found() {
    let rows = rows();
    let again = |rows: &mut Rows, index: usize| {
        let transaction = rows.journal[index].clone();
        rows.journal.insert(index + 1, transaction);
        rows.chain_again();
    };
    let kinds: Vec<_> = rows.journal.iter().map(|t| t.kind.name()).collect();
    let charge = kinds.iter().position(|kind| *kind == "charge").unwrap();
    let refund = kinds
        .iter()
        .position(|kind| *kind == "charge_refund")
        .unwrap();
    for index in [charge, refund] {
        assert!(rows.broken(|r| again(r, index)).contains(&Invariant::L6));
    }
    let found = rows.broken(|r| {
        if let TransactionKind::ChargeRefund { charge, .. } = &mut r.journal[refund].kind {
            *charge = ChargeId::new(1);
        }
        r.chain_again();
    });
    assert_eq!(found, [Invariant::L6]);
}

#[test]
fn l7_holds_that_end_twice_late_or_short_are_found() {
    let rows = rows();
    let only = [Invariant::L7];
    assert_eq!(rows.broken(|r| r.ended.push(r.ended[0].clone())), only);
    assert_eq!(rows.broken(|r| r.ended[0].1.returned = n(29)), only);
    assert_eq!(rows.broken(|r| r.active[0].expires_at_ms = START_MS), only);
}

#[test]
fn l8_spending_out_of_order_and_unbroken_lots_are_found() {
    let rows = rows();
    let found = rows.broken(|r| {
        r.journal[2].movements.reverse();
        r.chain_again();
    });
    assert_eq!(found, [Invariant::L8]);
    let late = |r: &mut Rows, index: usize, at_ms: i64| {
        let terms = Arc::make_mut(&mut r.grants[index].terms);
        terms.expires_at_ms = Some(at_ms);
    };
    let index = rows
        .grants
        .iter()
        .position(|g| !g.free().is_zero())
        .unwrap();
    assert_eq!(
        rows.broken(|r| late(r, index, r.wallet.at_ms)),
        [Invariant::L8]
    );
    let expired = rows
        .grants
        .iter()
        .position(|grant| grant.terms.expires_at_ms.is_some())
        .unwrap();
    assert!(
        rows.broken(|r| late(r, expired, i64::MAX))
            .contains(&Invariant::L8)
    );
    assert!(
        rows.broken(|r| late(r, expired, START_MS))
            .contains(&Invariant::L8)
    );
    let stranger = Movement {
        payer: Payer::Grant(GrantId::new(1)),
        amount_nanos: 1,
    };
    let found = rows.broken(|r| {
        r.journal[2].movements.push(stranger);
        r.chain_again();
    });
    assert!(found.contains(&Invariant::L2));
}
