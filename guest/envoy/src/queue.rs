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
/// How many bytes of reports go as one, where one alone is not larger.
const TOGETHER_BYTES: usize = 1 << 20;

/// The reports of a worker.
#[derive(Debug, Default)]
pub struct Queue {
    /// In the order they go.
    waiting: VecDeque<Parcel>,
    gathering: Vec<Gathering>,
    on_their_way: BTreeMap<u32, Parcel>,
    /// Those that the host could not take, and in how many ticks they go again.
    later: Vec<(u32, Parcel)>,
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
        let later = self.later.iter().map(|(_, parcel)| parcel);
        let on_their_way = self.on_their_way.values();
        let parcels = self.waiting.iter().chain(on_their_way).chain(later);
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
        let later = self.later.drain(..).map(|(_, parcel)| parcel);
        on_their_way
            .chain(self.waiting.drain(..))
            .chain(later)
            .collect()
    }

    /// Makes parcels of what has waited for others long enough.
    fn gather(&mut self, is_ready: impl Fn(&Gathering) -> bool) {
        for ready in self.gathering.extract_if(.., |own| is_ready(own)) {
            let mut together = Vec::new();
            let mut bytes = 0_usize;
            for report in ready.reports {
                let with_it = bytes.saturating_add(report.body.len());
                let is_full = together.len() >= TOGETHER_MAX || with_it > TOGETHER_BYTES;
                if is_full && !together.is_empty() {
                    let full = std::mem::take(&mut together);
                    self.waiting.push_back(Parcel::Many(full));
                    bytes = 0;
                }
                bytes = bytes.saturating_add(report.body.len());
                together.push(report);
            }
            self.waiting.push_back(Parcel::Many(together));
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
        for (ticks, _) in &mut self.later {
            *ticks = ticks.saturating_sub(1);
        }
        let again = self.later.extract_if(.., |(ticks, _)| *ticks == 0);
        self.waiting.extend(again.map(|(_, parcel)| parcel));
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

    /// Nobody answered: it is tried again after a while, and nothing else before.
    pub fn unanswered(&mut self, parcel: Parcel) {
        self.waiting.push_front(parcel);
        self.quiet_ticks = TICKS_AFTER_SILENCE;
    }

    /// The host could not take this one, which is tried again after a while. Others need not wait.
    pub fn again(&mut self, parcel: Parcel) {
        self.later.push((TICKS_AFTER_SILENCE, parcel));
    }

    /// The host would not take it as a whole: each report goes by itself.
    pub fn apart(&mut self, parcel: Parcel) {
        let each = parcel.into_reports().into_iter().rev();
        each.for_each(|report| self.waiting.push_front(Parcel::Many(vec![report])));
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
        queue.unanswered(first);
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

    #[test]
    fn a_report_that_the_host_cannot_take_stops_no_other() {
        let mut queue = Queue::default();
        (0..ON_THEIR_WAY_MAX).for_each(|number| queue.push(report(number)));
        for parcel in queue.due(1) {
            queue.again(parcel);
        }
        queue.push(report(100));
        assert_eq!(queue.due(1), [Parcel::One(report(100))]);
        assert_eq!(queue.len(), ON_THEIR_WAY_MAX);
        for _ in 2..TICKS_AFTER_SILENCE {
            assert!(queue.due(1).is_empty());
        }
        assert_eq!(queue.due(1).len(), ON_THEIR_WAY_MAX);
        queue.again(Parcel::One(report(7)));
        assert_eq!(queue.drain(), [Parcel::One(report(7))], "none is lost");
    }

    #[test]
    fn reports_go_together_up_to_so_many_bytes_and_apart_where_that_is_refused() {
        let mut queue = Queue::default();
        let large = |number| Report {
            body: "x".repeat(TOGETHER_BYTES / 2),
            ..leased(number, "a")
        };
        (0..5).for_each(|number| queue.push(large(number)));
        let parcels = queue.due(1);
        let sizes: Vec<_> = parcels
            .iter()
            .map(|parcel| parcel.reports().len())
            .collect();
        assert_eq!(sizes, [2, 2, 1]);
        let first = parcels.into_iter().next().unwrap();
        queue.apart(first);
        let alone = |number| Parcel::Many(vec![large(number)]);
        assert_eq!(queue.due(1), [alone(0), alone(1)]);
    }
}
