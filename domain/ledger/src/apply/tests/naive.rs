//! A second, naive ledger: no postings, no plans, no indexes. It moves one nano-credit at a time
//! by asking, each time anew, who has to pay the next one. Slow, and too simple to be wrong in the
//! same way.

use crate::hold::HoldEnd;
use crate::ids::*;
use std::collections::BTreeMap;

#[derive(Clone)]
pub(super) struct Lot {
    pub(super) id: GrantId,
    pub(super) priority: u16,
    pub(super) expires_at_ms: i64,
    pub(super) feature: Option<String>,
    pub(super) left: i64,
}

/// `None` pays on credit.
type Who = Option<GrantId>;

#[derive(Clone)]
pub(super) struct Hold {
    /// Each nano-credit put aside, in the order it would be spent.
    pub(super) aside: Vec<Who>,
    pub(super) expires_at_ms: i64,
    pub(super) feature: Option<String>,
    pub(super) unpriced: u32,
    pub(super) closing: bool,
    pub(super) lease: Option<Lease>,
}

#[derive(Clone)]
pub(super) struct Lease {
    pub(super) doubt_ms: i64,
    /// All it was ever given, less what went back.
    pub(super) given: i64,
}

impl Hold {
    fn is_kept(&self) -> bool {
        match self.lease {
            None => self.unpriced > 0,
            Some(_) => self.unpriced > 0 && self.closing,
        }
    }

    fn over_at_ms(&self) -> i64 {
        self.expires_at_ms + self.lease.as_ref().map_or(0, |lease| lease.doubt_ms)
    }
}

#[derive(Clone, Default)]
pub(super) struct Naive {
    pub(super) now_ms: i64,
    pub(super) lots: Vec<Lot>,
    pub(super) holds: BTreeMap<HoldId, Hold>,
    pub(super) ended: BTreeMap<HoldId, (HoldEnd, Option<String>)>,
    pub(super) unpriced: BTreeMap<EventId, (Option<HoldId>, Option<String>)>,
    pub(super) limit: i64,
    pub(super) owed: i64,
    pub(super) shortfall: i64,
    pub(super) breakage: i64,
    pub(super) revenue: i64,
}

impl Naive {
    fn aside_of(&self, who: Who) -> i64 {
        let all = self.holds.values().flat_map(|hold| &hold.aside);
        all.filter(|aside| **aside == who).count() as i64
    }

    /// Who pays the next nano-credit.
    fn next(&self, feature: Option<&str>) -> Option<Who> {
        self.next_lot(feature)
            .map(Some)
            .or_else(|| (self.owed + self.aside_of(None) < self.limit).then_some(None))
    }

    fn next_lot(&self, feature: Option<&str>) -> Option<GrantId> {
        self.lots
            .iter()
            .filter(|lot| lot.expires_at_ms > self.now_ms)
            .filter(|lot| lot.feature.is_none() || lot.feature.as_deref() == feature)
            .filter(|lot| lot.left > self.aside_of(Some(lot.id)))
            .min_by_key(|lot| (lot.priority, lot.expires_at_ms, lot.id))
            .map(|lot| lot.id)
    }

    fn spend(&mut self, who: Who) {
        match who {
            None => self.owed += 1,
            Some(id) => self.lot(id).left -= 1,
        }
    }

    fn lot(&mut self, id: GrantId) -> &mut Lot {
        self.lots.iter_mut().find(|lot| lot.id == id).unwrap()
    }

    /// What happens by itself.
    pub(super) fn tick(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        let due: Vec<(HoldId, bool)> = self
            .holds
            .iter()
            .filter(|(_, hold)| !hold.is_kept() && hold.over_at_ms() <= self.now_ms)
            .map(|(id, hold)| (*id, hold.lease.is_some()))
            .collect();
        for (id, lease) in due {
            let end = if lease {
                HoldEnd::Lapsed
            } else {
                HoldEnd::Expired
            };
            self.end(id, end);
        }
        for index in 0..self.lots.len() {
            let lot = &self.lots[index];
            if lot.expires_at_ms <= self.now_ms {
                let free = lot.left - self.aside_of(Some(lot.id));
                self.lots[index].left -= free;
                self.breakage += free;
            }
        }
        while self.shortfall > 0
            && let Some(who) = self.next(None)
        {
            self.spend(who);
            self.shortfall -= 1;
        }
        while self.owed > 0
            && let Some(id) = self.next_lot(None)
        {
            self.lot(id).left -= 1;
            self.owed -= 1;
        }
    }

