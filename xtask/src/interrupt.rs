//! Ctrl-C as a question and not an end, for a command that has something to do before it ends.
//!
//! A terminal tells everything in its foreground at once. What must outlive the question is
//! therefore started in a process group of its own, and hears of it from us.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this command was asked to end.
pub struct Interrupt {
    came: Arc<AtomicBool>,
    ctrl_c: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on Ctrl-C, a closed terminal and a request to end are told here, and end nothing.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn heed() -> Result<Self> {
        let (came, ctrl_c) = (Arc::default(), Arc::default());
        let none = "no word of Ctrl-C";
        // Before the others, so that who sees that it came can forget this one of it.
        signal_hook::flag::register(SIGINT, Arc::clone(&ctrl_c)).context(none)?;
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&came)).context(none)?;
        }
        Ok(Self { came, ctrl_c })
    }

    /// Whether it came.
    pub fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }

    /// Whether Ctrl-C came since this was asked before. That alone is asked twice on purpose: a
    /// terminal that closes may tell of it more than once.
    pub fn ctrl_c(&self) -> bool {
        self.ctrl_c.swap(false, Ordering::Relaxed)
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
        let tell = |signal: &str, told: &dyn Fn() -> bool| {
            let kill = format!("kill -{signal} {}", std::process::id());
            step::output(Command::new("sh").args(["-c", &kill])).expect("it is sent");
            let begun = Instant::now();
            while !told() {
                assert!(begun.elapsed() < Duration::from_secs(60), "it never came");
                std::thread::yield_now();
            }
        };
        tell("HUP", &|| interrupt.came());
        assert!(!interrupt.ctrl_c());
        for _ in 0..2 {
            tell("INT", &|| interrupt.ctrl_c());
            assert!(!interrupt.ctrl_c(), "it is told once");
        }
        assert!(interrupt.came());
    }
}
