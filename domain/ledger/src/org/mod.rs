//! What is alive of one org: its wallet, lots with something left, active holds, usage without a
//! price, budgets. Indexed for what every call asks: who pays next, what is due, which budgets.

mod index;

use crate::budget::{Budget, BudgetUse};
use crate::effect::{BudgetChange, Effect, HoldChange, Unpriced, UnpricedChange};
use crate::grant::{Grant, SpendOrder};
use crate::hold::{Dimensions, Hold};
use crate::ids::{BudgetId, EventId, GrantId, HoldId};
use crate::wallet::Wallet;
use farebox_pricing::money::Nanos;
use index::BudgetIndex;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What is alive of one org.
#[derive(Clone, Debug)]
pub struct OrgState {
    wallet: Wallet,
    grants: BTreeMap<SpendOrder, Grant>,
    orders: HashMap<GrantId, SpendOrder>,
    holds: HashMap<HoldId, Hold>,
    unpriced: HashMap<EventId, Unpriced>,
    budgets: HashMap<BudgetId, (Budget, BudgetUse)>,
    index: BudgetIndex,
    /// Of the holds those that are leases.
    leases: BTreeSet<HoldId>,
    due_holds: BTreeSet<(i64, HoldId)>,
    due_grants: BTreeSet<(i64, GrantId)>,
}

impl OrgState {
    pub(crate) fn new(wallet: Wallet) -> Self {
        Self {
            wallet,
            grants: BTreeMap::new(),
            orders: HashMap::new(),
            holds: HashMap::new(),
            unpriced: HashMap::new(),
            budgets: HashMap::new(),
            index: BudgetIndex::default(),
            leases: BTreeSet::new(),
            due_holds: BTreeSet::new(),
            due_grants: BTreeSet::new(),
        }
    }

