//! Reports that wait for the host, in the memory of a worker: bounded, in order, each tried until
//! the host has it or will not have it. Must not know proxies.

use crate::host::Report;
use std::collections::{BTreeMap, VecDeque};

/// How many reports are on their way at once.
const ON_THEIR_WAY_MAX: usize = 32;
/// How many ticks pass before a host that did not answer is asked again.
const TICKS_AFTER_SILENCE: u32 = 20;

/// The reports of a worker.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Report>,
    on_their_way: BTreeMap<u32, Report>,
    quiet_ticks: u32,
}

impl Queue {
    /// How many the host does not have yet.
    pub fn len(&self) -> usize {
        self.waiting.len().saturating_add(self.on_their_way.len())
    }

    /// Whether the host has all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more. The bound is kept by not letting calls run that would pass it.
    pub fn push(&mut self, report: Report) {
        self.waiting.push_back(report);
    }

    /// All that the host does not have, those on their way among them: it counts each once.
    pub fn drain(&mut self) -> Vec<Report> {
        let on_their_way = std::mem::take(&mut self.on_their_way).into_values();
        on_their_way.chain(self.waiting.drain(..)).collect()
    }

    /// What is to be sent on this tick.
    pub fn due(&mut self) -> Vec<Report> {
        if self.quiet_ticks > 0 {
            self.quiet_ticks = self.quiet_ticks.saturating_sub(1);
            return Vec::new();
        }
        let room = ON_THEIR_WAY_MAX.saturating_sub(self.on_their_way.len());
        let count = room.min(self.waiting.len());
        self.waiting.drain(..count).collect()
    }

    /// A report was sent, under this token.
    pub fn sent(&mut self, token: u32, report: Report) {
        self.on_their_way.insert(token, report);
    }

    /// The report that the answer with this token is for.
    pub fn answered(&mut self, token: u32) -> Option<Report> {
        self.on_their_way.remove(&token)
    }

    /// The host did not take it: it is tried again after a while, before all others.
    pub fn again(&mut self, report: Report) {
        self.waiting.push_front(report);
        self.quiet_ticks = TICKS_AFTER_SILENCE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(number: usize) -> Report {
        Report {
            path: number.to_string(),
            key: String::new(),
            idempotency_key: String::new(),
            body: String::new(),
            price_usd: None,
            hold: None,
        }
    }

    #[test]
    fn a_report_leaves_only_when_the_host_has_it() {
        let mut queue = Queue::default();
        (0..40).for_each(|number| queue.push(report(number)));
        for (token, due) in (0..).zip(queue.due()) {
            queue.sent(token, due);
        }
        assert_eq!(queue.len(), 40);
        assert!(queue.due().is_empty(), "no more at once");
        let first = queue.answered(0).unwrap();
        assert_eq!(queue.answered(0), None);
        queue.again(first);
        assert_eq!(queue.len(), 40);
        for _ in 0..TICKS_AFTER_SILENCE {
            assert!(queue.due().is_empty());
        }
        let due = queue.due();
        assert_eq!(due.first().map(|report| report.path.as_str()), Some("0"));
        assert_eq!(due.len(), 1);
    }
}
