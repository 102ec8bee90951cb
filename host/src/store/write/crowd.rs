//! How long the writer waits for more before it commits.
//!
//! A commit costs the same whether it holds ten writes or sixty: the log is synced, a page of each
//! table is written, threads are woken. Where many callers are at it at once, those that were just
//! answered come back within a millisecond or two, and a commit that begins with the few that are
//! there already splits the crowd into two groups that wait for each other for ever. So the writer
//! naps until about as many writes have come as there are callers, and no longer than they keep
//! coming. A caller alone, or among few, never waits.

use std::time::Duration;

/// Fewer callers than this are not waited for.
const MANY: usize = 16;
/// As many writes as make the fixed cost of a commit small: no more are waited for.
const ENOUGH: usize = 256;
/// How long the writer waits before it looks again.
const NAP: Duration = Duration::from_micros(500);
/// How often it does that for one commit.
const NAPS: u32 = 6;

/// The callers that are at it at once, as the last commit found them.
#[derive(Debug, Default)]
pub struct Crowd {
    expected: usize,
}

impl Crowd {
    /// After a commit: how many writes were in it, and how many waited by then.
    pub fn seen(&mut self, answered: usize, waiting: u64) {
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        self.expected = answered.saturating_add(waiting);
    }

    /// How long to wait for more. `present`: how many are there, and how many there were at each
    /// look before. Absent: commit.
    pub fn nap(&self, looks: &mut Looks, present: usize) -> Option<Duration> {
        let more_came = looks.last.is_none_or(|last| present > last);
        let wait = self.expected >= MANY
            && present < self.expected.min(ENOUGH)
            && more_came
            && looks.count < NAPS;
        looks.last = Some(present);
        looks.count = looks.count.saturating_add(1);
        wait.then_some(NAP)
    }
}

/// What was seen while one commit was waited for.
#[derive(Debug, Default)]
pub struct Looks {
    last: Option<usize>,
    count: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many naps are taken, where so many are present at each look.
    fn naps(crowd: &Crowd, present: &[usize]) -> usize {
        let mut looks = Looks::default();
        present
            .iter()
            .take_while(|present| crowd.nap(&mut looks, **present).is_some())
            .count()
    }

    #[test]
    fn a_caller_among_few_never_waits() {
        let mut crowd = Crowd::default();
        assert_eq!(naps(&crowd, &[1, 1]), 0);
        for callers in 1..MANY {
            crowd.seen(callers, 0);
            assert_eq!(naps(&crowd, &[1, 2, 3]), 0, "{callers}");
        }
    }

    #[test]
    fn a_crowd_is_waited_for_until_it_is_there_or_comes_no_more() {
        let mut crowd = Crowd::default();
        crowd.seen(20, 44);
        assert_eq!(naps(&crowd, &[10, 30, 63, 64, 64]), 3);
        assert_eq!(naps(&crowd, &[10, 30, 30, 64]), 2);
        assert_eq!(naps(&crowd, &[1, 2, 3, 4, 5, 6, 7, 8, 9]), 6);
        crowd.seen(600, 400);
        assert_eq!(naps(&crowd, &[200, 256, 300]), 1);
    }
}