    fn end(&mut self, id: HoldId, end: HoldEnd) {
        let hold = self.holds.remove(&id).unwrap();
        self.ended.insert(id, (end, hold.feature));
    }

    pub(super) fn put_aside(&mut self, id: HoldId, amount: i64) -> bool {
        let before = self.holds[&id].aside.len();
        for _ in 0..amount {
            let feature = self.holds[&id].feature.clone();
            let next = self.next(feature.as_deref());
            let aside = &mut self.holds.get_mut(&id).unwrap().aside;
            let Some(who) = next else {
                aside.truncate(before);
                return false;
            };
            // A payer stands once in a hold, where it first came: later nanos join it there.
            let place = aside.iter().rposition(|own| *own == who);
            aside.insert(place.map_or(aside.len(), |at| at + 1), who);
        }
        true
    }

    pub(super) fn place(
        &mut self,
        id: HoldId,
        amount: i64,
        ttl_ms: i64,
        feature: Option<String>,
    ) -> bool {
        if self.shortfall > 0 {
            return false;
        }
        let hold = Hold {
            aside: Vec::new(),
            expires_at_ms: self.now_ms + ttl_ms,
            feature,
            unpriced: 0,
            closing: false,
            lease: None,
        };
        self.holds.insert(id, hold);
        let placed = self.put_aside(id, amount);
        if !placed {
            self.holds.remove(&id);
        }
        placed
    }

    pub(super) fn renew(&mut self, id: HoldId, ttl_ms: i64, extra: i64) -> bool {
        let open = |hold: &Hold| !hold.closing && hold.lease.is_none();
        let open = self.holds.get(&id).is_some_and(open);
        if !open || extra > 0 && self.shortfall > 0 {
            return false;
        }
        let renewed = self.put_aside(id, extra);
        if renewed {
            let hold = self.holds.get_mut(&id).unwrap();
            hold.expires_at_ms = hold.expires_at_ms.max(self.now_ms + ttl_ms);
        }
        renewed
    }

    pub(super) fn release(&mut self, id: HoldId) -> bool {
        let may = |hold: &Hold| hold.unpriced == 0 && hold.lease.is_none();
        let may = self.holds.get(&id).is_some_and(may);
        if may {
            self.end(id, HoldEnd::Released);
        }
        may
    }

    /// A lease that takes its share of what is there, counted by taking all of it first.
    pub(super) fn lease(
        &mut self,
        id: HoldId,
        least: i64,
        (want, share_permille): (i64, i64),
        (ttl_ms, doubt_ms): (i64, i64),
        feature: Option<String>,
    ) -> bool {
        if self.shortfall > 0 {
            return false;
        }
        let hold = Hold {
            aside: Vec::new(),
            expires_at_ms: self.now_ms + ttl_ms,
            feature,
            unpriced: 0,
            closing: false,
            lease: Some(Lease { doubt_ms, given: 0 }),
        };
        self.holds.insert(id, hold);
        let amount = self.share(id, want, share_permille).max(least);
        let placed = self.put_aside(id, amount);
        if placed {
            self.give(id, amount);
        } else {
            self.holds.remove(&id);
        }
        placed
    }

    fn share(&mut self, id: HoldId, want: i64, share_permille: i64) -> i64 {
        let before = self.holds[&id].aside.clone();
        let mut available = 0;
        while self.put_aside(id, 1) {
            available += 1;
        }
        self.holds.get_mut(&id).unwrap().aside = before;
        want.min(available * share_permille / 1000)
    }

    fn give(&mut self, id: HoldId, amount: i64) {
        let lease = self.holds.get_mut(&id).and_then(|hold| hold.lease.as_mut());
        lease.unwrap().given += amount;
    }

    fn keep_only(&mut self, id: HoldId, keep: i64) {
        let hold = self.holds.get_mut(&id).unwrap();
        let left = hold.aside.len() as i64;
        hold.aside.truncate(usize::try_from(keep.max(0)).unwrap());
        let back = left - hold.aside.len() as i64;
        self.give(id, -back);
    }

