//! A circuit breaker per release and org: what one customer's odd input does to a policy stops
//! nobody else, and does not keep the sandbox busy with traps.
//!
//! After so many faults in a row the org's calls under that release are not priced for a while:
//! before a call they are refused, after it they are recorded without a price, as with any fault.
//! Then one call is let through; it closes the breaker or opens it again. A refusal is an answer,
//! not a fault. While nothing ever failed, asking costs one atomic read.

use super::Service;
use super::policy::{PolicyError, ReleaseId};
use farebox_ledger::ids::OrgId;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most pairs of release and org that are remembered. For a new one the pair goes whose breaker is
/// closed and whose last fault is oldest; where all are open it is only counted.
const PAIRS_MAX: usize = 10_000;

/// The most releases whose faults are counted apart. There are seldom more than a few dozen.
const RELEASES_MAX: usize = 256;

/// What a policy is asked. Each is counted for itself: a policy that quotes well and fails at every
/// rating would else never fail twice in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Quote,
    Rate,
    /// A rating of usage that waits for a price. It has a pause of its own: what failed before fails
    /// again, and must not stop the calls of today, nor must their pause end with it.
    Settle,
}

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRule {
    /// Faults in a row that open it; 0: never.
    pub faults: u32,
    /// How long it stays open.
    pub pause: Duration,
}

/// What is known of a release's faults for an org.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Under which release.
    pub release: ReleaseId,
    /// For whom.
    pub org: OrgId,
    /// Since the last good answer to the same question.
    pub in_a_row: u32,
    /// Since the start.
    pub total: u64,
    /// The last one, in words.
    pub last: Box<str>,
    /// When it was, milliseconds since the Unix epoch.
    pub last_at_ms: i64,
    /// For how long calls are not priced from now on; absent: they are.
    pub open_for: Option<Duration>,
}

/// How often a release failed in one way since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultCount {
    /// Absent: all beyond those that are counted apart.
    pub release: Option<ReleaseId>,
    /// The fault's word.
    pub fault: &'static str,
    /// How often.
    pub faults: u64,
}

#[derive(Debug)]
struct Entry {
    quotes_in_a_row: u32,
    ratings_in_a_row: u32,
    settlings_in_a_row: u32,
    total: u64,
    last: Box<str>,
    last_at_ms: i64,
    /// Until when, on the stopwatch, no call is let through.
    open_until: Option<Duration>,
    /// The same for usage that waits.
    settling_open_until: Option<Duration>,
}

impl Entry {
    const fn in_a_row(&mut self, question: Question) -> &mut u32 {
        match question {
            Question::Quote => &mut self.quotes_in_a_row,
            Question::Rate => &mut self.ratings_in_a_row,
            Question::Settle => &mut self.settlings_in_a_row,
        }
    }

    const fn open_until(&mut self, question: Question) -> &mut Option<Duration> {
        match question {
            Question::Quote | Question::Rate => &mut self.open_until,
            Question::Settle => &mut self.settling_open_until,
        }
    }
}

/// All breakers.
#[derive(Debug)]
pub(super) struct Breakers {
    rule: BreakerRule,
    any: AtomicBool,
    counts: Mutex<HashMap<(Option<ReleaseId>, &'static str), u64>>,
    entries: Mutex<HashMap<(ReleaseId, OrgId), Entry>>,
}

impl Breakers {
    pub fn new(rule: BreakerRule) -> Self {
        Self {
            rule,
            any: AtomicBool::new(false),
            counts: Mutex::default(),
            entries: Mutex::default(),
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<(ReleaseId, OrgId), Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may be priced now. When a pause is over, one call is let through and the next
    /// waits for another pause, unless the first succeeds.
    fn lets_through(
        &self,
        release: ReleaseId,
        org: OrgId,
        question: Question,
        now: impl Fn() -> Duration,
    ) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return true;
        }
        let now = now();
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&(release, org)) else {
            return true;
        };
        let open_until = entry.open_until(question);
        match *open_until {
            Some(until) if now < until => false,
            Some(_) => {
                *open_until = Some(now.saturating_add(self.rule.pause));
                true
            }
            None => true,
        }
    }

