//! The bounded queue before the writer, and the writer's thread.
//!
//! Full means full: the caller gets [`WriteError::Busy`] at once instead of an unbounded wait.

use super::batch::{Counters, Writer};
use super::crowd::{Crowd, Looks};
use super::memory::{Memory, Published};
use super::prepare::{Prepared, prepare};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::write::{Acknowledged, Write, WriteError};
use crate::service::time::SharedClock;
use rusqlite::Connection;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// The most writes in one commit. A write waits for the commit that is under way and then for its
/// own, so a larger one saves a little per write and costs each of a thousand callers twice its
/// length.
pub const BATCH_MAX: usize = 512;
/// How often the writer looks for what is due when nobody writes.
const IDLE: Duration = Duration::from_millis(250);

type Answer = oneshot::Receiver<Answered>;

#[derive(Debug)]
struct Job {
    write: Prepared,
    reply: oneshot::Sender<Answered>,
}

/// The answer to a write, and the write itself: its caller takes its memory apart, not the writer.
#[derive(Debug)]
pub struct Answered {
    pub verdict: Result<Acknowledged, WriteError>,
    _spent: Prepared,
}

#[derive(Debug)]
enum Message {
    // Boxed: the queue is as long as its bound, whatever is in it.
    Write(Box<Job>),
    Stop,
}

/// The sending end of the queue, and the thread behind it.
#[derive(Debug)]
pub struct Queue {
    sender: SyncSender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    counters: Arc<Counters>,
}

impl Queue {
    /// Starts the writer's thread. Returns when it is ready, or why it is not.
    pub fn start(
        connection: Connection,
        memory: Memory,
        clock: SharedClock,
        published: Arc<Published>,
        counters: Arc<Counters>,
        bound: usize,
    ) -> Result<Self, StorageError> {
        let (sender, receiver) = sync_channel(bound);
        let (ready, started) = sync_channel(1);
        let counts = Arc::clone(&counters);
        let thread = std::thread::Builder::new()
            .name("ledger-writer".into())
            .spawn(move || {
                match Writer::new(&connection, memory, clock, published, Arc::clone(&counts)) {
                    Ok(mut writer) => {
                        let _ = ready.send(Ok(()));
                        run(&mut writer, &receiver, &counts);
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
            })
            .map_err(|error| StorageError::Other(Arc::new(error)))?;
        started
            .recv()
            .map_err(|error| StorageError::Other(Arc::new(error)))??;
        Ok(Self {
            sender,
            thread: Mutex::new(Some(thread)),
            counters,
        })
    }

    /// Puts a write into the queue.
    pub fn submit(&self, write: Write) -> Result<Answer, WriteError> {
        let write = prepare(write)?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Write(Box::new(Job { write, reply }));
        self.counters.queue.fetch_add(1, Ordering::Relaxed);
        self.sender.try_send(message).map_err(|error| {
            self.counters.queue.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => WriteError::Busy,
                TrySendError::Disconnected(_) => WriteError::ShuttingDown,
            }
        })?;
        Ok(answer)
    }

    /// Whether the writer's thread runs.
    pub fn runs(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Lets the writer finish what waits, and ends its thread.
    pub fn stop(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = self.sender.send(Message::Stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(writer: &mut Writer<'_>, receiver: &Receiver<Message>, counters: &Counters) {
    let mut jobs: Vec<Box<Job>> = Vec::with_capacity(BATCH_MAX);
    let mut crowd = Crowd::default();
    let mut running = true;
    while running {
        match receiver.recv_timeout(IDLE) {
            Ok(Message::Write(job)) => jobs.push(job),
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => running = false,
            Err(RecvTimeoutError::Timeout) => {
                writer.idle();
                continue;
            }
        }
        let mut looks = Looks::default();
        running &= take(receiver, &mut jobs);
        while running && let Some(nap) = crowd.nap(&mut looks, jobs.len()) {
            std::thread::sleep(nap);
            running &= take(receiver, &mut jobs);
        }
        if jobs.is_empty() {
            continue;
        }
        let writes: Vec<&Prepared> = jobs.iter().map(|job| &job.write).collect();
        let verdicts = writer.write(&writes);
        let answered = u64::try_from(jobs.len()).unwrap_or_default();
        let queued = counters.queue.fetch_sub(answered, Ordering::Relaxed);
        crowd.seen(jobs.len(), queued.saturating_sub(answered));
        for (job, verdict) in jobs.drain(..).zip(verdicts) {
            let Job { write, reply } = *job;
            // Nobody may be waiting any more; the write stands all the same.
            let _ = reply.send(Answered {
                verdict,
                _spent: write,
            });
        }
        writer.after_answers();
    }
    writer.checkpoint();
}

/// Takes what is waiting, as far as one commit may hold it. False: the queue is to stop.
#[expect(
    clippy::vec_box,
    reason = "they come boxed from the queue: unboxing would copy each"
)]
fn take(receiver: &Receiver<Message>, jobs: &mut Vec<Box<Job>>) -> bool {
    while jobs.len() < BATCH_MAX {
        match receiver.try_recv() {
            Ok(Message::Write(job)) => jobs.push(job),
            Ok(Message::Stop) => return false,
            Err(_) => break,
        }
    }
    true
}
