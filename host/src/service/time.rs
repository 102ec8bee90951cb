//! What the service asks of time: the hour, a stopwatch, and ids that sort by time.
//!
//! Implemented by [`crate::clock`], the only module that reads a clock. Business time is passed
//! into every decision as a number, so a test can make any hour it likes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A source of time and of ids.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch. May jump: a machine's clock is set by others.
    fn now_ms(&self) -> i64;

    /// Done after so much time on the wall.
    fn pause(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Time since some fixed instant; never goes back. For latencies, not for business.
    fn elapsed(&self) -> Duration;

    /// A fresh UUIDv7 as a number. Each is above every one before it, even when the clock goes
    /// back, because the store appends by id.
    fn next_id(&self) -> u128;
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;
