//! Work beside requests: started, watched, stopped. Few run at once, the latest that ended are kept
//! until the server stops; nothing of a job itself is in the ledger.
//!
//! Knows threads and how far something is; must not know what is done.

use super::rerate::Control;
use super::time::SharedClock;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Jobs of a kind that run at once. Each uses all cores.
pub const RUNNING_MAX: usize = 2;

/// Jobs of a kind that ended and are kept.
const KEPT: usize = 16;

/// Which job: `job_` and 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId(u128);

/// The text names no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job's id is `job_` and 32 hexadecimal digits")]
pub struct JobIdError;

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job_{:032x}", self.0)
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        let digits = text.strip_prefix("job_").ok_or(JobIdError)?;
        let plain = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(digits, 16).ok();
        number.filter(|_| plain).map(Self).ok_or(JobIdError)
    }
}

/// Why there is no such job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// So many run already.
    #[error("{RUNNING_MAX} such jobs run already: wait for one, or stop it")]
    TooMany,
    /// No such job since the server started, or it was too long ago.
    #[error("there is no job `{0}`")]
    NotFound(JobId),
    /// The machine has no room for a thread.
    #[error("no thread can be started")]
    NoThread,
}

/// How a job stands.
#[derive(Debug)]
pub enum State<R> {
    /// It runs.
    Running,
    /// It ended, or was stopped; the report says so.
    Ended(Arc<R>),
    /// It failed, for this reason.
    Failed(Arc<str>),
}

impl<R> Clone for State<R> {
    fn clone(&self) -> Self {
        match self {
            Self::Running => Self::Running,
            Self::Ended(report) => Self::Ended(Arc::clone(report)),
            Self::Failed(why) => Self::Failed(Arc::clone(why)),
        }
    }
}

/// A job: what was asked, and in the end what was found.
#[derive(Debug)]
pub struct Job<Q, R> {
    /// Which.
    pub id: JobId,
    /// What was asked.
    pub question: Q,
    /// When it began, milliseconds since the Unix epoch.
    pub begun_at_ms: i64,
    /// How far it is.
    pub control: Control,
    ends: Mutex<Ends<R>>,
}

#[derive(Debug)]
struct Ends<R> {
    state: State<R>,
    begun: Duration,
    /// How long it took.
    took: Option<Duration>,
}

impl<Q, R> Job<Q, R> {
    fn ends(&self) -> MutexGuard<'_, Ends<R>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands, and how long it took; absent: it runs.
    pub fn state(&self) -> (State<R>, Option<Duration>) {
        let ends = self.ends();
        (ends.state.clone(), ends.took)
    }

    fn is_running(&self) -> bool {
        matches!(self.ends().state, State::Running)
    }

    fn end(&self, state: State<R>, now: Duration) {
        let mut ends = self.ends();
        if matches!(ends.state, State::Running) {
            ends.took = Some(now.saturating_sub(ends.begun));
            ends.state = state;
        }
    }
}

/// Says that a job failed, should its thread end in any other way.
struct Running<Q, R> {
    job: Arc<Job<Q, R>>,
    clock: SharedClock,
}

impl<Q, R> Drop for Running<Q, R> {
    fn drop(&mut self) {
        let failed = State::Failed("a defect of this server ended it".into());
        self.job.end(failed, self.clock.elapsed());
    }
}

/// All jobs of a kind since the start.
#[derive(Debug)]
pub(super) struct Jobs<Q, R>(Mutex<VecDeque<Arc<Job<Q, R>>>>);

impl<Q, R> Default for Jobs<Q, R> {
    fn default() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }
}

impl<Q: Send + Sync + 'static, R: Send + Sync + 'static> Jobs<Q, R> {
    fn all(&self) -> MutexGuard<'_, VecDeque<Arc<Job<Q, R>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a job on a thread of its own.
    pub(super) fn start<E: Error>(
        &self,
        clock: &SharedClock,
        question: Q,
        work: impl FnOnce(&Job<Q, R>) -> Result<R, E> + Send + 'static,
    ) -> Result<Arc<Job<Q, R>>, JobError> {
        let job = Arc::new(Job {
            id: JobId(clock.next_id()),
            question,
            begun_at_ms: clock.now_ms(),
            control: Control::default(),
            ends: Mutex::new(Ends {
                state: State::Running,
                begun: clock.elapsed(),
                took: None,
            }),
        });
        let mut all = self.all();
        if all.iter().filter(|job| job.is_running()).count() >= RUNNING_MAX {
            return Err(JobError::TooMany);
        }
        let running = Running {
            job: Arc::clone(&job),
            clock: Arc::clone(clock),
        };
        std::thread::Builder::new()
            .name("job".to_owned())
            .spawn(move || {
                let job = &running.job;
                let state = match work(job) {
                    Ok(report) => State::Ended(Arc::new(report)),
                    Err(error) => {
                        let error = with_causes(&error);
                        tracing::error!(error, job = %job.id, "a job failed");
                        State::Failed(error.into())
                    }
                };
                job.end(state, running.clock.elapsed());
            })
            .map_err(|_| JobError::NoThread)?;
        while all.len() >= KEPT {
            let Some(place) = all.iter().position(|job| !job.is_running()) else {
                break;
            };
            all.remove(place);
        }
        all.push_back(Arc::clone(&job));
        Ok(job)
    }

    /// A job since the start of the server.
    pub(super) fn get(&self, id: JobId) -> Result<Arc<Job<Q, R>>, JobError> {
        let job = self.all().iter().find(|job| job.id == id).cloned();
        job.ok_or(JobError::NotFound(id))
    }

    /// Stops a job; what it did until then can be read as soon as it has ended.
    pub(super) fn stop(&self, id: JobId) -> Result<Arc<Job<Q, R>>, JobError> {
        let job = self.get(id)?;
        job.control.stop();
        Ok(job)
    }

    /// Stops all, because the server ends.
    pub(super) fn stop_all(&self) {
        for job in self.all().iter() {
            job.control.stop();
        }
    }
}

/// What failed and why, for the operator who asked.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::convert::Infallible;
    use std::sync::mpsc::channel;

    #[test]
    fn an_id_comes_back_as_it_was_and_nothing_else_is_one() {
        let id = JobId(0x0192_f0c8);
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "job_", "job_1", "backtest_0192f0c8"] {
            assert_eq!(wrong.parse::<JobId>(), Err(JobIdError), "{wrong}");
        }
    }

    #[test]
    fn few_run_at_once_and_one_that_breaks_is_told_as_failed() {
        let clock: SharedClock = Arc::new(ManualClock::at(1));
        let jobs: Jobs<u8, u8> = Jobs::default();
        let mut holds = Vec::new();
        for number in 0..2 {
            let (release, held) = channel::<()>();
            let job = jobs.start(&clock, number, move |job| {
                let _ = held.recv();
                Ok::<_, Infallible>(job.question)
            });
            holds.push((release, job.unwrap()));
        }
        let third = jobs.start(&clock, 2, |_| Ok::<_, Infallible>(2));
        assert_eq!(third.unwrap_err(), JobError::TooMany);
        for (release, job) in holds {
            drop(release);
            while job.is_running() {
                std::thread::yield_now();
            }
            assert!(matches!(job.state().0, State::Ended(found) if *found == job.question));
            assert!(jobs.get(job.id).is_ok());
        }
        let broken = jobs.start(&clock, 3, |_| -> Result<u8, Infallible> {
            panic!("broken")
        });
        let broken = broken.unwrap();
        while broken.is_running() {
            std::thread::yield_now();
        }
        assert!(matches!(broken.state().0, State::Failed(_)));
    }
}