    /// Learns from an answer.
    fn note<T>(
        &self,
        release: ReleaseId,
        org: OrgId,
        question: Question,
        answer: &Result<T, PolicyError>,
        now: impl Fn() -> (Duration, i64),
    ) {
        match answer {
            Err(PolicyError::Fault(fault)) => {
                self.count(release, fault.word());
                let (now, at_ms) = now();
                let mut entries = self.entries();
                if entries.len() >= PAIRS_MAX
                    && !entries.contains_key(&(release, org))
                    && !make_room(&mut entries, now)
                {
                    return;
                }
                let entry = entries.entry((release, org)).or_insert_with(|| Entry {
                    quotes_in_a_row: 0,
                    ratings_in_a_row: 0,
                    settlings_in_a_row: 0,
                    total: 0,
                    last: Box::default(),
                    last_at_ms: at_ms,
                    open_until: None,
                    settling_open_until: None,
                });
                let in_a_row = entry.in_a_row(question);
                *in_a_row = in_a_row.saturating_add(1);
                let opens = self.rule.faults > 0 && *in_a_row >= self.rule.faults;
                entry.total = entry.total.saturating_add(1);
                entry.last = fault.to_string().into();
                entry.last_at_ms = at_ms;
                if opens {
                    *entry.open_until(question) = Some(now.saturating_add(self.rule.pause));
                }
                self.any.store(true, Ordering::Release);
            }
            Err(PolicyError::NotLoaded | PolicyError::Paused | PolicyError::Busy) => {}
            Ok(_) | Err(PolicyError::Refused(_)) => {
                if self.any.load(Ordering::Acquire)
                    && let Some(entry) = self.entries().get_mut(&(release, org))
                {
                    *entry.in_a_row(question) = 0;
                    *entry.open_until(question) = None;
                }
            }
        }
    }

    fn count(&self, release: ReleaseId, fault: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_apart = |of: &(Option<ReleaseId>, &str)| of.0 == Some(release);
        let is_known = counts.keys().any(is_apart);
        let releases: HashSet<_> = counts.keys().map(|(release, _)| release).collect();
        let apart = (is_known || releases.len() < RELEASES_MAX).then_some(release);
        let count = counts.entry((apart, fault)).or_default();
        *count = count.saturating_add(1);
    }

    /// Every pair that had a fault, the latest first.
    fn faults(&self, now: Duration) -> Vec<Faults> {
        let mut all: Vec<_> = self
            .entries()
            .iter()
            .map(|((release, org), entry)| Faults {
                release: *release,
                org: *org,
                in_a_row: entry
                    .quotes_in_a_row
                    .max(entry.ratings_in_a_row)
                    .max(entry.settlings_in_a_row),
                total: entry.total,
                last: entry.last.clone(),
                last_at_ms: entry.last_at_ms,
                open_for: entry
                    .open_until
                    .and_then(|until| until.checked_sub(now))
                    .filter(|rest| !rest.is_zero()),
            })
            .collect();
        all.sort_by_key(|faults| std::cmp::Reverse((faults.last_at_ms, faults.org)));
        all
    }
}

impl Service {
    /// What a release answers for an org, unless it is paused for it.
    pub(super) fn ask<T>(
        &self,
        release: ReleaseId,
        org: OrgId,
        question: Question,
        ask: impl FnOnce() -> Result<T, PolicyError>,
    ) -> Result<T, PolicyError> {
        let breakers = &self.breakers;
        if !breakers.lets_through(release, org, question, || self.clock.elapsed()) {
            return Err(PolicyError::Paused);
        }
        let answer = self.beside_others(&release, ask);
        breakers.note(release, org, question, &answer, || {
            (self.clock.elapsed(), self.clock.now_ms())
        });
        // What waits failed once already.
        if matches!(answer, Err(PolicyError::Fault(_))) && question != Question::Settle {
            self.note_failure(release, org);
        }
        answer
    }

    /// Asks where a release that takes long holds up no other call.
    pub(super) fn beside_others<T>(
        &self,
        release: &ReleaseId,
        ask: impl FnOnce() -> Result<T, PolicyError>,
    ) -> Result<T, PolicyError> {
        if !self.engine.takes_long(release) {
            return ask();
        }
        let (mut ask, mut answer) = (Some(ask), None);
        (self.settings.aside)(&mut || answer = ask.take().map(|ask| ask()));
        answer.unwrap_or(Err(PolicyError::Busy))
    }

    /// Every release and org that had a policy fault since the start, the latest first.
    pub fn faults(&self) -> Vec<Faults> {
        self.breakers.faults(self.clock.elapsed())
    }

