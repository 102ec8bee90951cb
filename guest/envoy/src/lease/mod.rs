//! What an edge knows of the credits it has leased for a customer's key, and what it does with them.
//!
//! A call takes its worst case when it begins and leaves its price when it ends. Both are counted
//! from the lease's beginning and never taken back: what is used, what is reported, and what the
//! host has charged can then pass each other on their way without anything being counted twice or
//! not at all. All workers share one record of each key, so every rule here is a step from one
//! record to the next. Must not know proxies, nor how a record is shared.

pub mod asks;
mod codec;
pub mod place;
pub mod wire;

use farebox_sdk::pricing::money::Peg;
use rust_decimal::Decimal;
use std::rc::Rc;
use wire::Granted;

/// How many renewals without a call it takes until a lease goes back.
const IDLE_MAX: u8 = 3;
/// How long a renewal that was sent is waited for before another worker tries, in milliseconds
/// beyond the time its answer may take.
const GRACE_MS: i64 = 1_000;
/// How long a renewal that is to be sent again keeps others from sending one, in milliseconds.
const AGAIN_MS: i64 = 5_000;
/// How long after a lease expired what calls leave of it is still counted, in milliseconds.
const FORGOTTEN_MS: i64 = 3_600_000;
/// How long leases are left alone at most, in milliseconds.
const LOOK_MS: i64 = 1_000;
/// How soon after a renewal the next one may be asked for, in milliseconds.
const PACE_MS: i64 = 50;
/// How long a lease that no call may take from any more is renewed for those that run, in
/// milliseconds. None runs longer whose VM still knows of it.
const CLOSED_MAX_MS: i64 = 3_600_000;
/// How far the clock may go back before a lease is not believed to be valid, in milliseconds.
const BACK_MAX_MS: i64 = 1_000;

/// What the host vouches for about the calls of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Whose calls.
    pub org: Box<str>,
    /// On which plan.
    pub plan: Option<Box<str>>,
    /// SHA-256 of the book that prices them, in hexadecimal.
    pub book: Box<str>,
    /// What the org had been charged this month when the lease was granted.
    pub month_to_date_usd: Decimal,
    /// What a credit is worth.
    pub peg: Peg,
    /// How far the host's clock is ahead of this one, in milliseconds.
    pub ahead_ms: i64,
}

/// A lease. Amounts are nano-credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The host's id of it.
    pub id: Box<str>,
    /// Names it as the host knows it now.
    pub turn: Box<str>,
    /// Everything it was ever given, less what went back.
    granted: i64,
    /// What calls under it cost, and what those that run can cost.
    used: i64,
    /// What of that is kept for usage that the host has no price for.
    kept: i64,
    /// Calls that run, and those of which the host has not heard yet.
    open: u32,
    /// What calls took since the last renewal.
    taken: i64,
    /// The same, over the last renewals.
    recent: i64,
    /// What the host wants to be free.
    target: i64,
    /// What was free when the host last answered.
    full: i64,
    /// How many renewals there were without a call.
    idle: u8,
    /// Since then no further call runs under it.
    closed_at_ms: Option<i64>,
    /// When the host last said anything of it.
    heard_at_ms: i64,
    /// What a call that runs needs beyond what it took, and did not find; nothing of it goes back.
    needed: i64,
    /// The host has no more for it.
    exhausted: bool,
    /// From then on it may not be spent from.
    expires_at_ms: i64,
    renew_at_ms: i64,
    /// A worker has asked, and is waited for until then.
    asked_until_ms: i64,
    /// What prices its calls.
    pub vouched: Vouched,
}

/// All leases of a key, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    all: Vec<Lease>,
}

/// What a worker asks the host for: nothing beyond `keep` is spent until it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Which lease.
    pub lease: Box<str>,
    /// Its turn.
    pub turn: Box<str>,
    /// What it keeps of all it was given.
    pub keep: i64,
    /// What of that is free.
    pub free: i64,
    /// What calls took lately.
    pub recent: i64,
    /// What is to be free at least, for a call that runs.
    pub needed: i64,
}

/// A renewal that the host was asked for. Asked again it is the same, so that it takes effect once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Where the key's leases are shared.
    pub shared: Rc<str>,
    /// Which lease.
    pub lease: Box<str>,
    /// Its turn.
    pub turn: Box<str>,
    /// What was said.
    pub body: String,
    /// When first, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// What comes of a call that needs more than it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// It has so much more.
    By(i64),
    /// The host is asked.
    Asked,
    /// There is no more.
    No,
}

/// A lease that goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Which.
    pub lease: Box<str>,
    /// Its turn.
    pub turn: Box<str>,
    /// What stays for usage that has no price yet.
    pub keep: i64,
}

impl Lease {
    const fn free(&self) -> i64 {
        let free = self.granted.saturating_sub(self.used);
        if free < 0 { 0 } else { free }
    }
}

