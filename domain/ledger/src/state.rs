//! What the ledger knows in memory: every wallet, its live lots, active holds and budgets.
//!
//! Past rows (spent lots, ended holds, charges) stay in the store and are [recalled](Recall) by
//! the few commands that need them, so memory grows with what is alive, not with history.
//!
//! Time: [`State::latest_ms`] is the latest instant the state has seen. A clock that jumps back
//! is ignored until it has caught up, so that nothing that expired comes alive again; holds placed
//! meanwhile last as long as was asked, counted from the ledger's time. A clock that jumps
//! *forward* cannot be told from time passing: everything due by then ends. Whoever reads the
//! clock guards against that.

use crate::budget::{Budget, BudgetUse};
use crate::command::{Command, Recall};
use crate::commodity::Commodity;
use crate::effect::{Effect, Unpriced};
use crate::grant::Grant;
use crate::hold::Hold;
use crate::ids::{CommodityId, GrantId, HoldId, OrgId};
use std::collections::{BTreeSet, HashMap};

pub use crate::org::OrgState;
pub use crate::wallet::Wallet;

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
            Command::RenewLease(command) => Some(command.lease),
            Command::ReturnLease(command) => Some(command.lease),
            Command::RefundCharge(command) => return Some(Recall::Charge(command.charge)),
            _ => None,
        }?;
        let active = self
            .orgs
            .get(&command.org())
            .is_some_and(|org| org.hold(hold).is_some());
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
