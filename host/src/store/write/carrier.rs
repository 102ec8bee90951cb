//! Carries the write-ahead log over into the database, beside the writer.
//!
//! Carrying a log over is mostly copying and syncing, and nobody should wait for it. The carrier
//! does it with a connection of its own while the writer goes on; the writer then only carries over
//! what came meanwhile, which lets the log begin again at its start.

use super::super::connection;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The carrier's thread. Ends when it is dropped.
#[derive(Debug)]
pub struct Carrier {
    ask: Option<SyncSender<()>>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Carrier {
    /// A carrier for this database. Without a thread of its own it is never done, and the writer
    /// carries over by itself.
    pub fn start(database: PathBuf) -> Self {
        let (ask, asked) = sync_channel(1);
        let done = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&done);
        let thread = std::thread::Builder::new()
            .name("ledger-carrier".into())
            .spawn(move || match connection::writer(&database) {
                Ok(connection) => run(&connection, &asked, &tell),
                Err(error) => tracing::warn!(%error, "the log is carried over by the writer"),
            })
            .ok();
        Self {
            ask: Some(ask),
            done,
            thread,
        }
    }

    /// Has it begin, unless it is at it.
    pub fn ask(&self) {
        if let Some(ask) = &self.ask {
            let _ = ask.try_send(());
        }
    }

    /// Whether it finished since the last time this was asked.
    pub fn is_done(&self) -> bool {
        self.done.swap(false, Ordering::AcqRel)
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        drop(self.ask.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, asked: &Receiver<()>, done: &AtomicBool) {
    while asked.recv().is_ok() {
        carry(connection);
        done.store(true, Ordering::Release);
    }
}

/// Carries over what no reader still needs.
pub fn carry(connection: &Connection) {
    let carried = connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE);
    if let Err(error) = carried {
        // The log stays and is carried over later: nothing is lost.
        tracing::warn!(%error, "the log could not be carried over");
    }
}
