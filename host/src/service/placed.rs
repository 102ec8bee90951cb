//! What the holds of a moment ago were placed with, so that the report that follows a call finds it
//! without asking the database.
//!
//! Only what never changes is kept: how the call is rated, and what it is for. Whether the hold is
//! still there is the ledger's to say. Two halves of bounded size: when one is full, the older is
//! forgotten and its holds are read from the store again.

use super::holds::HoldContext;
use farebox_ledger::hold::Dimensions;
use farebox_ledger::ids::{HoldId, OrgId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most holds in one half.
const HALF_MAX: usize = 8_192;

/// What a hold was placed with.
#[derive(Clone, Debug)]
pub(super) struct PlacedWith {
    /// How its call is rated.
    pub context: HoldContext,
    /// What its call is for.
    pub dimensions: Arc<Dimensions>,
    /// When, in milliseconds since the Unix epoch.
    pub placed_at_ms: i64,
}

type Half = HashMap<(OrgId, HoldId), PlacedWith>;

/// Holds of a moment ago, by org: another org's hold is not found.
#[derive(Debug, Default)]
pub(super) struct PlacedHolds(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    young: Half,
    old: Half,
}

impl PlacedHolds {
    fn halves(&self) -> MutexGuard<'_, Halves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a hold that is durable.
    pub fn remember(&self, org: OrgId, hold: HoldId, with: PlacedWith) {
        let mut halves = self.halves();
        if halves.young.len() >= HALF_MAX {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert((org, hold), with);
    }

    /// What the hold was placed with, where that is still known.
    pub fn find(&self, org: OrgId, hold: HoldId) -> Option<PlacedWith> {
        let halves = self.halves();
        let key = (org, hold);
        halves
            .young
            .get(&key)
            .or_else(|| halves.old.get(&key))
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::holds::Serves;
    use crate::service::policy::{Digest, ReleaseId};
    use farebox_pricing::event::KeySource;

    #[test]
    fn holds_are_found_by_their_own_org_and_the_oldest_are_forgotten() {
        let placed = PlacedHolds::default();
        let with = PlacedWith {
            context: HoldContext {
                release: ReleaseId {
                    component: Digest([1; 32]),
                    book: Digest([2; 32]),
                },
                serves: Serves::Call(KeySource::Own),
            },
            dimensions: Arc::default(),
            placed_at_ms: 0,
        };
        let (acme, other) = (OrgId::new(1), OrgId::new(2));
        let hold = |number: usize| HoldId::new(u128::try_from(number).unwrap());
        for number in 0..HALF_MAX * 2 + 1 {
            placed.remember(acme, hold(number), with.clone());
        }
        assert!(placed.find(acme, hold(0)).is_none());
        assert!(placed.find(acme, hold(HALF_MAX)).is_some());
        assert!(placed.find(acme, hold(HALF_MAX * 2)).is_some());
        assert!(placed.find(other, hold(HALF_MAX)).is_none());
    }
}
