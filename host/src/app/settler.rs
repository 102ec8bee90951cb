//! Tries usage that waits for a price again, on time, for as long as the server runs: on a thread of
//! its own that steps back for requests, because a policy that failed may take all that its limits
//! allow before it fails again.

use super::priority;
use super::server::StartError;
use crate::service::Service;
use crate::service::waiting::Backoff;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// The thread. It ends soon after the server is told to.
pub(super) struct Settler(JoinHandle<()>);

impl Settler {
    /// Tries at once, then every `interval`, until `stopped` says so. A write that is on its way when
    /// it stops is still made durable by the store.
    pub fn start(
        service: Arc<Service>,
        interval: Duration,
        stopped: watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        let runtime = Handle::current();
        let work = move || {
            priority::lower();
            runtime.block_on(run(&service, interval, stopped));
        };
        let thread = thread::Builder::new()
            .name("settler".to_owned())
            .spawn(work)
            .map_err(StartError::Thread)?;
        Ok(Self(thread))
    }

    /// Waits until it has ended. Blocks.
    pub fn join(self) {
        let _ = self.0.join();
    }
}

async fn run(service: &Service, interval: Duration, mut stopped: watch::Receiver<bool>) {
    let told = stopped.clone();
    let is_stopped = || *told.borrow() || told.has_changed().is_err();
    let work = async {
        let mut backoff = Backoff::new(interval);
        loop {
            match service.settle_due(&mut backoff, is_stopped).await {
                Ok(0) => {}
                Ok(settled) => tracing::info!(settled, "usage that waited has its price"),
                Err(error) => tracing::warn!(%error, "usage that waits cannot be read"),
            }
            tokio::time::sleep(interval).await;
        }
    };
    tokio::select! {
        () = work => {}
        // A sender that is gone means stop as well.
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}