    /// Policy faults since the start, by release and kind.
    pub fn fault_counts(&self) -> Vec<FaultCount> {
        let counts = self.breakers.counts.lock();
        let counts = counts.unwrap_or_else(PoisonError::into_inner);
        let count = |(of, faults): (&(Option<ReleaseId>, &'static str), &u64)| FaultCount {
            release: of.0,
            fault: of.1,
            faults: *faults,
        };
        counts.iter().map(count).collect()
    }
}

/// Forgets the pair whose breaker is closed and whose last fault is oldest; whether there was one.
fn make_room(entries: &mut HashMap<(ReleaseId, OrgId), Entry>, now: Duration) -> bool {
    let is_open = |until: Option<Duration>| until.is_some_and(|until| now < until);
    let closed = entries
        .iter()
        .filter(|(_, entry)| !is_open(entry.open_until) && !is_open(entry.settling_open_until));
    let oldest = closed.min_by_key(|(pair, entry)| (entry.last_at_ms, pair.1));
    match oldest.map(|(pair, _)| *pair) {
        Some(pair) => entries.remove(&pair).is_some(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::policy::{Digest, Fault};

    const RULE: BreakerRule = BreakerRule {
        faults: 3,
        pause: Duration::from_secs(10),
    };

    fn release() -> ReleaseId {
        ReleaseId {
            component: Digest([1; 32]),
            book: Digest([2; 32]),
        }
    }

    #[test]
    fn it_opens_after_faults_in_a_row_for_one_org_and_closes_by_one_good_answer() {
        let breakers = Breakers::new(RULE);
        let (odd, other) = (OrgId::new(1), OrgId::new(2));
        let fault = || Err::<(), _>(PolicyError::Fault(Fault::Fuel));
        let at = Duration::from_secs;
        let note = |answer: Result<(), PolicyError>, now| {
            breakers.note(release(), odd, Question::Rate, &answer, || (now, 0));
        };
        let quoted = |now| {
            breakers.note(release(), odd, Question::Quote, &Ok(()), || (now, 0));
        };
        let lets = |org, now| breakers.lets_through(release(), org, Question::Rate, || now);
        note(fault(), at(0));
        note(fault(), at(0));
        note(Ok(()), at(0));
        note(fault(), at(0));
        // A good quote says nothing of the ratings.
        quoted(at(0));
        note(fault(), at(0));
        assert!(lets(odd, at(0)));
        note(fault(), at(0));
        assert!(!lets(odd, at(9)));
        assert!(lets(other, at(9)));
        // One call is let through, the next is not.
        assert!(lets(odd, at(10)));
        assert!(!lets(odd, at(10)));
        note(fault(), at(10));
        assert!(!lets(odd, at(19)));
        assert!(lets(odd, at(20)));
        note(Ok(()), at(20));
        assert!(lets(odd, at(20)));
        let [faults] = &breakers.faults(at(20))[..] else {
            panic!("one pair had faults");
        };
        assert_eq!((faults.in_a_row, faults.total), (0, 6));
        assert_eq!(&*faults.last, "the policy used up its fuel");
        assert_eq!(faults.open_for, None);
    }

    #[test]
    fn a_new_org_has_a_breaker_however_many_had_faults_before() {
        let breakers = Breakers::new(RULE);
        let fault = Err::<(), _>(PolicyError::Fault(Fault::Fuel));
        let note = |org: usize, now: u64| {
            let org = OrgId::new(org as u128);
            let now = (Duration::from_secs(now), i64::try_from(now).unwrap());
            breakers.note(release(), org, Question::Rate, &fault, || now);
        };
        // The first two are open; the third, which is closed the longest, makes room.
        for _ in 0..3 {
            note(0, 0);
            note(1, 0);
        }
        for org in 2..PAIRS_MAX {
            note(org, 1);
        }
        for now in [2, 3, 4] {
            note(PAIRS_MAX, now);
        }
        let late = OrgId::new(PAIRS_MAX as u128);
        let at = Duration::from_secs(5);
        assert!(!breakers.lets_through(release(), late, Question::Rate, || at));
        assert!(!breakers.lets_through(release(), OrgId::new(1), Question::Rate, || at));
        let all = breakers.faults(at);
        assert_eq!(all.len(), PAIRS_MAX);
        assert!(all.iter().all(|faults| faults.org != OrgId::new(2)));
        let counted = breakers.counts.lock().unwrap();
        assert_eq!(counted[&(Some(release()), "fuel")], PAIRS_MAX as u64 + 7);
    }

    #[test]
    fn what_waits_has_a_pause_of_its_own() {
        let breakers = Breakers::new(RULE);
        let org = OrgId::new(1);
        let fault = Err::<(), _>(PolicyError::Fault(Fault::Fuel));
        let now = || (Duration::ZERO, 0);
        for _ in 0..3 {
            breakers.note(release(), org, Question::Settle, &fault, now);
        }
        let lets = |question| breakers.lets_through(release(), org, question, || Duration::ZERO);
        assert!(lets(Question::Rate) && lets(Question::Quote) && !lets(Question::Settle));
        for _ in 0..3 {
            breakers.note(release(), org, Question::Rate, &fault, now);
        }
        // That it is settled ends no pause of calls.
        breakers.note(release(), org, Question::Settle, &Ok(()), now);
        assert!(!lets(Question::Rate) && lets(Question::Settle));
    }
}
