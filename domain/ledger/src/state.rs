//! What the ledger knows in memory: every wallet, its live lots, active holds and budgets.
//!
//! Past rows (spent lots, ended holds, charges) stay in the store and are [recalled](Recall) by
//! the few commands that need them, so memory grows with what is alive, not with history.
//!
//! Time: [`State::latest_ms`] is the latest instant the state has seen. A clock that jumps back
//! is ignored until it has caught up, so that nothing that expired comes alive again.

use crate::account::{Account, Balances};
use crate::budget::{Budget, BudgetScope, BudgetUse};
use crate::command::{Command, Recall};
use crate::commodity::Commodity;
use crate::effect::{BudgetChange, Effect, HoldChange, Unpriced, UnpricedChange};
use crate::grant::{Grant, SpendOrder};
use crate::hold::{Dimensions, Hold};
use crate::ids::{BudgetId, CommodityId, Digest, EventId, GrantId, HoldId, KeyId, OrgId};
use farebox_pricing::money::Nanos;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An org's wallet row: all that changes with every transaction, in one place.
///
/// `posted = Σ remaining of lots − overdraft` and `available = posted − held` (L2);
/// `overdraft + held_on_credit ≤ credit_limit` upholds L3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// What it holds.
    pub commodity: CommodityId,
    /// How far available may go below zero.
    pub credit_limit: Nanos,
    /// The balances of all the org's accounts.
    pub balances: Balances,
    /// Put aside by active holds, from lots and credit.
    pub held: Nanos,
    /// The part of `held` that is put aside from the credit limit.
    pub held_on_credit: Nanos,
    /// What is spent on the credit limit and not paid back.
    pub overdraft: Nanos,
    /// The journal's last transaction; zero when there is none.
    pub seq: u64,
    /// Its hash; zeros when there is none.
    pub head_hash: Digest,
    /// When the org was last touched. No transaction of it is later.
    pub at_ms: i64,
}

impl Wallet {
    /// A wallet without a transaction.
    pub fn new(commodity: CommodityId, credit_limit: Nanos, at_ms: i64) -> Self {
        Self {
            commodity,
            credit_limit,
            balances: Balances::default(),
            held: Nanos::ZERO,
            held_on_credit: Nanos::ZERO,
            overdraft: Nanos::ZERO,
            seq: 0,
            head_hash: [0; 32],
            at_ms,
        }
    }

    /// The sum of the wallet's postings, in nano-credits.
    pub fn posted_nanos(&self) -> i64 {
        self.balances.get(Account::Wallet)
    }

    /// Posted less held, in nano-credits (L2). Never below the negative credit limit (L3).
    pub fn available_nanos(&self) -> i64 {
        // Both lie within ±2^63 and held never passes posted + credit limit.
        self.posted_nanos().saturating_sub(self.held.get())
    }

    /// What calls cost beyond what the wallet could pay, and nobody has paid since.
    pub fn shortfall(&self) -> Nanos {
        self.balances
            .get(Account::Shortfall)
            .checked_neg()
            .and_then(Nanos::new)
            .unwrap_or(Nanos::ZERO)
    }

    /// What of the credit limit is neither spent nor held.
    pub fn credit_left(&self) -> Nanos {
        self.credit_limit
            .checked_sub(self.overdraft)
            .and_then(|left| left.checked_sub(self.held_on_credit))
            .unwrap_or(Nanos::ZERO)
    }
}

/// An org as it is stored: what [`State::restore`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgRows {
    /// Which.
    pub org: OrgId,
    /// Its wallet.
    pub wallet: Wallet,
    /// Its lots with something left. Their `reserved` is recomputed from the holds.
    pub grants: Vec<Grant>,
    /// Its active holds.
    pub holds: Vec<Hold>,
    /// Its usage that waits for a price.
    pub unpriced: Vec<Unpriced>,
    /// Its budgets, each with what it has counted (`held` is recomputed from the holds).
    pub budgets: Vec<(Budget, BudgetUse)>,
}

