//! Random histories: the ledger against the [naive](super::naive) one and against the auditor,
//! after every step. A failing history is shrunk and printed whole.

use super::naive::{Lot, Naive};
use super::*;
use crate::hold::Payer;
use crate::verify::Auditor;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// Which of the things that exist, counted from the newest.
type Pick = usize;

#[derive(Clone, Debug)]
enum Step {
    Grant(i64, u16, Option<i64>, Option<&'static str>),
    Limit(i64),
    Deduct(i64),
    Hold(i64, i64, Option<&'static str>),
    Renew(Pick, i64, i64),
    Release(Pick),
    /// At least, wanted, share, minutes, minutes in doubt.
    Lease(i64, i64, u16, i64, i64, Option<&'static str>),
    /// What of all it was given is kept, wanted, share, minutes.
    RenewLease(Pick, i64, i64, u16, i64),
    /// By somebody who does not hold it.
    RenewAnothers(Pick),
    ReturnLease(Pick, i64),
    Capture(Option<Pick>, i64, bool, Reach),
    Unpriced(Option<Pick>, bool),
    Settle(Pick, i64),
    Refund(Pick, Option<i64>),
    RefundGrant(Pick, Option<i64>),
    Absorb(Option<i64>),
    /// The clock moves, also back.
    Pass(i64),
    Expire,
}

fn reach() -> impl Strategy<Value = Reach> {
    prop_oneof![4 => Just(Reach::Wallet), 1 => Just(Reach::Hold)]
}

fn step() -> impl Strategy<Value = Step> {
    let amount = || 0..30_i64;
    let pick = || 0..4_usize;
    let minutes = || 1..90_i64;
    let name = || prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))];
    let maybe = || prop::option::of(0..20_i64);
    prop_oneof![
        3 => (amount(), 0..3_u16, prop::option::of(minutes()), name())
            .prop_map(|(a, p, e, f)| Step::Grant(a, p, e, f)),
        1 => amount().prop_map(Step::Limit),
        1 => amount().prop_map(Step::Deduct),
        5 => (amount(), minutes(), name()).prop_map(|(a, m, f)| Step::Hold(a, m, f)),
        2 => (pick(), minutes(), 0..10_i64).prop_map(|(h, m, a)| Step::Renew(h, m, a)),
        1 => pick().prop_map(Step::Release),
        3 => (0..8_i64, amount(), 0..1100_u16, minutes(), 0..60_i64, name())
            .prop_map(|(l, w, s, m, d, f)| Step::Lease(l, w, s, m, d, f)),
        3 => (pick(), amount(), amount(), 0..1100_u16, minutes())
            .prop_map(|(h, k, w, s, m)| Step::RenewLease(h, k, w, s, m)),
        1 => pick().prop_map(Step::RenewAnothers),
        1 => (pick(), 0..20_i64).prop_map(|(h, k)| Step::ReturnLease(h, k)),
        6 => (prop::option::of(pick()), amount(), any::<bool>(), reach())
            .prop_map(|(h, a, l, r)| Step::Capture(h, a, l, r)),
        2 => (prop::option::of(pick()), any::<bool>()).prop_map(|(h, l)| Step::Unpriced(h, l)),
        2 => (pick(), amount()).prop_map(|(e, a)| Step::Settle(e, a)),
        3 => (pick(), maybe()).prop_map(|(c, a)| Step::Refund(c, a)),
        1 => (pick(), maybe()).prop_map(|(g, a)| Step::RefundGrant(g, a)),
        1 => maybe().prop_map(Step::Absorb),
        4 => (-30..60_i64).prop_map(Step::Pass),
        1 => Just(Step::Expire),
    ]
}

/// The two ledgers and what exists in them.
struct Pair {
    ledger: Ledger,
    naive: Naive,
    grants: Vec<GrantId>,
    holds: Vec<HoldId>,
    events: Vec<EventId>,
    /// Every lot and ended hold, as a store would keep their rows.
    rows: std::collections::BTreeMap<GrantId, crate::grant::Grant>,
    ended: Vec<(crate::ids::HoldId, Nanos, crate::hold::EndedHold)>,
}

fn picked<T: Copy>(all: &[T], pick: Pick) -> Option<T> {
    all.iter().rev().nth(pick).copied()
}

const MINUTE_MS: i64 = 60_000;

