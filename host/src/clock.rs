//! The only module that reads time, and the maker of ids, which contain it.
//!
//! Knows nothing of what time is used for. [`ManualClock`] stands in where a test or a simulation
//! decides what hour it is; it makes ids in the same way.

use crate::service::time::Clock;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    ids: Ids,
}

impl SystemClock {
    /// A clock whose stopwatch begins now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            ids: Ids::default(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        // A clock before 1970 is broken; zero keeps the order of ids and expires nothing early.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_millis()).ok())
            .unwrap_or_default()
    }

    fn pause(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(time))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn next_id(&self) -> u128 {
        self.ids.next(self.now_ms())
    }
}

/// A clock that stands still until it is set. Its stopwatch goes on with each step forward, and is
/// not turned back with the hour.
#[derive(Debug, Default)]
pub struct ManualClock {
    shows: Mutex<Shows>,
    ids: Ids,
}

#[derive(Clone, Copy, Debug, Default)]
struct Shows {
    now_ms: i64,
    /// By how much the hour was ever set back, in sum.
    set_back_ms: i64,
}

impl ManualClock {
    /// A clock that shows `now_ms`, milliseconds since the Unix epoch.
    pub fn at(now_ms: i64) -> Self {
        Self {
            shows: Mutex::new(Shows {
                now_ms,
                set_back_ms: 0,
            }),
            ids: Ids::default(),
        }
    }

    /// Shows `now_ms` from here on, be it later or earlier.
    pub fn set(&self, now_ms: i64) {
        let mut shows = self.shows();
        let back_ms = shows.now_ms.saturating_sub(now_ms).max(0);
        shows.set_back_ms = shows.set_back_ms.saturating_add(back_ms);
        shows.now_ms = now_ms;
    }

    /// Moves on by `ms`.
    pub fn advance(&self, ms: i64) {
        let mut shows = self.shows();
        shows.now_ms = shows.now_ms.saturating_add(ms);
    }

    fn shows(&self) -> MutexGuard<'_, Shows> {
        self.shows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.shows().now_ms
    }

    /// Others do their part meanwhile, whatever hour it is.
    fn pause(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(time))
    }

    fn elapsed(&self) -> Duration {
        let shows = *self.shows();
        let passed_ms = shows.now_ms.saturating_add(shows.set_back_ms);
        Duration::from_millis(u64::try_from(passed_ms).unwrap_or_default())
    }

    fn next_id(&self) -> u128 {
        self.ids.next(self.now_ms())
    }
}

/// The random and counting tail of a UUIDv7: its lowest 62 bits.
const TAIL_BITS: u32 = 62;
const TAIL: u128 = (1 << TAIL_BITS) - 1;
/// How many random numbers are fetched from the system at once.
const POOL: usize = 64;

/// Makes UUIDv7s that only ever rise.
///
/// A new millisecond begins with a random tail whose highest bit is clear; within the millisecond
/// the tail rises by random steps below 2³², so ids cannot be guessed from each other and two
/// billion fit before the tail is full (the id then borrows from the next millisecond).
#[derive(Debug, Default)]
struct Ids(Mutex<IdState>);

#[derive(Debug)]
struct IdState {
    last_ms: u64,
    tail: u128,
    pool: [u64; POOL],
    used: usize,
}

impl Default for IdState {
    fn default() -> Self {
        Self {
            last_ms: 0,
            tail: TAIL,
            pool: [0; POOL],
            used: POOL,
        }
    }
}

impl IdState {
    fn random(&mut self) -> u64 {
        if self.used >= POOL {
            self.used = 0;
            let mut bytes = [1; POOL * 8];
            // Without randomness ids are still unique here: they count up.
            let _ = getrandom::fill(&mut bytes);
            let (chunks, _) = bytes.as_chunks::<8>();
            for (number, chunk) in self.pool.iter_mut().zip(chunks) {
                *number = u64::from_le_bytes(*chunk);
            }
        }
        let number = self.pool.get(self.used).copied().unwrap_or(1);
        self.used = self.used.saturating_add(1);
        number
    }
}

impl Ids {
    fn next(&self, now_ms: i64) -> u128 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = u64::try_from(now_ms).unwrap_or_default();
        let step = u128::from(state.random() >> 32).saturating_add(1);
        let risen = state.tail.saturating_add(step);
        if now_ms > state.last_ms || risen > TAIL {
            state.last_ms = now_ms.max(state.last_ms.saturating_add(1));
            state.tail = u128::from(state.random()) & (TAIL >> 1);
        } else {
            state.tail = risen;
        }
        let time = u128::from(state.last_ms) << 80;
        // Twelve bits that RFC 9562 leaves free; nothing here needs them.
        let version = 0x7_u128 << 76;
        let variant = 0b10_u128 << TAIL_BITS;
        time | version | variant | state.tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_even_when_the_clock_goes_back() {
        let clock = ManualClock::at(1_700_000_000_000);
        let mut last = 0;
        for round in 0..10_000 {
            if round == 5_000 {
                clock.set(1_600_000_000_000);
            }
            let id = clock.next_id();
            assert!(id > last);
            last = id;
        }
    }

    #[test]
    fn ids_are_uuids_of_version_seven() {
        let id = uuid::Uuid::from_u128(ManualClock::at(1_700_000_000_000).next_id());
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        assert_eq!((seconds, nanos), (1_700_000_000, 0));
    }

    #[test]
    fn the_system_clock_is_of_this_century() {
        assert!(SystemClock::new().now_ms() > 1_700_000_000_000);
    }
}