/// Why rows do not make an org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It is in the state already.
    #[error("org `{org}` is restored twice")]
    OrgExists {
        /// The org.
        org: OrgId,
    },
    /// Its commodity is not.
    #[error("org `{org}` has the unknown commodity `{commodity}`")]
    CommodityNotFound {
        /// The org.
        org: OrgId,
        /// Its commodity.
        commodity: CommodityId,
    },
    /// An id stands twice among its rows.
    #[error("org `{org}` has two rows with one id")]
    Duplicate {
        /// The org.
        org: OrgId,
    },
    /// A hold names a lot that is not there, or more of it than is left.
    #[error("hold `{hold}` reserves more of `{grant}` than is left")]
    Reserve {
        /// The hold.
        hold: HoldId,
        /// The lot.
        grant: GrantId,
    },
    /// The wallet row contradicts its lots and holds (L2, L3).
    #[error("the wallet of org `{org}` contradicts its grants and holds")]
    Wallet {
        /// The org.
        org: OrgId,
    },
}

/// Which budgets cover a call, without looking at each.
#[derive(Clone, Debug, Default)]
struct BudgetIndex {
    org: Vec<BudgetId>,
    key: HashMap<KeyId, Vec<BudgetId>>,
    /// By project, user, agent and feature, in this order.
    named: [HashMap<Box<str>, Vec<BudgetId>>; 4],
}

impl BudgetIndex {
    fn slot(&mut self, scope: &BudgetScope) -> &mut Vec<BudgetId> {
        let [project, user, agent, feature] = &mut self.named;
        match scope {
            BudgetScope::Org => &mut self.org,
            BudgetScope::Key(key) => self.key.entry(*key).or_default(),
            BudgetScope::Project(name) => project.entry(name.clone()).or_default(),
            BudgetScope::User(name) => user.entry(name.clone()).or_default(),
            BudgetScope::Agent(name) => agent.entry(name.clone()).or_default(),
            BudgetScope::Feature(name) => feature.entry(name.clone()).or_default(),
        }
    }

    fn covering<'a>(&'a self, dimensions: &Dimensions) -> impl Iterator<Item = BudgetId> + 'a {
        let [project, user, agent, feature] = &self.named;
        let named = |map: &'a HashMap<Box<str>, Vec<BudgetId>>, name: &Option<Box<str>>| {
            name.as_ref().and_then(|name| map.get(name))
        };
        [
            Some(&self.org),
            dimensions.key.and_then(|key| self.key.get(&key)),
            named(project, &dimensions.project),
            named(user, &dimensions.user),
            named(agent, &dimensions.agent),
            named(feature, &dimensions.feature),
        ]
        .into_iter()
        .flatten()
        .flatten()
        .copied()
    }
}

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
    due_holds: BTreeSet<(i64, HoldId)>,
    due_grants: BTreeSet<(i64, GrantId)>,
}

