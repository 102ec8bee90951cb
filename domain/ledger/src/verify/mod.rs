//! The auditor: rebuilds an org's balances, lots and holds from its journal alone, and says what
//! does not agree. It shares no code with `apply`, so that one mistake is not made twice.
//!
//! Rows are streamed in. Memory grows with the number of lots, and with the number of charges and
//! holds (some 100 bytes each) unless the caller proves that those are each there once, see
//! [`streaming`](Auditor::streaming). Feed it, in this order: the grants, the transactions by seq, the holds;
//! then [`finish`](Auditor::finish).

mod close;
mod finding;
mod shape;

pub use finding::{Finding, Invariant, Violation};

use crate::account::Account;
use crate::chain::{self, Head};
use crate::grant::{Grant, GrantSource, GrantTerms};
use crate::hold::{EndedHold, Hold, Payer};
use crate::ids::{ChargeId, Digest, EventId, GrantId, HoldId, OrgId, RefundId, TransactionId};
use crate::state::Wallet;
use crate::transaction::{Movement, Transaction, TransactionKind, UnbalancedError};
use farebox_pricing::money::Nanos;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// A lot as the journal makes it.
struct Lot {
    terms: Arc<GrantTerms>,
    /// What its row says is left.
    row: Nanos,
    granted: bool,
    remaining: i128,
    reserved: i128,
}

/// What was seen and may not come again.
#[derive(Default)]
struct Once {
    events: HashSet<EventId>,
    holds: HashSet<HoldId>,
}

/// Checks one org.
pub struct Auditor {
    org: OrgId,
    wallet: Wallet,
    head: Head,
    last_at_ms: i64,
    sums: [i128; Account::COUNT],
    owed: i128,
    lots: BTreeMap<GrantId, Lot>,
    /// What of each charge is not refunded yet; when streaming, of those that are refunded.
    charges: HashMap<ChargeId, i128>,
    refunds: HashSet<RefundId>,
    once: Option<Once>,
    held: i128,
    held_on_credit: i128,
    exported: BTreeMap<u64, Vec<Digest>>,
    findings: Vec<Finding>,
}

