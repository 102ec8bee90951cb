//! Looks at what running trials show, on time, for as long as the server runs: on a thread of its
//! own that steps back for requests.

use super::priority;
use super::server::StartError;
use crate::service::Service;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::Handle;

/// How often.
const INTERVAL: Duration = Duration::from_millis(250);

/// The thread. Dropped, it ends soon.
pub(super) struct Watcher {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watcher {
    /// Starts looking. Trials that passed a bound are ended; an end that cannot be written is tried
    /// again.
    pub fn start(service: Arc<Service>) -> Result<Self, StartError> {
        let (stop, stopped) = mpsc::channel::<()>();
        let runtime = Handle::current();
        let work = move || {
            priority::lower();
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                look(&service, &runtime);
            }
        };
        let thread = thread::Builder::new()
            .name("trials".to_owned())
            .spawn(work)
            .map_err(StartError::Thread)?;
        Ok(Self { stop, thread })
    }

    /// Waits until it has ended. Blocks.
    pub fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

fn look(service: &Service, runtime: &Handle) {
    if service.store().bindings().trials().is_empty() {
        return;
    }
    let over = match service.watch_trials() {
        Ok(over) => over,
        Err(error) => {
            tracing::warn!(%error, "what was charged cannot be read; trials are not watched");
            return;
        }
    };
    for (trial, why) in over {
        tracing::warn!(%trial, %why, "a trial ends by itself");
        if let Err(error) = runtime.block_on(service.halt_trial(trial, why)) {
            tracing::error!(%trial, %error, "the end of a trial is not written; trying again");
        }
    }
}