    /// Its wallet.
    pub const fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    /// Its lots with something left, in the order they are spent.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values()
    }

    /// The lot with this id, while something of it is left.
    pub fn grant(&self, id: GrantId) -> Option<&Grant> {
        self.grants.get(self.orders.get(&id)?)
    }

    /// Its active holds, in no order.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    /// The active hold with this id.
    pub fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.holds.get(&id)
    }

    /// Its active leases, oldest first.
    pub fn leases(&self) -> impl Iterator<Item = &Hold> {
        self.leases.iter().filter_map(|id| self.holds.get(id))
    }

    /// Its usage that waits for a price, in no order.
    pub fn unpriced(&self) -> impl Iterator<Item = &Unpriced> {
        self.unpriced.values()
    }

    /// The usage with this id, while it waits for a price.
    pub fn unpriced_event(&self, id: EventId) -> Option<&Unpriced> {
        self.unpriced.get(&id)
    }

    /// Its budgets and what they have counted, in no order. A window that is over stays until
    /// the next call the budget covers.
    pub fn budgets(&self) -> impl Iterator<Item = &(Budget, BudgetUse)> {
        self.budgets.values()
    }

    /// The budget with this id.
    pub fn budget(&self, id: BudgetId) -> Option<&(Budget, BudgetUse)> {
        self.budgets.get(&id)
    }

    /// The budgets that cover a call with these dimensions.
    pub fn budgets_covering<'a>(
        &'a self,
        dimensions: &Dimensions,
    ) -> impl Iterator<Item = &'a (Budget, BudgetUse)> {
        self.index
            .covering(dimensions)
            .filter_map(|id| self.budgets.get(&id))
    }

    /// Holds whose time is over at `now_ms`, earliest first.
    pub(crate) fn due_holds(&self, now_ms: i64) -> impl Iterator<Item = HoldId> {
        self.due_holds
            .iter()
            .take_while(move |(at_ms, _)| *at_ms <= now_ms)
            .map(|(_, id)| *id)
    }

    /// Lots whose time is over at `now_ms` and of which something is left, earliest first.
    pub(crate) fn due_grants(&self, now_ms: i64) -> impl Iterator<Item = GrantId> {
        self.due_grants
            .iter()
            .take_while(move |(at_ms, _)| *at_ms <= now_ms)
            .map(|(_, id)| *id)
    }

    /// When the next hold or lot is over.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        let hold = self.due_holds.first().map(|(at_ms, _)| *at_ms);
        let grant = self.due_grants.first().map(|(at_ms, _)| *at_ms);
        match (hold, grant) {
            (Some(hold), Some(grant)) => Some(hold.min(grant)),
            (hold, grant) => hold.or(grant),
        }
    }

    fn put_grant(&mut self, grant: &Grant) {
        let order = grant.order();
        let due = (order.expires_at_ms, order.id);
        if grant.remaining.is_zero() {
            self.grants.remove(&order);
            self.orders.remove(&order.id);
        } else {
            self.grants.insert(order, grant.clone());
            self.orders.insert(order.id, order);
        }
        // A lot whose rest is all reserved waits for its holds, not for the clock.
        if grant.terms.expires_at_ms.is_some() && !grant.free().is_zero() {
            self.due_grants.insert(due);
        } else {
            self.due_grants.remove(&due);
        }
    }

    fn end_hold(&mut self, id: HoldId) {
        if let Some(old) = self.holds.remove(&id) {
            self.due_holds.remove(&(old.over_at_ms(), id));
            self.leases.remove(&id);
        }
    }

    fn put_hold(&mut self, hold: &Hold) {
        self.end_hold(hold.id);
        if !hold.is_kept() {
            self.due_holds.insert((hold.over_at_ms(), hold.id));
        }
        if hold.lease.is_some() {
            self.leases.insert(hold.id);
        }
        self.holds.insert(hold.id, hold.clone());
    }

    fn remove_budget(&mut self, id: BudgetId) -> Option<BudgetUse> {
        let (old, used) = self.budgets.remove(&id)?;
        self.index.slot(&old.scope).retain(|budget| *budget != id);
        Some(used)
    }

    fn put_budget(&mut self, budget: Budget, used: BudgetUse) {
        self.remove_budget(budget.id);
        self.index.slot(&budget.scope).push(budget.id);
        self.budgets.insert(budget.id, (budget, used));
    }

    /// Takes over what an effect says. Total: there is nothing left to check.
    pub(crate) fn commit(&mut self, effect: &Effect) {
        self.wallet = effect.wallet;
        for grant in &effect.grants {
            self.put_grant(grant);
        }
        for change in &effect.holds {
            match change {
                HoldChange::Placed(hold) | HoldChange::Changed(hold) => self.put_hold(hold),
                HoldChange::Ended(ended) => self.end_hold(ended.id),
            }
        }
        for change in &effect.unpriced {
            match change {
                UnpricedChange::Recorded(usage) => {
                    self.unpriced.insert(usage.event, usage.clone());
                }
                UnpricedChange::Settled(event) => {
                    self.unpriced.remove(event);
                }
            }
        }
        for change in &effect.budgets {
            match change {
                BudgetChange::Put(budget) => {
                    // Its count follows among `budget_uses`.
                    let used = BudgetUse {
                        budget: budget.id,
                        window_start_ms: i64::MIN,
                        window_end_ms: i64::MIN,
                        spent: Nanos::ZERO,
                        held: Nanos::ZERO,
                    };
                    self.put_budget(budget.clone(), used);
                }
                BudgetChange::Removed(id) => {
                    self.remove_budget(*id);
                }
            }
        }
        for used in &effect.budget_uses {
            if let Some((_, old)) = self.budgets.get_mut(&used.budget) {
                *old = *used;
            }
        }
    }

    /// The org these rows describe; [`crate::restore`] has checked that they agree.
    pub(crate) fn from_parts(
        wallet: Wallet,
        grants: Vec<Grant>,
        holds: Vec<Hold>,
        unpriced: Vec<Unpriced>,
        budgets: Vec<(Budget, BudgetUse)>,
    ) -> Self {
        let mut org = Self::new(wallet);
        for grant in &grants {
            org.put_grant(grant);
        }
        for hold in &holds {
            org.put_hold(hold);
        }
        org.unpriced = unpriced
            .into_iter()
            .map(|usage| (usage.event, usage))
            .collect();
        for (budget, used) in budgets {
            org.put_budget(budget, used);
        }
        org
    }
}
