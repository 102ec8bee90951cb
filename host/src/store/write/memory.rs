//! What the writer knows without asking the database, and what it lets readers see of it.

use super::super::chunks::Place;
use super::super::dedupe::Dedupe;
use super::journal::Journal;
use super::outcome::Effects;
use crate::service::ledger::releases::Bindings;
use crate::service::ledger::view::LeaseView;
use farebox_ledger::commodity::Commodity;
use farebox_ledger::ids::{CommodityId, GrantId, OrgId, TransactionId};
use farebox_ledger::state::{OrgState, State, Wallet};
use farebox_pricing::money::Nanos;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Where an org's lists end, and what it was charged this month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Where the org's last transaction stands.
    pub head: Option<Place>,
    /// How many usage events there are.
    pub usage_seq: u64,
    /// Where the last usage event stands.
    pub usage_head: Option<Place>,
    /// UTC months since year 0 of the latest charge.
    pub month: i64,
    /// What was charged in that month.
    pub month_nanos: Nanos,
}

/// The ledger in memory. Discarded and loaded again after a commit that failed.
#[derive(Debug)]
pub struct Memory {
    pub state: State,
    pub tails: HashMap<OrgId, Tail>,
    pub journal: Journal,
    pub dedupe: Dedupe,
    pub effects: Effects,
    pub dirty: Dirty,
    /// The highest id of a write so far.
    pub last_id: TransactionId,
}

/// Further ids that one write may use.
const IDS_PER_WRITE: u32 = 1 << 16;

impl Memory {
    /// The id of the next write: `fresh`, unless the clock was set back since the last start.
    /// The journal is read in the order of ids, so they rise whatever the clock does.
    pub fn rise(&mut self, fresh: u128) -> TransactionId {
        let fresh = TransactionId::new(fresh);
        let least = self.last_id.after(IDS_PER_WRITE);
        let id = if fresh > least { fresh } else { least };
        self.last_id = id;
        id
    }
}

/// What of the derived rows a batch has changed.
#[derive(Debug, Default)]
pub struct Dirty {
    /// Orgs whose wallet row changed.
    pub wallets: BTreeSet<OrgId>,
    /// Orgs of which readers see something new.
    pub seen: BTreeSet<OrgId>,
    /// What is left of lots.
    pub lots: HashMap<GrantId, (OrgId, Nanos)>,
    /// New kinds of credit.
    pub commodities: Vec<Commodity>,
    /// Whether something was bound or revoked.
    pub bindings: bool,
}

/// What readers see without asking the database: as of the last commit.
#[derive(Debug, Default)]
pub struct Published {
    wallets: RwLock<HashMap<OrgId, (Wallet, Tail)>>,
    /// Of the orgs that have any.
    leases: RwLock<HashMap<OrgId, Vec<LeaseView>>>,
    commodities: RwLock<HashMap<CommodityId, Commodity>>,
    bindings: RwLock<Arc<Bindings>>,
    /// Held while what is bound changes: from before the commit until readers see it here.
    turn: Mutex<()>,
}

impl Published {
    /// An org's wallet and tail.
    pub fn wallet(&self, org: OrgId) -> Option<(Wallet, Tail)> {
        let wallets = self.wallets.read().unwrap_or_else(PoisonError::into_inner);
        wallets.get(&org).copied()
    }

    /// How many orgs have a wallet.
    pub fn count(&self) -> usize {
        let wallets = self.wallets.read().unwrap_or_else(PoisonError::into_inner);
        wallets.len()
    }

    /// A kind of credit.
    pub fn commodity(&self, id: CommodityId) -> Option<Commodity> {
        let commodities = self
            .commodities
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        commodities.get(&id).cloned()
    }

    /// Every kind of credit, oldest first.
    pub fn commodities(&self) -> Vec<Commodity> {
        let commodities = self
            .commodities
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = commodities.values().cloned().collect();
        all.sort_unstable_by_key(|commodity| commodity.id);
        all
    }

    /// What is bound.
    pub fn bindings(&self) -> Arc<Bindings> {
        let bindings = self.bindings.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&bindings)
    }

    /// What is bound changes as long as this is held. Who reads of it in the database after the
    /// commit, and takes a turn too, finds it here as well.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what is bound since a commit: every reader from now on, all at once.
    pub fn show_bindings(&self, new: Bindings) {
        let new = Arc::new(new);
        let mut bindings = self
            .bindings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *bindings = new;
    }

    /// Shows what a commit changed.
    pub fn show(&self, memory: &Memory, dirty: Dirty) {
        self.show_commodities(dirty.commodities);
        let mut wallets = self.wallets.write().unwrap_or_else(PoisonError::into_inner);
        let mut leases = self.leases.write().unwrap_or_else(PoisonError::into_inner);
        for org in dirty.seen {
            if let Some(state) = memory.state.org(org) {
                let tail = memory.tails.get(&org).copied().unwrap_or_default();
                wallets.insert(org, (*state.wallet(), tail));
                show_leases(&mut leases, org, state);
            }
        }
    }

    /// Shows everything, after loading.
    pub fn show_all(&self, memory: &Memory, commodities: Vec<Commodity>) {
        self.show_commodities(commodities);
        let mut wallets = self.wallets.write().unwrap_or_else(PoisonError::into_inner);
        wallets.clear();
        wallets.extend(memory.state.orgs().map(|(org, state)| {
            let tail = memory.tails.get(&org).copied().unwrap_or_default();
            (org, (*state.wallet(), tail))
        }));
        let mut leases = self.leases.write().unwrap_or_else(PoisonError::into_inner);
        leases.clear();
        for (org, state) in memory.state.orgs() {
            show_leases(&mut leases, org, state);
        }
    }

    /// An org's active leases, oldest first.
    pub fn leases(&self, org: OrgId) -> Vec<LeaseView> {
        let leases = self.leases.read().unwrap_or_else(PoisonError::into_inner);
        leases.get(&org).cloned().unwrap_or_default()
    }

    /// What of all leases a scrape counts: how many, how many of them are in doubt, and what they
    /// put aside.
    pub fn leased(&self, now_ms: i64) -> (u64, u64, Nanos) {
        let leases = self.leases.read().unwrap_or_else(PoisonError::into_inner);
        let all = || leases.values().flatten();
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        let in_doubt = all().filter(|lease| lease.expires_at_ms <= now_ms).count();
        let left = all().fold(Nanos::ZERO, |sum, lease| {
            sum.checked_add(lease.left).unwrap_or(Nanos::MAX)
        });
        (count(all().count()), count(in_doubt), left)
    }

    fn show_commodities(&self, new: Vec<Commodity>) {
        if new.is_empty() {
            return;
        }
        let mut commodities = self
            .commodities
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        commodities.extend(new.into_iter().map(|commodity| (commodity.id, commodity)));
    }
}

fn show_leases(all: &mut HashMap<OrgId, Vec<LeaseView>>, org: OrgId, state: &OrgState) {
    let leases: Vec<_> = state
        .leases()
        .map(|hold| LeaseView {
            id: hold.id,
            left: hold.left(),
            expires_at_ms: hold.expires_at_ms,
        })
        .collect();
    if leases.is_empty() {
        all.remove(&org);
    } else {
        all.insert(org, leases);
    }
}

/// UTC months since year 0: what month-to-date counts in.
pub fn month_of(at_ms: i64) -> i64 {
    jiff::Timestamp::from_millisecond(at_ms).map_or(0, |at| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        i64::from(date.year())
            .saturating_mul(12)
            .saturating_add(i64::from(date.month()))
    })
}