impl Leases {
    /// The lease that new calls run under at this time, in milliseconds since the Unix epoch. A clock
    /// that was set back does not know when it expires.
    pub fn offered(&self, now_ms: i64) -> Option<&Lease> {
        let newest = self.all.last()?;
        let from_ms = newest.heard_at_ms.saturating_sub(BACK_MAX_MS);
        let is_valid = (from_ms..newest.expires_at_ms).contains(&now_ms);
        (newest.closed_at_ms.is_none() && is_valid).then_some(newest)
    }

    /// A call takes its worst case; false when it does not fit.
    pub fn take(&mut self, lease: &str, worst: i64, now_ms: i64) -> bool {
        let offered = self.offered(now_ms).is_some_and(|own| *own.id == *lease);
        let Some(own) = self.all.last_mut().filter(|_| offered) else {
            return false;
        };
        // What does not fit is wanted all the same: the next renewal asks for more.
        own.taken = own.taken.saturating_add(worst);
        if worst > own.free() {
            return false;
        }
        own.used = own.used.saturating_add(worst);
        own.open = own.open.saturating_add(1);
        true
    }

    /// A call that runs takes more: what it wants, but at least `least`. Where that is not free, the
    /// host is asked with the next renewal, which is due at once.
    pub fn extend(&mut self, lease: &str, least: i64, want: i64, now_ms: i64) -> Extended {
        let Some(own) = self.of(lease).filter(|own| now_ms < own.expires_at_ms) else {
            return Extended::No;
        };
        if own.free() >= least {
            let more = want.min(own.free());
            own.used = own.used.saturating_add(more);
            own.taken = own.taken.saturating_add(more);
            (own.needed, own.exhausted) = (0, false);
            return Extended::By(more);
        }
        if std::mem::take(&mut own.exhausted) {
            own.needed = 0;
            return Extended::No;
        }
        own.needed = own.needed.max(least);
        Extended::Asked
    }

    /// The call that needed more does not wait any longer.
    pub fn needs_no_more(&mut self, lease: &str) {
        if let Some(own) = self.of(lease) {
            (own.needed, own.exhausted) = (0, false);
        }
    }

    /// The host granted a lease, for a request sent at this time. Where another worker's was granted
    /// meanwhile, this one goes back.
    pub fn granted(&mut self, granted: &Granted, sent_at_ms: i64, now_ms: i64) {
        self.all.retain(|lease| *lease.id != *granted.id);
        let mut lease = Lease {
            id: granted.id.clone(),
            turn: Box::default(),
            granted: 0,
            used: 0,
            kept: 0,
            open: 0,
            taken: 0,
            recent: 0,
            target: 0,
            full: 0,
            idle: 0,
            needed: 0,
            exhausted: false,
            closed_at_ms: None,
            heard_at_ms: 0,
            expires_at_ms: 0,
            renew_at_ms: 0,
            asked_until_ms: 0,
            vouched: granted.vouched.clone(),
        };
        lease.hears(granted, sent_at_ms, now_ms);
        if self.offered(now_ms).is_some() {
            lease.closed_at_ms = Some(now_ms);
            return self.all.insert(0, lease);
        }
        self.close(now_ms);
        self.all.push(lease);
    }

    /// No further call runs under any of them: each goes back when its last call is over.
    pub fn close(&mut self, now_ms: i64) {
        for lease in &mut self.all {
            lease.closed_at_ms.get_or_insert(now_ms);
        }
    }

    /// A call is over: it leaves `cost` of the worst case it took. `told`: nothing is to be
    /// reported of it.
    pub fn over(&mut self, lease: &str, worst: i64, cost: i64, told: bool) {
        if let Some(own) = self.of(lease) {
            own.used = own.used.saturating_sub(worst).saturating_add(cost);
            if told {
                own.open = own.open.saturating_sub(1);
            }
        }
    }

    /// The host has heard of a call that left `cost`, and charged this; nothing yet where it has
    /// no price.
    pub fn charged(&mut self, lease: &str, cost: i64, charged: Option<i64>) {
        if let Some(own) = self.of(lease) {
            own.open = own.open.saturating_sub(1);
            match charged {
                Some(charged) => {
                    own.used = own.used.saturating_sub(cost).saturating_add(charged);
                }
                None => own.kept = own.kept.saturating_add(cost),
            }
        }
    }

    /// What is to be asked of the host now, by whoever is first; its answer is waited for until
    /// `until_ms`.
    pub fn renewal(&mut self, now_ms: i64, timeout_ms: i64) -> Option<Renewal> {
        let own = self.all.iter_mut().find(|lease| lease.is_due(now_ms))?;
        own.asked_until_ms = now_ms.saturating_add(timeout_ms).saturating_add(GRACE_MS);
        if own.taken == 0 {
            own.idle = own.idle.saturating_add(1);
            own.recent /= 2;
        } else {
            own.idle = 0;
            own.recent = own.taken.max(own.recent / 2);
        }
        own.taken = 0;
        // What is free beyond what the host wants goes back; no call takes it from now on.
        let is_closed = own.closed_at_ms.is_some();
        let target = if is_closed { 0 } else { own.target };
        let stays = target.max(own.needed);
        own.granted = own.granted.min(own.used.saturating_add(stays));
        Some(Renewal {
            lease: own.id.clone(),
            turn: own.turn.clone(),
            keep: own.granted,
            free: own.free(),
            recent: if is_closed { 0 } else { own.recent },
            needed: own.needed,
        })
    }

