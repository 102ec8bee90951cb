//! Backtests as jobs.

use super::report::{Report, is_in_range};
use super::{Question, run};
use crate::service::policy::{PolicyEngine, ReleaseId};
use crate::service::releases::{Address, ReleaseError};
use crate::service::{Service, job};
use std::ops::Range;
use std::sync::Arc;

/// A backtest, running or over.
pub type Job = job::Job<Question, Report>;

/// Why there is no backtest.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BacktestError {
    /// The release cannot rate.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The range is empty, or lies in the future.
    #[error("the range is empty: it must begin before it ends, and not in the future")]
    EmptyRange,
    /// The job cannot be.
    #[error(transparent)]
    Job(#[from] job::JobError),
}

/// A release that is loaded for one job.
struct Draft {
    engine: Arc<dyn PolicyEngine>,
    release: ReleaseId,
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.engine.forget(&self.release);
    }
}

impl Service {
    /// Begins a backtest under a stored release.
    ///
    /// # Errors
    /// See [`BacktestError`].
    pub fn start_backtest(
        &self,
        release: Address,
        posted_ms: Range<i64>,
        priced_by: Option<Address>,
    ) -> Result<Arc<Job>, BacktestError> {
        let release = self.loaded(release)?.id;
        let priced_by = match priced_by {
            Some(address) => Some(self.find_release(address)?.id),
            None => None,
        };
        let question = Question {
            release,
            posted_ms,
            priced_by,
        };
        self.begin_backtest(question, None)
    }

    /// Begins a backtest under a release that was not pushed. It is compiled and tried as a push does
    /// it, so this takes as long; it is unloaded when the job ends, and is not kept with the ledger.
    ///
    /// # Errors
    /// See [`BacktestError`].
    pub fn start_backtest_of(
        &self,
        file: &[u8],
        posted_ms: Range<i64>,
        priced_by: Option<Address>,
    ) -> Result<Arc<Job>, BacktestError> {
        let priced_by = match priced_by {
            Some(address) => Some(self.find_release(address)?.id),
            None => None,
        };
        let admitted = self.admit_release(file, None).map_err(ReleaseError::from)?;
        let draft = Draft {
            engine: Arc::clone(&self.engine),
            release: admitted.id,
        };
        let question = Question {
            release: admitted.id,
            posted_ms,
            priced_by,
        };
        self.begin_backtest(question, Some(draft))
    }

    fn begin_backtest(
        &self,
        question: Question,
        draft: Option<Draft>,
    ) -> Result<Arc<Job>, BacktestError> {
        if !is_in_range(&question, self.clock.now_ms()) {
            return Err(BacktestError::EmptyRange);
        }
        let (store, engine) = (Arc::clone(&self.store), Arc::clone(&self.engine));
        let prepare = self.settings.background;
        let started = self.backtests.start(&self.clock, question, move |job| {
            let report = run(&store, &engine, prepare, &job.question, &job.control);
            drop(draft);
            report
        });
        Ok(started?)
    }

    /// A backtest since the start of the server.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn backtest(&self, id: job::JobId) -> Result<Arc<Job>, BacktestError> {
        Ok(self.backtests.get(id)?)
    }

    /// Stops a backtest; what it found until then can be read as soon as it has ended.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn stop_backtest(&self, id: job::JobId) -> Result<Arc<Job>, BacktestError> {
        Ok(self.backtests.stop(id)?)
    }

    /// Stops all jobs, because the server ends.
    pub fn stop_jobs(&self) {
        self.backtests.stop_all();
        self.repairs.stop_all();
    }
}
