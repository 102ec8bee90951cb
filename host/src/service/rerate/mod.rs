//! Prices past charges again, many at once: what backtest, replay and repair have in common.
//!
//! The same arithmetic as charging: the event and the facts of the receipt, the engine's checked
//! answer, the receipt's own commodity and peg. Threads take part after part of the past, read it,
//! and rate it in batches; each hands what it finds to a [`Sink`] of its own. Parts are taken in
//! order and finished once taken, so what was done when somebody stops it is all up to a moment.
//!
//! **What a book counts is counted again.** A free quota or a volume step of another release cannot
//! go by what the recorded release counted: its rules may be others. So where the release counts,
//! the recorded counts are put aside, and charges are rated in the order they were posted, each with
//! what the same release has counted of the org until then; it begins with the UTC month before the
//! one in which the range begins, because what is posted then may have been used before, and only what
//! lies in the range is told. One thread does it, because each charge depends on those before it. All
//! other facts are those recorded.
//!
//! Must not know what the answers are for.

mod counted;
pub mod proof;
mod rating;

use super::ledger::failure::ReadError;
use super::ledger::past::{Lines, Past, PastCharge, Span};
use super::policy::{PolicyEngine, PolicyError, Priced, ReleaseId};
use counted::Recount;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What prices the past again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// This release, whatever priced it.
    Release(ReleaseId),
    /// Each charge the release that priced it.
    ItsOwn,
}

/// Which charges, and under what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Posted from the first on and before the second, milliseconds since the Unix epoch.
    pub posted_ms: Range<i64>,
    /// Under what.
    pub under: Under,
    /// Only those that this release priced.
    pub priced_by: Option<ReleaseId>,
    /// Whether the lines of receipts are read.
    pub lines: Lines,
}

/// How far it is, and the wish that it ends. Shared with whoever watches.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    seen: AtomicU64,
    parts_done: AtomicU64,
    parts: AtomicU64,
}

impl Control {
    /// Ends it soon. What was done until then stands.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether somebody wants it to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Charges looked at so far.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// How much is done, in thousandths.
    pub fn permille(&self) -> u64 {
        let done = self.parts_done.load(Ordering::Relaxed);
        let all = self.parts.load(Ordering::Relaxed);
        done.saturating_mul(1_000)
            .checked_div(all)
            .unwrap_or_default()
            .min(1_000)
    }
}

/// Why a charge has no price now.
#[derive(Clone, Debug, PartialEq)]
pub enum Unrated {
    /// No release priced it: it was written off.
    WrittenOff,
    /// The policy, or the engine.
    Policy(PolicyError),
    /// The release counts, and the call lies before everything that was counted again.
    Uncounted,
}

/// Takes what was priced again. One for each thread.
pub trait Sink: Send {
    /// The next charge, and its checked price now.
    fn see(&mut self, charge: &PastCharge, again: Result<Priced, Unrated>);
}

/// What prices again, and how.
#[derive(Clone, Copy)]
pub struct Tools<'t> {
    /// The past.
    pub past: &'t dyn Past,
    /// Prices; releases are loaded.
    pub engine: &'t dyn PolicyEngine,
    /// Called first on every thread: lowers its priority, where requests come first.
    pub prepare: fn(),
}

/// The part of a class's sandboxes that one run takes at most: calls must find some, whatever runs
/// beside them ([`super::job::RUNNING_MAX`] of each kind).
const PART_OF_SANDBOXES: usize = 8;

/// How many threads a run takes: as many as the machine has cores, where there are sandboxes for
/// them.
pub fn threads(engine: &dyn PolicyEngine, under: Under) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    match under {
        Under::Release(release) => match engine.sandboxes(&release) {
            Some(all) => cores.min(all.div_ceil(PART_OF_SANDBOXES)),
            None => 1,
        },
        // Nobody calls meanwhile: what has no server proves itself.
        Under::ItsOwn => cores,
    }
}

/// How long a call waits that found every sandbox in use.
const PAUSE: Duration = Duration::from_millis(5);

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All is done.
    Whole,
    /// It was stopped; all up to some moment is done.
    Stopped,
}