impl OrgState {
    fn new(wallet: Wallet) -> Self {
        Self {
            wallet,
            grants: BTreeMap::new(),
            orders: HashMap::new(),
            holds: HashMap::new(),
            unpriced: HashMap::new(),
            budgets: HashMap::new(),
            index: BudgetIndex::default(),
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
    fn next_due_ms(&self) -> Option<i64> {
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
            self.due_holds.remove(&(old.expires_at_ms, id));
        }
    }

    fn put_hold(&mut self, hold: &Hold) {
        self.end_hold(hold.id);
        if hold.unpriced == 0 {
            self.due_holds.insert((hold.expires_at_ms, hold.id));
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
    fn commit(&mut self, effect: &Effect) {
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
}

/// The whole ledger in memory.
#[derive(Clone, Debug, Default)]
pub struct State {
    latest_ms: i64,
    commodities: HashMap<CommodityId, Commodity>,
    orgs: HashMap<OrgId, OrgState>,
    due: BTreeSet<(i64, OrgId)>,
}

impl State {
    /// An empty ledger that has seen time up to `latest_ms`. After a restart: the latest time of
    /// any stored transaction, hold or wallet, which [`restore`](Self::restore) also raises it to.
    pub fn new(latest_ms: i64) -> Self {
        Self {
            latest_ms,
            ..Self::default()
        }
    }

    /// The latest instant the state has seen, milliseconds since the Unix epoch.
    pub const fn latest_ms(&self) -> i64 {
        self.latest_ms
    }

    /// Makes a commodity known. One that is known already stays as it is: a peg never changes.
    pub fn add_commodity(&mut self, commodity: Commodity) {
        self.commodities.entry(commodity.id).or_insert(commodity);
    }

    /// A known commodity.
    pub fn commodity(&self, id: CommodityId) -> Option<&Commodity> {
        self.commodities.get(&id)
    }

    /// What is alive of an org.
    pub fn org(&self, id: OrgId) -> Option<&OrgState> {
        self.orgs.get(&id)
    }

    /// Every org with a wallet, in no order.
    pub fn orgs(&self) -> impl Iterator<Item = (OrgId, &OrgState)> {
        self.orgs.iter().map(|(id, org)| (*id, org))
    }

    /// The org with the earliest hold or lot whose time is over: what to
    /// [expire](crate::command::ExpireDue) next.
    pub fn next_due(&self, now_ms: i64) -> Option<OrgId> {
        self.due
            .first()
            .filter(|(at_ms, _)| *at_ms <= now_ms)
            .map(|(_, org)| *org)
    }

    /// What has to be looked up in the store before this command is applied.
    pub fn recall(&self, command: &Command) -> Option<Recall> {
        let hold = match command {
            Command::Capture(command) => command.hold,
            Command::RecordUnpriced(command) => command.hold,
            Command::RenewHold(command) => Some(command.hold),
            Command::ReleaseHold(command) => Some(command.hold),
            Command::RefundCharge(command) => return Some(Recall::Charge(command.charge)),
            _ => None,
        }?;
        let active = self
            .orgs
            .get(&command.org())
            .is_some_and(|org| org.holds.contains_key(&hold));
        (!active).then_some(Recall::Hold(hold))
    }

    /// Takes an org over from its rows.
    ///
    /// # Errors
    /// [`RestoreError`] when the rows contradict each other; the state is then unchanged.
    pub fn restore(&mut self, rows: OrgRows) -> Result<(), RestoreError> {
        let org = rows.org;
        if self.orgs.contains_key(&org) {
            return Err(RestoreError::OrgExists { org });
        }
        let commodity = rows.wallet.commodity;
        if !self.commodities.contains_key(&commodity) {
            return Err(RestoreError::CommodityNotFound { org, commodity });
        }
        let at_ms = rows.wallet.at_ms;
        let state = crate::restore::org(rows)?;
        self.put_org(org, state);
        self.latest_ms = self.latest_ms.max(at_ms);
        Ok(())
    }

    /// Takes over what an effect says.
    pub(crate) fn commit(&mut self, effect: &Effect) {
        self.latest_ms = self.latest_ms.max(effect.at_ms);
        let org = self
            .orgs
            .entry(effect.org)
            .or_insert_with(|| OrgState::new(effect.wallet));
        let before = org.next_due_ms();
        org.commit(effect);
        let after = org.next_due_ms();
        if before != after {
            if let Some(at_ms) = before {
                self.due.remove(&(at_ms, effect.org));
            }
            if let Some(at_ms) = after {
                self.due.insert((at_ms, effect.org));
            }
        }
    }

    fn put_org(&mut self, id: OrgId, org: OrgState) {
        if let Some(at_ms) = org.next_due_ms() {
            self.due.insert((at_ms, id));
        }
        self.orgs.insert(id, org);
    }
}

/// What [`crate::restore`] needs to build an org.
impl OrgState {
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