    fn is_open_lease(&self, id: HoldId) -> bool {
        let open = |hold: &Hold| !hold.closing && hold.lease.is_some();
        self.holds.get(&id).is_some_and(open)
    }

    pub(super) fn renew_lease(
        &mut self,
        id: HoldId,
        keep: i64,
        (want, share_permille): (i64, i64),
        ttl_ms: i64,
    ) -> bool {
        if !self.is_open_lease(id) {
            return false;
        }
        let hold = &self.holds[&id];
        let paid = hold.lease.as_ref().unwrap().given - hold.aside.len() as i64;
        self.keep_only(id, keep - paid);
        if self.shortfall == 0 {
            let more = self.share(id, want, share_permille);
            assert!(self.put_aside(id, more));
            self.give(id, more);
        }
        let hold = self.holds.get_mut(&id).unwrap();
        hold.expires_at_ms = hold.expires_at_ms.max(self.now_ms + ttl_ms);
        true
    }

    pub(super) fn return_lease(&mut self, id: HoldId, keep: i64) -> bool {
        if !self.is_open_lease(id) {
            return false;
        }
        if self.holds[&id].unpriced == 0 {
            self.end(id, HoldEnd::Released);
        } else {
            self.keep_only(id, keep);
            self.holds.get_mut(&id).unwrap().closing = true;
        }
        true
    }

    /// Whether usage said to be the last closes the hold.
    pub(super) fn closes(&self, id: HoldId, last: bool) -> bool {
        last && self.holds.get(&id).is_some_and(|hold| hold.lease.is_none())
    }

    /// Whether usage may still come under this hold.
    pub(super) fn takes_usage(&self, id: HoldId) -> bool {
        match self.holds.get(&id) {
            Some(hold) => !hold.closing,
            None => self
                .ended
                .get(&id)
                .is_some_and(|(end, _)| *end != HoldEnd::Captured),
        }
    }

    pub(super) fn feature_of(&self, id: HoldId) -> Option<String> {
        match self.holds.get(&id) {
            Some(hold) => hold.feature.clone(),
            None => self.ended.get(&id).and_then(|(_, feature)| feature.clone()),
        }
    }

    pub(super) fn charge(&mut self, id: Option<HoldId>, feature: Option<String>, price: i64) {
        self.revenue += price;
        for _ in 0..price {
            let aside = id
                .and_then(|id| self.holds.get_mut(&id))
                .filter(|hold| !hold.aside.is_empty())
                .map(|hold| hold.aside.remove(0));
            match aside.or_else(|| self.next(feature.as_deref())) {
                Some(who) => self.spend(who),
                None => self.shortfall += 1,
            }
        }
        if let Some(id) = id
            && self
                .holds
                .get(&id)
                .is_some_and(|hold| hold.closing && hold.unpriced == 0)
        {
            self.end(id, HoldEnd::Captured);
        }
    }

    pub(super) fn deduct(&mut self, amount: i64) -> bool {
        for _ in 0..amount {
            let Some(who) = self.next(None) else {
                return false;
            };
            self.spend(who);
        }
        true
    }

    pub(super) fn take_back(&mut self, id: GrantId, amount: Option<i64>) -> bool {
        let aside = self.aside_of(Some(id));
        let lot = self.lot(id);
        let amount = amount.unwrap_or(lot.left - aside);
        let may = 0 < amount && amount <= lot.left - aside;
        if may {
            lot.left -= amount;
        }
        may
    }

    pub(super) fn held_on_credit(&self) -> i64 {
        self.aside_of(None)
    }

    pub(super) fn held(&self) -> i64 {
        self.held_for(None)
    }

    /// What is held for a feature, or for all.
    pub(super) fn held_for(&self, feature: Option<&str>) -> i64 {
        self.holds
            .values()
            .filter(|hold| feature.is_none() || hold.feature.as_deref() == feature)
            .map(|hold| hold.aside.len() as i64)
            .sum()
    }

    pub(super) fn posted(&self) -> i64 {
        self.lots.iter().map(|lot| lot.left).sum::<i64>() - self.owed
    }
}