/// Prices the past again, on a thread for each sink.
///
/// # Errors
/// The past cannot be read.
pub fn run<S: Sink>(
    tools: Tools<'_>,
    task: &Task,
    control: &Control,
    sinks: &mut [S],
) -> Result<End, ReadError> {
    let counting = match task.under {
        Under::Release(release) => Recount::of(tools.engine, release),
        Under::ItsOwn => None,
    };
    let told = task.posted_ms.clone();
    let read = match &counting {
        Some(_) => counted::read_from(told.start)..told.end,
        None => told.clone(),
    };
    let read_from = read.start;
    let span = tools.past.charges_posted(read)?;
    let parts = span.parts.end.saturating_sub(span.parts.start);
    control.parts.store(parts, Ordering::Relaxed);
    let work = Work {
        tools,
        task,
        control,
        span: &span,
        next: AtomicU64::new(span.parts.start),
        failed: Mutex::new(None),
    };
    match counting {
        Some(recount) => {
            if let Some(sink) = sinks.first_mut() {
                std::thread::scope(|scope| {
                    scope.spawn(|| work.rate_counted(recount, read_from, sink));
                });
            }
        }
        None => std::thread::scope(|scope| {
            for sink in sinks {
                scope.spawn(|| work.rate(sink));
            }
        }),
    }
    let failed = work.failed.into_inner();
    if let Some(error) = failed.unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let done = control.parts_done.load(Ordering::Relaxed);
    Ok(if done < parts {
        End::Stopped
    } else {
        End::Whole
    })
}

/// What the threads share.
struct Work<'w> {
    tools: Tools<'w>,
    task: &'w Task,
    control: &'w Control,
    span: &'w Span,
    next: AtomicU64,
    failed: Mutex<Option<ReadError>>,
}

impl Work<'_> {
    /// The charges of the next part; absent: there is none, or it is time to end.
    fn next_part(&self) -> Option<Vec<PastCharge>> {
        if self.control.is_stopped() {
            return None;
        }
        let part = self.next.fetch_add(1, Ordering::Relaxed);
        if part >= self.span.parts.end {
            return None;
        }
        match self.tools.past.charges_of(self.span, part, self.task.lines) {
            Ok(charges) => Some(charges),
            Err(error) => {
                self.control.stop();
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert(error);
                None
            }
        }
    }

    fn rate(&self, sink: &mut impl Sink) {
        (self.tools.prepare)();
        while let Some(charges) = self.next_part() {
            let seen = charges.len();
            self.rate_part(charges, sink);
            self.part_done(seen);
        }
    }

    fn rate_counted(&self, mut recount: Recount<'_>, read_from: i64, sink: &mut impl Sink) {
        (self.tools.prepare)();
        while let Some(charges) = self.next_part() {
            let seen = charges.len();
            for mut charge in charges {
                let again = self.when_there_is_room(
                    || recount.rate(&mut charge, read_from),
                    |again| *again == Err(Unrated::Policy(PolicyError::Busy)),
                );
                if self.is_asked_for(&charge) && charge.posted_at_ms >= self.task.posted_ms.start {
                    sink.see(&charge, again);
                }
            }
            self.part_done(seen);
        }
    }

    /// What `ask` answers once it is not for want of room: nobody waits for this, and what is told
    /// must not depend on who else calls. Stopped, it is the last answer.
    fn when_there_is_room<T>(&self, mut ask: impl FnMut() -> T, is_busy: impl Fn(&T) -> bool) -> T {
        let mut answer = ask();
        while is_busy(&answer) && !self.control.is_stopped() {
            std::thread::park_timeout(PAUSE);
            answer = ask();
        }
        answer
    }

    fn part_done(&self, seen: usize) {
        let seen = u64::try_from(seen).unwrap_or(u64::MAX);
        self.control.seen.fetch_add(seen, Ordering::Relaxed);
        self.control.parts_done.fetch_add(1, Ordering::Relaxed);
    }

    fn is_asked_for(&self, charge: &PastCharge) -> bool {
        self.task
            .priced_by
            .is_none_or(|release| charge.pricing.release == Some(release))
    }
}
