//! Many writes, one commit. All of a batch is durable, or none of it happened.

use super::super::connection::failure;
use super::super::load;
use super::super::read::releases;
use super::apply::{Turn, Verdict};
use super::carrier::{Carrier, carry};
use super::derived::Statements;
use super::memory::{Dirty, Memory, Published};
use super::prepare::Prepared;
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::write::WriteError;
use crate::service::time::SharedClock;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Orgs whose due holds and lots are ended by one commit.
const DUE_ORGS: usize = 64;
/// Writes after which the write-ahead log is carried over into the database.
const CHECKPOINT_EVERY: usize = 8_192;
/// Writes after which the writer does it by itself.
const CHECKPOINT_LATEST: usize = 65_536;

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    pub queue: AtomicU64,
    pub commits: AtomicU64,
    pub writes: AtomicU64,
    pub failed_commits: AtomicU64,
}

/// The one that writes. Lives on its own thread.
#[derive(Debug)]
pub struct Writer<'c> {
    connection: &'c Connection,
    statements: Statements<'c>,
    /// `None` after a failed commit, until it is loaded again.
    memory: Option<Memory>,
    clock: Ticking,
    published: Arc<Published>,
    counters: Arc<Counters>,
    since_checkpoint: usize,
    carrier: Carrier,
    asked: bool,
}

/// A clock; the wrapper gives it a `Debug`.
struct Ticking(SharedClock);

impl std::fmt::Debug for Ticking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("clock")
    }
}

impl<'c> Writer<'c> {
    /// A writer whose memory is what the database has.
    pub fn new(
        connection: &'c Connection,
        memory: Memory,
        clock: SharedClock,
        published: Arc<Published>,
        counters: Arc<Counters>,
    ) -> Result<Self, StorageError> {
        Ok(Self {
            connection,
            statements: Statements::new(connection)?,
            memory: Some(memory),
            clock: Ticking(clock),
            published,
            counters,
            since_checkpoint: 0,
            carrier: Carrier::start(connection.path().map(PathBuf::from).unwrap_or_default()),
            asked: false,
        })
    }

    /// Applies and commits the writes, and says what to answer each, in order.
    pub fn write(&mut self, writes: &[&Prepared]) -> Vec<Verdict> {
        match self.commit(writes) {
            Ok(verdicts) => verdicts,
            // One row that the database refuses must not fail its neighbours.
            Err(StorageError::Constraint(_) | StorageError::Damaged(_)) if writes.len() > 1 => {
                writes
                    .iter()
                    .flat_map(|write| self.write(&[write]))
                    .collect()
            }
            Err(error) => writes
                .iter()
                .map(|_| Err(WriteError::Storage(error.clone())))
                .collect(),
        }
    }

    /// Ends what is due of orgs nobody calls. Also the moment to bring memory back.
    pub fn idle(&mut self) {
        let now_ms = self.clock.0.now_ms();
        let due = self
            .memory
            .as_ref()
            .is_none_or(|memory| memory.state.next_due(now_ms).is_some());
        if due {
            let _ = self.commit(&[]);
        }
        if self.since_checkpoint > 0 {
            self.checkpoint();
        }
    }

    /// Carries the log over when it has grown. After the answers, so that nobody waits for it.
    pub fn after_answers(&mut self) {
        if self.asked && self.carrier.is_done() {
            self.checkpoint();
        } else if self.since_checkpoint >= CHECKPOINT_LATEST {
            // The carrier cannot keep up, or is not there: the log must not grow for ever.
            self.checkpoint();
        } else if self.since_checkpoint >= CHECKPOINT_EVERY && !self.asked {
            self.carrier.ask();
            self.asked = true;
        }
    }

    /// Carries the log over into the database.
    pub fn checkpoint(&mut self) {
        carry(self.connection);
        self.since_checkpoint = 0;
        self.asked = false;
    }

    fn commit(&mut self, writes: &[&Prepared]) -> Result<Vec<Verdict>, StorageError> {
        let result = self.try_commit(writes);
        match &result {
            Ok(_) => {
                self.counters.commits.fetch_add(1, Ordering::Relaxed);
                let count = u64::try_from(writes.len()).unwrap_or_default();
                self.counters.writes.fetch_add(count, Ordering::Relaxed);
                self.since_checkpoint = self.since_checkpoint.saturating_add(writes.len());
            }
            Err(error) => {
                tracing::error!(error = ?error, "a commit failed: nothing of it took effect");
                self.counters.failed_commits.fetch_add(1, Ordering::Relaxed);
                // Memory is ahead of the disk: discard it. The database may have rolled back
                // by itself, which is an error here and no harm.
                self.memory = None;
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        }
        result
    }

    fn try_commit(&mut self, writes: &[&Prepared]) -> Result<Vec<Verdict>, StorageError> {
        let memory = match &mut self.memory {
            Some(memory) => memory,
            missing => {
                let (memory, commodities) = load::memory(self.connection)?;
                self.published.show_all(&memory, commodities);
                self.published
                    .show_bindings(releases::bindings(self.connection)?);
                missing.insert(memory)
            }
        };
        self.connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(failure)?;
        let now_ms = self.clock.0.now_ms();
        for _ in 0..DUE_ORGS {
            let Some(org) = memory.state.next_due(now_ms) else {
                break;
            };
            let id = memory.rise(self.clock.0.next_id());
            let mut turn = Turn {
                connection: self.connection,
                statements: &mut self.statements,
                memory,
                id,
            };
            turn.expire(org, now_ms)?;
        }
        let mut verdicts = Vec::with_capacity(writes.len());
        for write in writes {
            let id = memory.rise(self.clock.0.next_id());
            let mut turn = Turn {
                connection: self.connection,
                statements: &mut self.statements,
                memory,
                id,
            };
            verdicts.push(turn.apply(write)?);
        }
        memory.journal.flush(self.connection)?;
        self.statements.flush(memory)?;
        memory.effects.flush(self.connection).map_err(failure)?;
        memory.dedupe.flush(self.connection).map_err(failure)?;
        let bindings = match memory.dirty.bindings {
            true => Some(releases::bindings(self.connection)?),
            false => None,
        };
        let turn = bindings.is_some().then(|| self.published.turn());
        self.connection.execute_batch("COMMIT").map_err(failure)?;
        if let Some(bindings) = bindings {
            self.published.show_bindings(bindings);
        }
        drop(turn);
        let dirty: Dirty = std::mem::take(&mut memory.dirty);
        self.published.show(memory, dirty);
        Ok(verdicts)
    }
}
