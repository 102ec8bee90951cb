//! Tries usage that waits for a price again, on time, for as long as the server runs.

use crate::service::Service;
use crate::service::waiting::Backoff;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Tries at once, then every `interval`, until `stopped` says so. A write that is on its way when
/// it stops is still made durable by the store.
pub(super) async fn run(
    service: Arc<Service>,
    interval: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let work = async {
        let mut backoff = Backoff::new(interval);
        loop {
            match service.settle_due(&mut backoff).await {
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
