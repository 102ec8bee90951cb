//! The instances of a class that has fewer of them than a server has threads: they belong to nobody,
//! and who finds none free waits a moment, in the order of asking.
//!
//! A thread that kept its own would keep it from all others for as long as it lives: of 32 threads and
//! 16 instances, half would never have one. Where there is one idle of the release that is asked for
//! it is taken; else one is made, for which an idle one of another release makes room.

use super::LoadError;
use super::instance::{CallError, Instance};
use super::release::{self, Release};
use crate::service::policy::Fault;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long a call waits for an instance. Most calls of the class take some milliseconds, a full batch
/// up to a second.
const WAIT: Duration = Duration::from_millis(500);

/// How long who waits sleeps at most: an instance may go between a look and the sleep.
const NAP: Duration = Duration::from_millis(5);

struct Idle {
    owner: Weak<Release>,
    // Boxed, because they move with every call.
    instance: Box<Instance>,
}

#[derive(Default)]
struct State {
    /// The one used longest ago comes first.
    idle: Vec<Idle>,
    /// Who waits, in the order of asking.
    queue: VecDeque<u64>,
    next: u64,
}

/// The instances of a class.
#[derive(Default)]
pub struct Shared {
    state: Mutex<State>,
    freed: Condvar,
}

/// Says, when an instance is gone, that there is room. Weak, because idle instances stand in what it
/// tells.
pub struct Freed(Weak<Shared>);

impl Drop for Freed {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.freed.notify_all();
        }
    }
}

impl Shared {
    /// For an instance that takes room.
    pub fn freed(self: &Arc<Self>) -> Freed {
        Freed(Arc::downgrade(self))
    }

    /// Calls `ask` on an instance of `release`.
    pub fn with<T>(
        &self,
        release: &Arc<Release>,
        ask: impl FnOnce(&mut Instance) -> Result<T, Fault>,
    ) -> Result<T, CallError> {
        let mut instance = self
            .take(release, Some(release))
            .map_err(release::after_load)?;
        // After any fault the store is unusable: it is dropped here, not put back.
        let answer = ask(&mut instance)?;
        let owner = Arc::downgrade(release);
        self.state().idle.push(Idle { owner, instance });
        self.freed.notify_all();
        Ok(answer)
    }

    /// A new instance, which nobody else gets.
    ///
    /// # Errors
    /// See [`LoadError`]; `Busy` where none was free in time.
    pub fn fresh(&self, release: &Release) -> Result<Instance, LoadError> {
        self.take(release, None).map(|instance| *instance)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle instance of `owner`, else a new one.
    fn take(
        &self,
        release: &Release,
        owner: Option<&Arc<Release>>,
    ) -> Result<Box<Instance>, LoadError> {
        let until = Instant::now().checked_add(WAIT);
        let mut state = self.state();
        let ticket = state.next;
        state.next = ticket.wrapping_add(1);
        state.queue.push_back(ticket);
        loop {
            if state.queue.front() == Some(&ticket) {
                if let Some(instance) = owner.and_then(|owner| state.idle_of(owner)) {
                    self.leave(state, ticket);
                    return Ok(instance);
                }
                // Loading a book takes long: others go on meanwhile.
                self.leave(state, ticket);
                let made = Instance::new(release);
                if !matches!(made, Err(LoadError::Busy)) {
                    return made.map(Box::new);
                }
                state = self.state();
                state.queue.push_front(ticket);
                if !state.idle.is_empty() {
                    let oldest = state.idle.remove(0);
                    // Its end is told to all, which takes the lock no further.
                    drop(oldest);
                    continue;
                }
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let left = left.filter(|left| !left.is_zero());
            let Some(left) = left else {
                self.leave(state, ticket);
                return Err(LoadError::Busy);
            };
            let waited = self.freed.wait_timeout(state, left.min(NAP));
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn leave(&self, mut state: MutexGuard<'_, State>, ticket: u64) {
        state.queue.retain(|other| *other != ticket);
        drop(state);
        self.freed.notify_all();
    }
}

impl State {
    /// The instance of a release that was used last: it is the warmest. Those of releases that are
    /// gone go, too.
    fn idle_of(&mut self, owner: &Arc<Release>) -> Option<Box<Instance>> {
        self.idle.retain(|idle| idle.owner.strong_count() > 0);
        let is_its = |idle: &Idle| std::ptr::eq(idle.owner.as_ptr(), Arc::as_ptr(owner));
        let position = self.idle.iter().rposition(is_its)?;
        Some(self.idle.remove(position).instance)
    }
}