    /// The host answered a renewal.
    pub fn renewed(&mut self, sent: &Sent, granted: &Granted, now_ms: i64) {
        if let Some(own) = self.at_turn(sent) {
            own.hears(granted, sent.at_ms, now_ms);
        }
    }

    /// Whether a renewal that was not answered is still worth sending: no other worker sends one
    /// meanwhile, and none after the lease has expired.
    pub fn waits(&mut self, sent: &Sent, now_ms: i64) -> bool {
        let Some(own) = self.at_turn(sent) else {
            return false;
        };
        own.asked_until_ms = now_ms.saturating_add(AGAIN_MS);
        now_ms < own.expires_at_ms
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Drops what expired so long ago that the host will have taken it back.
    pub fn forget_expired(&mut self, now_ms: i64) -> bool {
        let before = self.all.len();
        self.all
            .retain(|lease| now_ms < lease.expires_at_ms.saturating_add(FORGOTTEN_MS));
        self.all.len() < before
    }

    /// The host will not renew it: it is over there, or belongs to nobody here.
    pub fn lost(&mut self, sent: &Sent) {
        self.all
            .retain(|own| own.id != sent.lease || own.turn != sent.turn);
    }

    /// A lease that nobody needs, taken out so that no call runs under it any more.
    pub fn unused(&mut self, now_ms: i64) -> Option<Return> {
        let unused = |lease: &Lease| {
            lease.open == 0
                && lease.asked_until_ms <= now_ms
                && (lease.closed_at_ms.is_some() || lease.idle >= IDLE_MAX)
        };
        let index = self.all.iter().position(unused)?;
        let own = self.all.remove(index);
        Some(Return {
            lease: own.id,
            turn: own.turn,
            keep: own.kept,
        })
    }

    /// When to look after them next if no call comes, in milliseconds since the Unix epoch; `None`
    /// where there is nothing to look after.
    pub fn look_at_ms(&self, now_ms: i64) -> Option<i64> {
        let when = |lease: &Lease| match lease.is_short() {
            true => now_ms,
            false => lease.renew_at_ms,
        };
        let next = self.all.iter().map(when).min()?;
        Some(next.clamp(now_ms.saturating_add(1), now_ms.saturating_add(LOOK_MS)))
    }

    fn of(&mut self, lease: &str) -> Option<&mut Lease> {
        self.all.iter_mut().find(|own| *own.id == *lease)
    }

    /// The lease of a renewal, unless another has changed it since.
    fn at_turn(&mut self, sent: &Sent) -> Option<&mut Lease> {
        self.of(&sent.lease).filter(|own| own.turn == sent.turn)
    }
}

impl Lease {
    const fn is_short(&self) -> bool {
        self.needed > self.free() && !self.exhausted
    }

    /// Whether the host is to be asked: it is time, or calls take faster than was thought. One whose
    /// calls never end, because their VM is gone, is left to lapse.
    fn is_due(&self, now_ms: i64) -> bool {
        let has_calls = |closed_at_ms| now_ms < CLOSED_MAX_MS.saturating_add(closed_at_ms);
        let is_renewed = self.closed_at_ms.is_none_or(has_calls);
        let is_open = self.closed_at_ms.is_none();
        let runs_out = is_open && self.full > 0 && self.free() < self.full / 4;
        is_renewed
            && self.asked_until_ms <= now_ms
            && (self.renew_at_ms <= now_ms || runs_out || self.is_short())
    }

    fn hears(&mut self, granted: &Granted, sent_at_ms: i64, now_ms: i64) {
        let after = |ms: i64| sent_at_ms.saturating_add(ms);
        self.heard_at_ms = now_ms;
        self.vouched.ahead_ms = granted.now_ms.saturating_sub(now_ms);
        self.turn = granted.turn.clone();
        self.granted = granted.granted;
        self.target = granted.free;
        if granted.superseded {
            self.closed_at_ms.get_or_insert(now_ms);
        }
        self.expires_at_ms = after(granted.expires_in_ms);
        self.exhausted = granted.exhausted && self.needed > 0;
        self.full = self.free();
        // Who waits elsewhere for what lies idle here gets it now.
        if granted.recalled && self.full > self.target {
            self.asked_until_ms = 0;
            self.renew_at_ms = sent_at_ms;
        } else {
            self.asked_until_ms = after(PACE_MS);
            self.renew_at_ms = after(granted.renew_in_ms);
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests may overflow loudly")]
mod tests;
