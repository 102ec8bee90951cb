//! Watching a job of the server: a bar on a terminal, and Ctrl-C, which stops the job and not the
//! watcher, so that what was found is not lost.

use crate::cli::failure::Failure;
use crate::cli::progress;
use crate::cli::remote::server::Server;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the server is asked at first; short jobs end at once.
const FIRST: Duration = Duration::from_millis(10);

/// How often it is asked at last.
const LAST: Duration = Duration::from_millis(250);

/// Whether somebody pressed Ctrl-C.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. A second Ctrl-C ends the process as ever.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn listen() -> Result<Self, Failure> {
        let pressed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&pressed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        // The handler stands before this returns, so that no early Ctrl-C is missed.
        let guard = runtime.enter();
        let mut signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        drop(guard);
        std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(move || {
                while runtime.block_on(signal.recv()).is_some() {
                    if seen.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                }
            })?;
        Ok(Self(pressed))
    }

    fn is_pressed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Follows a job that has begun until it is over.
///
/// # Errors
/// The server cannot be asked.
pub fn to_its_end(
    server: &Server,
    path: &str,
    mut job: Value,
    interrupt: &Interrupt,
) -> Result<Value, Failure> {
    let id = job.get("id").and_then(Value::as_str).unwrap_or_default();
    let path = format!("{path}/{id}");
    let bar = progress::bar();
    let mut wait = FIRST;
    let mut told = false;
    while job.get("status").and_then(Value::as_str) == Some("running") {
        if interrupt.is_pressed() && !told {
            server.delete(&path)?;
            told = true;
        }
        let number = |name: &str| job.get(name).and_then(Value::as_u64).unwrap_or_default();
        bar.set_position(number("permille"));
        bar.set_message(format!("{} charges", number("charges_seen")));
        std::thread::sleep(wait);
        wait = wait.saturating_mul(2).min(LAST);
        job = server.get(&path, None)?;
    }
    bar.finish_and_clear();
    Ok(job)
}