impl Pair {
    fn new() -> Self {
        let mut ledger = Ledger::with_credit(0);
        // They warn, so that the naive ledger need not know them to say what is refused.
        for scope in [BudgetScope::Org, BudgetScope::Feature("a".into())] {
            ledger.budget(scope, BudgetKind::Warning, Window::Total, 100);
        }
        Self {
            ledger,
            naive: Naive {
                now_ms: START_MS,
                ..Naive::default()
            },
            grants: Vec::new(),
            holds: Vec::new(),
            events: Vec::new(),
            rows: std::collections::BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    fn apply(&mut self, command: Command) -> Option<Effect> {
        let past = match self.ledger.state.recall(&command) {
            Some(Recall::Hold(id)) => {
                self.naive.ended.get(&id).map_or(Past::Nothing, |(end, f)| {
                    Past::Hold(PastHold {
                        end: *end,
                        dimensions: Arc::new(
                            f.as_deref().map_or_else(Dimensions::default, feature),
                        ),
                    })
                })
            }
            Some(Recall::Charge(id)) => {
                let charges = &mut self.ledger.charges;
                let past = charges.iter_mut().find(|(charge, _)| *charge == id);
                past.map_or(Past::Nothing, |(_, past)| {
                    past.grants = self.rows.values().cloned().collect();
                    Past::Charge(past.clone())
                })
            }
            None => Past::Nothing,
        };
        let before: Vec<_> = self.ledger.org().holds().cloned().collect();
        let effect = self.ledger.apply_with(&command, &past).ok()?;
        for grant in &effect.grants {
            self.rows.insert(grant.id(), grant.clone());
        }
        for change in &effect.holds {
            if let crate::effect::HoldChange::Ended(hold) = change {
                let active = before.iter().find(|active| active.id == hold.id).unwrap();
                self.ended.push((hold.id, active.amount, hold.clone()));
            }
        }
        Some(effect)
    }

    /// Runs a step in both; says whether both agree that it may be done.
    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now_ms = self.ledger.now_ms;
        if let Step::Pass(minutes) = step {
            self.ledger.pass(minutes * MINUTE_MS);
            return Ok(());
        }
        let (done, expected) = match step.clone() {
            Step::Pass(_) => return Ok(()),
            Step::Grant(amount, priority, minutes, name) => {
                self.grant(amount, priority, minutes, name)
            }
            Step::Limit(limit) => {
                let done = self.apply(Command::SetCreditLimit(SetCreditLimit {
                    org: ORG,
                    credit_limit: n(limit),
                }));
                self.expect(done.is_some(), |naive| {
                    let used = naive.held_on_credit() + naive.owed;
                    let may = used <= limit;
                    if may {
                        naive.limit = limit;
                    }
                    may
                })
            }
            Step::Deduct(amount) => {
                let done = self.apply(Command::Deduct(Deduct {
                    org: ORG,
                    amount: n(amount),
                    detail_digest: [0; 32],
                }));
                self.expect(done.is_some(), |naive| amount > 0 && naive.deduct(amount))
            }
            Step::Hold(amount, minutes, name) => {
                let mut command = self
                    .ledger
                    .placing(amount, name.map_or_else(Dimensions::default, feature));
                command.expires_at_ms = now_ms + minutes * MINUTE_MS;
                let hold = command.hold;
                let done = self.apply(Command::PlaceHold(command)).is_some();
                if done {
                    self.holds.push(hold);
                }
                self.expect(done, |naive| {
                    naive.place(hold, amount, minutes * MINUTE_MS, name.map(String::from))
                })
            }
            Step::Renew(pick, minutes, extra) => {
                let Some(hold) = picked(&self.holds, pick) else {
                    return Ok(());
                };
                let expires_at_ms = now_ms + minutes * MINUTE_MS;
                let done = self.apply(Command::RenewHold(RenewHold {
                    org: ORG,
                    hold,
                    expires_at_ms,
                    extra: n(extra),
                }));
                self.expect(done.is_some(), |naive| {
                    naive.renew(hold, minutes * MINUTE_MS, extra)
                })
            }
            Step::Release(pick) => {
                let Some(hold) = picked(&self.holds, pick) else {
                    return Ok(());
                };
                let done = self.apply(Command::ReleaseHold(ReleaseHold { org: ORG, hold }));
                self.expect(done.is_some(), |naive| naive.release(hold))
            }
            Step::Lease(least, want, share, minutes, doubt, name) => {
                let lease = HoldId::new(self.ledger.id());
                let command = Command::GrantLease(GrantLease {
                    org: ORG,
                    lease,
                    least: n(least),
                    terms: self.lease_terms(want, share, minutes),
                    doubt_ms: doubt * MINUTE_MS,
                    dimensions: Arc::new(name.map_or_else(Dimensions::default, feature)),
                    context: Arc::new([]),
                });
                let done = self.apply(command).is_some();
                if done {
                    self.holds.push(lease);
                }
                let times = (minutes * MINUTE_MS, doubt * MINUTE_MS);
                let share = i64::from(share.min(1000));
                self.expect(done, |naive| {
                    naive.lease(lease, least, (want, share), times, name.map(String::from))
                })
            }
            Step::RenewLease(pick, keep, want, share, minutes) => {
                let Some(lease) = picked(&self.holds, pick) else {
                    return Ok(());
                };
                let command = Command::RenewLease(RenewLease {
                    org: ORG,
                    lease,
                    turn: self.turn(lease),
                    keep: n(keep),
                    terms: self.lease_terms(want, share, minutes),
                });
                let done = self.apply(command).is_some();
                let share = i64::from(share.min(1000));
                self.expect(done, |naive| {
                    naive.renew_lease(lease, keep, (want, share), minutes * MINUTE_MS)
                })
            }
            Step::RenewAnothers(pick) => {
                let Some(lease) = picked(&self.holds, pick) else {
                    return Ok(());
                };
                let command = Command::RenewLease(RenewLease {
                    org: ORG,
                    lease,
                    turn: TransactionId::new(1),
                    keep: n(0),
                    terms: self.lease_terms(0, 0, 1),
                });
                let done = self.apply(command).is_some();
                self.expect(done, |_| false)
            }
            Step::ReturnLease(pick, keep) => {
                let Some(lease) = picked(&self.holds, pick) else {
                    return Ok(());
                };
                let command = Command::ReturnLease(ReturnLease {
                    org: ORG,
                    lease,
                    turn: self.turn(lease),
                    keep: n(keep),
                });
                let done = self.apply(command).is_some();
                self.expect(done, |naive| naive.return_lease(lease, keep))
            }
            Step::Capture(pick, price, last, reach) => {
                let hold = pick.and_then(|pick| picked(&self.holds, pick));
                let mut command = self.ledger.capturing(hold, price, last);
                command.reach = reach;
                let dimensions = Arc::clone(&command.dimensions);
                let effect = self.apply(Command::Capture(command));
                if let Some(effect) = &effect {
                    self.ledger.remember(effect, dimensions);
                }
                self.expect(effect.is_some(), |naive| {
                    naive.capture(hold, price, last, reach)
                })
            }
            Step::Unpriced(pick, last) => {
                let hold = pick.and_then(|pick| picked(&self.holds, pick));
                let event = EventId::new(self.ledger.id());
                let done = self.apply(Command::RecordUnpriced(RecordUnpriced {
                    org: ORG,
                    hold,
                    reach: Reach::Wallet,
                    last,
                    event,
                    dimensions: Arc::default(),
                }));
                if done.is_some() {
                    self.events.push(event);
                }
                self.expect(done.is_some(), |naive| naive.record(event, hold, last))
            }
            Step::Settle(pick, price) => {
                let Some(event) = picked(&self.events, pick) else {
                    return Ok(());
                };
                let charge = ChargeId::new(self.ledger.id());
                let effect = self.apply(Command::SettleUnpriced(SettleUnpriced {
                    org: ORG,
                    event,
                    charge,
                    price: n(price),
                    cost: n(price),
                    detail_digest: [2; 32],
                }));
                if let Some(effect) = &effect {
                    self.ledger.remember(effect, Arc::default());
                }
                self.expect(effect.is_some(), |naive| naive.settle(event, price))
            }
            Step::Refund(pick, amount) => return self.refund(pick, amount),
            Step::RefundGrant(pick, amount) => {
                let Some(grant) = picked(&self.grants, pick) else {
                    return Ok(());
                };
                let refund = RefundId::new(self.ledger.id());
                let done = self.apply(Command::RefundGrant(RefundGrant {
                    org: ORG,
                    grant,
                    refund,
                    amount: amount.map(n),
                    detail_digest: [0; 32],
                }));
                self.expect(done.is_some(), |naive| naive.take_back(grant, amount))
            }
            Step::Absorb(amount) => {
                let done = self.apply(Command::AbsorbShortfall(AbsorbShortfall {
                    org: ORG,
                    amount: amount.map(n),
                    detail_digest: [0; 32],
                }));
                self.expect(done.is_some(), |naive| {
                    let amount = amount.unwrap_or(naive.shortfall);
                    let may = 0 < amount && amount <= naive.shortfall;
                    if may {
                        naive.shortfall -= amount;
                    }
                    may
                })
            }
            Step::Expire => {
                self.apply(Command::ExpireDue(ExpireDue { org: ORG }));
                self.expect(true, |_| true)
            }
        };
        prop_assert_eq!(done, expected, "whether it may be done");
        self.agree()
    }

    fn lease_terms(&self, want: i64, share_permille: u16, minutes: i64) -> LeaseTerms {
        LeaseTerms {
            want: n(want),
            share_permille,
            expires_at_ms: self.ledger.now_ms + minutes * MINUTE_MS,
        }
    }

    /// The turn of a lease; of what is none, any.
    fn turn(&self, lease: HoldId) -> TransactionId {
        let hold = self.ledger.org().hold(lease);
        let lease = hold.and_then(|hold| hold.lease);
        lease.map_or(TransactionId::new(2), |lease| lease.turn)
    }

    /// Runs the naive side of a command. One that is refused changes nothing there either.
    fn expect(&mut self, done: bool, naive: impl FnOnce(&mut Naive) -> bool) -> (bool, bool) {
        let before = self.naive.clone();
        self.naive.tick(self.ledger.now_ms);
        let may = naive(&mut self.naive);
        if may {
            self.naive.tick(self.ledger.now_ms);
        } else {
            self.naive = before;
        }
        (done, may)
    }

    fn grant(
        &mut self,
        amount: i64,
        priority: u16,
        minutes: Option<i64>,
        name: Option<&str>,
    ) -> (bool, bool) {
        let expires_at_ms = minutes.map(|minutes| self.ledger.now_ms + minutes * MINUTE_MS);
        let command = GrantCredits {
            priority,
            expires_at_ms,
            features: name.map(Box::from).into_iter().collect(),
            ..self.ledger.granting(amount)
        };
        let id = command.grant;
        let done = self.apply(Command::GrantCredits(command)).is_some();
        if done {
            self.grants.push(id);
        }
        self.expect(done, |naive| {
            let may = amount > 0 && expires_at_ms.is_none_or(|at| at > naive.now_ms);
            if may {
                naive.lots.push(Lot {
                    id,
                    priority,
                    expires_at_ms: expires_at_ms.unwrap_or(i64::MAX),
                    feature: name.map(String::from),
                    left: amount,
                });
            }
            may
        })
    }

    /// Where a refund goes depends on history the naive ledger does not keep, so it checks the
    /// sums, and takes the lots over from what the ledger says.
    fn refund(&mut self, pick: Pick, amount: Option<i64>) -> Result<(), TestCaseError> {
        let Some((charge, past)) = self.ledger.charges.iter().rev().nth(pick).cloned() else {
            return Ok(());
        };
        let paid: i64 = past.paid.iter().map(|part| part.amount.get()).sum();
        let left = paid + past.shortfall.get() - past.refunded.get();
        let asked = amount.unwrap_or(left);
        let command = Command::RefundCharge(RefundCharge {
            org: ORG,
            charge,
            refund: RefundId::new(self.ledger.id()),
            amount: amount.map(n),
            grant: GrantId::new(self.ledger.id()),
            detail_digest: [3; 32],
        });
        let effect = self.apply(command);
        let may = 0 < asked && asked <= left;
        prop_assert_eq!(effect.is_some(), may, "refund {} of {}", asked, left);
        let Some(effect) = effect else { return Ok(()) };
        let past = self.ledger.charges.iter_mut().rev().nth(pick);
        let refunded = &mut past.unwrap().1.refunded;
        *refunded = refunded.checked_add(n(asked)).unwrap();
        let refund = effect
            .transactions
            .iter()
            .find(|t| matches!(t.kind, TransactionKind::ChargeRefund { .. }));
        let refund = refund.unwrap();
        self.naive.tick(self.ledger.now_ms);
        self.naive.revenue -= asked;
        prop_assert_eq!(refund.postings.on(Account::Revenue), -asked);
        self.naive.shortfall -= refund.postings.on(Account::Shortfall);
        for movement in &refund.movements {
            match movement.payer {
                Payer::Credit => self.naive.owed -= movement.amount_nanos,
                Payer::Grant(id) => {
                    let row = &self.rows[&id].terms;
                    if row.source == GrantSource::Refund && !self.naive.knows(id) {
                        self.naive.lots.push(Lot {
                            id,
                            priority: row.priority,
                            expires_at_ms: i64::MAX,
                            feature: None,
                            left: 0,
                        });
                    }
                    self.naive.refill(id, movement.amount_nanos);
                }
            }
        }
        self.naive.tick(self.ledger.now_ms);
        self.agree()
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        let org = self.ledger.org();
        let wallet = org.wallet();
        for lot in &self.naive.lots {
            let left = org.grant(lot.id).map_or(0, |grant| grant.remaining.get());
            prop_assert_eq!(left, lot.left, "what is left of {}", lot.id);
        }
        prop_assert_eq!(wallet.posted_nanos(), self.naive.posted());
        prop_assert_eq!(wallet.held.get(), self.naive.held());
        prop_assert_eq!(wallet.overdraft.get(), self.naive.owed);
        prop_assert_eq!(wallet.shortfall().get(), self.naive.shortfall);
        prop_assert_eq!(wallet.balances.get(Account::Breakage), self.naive.breakage);
        prop_assert_eq!(wallet.balances.get(Account::Revenue), self.naive.revenue);
        // L3.
        prop_assert!(wallet.available_nanos() >= -self.naive.limit);
        prop_assert_eq!(org.holds().count(), self.naive.holds.len());
        // Nothing stays due, or whoever ends what is due would never come to an end.
        prop_assert_eq!(self.ledger.state.next_due(self.naive.now_ms), None);
        // L7.
        prop_assert_eq!(self.ended.len(), self.naive.ended.len());
        for (id, _, hold) in &self.ended {
            prop_assert_eq!(
                Some(hold.end),
                self.naive.ended.get(id).map(|(end, _)| *end)
            );
        }
        for (budget, used) in org.budgets() {
            let feature = match &budget.scope {
                BudgetScope::Feature(name) => Some(&**name),
                _ => None,
            };
            prop_assert_eq!(used.held.get(), self.naive.held_for(feature));
            if feature.is_none() {
                prop_assert_eq!(used.spent.get(), self.naive.revenue);
            }
        }
        // The ledger comes up again from its rows, the very same.
        let rows = self.ledger.rows().unwrap();
        let mut state = State::new(0);
        state.add_commodity(self.ledger.state.commodity(COMMODITY).unwrap().clone());
        state.restore(rows.clone()).unwrap();
        let again = Ledger {
            state,
            journal: Vec::new(),
            charges: Vec::new(),
            ..self.ledger
        };
        prop_assert_eq!(again.rows().unwrap(), rows);
        // L1, L2, L3, L5, L6, L7, L8 from the journal alone.
        let mut auditor = Auditor::new(ORG, *wallet);
        self.rows.values().for_each(|grant| auditor.grant(grant));
        self.ledger
            .journal
            .iter()
            .for_each(|transaction| auditor.transaction(transaction));
        org.holds().for_each(|hold| auditor.active_hold(hold));
        for (_, amount, hold) in &self.ended {
            auditor.ended_hold(*amount, hold);
        }
        prop_assert_eq!(auditor.finish(), vec![]);
        Ok(())
    }
}

impl Naive {
    fn knows(&self, id: GrantId) -> bool {
        self.lots.iter().any(|lot| lot.id == id)
    }

