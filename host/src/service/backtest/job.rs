//! Backtests as jobs: started, watched, stopped. A few run at once, the latest that ended are kept
//! until the server stops; nothing of a backtest is in the ledger.

use super::report::{Report, is_in_range};
use super::{Question, run};
use crate::service::Service;
use crate::service::ledger::SharedStore;
use crate::service::policy::SharedEngine;
use crate::service::releases::{Address, ReleaseError};
use crate::service::rerate::Control;
use crate::service::time::SharedClock;
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Backtests that run at once. Each uses all cores.
pub const RUNNING_MAX: usize = 2;

/// Backtests that ended and are kept.
const KEPT: usize = 16;

/// Which backtest: `backtest_` and 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId(u128);

/// The text names no backtest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a backtest's id is `backtest_` and 32 hexadecimal digits")]
pub struct JobIdError;

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backtest_{:032x}", self.0)
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        let digits = text.strip_prefix("backtest_").ok_or(JobIdError)?;
        let plain = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(digits, 16).ok();
        number.filter(|_| plain).map(Self).ok_or(JobIdError)
    }
}

/// Why there is no backtest.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BacktestError {
    /// The release cannot rate.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The range is empty, or lies in the future.
    #[error("the range is empty: it must begin before it ends, and not in the future")]
    EmptyRange,
    /// So many run already.
    #[error("{RUNNING_MAX} backtests run already: wait for one, or stop it")]
    TooMany,
    /// No such backtest since the server started, or it was too long ago.
    #[error("there is no backtest `{0}`")]
    NotFound(JobId),
    /// The machine has no room for a thread.
    #[error("no thread can be started")]
    NoThread,
}

/// How a backtest stands.
#[derive(Clone, Debug)]
pub enum State {
    /// It runs.
    Running,
    /// It ended, or was stopped; the report says so.
    Ended(Arc<Report>),
    /// It failed, for this reason.
    Failed(Arc<str>),
}

/// A backtest.
#[derive(Debug)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// What was asked.
    pub question: Question,
    /// When it began, milliseconds since the Unix epoch.
    pub begun_at_ms: i64,
    /// How far it is.
    pub control: Control,
    ends: Mutex<Ends>,
}

#[derive(Debug)]
struct Ends {
    state: State,
    begun: Duration,
    /// How long it took.
    took: Option<Duration>,
}

impl Job {
    fn ends(&self) -> std::sync::MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands, and how long it took; absent: it runs.
    pub fn state(&self) -> (State, Option<Duration>) {
        let ends = self.ends();
        (ends.state.clone(), ends.took)
    }

    fn is_running(&self) -> bool {
        matches!(self.ends().state, State::Running)
    }

    fn end(&self, state: State, now: Duration) {
        let mut ends = self.ends();
        if matches!(ends.state, State::Running) {
            ends.took = Some(now.saturating_sub(ends.begun));
            ends.state = state;
        }
    }
}

/// All backtests since the start.
#[derive(Debug, Default)]
pub(in crate::service) struct Jobs(Mutex<VecDeque<Arc<Job>>>);

impl Jobs {
    fn all(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a job failed, should its thread end in any other way.
struct Running {
    job: Arc<Job>,
    clock: SharedClock,
}

impl Running {
    fn run(&self, store: &SharedStore, engine: &SharedEngine, prepare: fn()) {
        let job = &self.job;
        let state = match run(store, engine, prepare, &job.question, &job.control) {
            Ok(report) => State::Ended(Arc::new(report)),
            Err(error) => {
                let error = with_causes(&error);
                tracing::error!(error, job = %job.id, "a backtest failed");
                State::Failed(error.into())
            }
        };
        job.end(state, self.clock.elapsed());
    }
}

/// What failed and why, for the operator who asked.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Drop for Running {
    fn drop(&mut self) {
        let failed = State::Failed("a defect of this server ended it".into());
        self.job.end(failed, self.clock.elapsed());
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
        posted_ms: std::ops::Range<i64>,
        priced_by: Option<Address>,
    ) -> Result<Arc<Job>, BacktestError> {
        let release = self.loaded(release)?.id;
        let priced_by = match priced_by {
            Some(address) => Some(self.find_release(address)?.id),
            None => None,
        };
        self.start(Question {
            release,
            posted_ms,
            priced_by,
        })
    }

    /// Begins a backtest under a release that was not pushed. It is compiled and tried as a push does
    /// it, so this takes as long; it stays loaded, and is not kept with the ledger.
    ///
    /// # Errors
    /// See [`BacktestError`].
    pub fn start_backtest_of(
        &self,
        file: &[u8],
        posted_ms: std::ops::Range<i64>,
        priced_by: Option<Address>,
    ) -> Result<Arc<Job>, BacktestError> {
        let priced_by = match priced_by {
            Some(address) => Some(self.find_release(address)?.id),
            None => None,
        };
        let admitted = self.admit_release(file, None).map_err(ReleaseError::from)?;
        self.start(Question {
            release: admitted.id,
            posted_ms,
            priced_by,
        })
    }

    fn start(&self, question: Question) -> Result<Arc<Job>, BacktestError> {
        let begun_at_ms = self.clock.now_ms();
        if !is_in_range(&question, begun_at_ms) {
            return Err(BacktestError::EmptyRange);
        }
        let job = Arc::new(Job {
            id: JobId(self.clock.next_id()),
            question,
            begun_at_ms,
            control: Control::default(),
            ends: Mutex::new(Ends {
                state: State::Running,
                begun: self.clock.elapsed(),
                took: None,
            }),
        });
        let mut all = self.backtests.all();
        if all.iter().filter(|job| job.is_running()).count() >= RUNNING_MAX {
            return Err(BacktestError::TooMany);
        }
        let running = Running {
            job: Arc::clone(&job),
            clock: Arc::clone(&self.clock),
        };
        let (store, engine) = (Arc::clone(&self.store), Arc::clone(&self.engine));
        let prepare = self.settings.background;
        std::thread::Builder::new()
            .name("backtest".to_owned())
            .spawn(move || running.run(&store, &engine, prepare))
            .map_err(|_| BacktestError::NoThread)?;
        while all.len() >= KEPT {
            let Some(place) = all.iter().position(|job| !job.is_running()) else {
                break;
            };
            all.remove(place);
        }
        all.push_back(Arc::clone(&job));
        Ok(job)
    }

    /// A backtest since the start of the server.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn backtest(&self, id: JobId) -> Result<Arc<Job>, BacktestError> {
        let all = self.backtests.all();
        let job = all.iter().find(|job| job.id == id).cloned();
        job.ok_or(BacktestError::NotFound(id))
    }

    /// Stops a backtest; what it found until then can be read as soon as it has ended.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn stop_backtest(&self, id: JobId) -> Result<Arc<Job>, BacktestError> {
        let job = self.backtest(id)?;
        job.control.stop();
        Ok(job)
    }

    /// Stops all, because the server ends.
    pub fn stop_backtests(&self) {
        for job in self.backtests.all().iter() {
            job.control.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_as_it_was_and_nothing_else_is_one() {
        let id = JobId(0x0192_f0c8);
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "backtest_", "backtest_1", "job_0192f0c8"] {
            assert_eq!(wrong.parse::<JobId>(), Err(JobIdError), "{wrong}");
        }
    }
}
