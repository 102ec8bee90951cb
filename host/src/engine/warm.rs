//! One warm instance per worker and release.
//!
//! Thread-local, so that a call takes no lock. An instance that faulted is not put back. A worker
//! keeps few releases warm; the one used longest ago goes first.

use super::instance::Instance;
use super::release::{self, Release};
use crate::service::policy::{Fault, ReleaseId};
use std::cell::RefCell;
use std::sync::{Arc, Weak};

/// Releases a worker keeps warm.
const WARM_MAX: usize = 4;

struct Warm {
    id: ReleaseId,
    /// Which engine's release it is; a dead one means the engine is gone.
    owner: Weak<Release>,
    instance: Instance,
}

thread_local! {
    static WARM: RefCell<Vec<Warm>> = const { RefCell::new(Vec::new()) };
}

/// Calls `ask` on this worker's instance of `release`, made now if there is none.
pub fn with<T>(
    release: &Arc<Release>,
    ask: impl FnOnce(&mut Instance) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut warm = match take(release) {
        Some(warm) => warm,
        None => Warm {
            id: release.id,
            owner: Arc::downgrade(release),
            instance: Instance::new(release).map_err(release::after_load)?,
        },
    };
    // After any fault the store is unusable: `warm` is dropped here, not put back.
    let answer = ask(&mut warm.instance)?;
    put_back(warm);
    Ok(answer)
}

fn take(release: &Arc<Release>) -> Option<Warm> {
    WARM.with_borrow_mut(|kept| {
        let same = |warm: &Warm| {
            warm.id == release.id && std::ptr::eq(warm.owner.as_ptr(), Arc::as_ptr(release))
        };
        let position = kept.iter().position(same)?;
        Some(kept.swap_remove(position))
    })
}

fn put_back(warm: Warm) {
    WARM.with_borrow_mut(|kept| {
        if kept.len() >= WARM_MAX {
            kept.retain(|warm| warm.owner.strong_count() > 0);
        }
        if kept.len() >= WARM_MAX {
            kept.remove(0);
        }
        kept.push(warm);
    });
}
