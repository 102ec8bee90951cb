//! The rows a command would change, over a state that stays as it is until all is decided.

use crate::account::{Account, Balances};
use crate::budget::BudgetUse;
use crate::chain;
use crate::command::{Past, Stamp};
use crate::effect::{BudgetChange, Effect, HoldChange, Outcome, UnpricedChange};
use crate::grant::Grant;
use crate::hold::{Dimensions, EndedHold, Hold, HoldEnd};
use crate::ids::{Digest, GrantId, HoldId, OrgId, TransactionId};
use crate::refusal::WalletRefusal;
use crate::state::{OrgState, State, Wallet};
use crate::transaction::{Movement, Posting, Postings, Transaction, TransactionKind};
use farebox_pricing::money::Nanos;
use std::sync::Arc;

/// How an operation gets its draft: only once it knows that it wants one.
pub(super) trait Begin<'a>: FnOnce() -> Result<Draft<'a>, WalletRefusal> {}
impl<'a, F: FnOnce() -> Result<Draft<'a>, WalletRefusal>> Begin<'a> for F {}

/// The rows a command would change.
pub(super) struct Draft<'a> {
    pub(super) org: OrgId,
    pub(super) state: &'a OrgState,
    /// The host's clock and the first transaction's id.
    stamp: Stamp,
    /// When the command takes effect: never before what the state has seen.
    now_ms: i64,
    pub(super) wallet: Wallet,
    pub(super) grants: Vec<Grant>,
    pub(super) holds: Vec<HoldChange>,
    pub(super) unpriced: Vec<UnpricedChange>,
    pub(super) budgets: Vec<BudgetChange>,
    pub(super) budget_uses: Vec<BudgetUse>,
    transactions: Vec<Transaction>,
}

/// A hold, wherever it is known from.
pub(super) enum Found {
    /// It is active.
    Active(Hold),
    /// It is over: in this command, or long ago.
    Ended(HoldEnd, Arc<Dimensions>),
    /// The org never had it.
    Unknown,
}

/// What a transaction does to each account; becomes [`Postings`] once it balances.
#[derive(Default)]
pub(super) struct Entries([i64; Account::COUNT]);

impl Entries {
    /// Adds `amount` to `account`.
    pub(super) fn credit(self, account: Account, amount: Nanos) -> Self {
        self.add(account, amount.get())
    }

    /// Takes `amount` from `account`.
    pub(super) fn debit(self, account: Account, amount: Nanos) -> Self {
        self.add(account, negative(amount))
    }

    fn add(mut self, account: Account, amount_nanos: i64) -> Self {
        if let Some(entry) = self.0.get_mut(usize::from(account.code())) {
            // One entry per account and transaction: this sets, it never accumulates.
            *entry = amount_nanos;
        }
        self
    }

    fn postings(self) -> Vec<Posting> {
        Account::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, amount_nanos)| *amount_nanos != 0)
            .map(|(account, amount_nanos)| Posting {
                account,
                amount_nanos,
            })
            .collect()
    }
}

/// `−amount`: exact, because an amount is never negative.
pub(super) fn negative(amount: Nanos) -> i64 {
    amount.get().saturating_neg()
}

/// The sum, or the refusal for one that is out of range.
pub(super) fn sum(a: Nanos, b: Nanos) -> Result<Nanos, WalletRefusal> {
    a.checked_add(b).ok_or(WalletRefusal::OutOfRange)
}

impl<'a> Draft<'a> {
    /// A draft in which everything that is due has ended, and what that freed has paid what is
    /// owed.
    pub(super) fn begin(state: &'a State, org: OrgId, stamp: Stamp) -> Result<Self, WalletRefusal> {
        let now_ms = state.latest_ms().max(stamp.now_ms);
        let state = state
            .org(org)
            .ok_or(WalletRefusal::WalletNotFound { org })?;
        let mut draft = Self {
            org,
            state,
            stamp,
            now_ms,
            wallet: *state.wallet(),
            grants: Vec::new(),
            holds: Vec::new(),
            unpriced: Vec::new(),
            budgets: Vec::new(),
            budget_uses: Vec::new(),
            transactions: Vec::new(),
        };
        draft.end_due()?;
        Ok(draft)
    }

    /// The id of the command, and of its first transaction.
    pub(super) const fn turn(&self) -> TransactionId {
        self.stamp.transaction
    }

    /// When the command takes effect.
    pub(super) const fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// A time the host chose by its clock, in the ledger's time. Where the clock has jumped back,
    /// a hold for a minute is still one for a minute.
    pub(super) fn in_ledger_time(&self, at_ms: i64) -> Result<i64, WalletRefusal> {
        self.now_ms
            .checked_sub(self.stamp.now_ms)
            .and_then(|behind_ms| at_ms.checked_add(behind_ms))
            .ok_or(WalletRefusal::OutOfRange)
    }

    /// What the state says must not be: the ledger stops rather than go on counting.
    pub(super) const fn inconsistent(&self) -> WalletRefusal {
        WalletRefusal::Inconsistent { org: self.org }
    }

    /// `a − b`, where the rules say that `b` is part of `a`.
    pub(super) fn less(&self, a: Nanos, b: Nanos) -> Result<Nanos, WalletRefusal> {
        a.checked_sub(b).ok_or(self.inconsistent())
    }

    /// The lot as it is in this draft.
    pub(super) fn grant(&self, id: GrantId) -> Option<&Grant> {
        self.grants
            .iter()
            .find(|grant| grant.id() == id)
            .or_else(|| self.state.grant(id))
    }