impl Auditor {
    /// An audit of `org`, whose wallet row is `wallet`.
    pub fn new(org: OrgId, wallet: Wallet) -> Self {
        Self {
            org,
            wallet,
            head: Head::genesis(org),
            last_at_ms: i64::MIN,
            sums: [0; Account::COUNT],
            owed: 0,
            lots: BTreeMap::new(),
            charges: HashMap::new(),
            refunds: HashSet::new(),
            once: Some(Once::default()),
            held: 0,
            held_on_credit: 0,
            exported: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// As [`new`](Self::new), but keeps nothing of charges and holds: the caller proves that no
    /// charge, usage event or hold is there twice, and tells of each charge that is refunded
    /// ([`charged`](Self::charged)) before its refunds.
    pub fn streaming(org: OrgId, wallet: Wallet) -> Self {
        Self {
            once: None,
            ..Self::new(org, wallet)
        }
    }

    /// A charge that refunds will come of, and its price.
    pub fn charged(&mut self, charge: ChargeId, price: Nanos) {
        self.charges
            .entry(charge)
            .or_insert(i128::from(price.get()));
    }

    /// A head that was exported and signed earlier: the journal must still pass through it.
    pub fn expect_head(&mut self, head: &Head) {
        if head.seq > 0 {
            // Two histories may have been exported: the journal cannot pass through both.
            self.exported.entry(head.seq).or_default().push(head.hash);
        }
    }

    /// A lot's row, spent or not.
    pub fn grant(&mut self, grant: &Grant) {
        self.lots.insert(
            grant.id(),
            Lot {
                terms: Arc::clone(&grant.terms),
                row: grant.remaining,
                granted: false,
                remaining: 0,
                reserved: 0,
            },
        );
    }

    /// A transaction whose postings do not even balance, so that it is no [`Transaction`].
    pub fn unbalanced(
        &mut self,
        id: TransactionId,
        seq: u64,
        hash: Digest,
        error: UnbalancedError,
    ) {
        self.find(Some(id), Violation::Unbalanced { seq, error });
        self.head = Head {
            org: self.org,
            seq,
            hash,
        };
    }

    /// The next transaction.
    pub fn transaction(&mut self, transaction: &Transaction) {
        self.check_chain(transaction);
        self.check_postings(transaction);
        self.check_once(transaction);
        self.check_order(transaction);
        for movement in &transaction.movements {
            self.check_movement(transaction, movement);
        }
    }

    /// An active hold's row.
    pub fn active_hold(&mut self, hold: &Hold) {
        self.check_hold(hold.id, hold.amount, hold.left(), hold.captured);
        if hold.is_due(self.wallet.at_ms) {
            // Every command ends first what is due, so none can be older than the last command.
            self.find(None, Violation::HoldOverdue { hold: hold.id });
        }
        for part in &hold.reserves {
            let amount = i128::from(part.amount.get());
            self.held = self.held.saturating_add(amount);
            match part.payer {
                Payer::Credit => self.held_on_credit = self.held_on_credit.saturating_add(amount),
                Payer::Grant(grant) => match self.lots.get_mut(&grant) {
                    Some(lot) => lot.reserved = lot.reserved.saturating_add(amount),
                    None => self.find(
                        None,
                        Violation::Reserved {
                            grant,
                            reserved_nanos: amount,
                            remaining_nanos: 0,
                        },
                    ),
                },
            }
        }
    }

    /// An ended hold's row; `amount` is everything it ever put aside.
    pub fn ended_hold(&mut self, amount: Nanos, hold: &EndedHold) {
        self.check_hold(hold.id, amount, hold.returned, hold.captured);
    }

    /// What was found so far; a long audit can be read as it goes.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Compares what the journal made with what the rows say.
    pub fn finish(mut self) -> Vec<Finding> {
        self.finish_chain();
        self.finish_wallet();
        self.finish_lots();
        self.findings
    }

    fn find(&mut self, transaction: Option<TransactionId>, violation: Violation) {
        self.findings.push(Finding {
            invariant: violation.invariant(),
            org: self.org,
            transaction,
            violation,
        });
    }

    fn check_chain(&mut self, transaction: &Transaction) {
        let seq = transaction.seq;
        let id = Some(transaction.id);
        if let Err(error) = chain::follow(&self.head, transaction) {
            self.find(id, Violation::Chain(error));
        }
        // Whatever was wrong is said once; the rest is checked from here on.
        self.head = Head {
            org: self.org,
            seq,
            hash: transaction.hash,
        };
        if transaction.at_ms < self.last_at_ms {
            self.find(id, Violation::TimeBackwards { seq });
        }
        self.last_at_ms = transaction.at_ms;
        if let Some(hashes) = self.exported.remove(&seq)
            && hashes.iter().any(|hash| *hash != transaction.hash)
        {
            self.find(id, Violation::ExportedHead { seq });
        }
    }

    fn check_postings(&mut self, transaction: &Transaction) {
        let seq = transaction.seq;
        let id = Some(transaction.id);
        if transaction.commodity != self.wallet.commodity {
            self.find(id, Violation::Commodity { seq });
        }
        for (sum, account) in self.sums.iter_mut().zip(Account::ALL) {
            *sum = sum.saturating_add(i128::from(transaction.postings.on(account)));
        }
        let source = match transaction.kind {
            TransactionKind::Grant { grant } | TransactionKind::GrantRefund { grant, .. } => {
                self.lots.get(&grant).map(|lot| lot.terms.source)
            }
            _ => None,
        };
        if let Some(posting) = shape::foreign(&transaction.kind, source, &transaction.postings) {
            let shape = Violation::Shape {
                seq,
                account: posting.account,
                amount_nanos: posting.amount_nanos,
            };
            self.find(id, shape);
        }
        let posted_nanos = transaction.postings.on(Account::Wallet);
        let moved_nanos = total(transaction.movements.iter());
        if moved_nanos != i128::from(posted_nanos) {
            let movements = Violation::Movements {
                seq,
                moved_nanos,
                posted_nanos,
            };
            self.find(id, movements);
        }
    }

    /// L6: ids that may count once.
    fn check_once(&mut self, transaction: &Transaction) {
        let seq = transaction.seq;
        let id = Some(transaction.id);
        let revenue = i128::from(transaction.postings.on(Account::Revenue));
        match transaction.kind {
            TransactionKind::Charge { charge, event, .. } => {
                let Some(once) = &mut self.once else {
                    return;
                };
                let event_is_new = once.events.insert(event);
                if self.charges.insert(charge, revenue).is_some() {
                    self.find(id, Violation::ChargedTwice { seq, charge });
                }
                if !event_is_new {
                    self.find(id, Violation::EventTwice { seq, event });
                }
            }
            TransactionKind::ChargeRefund { charge, refund } => {
                let left = self.charges.entry(charge).or_default();
                *left = left.saturating_add(revenue);
                let beyond = *left < 0;
                if beyond {
                    self.find(id, Violation::RefundedBeyond { seq, charge });
                }
                self.check_refund(id, seq, refund);
            }
            TransactionKind::GrantRefund { refund, .. } => self.check_refund(id, seq, refund),
            _ => {}
        }
    }

    fn check_refund(&mut self, id: Option<TransactionId>, seq: u64, refund: RefundId) {
        if !self.refunds.insert(refund) {
            self.find(id, Violation::RefundedTwice { seq, refund });
        }
    }

    /// L8: which lots may pay. What a hold had named was chosen earlier, by the lots of then.
    fn check_order(&mut self, transaction: &Transaction) {
        let (seq, at_ms) = (transaction.seq, transaction.at_ms);
        let from_hold = match transaction.kind {
            TransactionKind::Charge { hold, .. } => hold.is_some(),
            TransactionKind::Deduction
            | TransactionKind::Settlement
            | TransactionKind::Repayment => false,
            _ => return,
        };
        if from_hold {
            return;
        }
        let mut last = None;
        for movement in &transaction.movements {
            let Payer::Grant(grant) = movement.payer else {
                continue;
            };
            let Some(lot) = self.lots.get(&grant) else {
                continue;
            };
            let expires_at_ms = lot.terms.expires_at_ms.unwrap_or(i64::MAX);
            let order = Some((lot.terms.priority, expires_at_ms, grant));
            if order <= last {
                self.find(Some(transaction.id), Violation::SpendOrder { seq, grant });
            }
            last = order;
            if expires_at_ms <= at_ms {
                self.find(Some(transaction.id), Violation::SpentExpired { seq, grant });
            }
        }
    }

    fn check_movement(&mut self, transaction: &Transaction, movement: &Movement) {
        let seq = transaction.seq;
        let id = Some(transaction.id);
        let amount = i128::from(movement.amount_nanos);
        let Payer::Grant(grant) = movement.payer else {
            self.owed = self.owed.saturating_sub(amount);
            let owed_nanos = self.owed;
            if owed_nanos < 0 {
                self.find(id, Violation::CreditRange { seq, owed_nanos });
            }
            return;
        };
        let Some(lot) = self.lots.get_mut(&grant) else {
            self.find(id, Violation::NotGranted { seq, grant });
            return;
        };
        let size = i128::from(lot.terms.amount.get());
        let gives = match transaction.kind {
            TransactionKind::Grant { grant: new } => new == grant,
            TransactionKind::ChargeRefund { .. } => {
                lot.terms.source == GrantSource::Refund && !lot.granted
            }
            _ => false,
        };
        let mut violation = None;
        if gives {
            if lot.granted || amount != size {
                violation = Some(Violation::GrantedOtherwise { seq, grant });
            }
            lot.granted = true;
        } else if !lot.granted {
            violation = Some(Violation::NotGranted { seq, grant });
        }
        if matches!(transaction.kind, TransactionKind::Breakage { .. })
            && lot
                .terms
                .expires_at_ms
                .is_none_or(|at| at > transaction.at_ms)
        {
            violation = Some(Violation::BrokenEarly { seq, grant });
        }
        lot.remaining = lot.remaining.saturating_add(amount);
        let remaining_nanos = lot.remaining;
        if remaining_nanos < 0 || remaining_nanos > size {
            violation = Some(Violation::LotRange {
                seq,
                grant,
                remaining_nanos,
            });
        }
        if let Some(violation) = violation {
            self.find(id, violation);
        }
    }

    /// L7: what a hold put aside is what it paid (at most what was charged to it) and gave back
    /// (or still has).
    fn check_hold(&mut self, hold: HoldId, amount: Nanos, rest: Nanos, captured: Nanos) {
        let once = self.once.as_mut();
        if once.is_some_and(|once| !once.holds.insert(hold)) {
            self.find(None, Violation::HoldTwice { hold });
        }
        let paid = amount.checked_sub(rest);
        if paid.is_none_or(|paid| paid > captured) {
            self.find(None, Violation::HoldAmounts { hold });
        }
    }
}

fn total<'m>(movements: impl Iterator<Item = &'m Movement>) -> i128 {
    movements
        .map(|movement| i128::from(movement.amount_nanos))
        .fold(0, i128::saturating_add)
}
