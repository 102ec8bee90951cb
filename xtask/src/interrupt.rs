//! Ctrl-C as a question and not an end, for a command that has something to do before it ends.
//!
//! A terminal tells everything in its foreground at once. What must outlive the question is
//! therefore started in a process group of its own, and hears of it from us.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this command was asked to end.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C, a closed terminal and a request to end are told here, and end nothing.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn heed() -> Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&came)).context("no word of Ctrl-C")?;
        }
        Ok(Self(came))
    }

    /// Whether it came since this was asked before.
    pub fn came(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step;
    use std::process::Command;
    use std::time::{Duration, Instant};

    #[test]
    fn a_request_to_end_is_told_and_ends_nothing() {
        let interrupt = Interrupt::heed().expect("a handler");
        assert!(!interrupt.came());
        let kill = format!("kill -HUP {}", std::process::id());
        step::output(Command::new("sh").args(["-c", &kill])).expect("it is sent");
        let begun = Instant::now();
        while !interrupt.came() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never came");
            std::thread::yield_now();
        }
        assert!(!interrupt.came(), "it is told once");
    }
}
