//! Reports that wait for the host, in the memory of a worker: bounded, each tried until the host
//! has it or will not have it. Those of calls under leases wait a moment for others of their key,
//! and go as one. Must not know proxies.

use crate::host::report::{Parcel, Report};
use std::collections::{BTreeMap, VecDeque};

/// How many requests are on their way at once.
const ON_THEIR_WAY_MAX: usize = 32;
/// How many ticks pass before a host that did not answer is asked again.
const TICKS_AFTER_SILENCE: u32 = 20;
/// How many reports go as one.
const TOGETHER_MAX: usize = 64;
/// How many bytes of reports wait for more to go with.
const TOGETHER_BYTES: usize = 1 << 20;

/// The reports of a worker.
#[derive(Debug, Default)]
pub struct Queue {
    /// In the order they go.
    waiting: VecDeque<Parcel>,
    gathering: Vec<Gathering>,
    on_their_way: BTreeMap<u32, Parcel>,
    quiet_ticks: u32,
}

/// Reports of one key that wait for others.
#[derive(Debug, Default)]
struct Gathering {
    reports: Vec<Report>,
    bytes: usize,
    ticks: u32,
}

impl Queue {
    /// How many the host does not have yet.
    pub fn len(&self) -> usize {
        let parcels = self.waiting.iter().chain(self.on_their_way.values());
        let sent: usize = parcels.map(|parcel| parcel.reports().len()).sum();
        let gathered: usize = self.gathering.iter().map(|own| own.reports.len()).sum();
        sent.saturating_add(gathered)
    }

    /// Whether the host has all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more. The bound is kept by not letting calls run that would pass it.
    pub fn push(&mut self, report: Report) {
        if report.leased.is_none() {
            return self.waiting.push_back(Parcel::One(report));
        }
        let of_key = |own: &&mut Gathering| {
            let first = own.reports.first();
            first.is_some_and(|first| first.key == report.key)
        };
        let bytes = report.body.len();
        match self.gathering.iter_mut().find(of_key) {
            Some(own) => {
                own.bytes = own.bytes.saturating_add(bytes);
                own.reports.push(report);
            }
            None => self.gathering.push(Gathering {
                reports: vec![report],
                bytes,
                ticks: 0,
            }),
        }
    }

    /// What another worker's filter could not send any more goes before all others.
    pub fn take_over(&mut self, parcel: Parcel) {
        self.waiting.push_front(parcel);
    }

    /// All that the host does not have, those on their way among them: it counts each once.
    pub fn drain(&mut self) -> Vec<Parcel> {
        self.gather(|_| true);
        let on_their_way = std::mem::take(&mut self.on_their_way).into_values();
        on_their_way.chain(self.waiting.drain(..)).collect()
    }

    /// Makes parcels of what has waited for others long enough.
    fn gather(&mut self, is_ready: impl Fn(&Gathering) -> bool) {
        for ready in self.gathering.extract_if(.., |own| is_ready(own)) {
            let mut reports = ready.reports.into_iter().peekable();
            while reports.peek().is_some() {
                let together = reports.by_ref().take(TOGETHER_MAX).collect();
                self.waiting.push_back(Parcel::Many(together));
            }
        }
    }

    /// What is to be sent on this tick. Reports wait so many ticks for others.
    pub fn due(&mut self, together_ticks: u32) -> Vec<Parcel> {
        for own in &mut self.gathering {
            own.ticks = own.ticks.saturating_add(1);
        }
        self.gather(|own| {
            own.ticks >= together_ticks
                || own.reports.len() >= TOGETHER_MAX
                || own.bytes >= TOGETHER_BYTES
        });
        if self.quiet_ticks > 0 {
            self.quiet_ticks = self.quiet_ticks.saturating_sub(1);
            return Vec::new();
        }
        let room = ON_THEIR_WAY_MAX.saturating_sub(self.on_their_way.len());
        let count = room.min(self.waiting.len());
        self.waiting.drain(..count).collect()
    }

    /// A parcel was sent, under this token.
    pub fn sent(&mut self, token: u32, parcel: Parcel) {
        self.on_their_way.insert(token, parcel);
    }

    /// The parcel that the answer with this token is for.
    pub fn answered(&mut self, token: u32) -> Option<Parcel> {
        self.on_their_way.remove(&token)
    }

    /// The host did not take it: it is tried again after a while, before all others.
    pub fn again(&mut self, parcel: Parcel) {
        self.waiting.push_front(parcel);
        self.quiet_ticks = TICKS_AFTER_SILENCE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::report::Leased;

    fn report(number: usize) -> Report {
        Report {
            path: number.to_string(),
            key: String::new(),
            idempotency_key: String::new(),
            body: "{}".to_owned(),
            price_usd: None,
            book: None,
            hold: None,
            leased: None,
        }
    }

    fn leased(number: usize, key: &str) -> Report {
        Report {
            key: key.to_owned(),
            leased: Some(Leased {
                shared: "k".into(),
                lease: "l".into(),
                cost: 0,
            }),
            ..report(number)
        }
    }

    #[test]
    fn a_report_leaves_only_when_the_host_has_it() {
        let mut queue = Queue::default();
        (0..40).for_each(|number| queue.push(report(number)));
        for (token, due) in (0..).zip(queue.due(1)) {
            queue.sent(token, due);
        }
        assert_eq!(queue.len(), 40);
        assert!(queue.due(1).is_empty(), "no more at once");
        let first = queue.answered(0).unwrap();
        assert_eq!(queue.answered(0), None);
        queue.again(first);
        assert_eq!(queue.len(), 40);
        for _ in 0..TICKS_AFTER_SILENCE {
            assert!(queue.due(1).is_empty());
        }
        assert_eq!(queue.due(1), [Parcel::One(report(0))]);
    }

    #[test]
    fn reports_under_leases_wait_for_others_of_their_key() {
        let mut queue = Queue::default();
        queue.push(leased(0, "a"));
        assert!(queue.due(3).is_empty());
        queue.push(leased(1, "b"));
        queue.push(leased(2, "a"));
        assert!(queue.due(3).is_empty());
        let first = Parcel::Many(vec![leased(0, "a"), leased(2, "a")]);
        assert_eq!(first.request().1, r#"{"items":[{},{}]}"#);
        assert_eq!(queue.due(3), [first]);
        assert_eq!(queue.len(), 1);
        (0..TOGETHER_MAX).for_each(|number| queue.push(leased(number, "c")));
        let due = queue.due(3);
        assert_eq!(
            due.len(),
            2,
            "that of `b`, and as many of `c` as go at once"
        );
        assert!(queue.is_empty());
    }
}