    fn refill(&mut self, id: GrantId, amount: i64) {
        let lot = self.lots.iter_mut().find(|lot| lot.id == id);
        lot.unwrap().left += amount;
    }

    fn capture(&mut self, hold: Option<HoldId>, price: i64, last: bool, reach: Reach) -> bool {
        if hold.is_some_and(|hold| !self.takes_usage(hold)) {
            return false;
        }
        let has = |hold: HoldId| self.holds.get(&hold).map(|hold| hold.aside.len());
        if let (Reach::Hold, Some(hold)) = (reach, hold)
            && has(hold).is_none_or(|left| left < usize::try_from(price).unwrap())
        {
            return false;
        }
        let closes = hold.is_some_and(|hold| self.closes(hold, last));
        if let Some(active) = hold.and_then(|hold| self.holds.get_mut(&hold)) {
            active.closing = closes;
        }
        let feature = hold.and_then(|hold| self.feature_of(hold));
        self.charge(hold, feature, price);
        true
    }

    fn record(&mut self, event: EventId, hold: Option<HoldId>, last: bool) -> bool {
        if hold.is_some_and(|hold| !self.takes_usage(hold)) {
            return false;
        }
        let closes = hold.is_some_and(|hold| self.closes(hold, last));
        if let Some(active) = hold.and_then(|hold| self.holds.get_mut(&hold)) {
            active.closing = closes;
            active.unpriced += 1;
        }
        let feature = hold.and_then(|hold| self.feature_of(hold));
        self.unpriced.insert(event, (hold, feature));
        true
    }

    fn settle(&mut self, event: EventId, price: i64) -> bool {
        let Some((hold, feature)) = self.unpriced.remove(&event) else {
            return false;
        };
        if let Some(active) = hold.and_then(|hold| self.holds.get_mut(&hold)) {
            active.unpriced -= 1;
        }
        self.charge(hold, feature, price);
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_agree_with_the_naive_ledger_and_the_auditor(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.step(step)?;
        }
    }
}