    /// The lot, to be changed.
    pub(super) fn grant_mut(&mut self, id: GrantId) -> Result<&mut Grant, WalletRefusal> {
        let inconsistent = self.inconsistent();
        if !self.grants.iter().any(|grant| grant.id() == id) {
            let grant = self.state.grant(id).ok_or(inconsistent)?;
            self.grants.push(grant.clone());
        }
        self.grants
            .iter_mut()
            .find(|grant| grant.id() == id)
            .ok_or(inconsistent)
    }

    /// The hold as it is in this draft, or as `past` has it.
    pub(super) fn find_hold(&self, id: HoldId, past: &Past) -> Found {
        let ended_now = self.holds.iter().find_map(|change| match change {
            HoldChange::Ended(ended) if ended.id == id => Some(ended.end),
            _ => None,
        });
        match (self.state.hold(id), ended_now, past) {
            (Some(hold), Some(end), _) => Found::Ended(end, Arc::clone(&hold.dimensions)),
            (Some(hold), None, _) => Found::Active(hold.clone()),
            (None, _, Past::Hold(past)) => Found::Ended(past.end, Arc::clone(&past.dimensions)),
            (None, _, _) => Found::Unknown,
        }
    }

    /// Ends a hold and gives back what is left of it (L7). The only way a hold ends.
    pub(super) fn end_hold(&mut self, hold: &Hold, end: HoldEnd) -> Result<(), WalletRefusal> {
        let returned = hold.left();
        for part in &hold.reserves {
            self.unreserve(part.payer, part.amount)?;
        }
        self.budgets_unhold(&hold.dimensions, returned)?;
        self.holds.push(HoldChange::Ended(EndedHold {
            id: hold.id,
            end,
            ended_at_ms: self.now_ms(),
            captured: hold.captured,
            returned,
        }));
        Ok(())
    }

    /// Posts a transaction: balanced (L1), its movements the very sum of its posting on the
    /// wallet, chained to the one before (L5).
    pub(super) fn post(
        &mut self,
        kind: TransactionKind,
        entries: Entries,
        movements: Vec<Movement>,
        detail_digest: Digest,
    ) -> Result<(), WalletRefusal> {
        let postings = Postings::new(entries.postings()).map_err(|_| self.inconsistent())?;
        let moved = movements
            .iter()
            .map(|movement| i128::from(movement.amount_nanos))
            .fold(0_i128, i128::saturating_add);
        if moved != i128::from(postings.on(Account::Wallet)) {
            return Err(self.inconsistent());
        }
        let steps =
            u32::try_from(self.transactions.len()).map_err(|_| WalletRefusal::OutOfRange)?;
        let seq = self.wallet.seq.checked_add(1);
        let mut transaction = Transaction {
            id: self.stamp.transaction.after(steps),
            org: self.org,
            seq: seq.ok_or(WalletRefusal::OutOfRange)?,
            kind,
            at_ms: self.now_ms(),
            commodity: self.wallet.commodity,
            postings,
            movements,
            detail_digest,
            prev_hash: self.wallet.head_hash,
            hash: [0; 32],
        };
        transaction.hash = chain::hash(&transaction);
        self.wallet.balances =
            after(self.wallet.balances, &transaction.postings).ok_or(WalletRefusal::OutOfRange)?;
        self.wallet.seq = transaction.seq;
        self.wallet.head_hash = transaction.hash;
        self.transactions.push(transaction);
        Ok(())
    }

    /// Breaks what expired, pays what is owed, checks what must always hold, and hands the rows
    /// over.
    pub(super) fn finish(mut self, outcome: Outcome) -> Result<Effect, WalletRefusal> {
        self.break_expired()?;
        self.pay_owed()?;
        self.wallet.at_ms = self.now_ms();
        let within_credit = self
            .wallet
            .overdraft
            .checked_add(self.wallet.held_on_credit)
            .is_some_and(|used| used <= self.wallet.credit_limit);
        let within_lots = self.grants.iter().all(|grant| {
            grant.reserved <= grant.remaining && grant.remaining <= grant.terms.amount
        });
        // L3, and the ledger's own arithmetic: these hold by construction, and are checked.
        if !within_credit || !within_lots {
            return Err(self.inconsistent());
        }
        let alerts = self.alerts();
        Ok(Effect {
            org: self.org,
            at_ms: self.now_ms(),
            wallet: self.wallet,
            transactions: self.transactions,
            grants: self.grants,
            holds: self.holds,
            unpriced: self.unpriced,
            budgets: self.budgets,
            budget_uses: self.budget_uses,
            alerts,
            outcome,
        })
    }

    /// How many holds expired and lots broke in this draft.
    pub(super) fn expired(&self) -> (u32, u32) {
        let holds = self.holds.iter().filter(
            |change| matches!(change, HoldChange::Ended(ended) if matches!(ended.end, HoldEnd::Expired | HoldEnd::Lapsed)),
        );
        let grants = self
            .transactions
            .iter()
            .filter(|transaction| matches!(transaction.kind, TransactionKind::Breakage { .. }));
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        (count(holds.count()), count(grants.count()))
    }
}

fn after(balances: Balances, postings: &Postings) -> Option<Balances> {
    postings
        .as_slice()
        .iter()
        .try_fold(balances, |balances, posting| {
            balances.after(posting.account, posting.amount_nanos)
        })
}
