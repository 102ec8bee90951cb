//! One warm instance per worker and release, where there are enough for that; else all share them
//! (`shared`).
//!
//! Thread-local, so that a call takes no lock. An instance that faulted is not put back. A worker
//! keeps few releases warm; the one used longest ago goes first. When the pool of instances has no
//! room for a new one, idle ones make room: this worker's at once, those of the others after the
//! next call that each makes.

use super::LoadError;
use super::instance::{CallError, Instance};
use super::release::{self, Release};
use crate::service::policy::Fault;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Releases a worker keeps warm.
const WARM_MAX: usize = 4;

/// How often an instance found no room. A worker that sees it move drops what it keeps idle.
static SHORTAGES: AtomicU64 = AtomicU64::new(0);

struct Warm {
    /// Which release it is, of which engine. A dead one means the engine is gone; its address stays
    /// taken as long as this stands.
    owner: Weak<Release>,
    instance: Instance,
}

#[derive(Default)]
struct Kept {
    // Boxed, because they move with every call.
    #[expect(clippy::vec_box, reason = "see above")]
    idle: Vec<Box<Warm>>,
    shortages_seen: u64,
}

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(Kept { idle: Vec::new(), shortages_seen: 0 }) };
}

/// Calls `ask` on this worker's instance of `release`, made now if there is none.
pub fn with<T>(
    release: &Arc<Release>,
    ask: impl FnOnce(&mut Instance) -> Result<T, Fault>,
) -> Result<T, CallError> {
    if let Some(shared) = &release.sandbox.shared {
        return shared.with(release, ask);
    }
    let mut warm = match take(release) {
        Some(warm) => warm,
        None => Box::new(Warm {
            owner: Arc::downgrade(release),
            instance: instance(release).map_err(release::after_load)?,
        }),
    };
    // After any fault the store is unusable: `warm` is dropped here, not put back.
    let answer = ask(&mut warm.instance)?;
    put_back(warm);
    Ok(answer)
}

/// A new instance. Where there is no room, idle ones are dropped first, or one is waited for.
///
/// # Errors
/// See [`LoadError`]; `Busy` when there still is none.
pub fn instance(release: &Release) -> Result<Instance, LoadError> {
    if let Some(shared) = &release.sandbox.shared {
        return shared.fresh(release);
    }
    match Instance::new(release) {
        Err(LoadError::Busy) => {
            SHORTAGES.fetch_add(1, Ordering::Relaxed);
            KEPT.with_borrow_mut(|kept| kept.idle.clear());
            Instance::new(release)
        }
        made => made,
    }
}

fn take(release: &Arc<Release>) -> Option<Box<Warm>> {
    KEPT.with_borrow_mut(|kept| {
        let is_its = |warm: &Warm| std::ptr::eq(warm.owner.as_ptr(), Arc::as_ptr(release));
        let position = kept.idle.iter().position(|warm| is_its(warm))?;
        // The order is kept: the first is the one used longest ago.
        Some(kept.idle.remove(position))
    })
}

fn put_back(warm: Box<Warm>) {
    KEPT.with_borrow_mut(|kept| {
        let shortages = SHORTAGES.load(Ordering::Relaxed);
        if kept.shortages_seen != shortages {
            kept.shortages_seen = shortages;
            kept.idle.clear();
        }
        let idle = &mut kept.idle;
        if idle.len() >= WARM_MAX {
            idle.retain(|warm| warm.owner.strong_count() > 0);
        }
        if idle.len() >= WARM_MAX {
            idle.remove(0);
        }
        idle.push(warm);
    });
}
