//! Posting corrections while they are found: a few hundred at a time, so that they share commits and
//! no customer's write waits long behind them.

use super::due::{ByOrg, Correction, Step, after};
use super::{Question, RepairFailure};
use crate::service::ledger::past::Corrected;
use crate::service::ledger::write::{Action, CorrectionWrite, Write, WriteError};
use crate::service::ledger::{SharedStore, WriteFuture};
use crate::service::rerate::Control;
use crate::service::time::SharedClock;
use farebox_ledger::idempotency::Idempotency;
use farebox_ledger::ids::{ChargeId, GrantId, RefundId};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// Corrections that are handed over together.
const TOGETHER: usize = 128;

/// How long a full queue is left alone.
const PAUSE: Duration = Duration::from_millis(20);

/// What was posted.
#[derive(Debug, Default)]
pub struct Posted {
    /// What took effect now.
    pub orgs: ByOrg,
    /// What another repair, or a refund, at the same time came before. Running it again finds what is
    /// still due.
    pub before: u64,
    /// What the ledger refuses, by its reason: a wallet without the credits that are to be taken.
    pub refused: HashMap<Box<str>, u64>,
}

/// Posts corrections.
pub struct Poster<'p> {
    /// The ledger.
    pub store: &'p SharedStore,
    /// Ids and time.
    pub clock: &'p SharedClock,
    /// What was asked.
    pub question: &'p Question,
}

impl Poster<'_> {
    /// Posts what comes until nothing more can come.
    pub fn post_all(
        &self,
        found: Receiver<Correction>,
        control: &Control,
    ) -> Result<Posted, RepairFailure> {
        let mut posted = Posted::default();
        while let Ok(first) = found.recv() {
            let mut some = vec![first];
            some.extend(found.try_iter().take(TOGETHER.saturating_sub(1)));
            if let Err(error) = self.post(&some, &mut posted) {
                // Who finds more is told by the receiver that goes.
                control.stop();
                return Err(RepairFailure::Write(error));
            }
        }
        Ok(posted)
    }

    fn post(&self, some: &[Correction], posted: &mut Posted) -> Result<(), WriteError> {
        let first = |one: &Correction| self.submit(one, one.steps.0, one.seen);
        let written: Vec<WriteFuture> = some.iter().map(first).collect();
        for (correction, written) in some.iter().zip(written) {
            let (first, second) = correction.steps;
            let seen = correction.seen;
            let took_effect = self.take(correction, first, seen, written, posted)?;
            // The second is of what the first has made of the charge. Where that was not written,
            // running the repair again finds all that is due.
            let (true, Some(second), Some(seen)) = (took_effect, second, after(seen, first)) else {
                continue;
            };
            let written = self.submit(correction, second, seen);
            self.take(correction, second, seen, written, posted)?;
        }
        Ok(())
    }

    /// Takes the answer to a step: whether it took effect now.
    fn take(
        &self,
        correction: &Correction,
        step: Step,
        seen: Corrected,
        written: WriteFuture,
        posted: &mut Posted,
    ) -> Result<bool, WriteError> {
        let mut answer = wait(written);
        while matches!(answer, Err(WriteError::Busy)) {
            std::thread::park_timeout(PAUSE);
            answer = wait(self.submit(correction, step, seen));
        }
        match answer {
            Ok(done) if !done.replayed => {
                let first = u64::from(step == correction.steps.0);
                posted.orgs.add(correction, step, first);
                return Ok(true);
            }
            Ok(_) | Err(WriteError::Moved) => posted.before = posted.before.saturating_add(1),
            Err(WriteError::Refused(refusal)) => {
                let refused = posted.refused.entry(refusal.to_string().into());
                let count = refused.or_default();
                *count = count.saturating_add(1);
            }
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    fn submit(&self, correction: &Correction, step: Step, seen: Corrected) -> WriteFuture {
        let (way, amount) = step;
        let operator = &self.question.operator;
        self.store.submit(Write {
            at_ms: self.clock.now_ms(),
            actor: operator.actor.clone(),
            request_id: operator.request_id.clone(),
            idempotency: Some(self.key(correction.charge, seen)),
            once: None,
            action: Action::Correct(Box::new(CorrectionWrite {
                org: correction.org,
                charge: correction.charge,
                release: self.question.corrected,
                way,
                amount,
                seen,
                refund: RefundId::new(self.clock.next_id()),
                grant: GrantId::new(self.clock.next_id()),
                why: self.question.why.clone(),
            })),
        })
    }

    /// One correction of a charge under a release, from what had become of the charge: whoever posts it
    /// twice posts it once (L6). Those amounts only grow, so no later correction has the same key,
    /// whatever the charge comes to again. No caller can have this key: theirs are hashed alone.
    fn key(&self, charge: ChargeId, seen: Corrected) -> Idempotency {
        let mut hash = Sha256::new();
        hash.update(b"farebox repair\0");
        hash.update(charge.to_bytes());
        hash.update(self.question.corrected.address().0);
        for amount in [seen.refunded, seen.given_back, seen.taken, seen.returned] {
            hash.update(amount.get().to_be_bytes());
        }
        let digest = hash.finalize().into();
        Idempotency {
            key_digest: digest,
            request_digest: digest,
        }
    }
}

/// Wakes a thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The answer of a future, on a thread that has nothing else to do.
fn wait<T>(mut future: std::pin::Pin<Box<dyn Future<Output = T> + Send>>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}
