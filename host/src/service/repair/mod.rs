//! Wrong bills, put right: what a wrong release charged is priced again under a corrected one, and
//! the difference is posted, charge by charge, as corrections that name the charge.
//!
//! What was charged too much is given back at once, into the lots it came from; what was charged too
//! little is taken only where the operator says so. What a charge **should come to** is compared with
//! what it comes to by now, all earlier corrections and refunds considered: so running a repair again
//! does nothing, one that was stopped goes on where it ended, and one under yet another release
//! corrects the first. Of two repairs at once each charge is corrected by one: a correction is written
//! only where the charge still is what it was found to be, and of two equal ones the second is known by
//! its idempotency key, made of the charge, the corrected release and all that became of the charge (L6).
//!
//! Counters of the price book stay as they are: they count what was used, not what it cost.

pub(crate) mod due;
mod post;
pub mod report;

use super::ledger::SharedStore;
use super::ledger::failure::ReadError;
use super::ledger::past::Lines;
use super::ledger::write::WriteError;
use super::policy::{ReleaseId, SharedEngine};
use super::releases::{Address, Operator, ReleaseError};
use super::rerate::{self, Control, End, Task, Tools, Under};
use super::time::SharedClock;
use super::{Service, job};
use due::{Due, Finder};
use farebox_pricing::exact::ArithmeticError;
use post::Poster;
use report::Report;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// A repair, running or over.
pub type Job = job::Job<Question, Report>;

/// Corrections that are found and not posted yet.
const WAITING_MAX: usize = 1_024;

/// What is put right, and how.
#[derive(Clone, Debug)]
pub struct Question {
    /// What charged wrongly.
    pub wrong: ReleaseId,
    /// What should have.
    pub corrected: ReleaseId,
    /// Charges posted from the first on and before the second, milliseconds since the Unix epoch.
    pub posted_ms: Range<i64>,
    /// Whether corrections are posted; else only told.
    pub post: bool,
    /// Whether what was charged too little is taken too.
    pub debit: bool,
    /// Why; shown to customers beside each correction.
    pub why: Option<Box<str>>,
    /// Who asks.
    pub operator: Operator,
}

/// Why there is no repair.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RepairError {
    /// A release cannot be used.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The range is empty, or lies in the future.
    #[error("the range is empty: it must begin before it ends, and not in the future")]
    EmptyRange,
    /// Both releases are one.
    #[error("the wrong release and the corrected one are the same")]
    SameRelease,
    /// A release that was revoked corrects nothing.
    #[error("release `{0}` was revoked: it corrects nothing")]
    Revoked(ReleaseId),
    /// The job cannot be.
    #[error(transparent)]
    Job(#[from] job::JobError),
}

/// Why a repair ended early. What was posted stands, and running it again goes on.
#[derive(Debug, thiserror::Error)]
pub enum RepairFailure {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A correction cannot be written.
    #[error("a correction was not written; running the repair again goes on from there")]
    Write(#[source] WriteError),
    /// A sum passes 28 digits.
    #[error("a sum is out of range")]
    OutOfRange(#[from] ArithmeticError),
    /// A thread ended early.
    #[error("a thread of the repair ended early")]
    Defect,
}

impl Service {
    /// Begins a repair.
    ///
    /// # Errors
    /// See [`RepairError`].
    pub fn start_repair(
        &self,
        operator: Operator,
        [wrong, corrected]: [Address; 2],
        posted_ms: Range<i64>,
        (post, debit): (bool, bool),
        why: Option<Box<str>>,
    ) -> Result<Arc<Job>, RepairError> {
        let wrong = self.find_release(wrong)?.id;
        let corrected = self.loaded(corrected)?;
        if corrected.id == wrong {
            return Err(RepairError::SameRelease);
        }
        if corrected.revoked.is_some() {
            return Err(RepairError::Revoked(corrected.id));
        }
        if post {
            self.require_signed(&corrected)?;
        }
        if posted_ms.start >= posted_ms.end || posted_ms.start > self.clock.now_ms() {
            return Err(RepairError::EmptyRange);
        }
        let question = Question {
            wrong,
            corrected: corrected.id,
            posted_ms,
            post,
            debit,
            why,
            operator,
        };
        let work = Repair {
            store: Arc::clone(&self.store),
            engine: Arc::clone(&self.engine),
            clock: Arc::clone(&self.clock),
            prepare: self.settings.background,
        };
        let started = self.repairs.start(&self.clock, question, move |job| {
            work.run(&job.question, &job.control)
        });
        Ok(started?)
    }

    /// A repair since the start of the server.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn repair(&self, id: job::JobId) -> Result<Arc<Job>, RepairError> {
        Ok(self.repairs.get(id)?)
    }

    /// Stops a repair; what it posted stands.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn stop_repair(&self, id: job::JobId) -> Result<Arc<Job>, RepairError> {
        Ok(self.repairs.stop(id)?)
    }
}

/// What a repair works with.
struct Repair {
    store: SharedStore,
    engine: SharedEngine,
    clock: SharedClock,
    prepare: fn(),
}

impl Repair {
    fn run(&self, question: &Question, control: &Control) -> Result<Report, RepairFailure> {
        let task = Task {
            posted_ms: question.posted_ms.clone(),
            under: Under::Release(question.corrected),
            priced_by: Some(question.wrong),
            lines: Lines::LeftOut,
        };
        let tools = Tools {
            past: self.store.as_ref(),
            engine: self.engine.as_ref(),
            prepare: self.prepare,
        };
        let (found, corrections) = sync_channel(WAITING_MAX);
        let mut finders: Vec<Finder<'_>> = Vec::new();
        finders.resize_with(rerate::threads(tools.engine, task.under), || {
            Finder::new(self.store.as_ref(), question, control, found.clone())
        });
        drop(found);
        let poster = Poster {
            store: &self.store,
            clock: &self.clock,
            question,
        };
        std::thread::scope(|scope| {
            let found = scope.spawn(move || -> Result<(Due, End), RepairFailure> {
                let end = rerate::run(tools, &task, control, &mut finders)?;
                let mut due = Due::default();
                for finder in finders {
                    due.merge(finder.into_due()?);
                }
                Ok((due, end))
            });
            let posted = poster.post_all(corrections, control);
            let (due, end) = found.join().map_err(|_| RepairFailure::Defect)??;
            Report::of(due, posted?, end == End::Whole, self.store.as_ref())
        })
    }
}
