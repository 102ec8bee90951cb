//! Many reports at once: rated in one call of the policy, charged one by one, in order.
//!
//! Each item stands for itself: one that is refused does not stop the others.

use super::breaker::Question;
use super::ledger::failure::ReadError;
use super::policy::{PolicyError, Priced, RateRequest, ReleaseId};
use super::usage::{Prepared, Recorded, Reported, Submitted, UsageError};
use super::{Context, Service};
use farebox_ledger::idempotency::Idempotency;
use farebox_ledger::ids::OrgId;
use sha2::{Digest as _, Sha256};

/// The most items in a batch: what one call of a policy takes.
pub const BATCH_MAX: usize = super::policy::BATCH_MAX;

/// One report of a batch.
pub struct Item<'a> {
    /// What was used.
    pub reported: Reported<'a>,
    /// Its own idempotency, which holds in whatever batch it comes.
    pub own: Option<Idempotency>,
    /// SHA-256 of the item's own text: makes its retry recognisable.
    pub request_digest: [u8; 32],
}

/// The idempotency of item `index` of a batch.
fn of_item(batch: Idempotency, index: usize, request_digest: [u8; 32]) -> Idempotency {
    let mut hash = Sha256::new();
    hash.update(batch.key_digest);
    hash.update((index as u64).to_be_bytes());
    Idempotency {
        key_digest: hash.finalize().into(),
        request_digest,
    }
}

/// What the answers to a batch say of the policy: a fault among them is one, whatever stands before it;
/// and where none is an answer, because every sandbox is in use, they say nothing.
fn told_by(rated: &[Result<Priced, PolicyError>]) -> Result<(), PolicyError> {
    let errors = || rated.iter().filter_map(|answer| answer.as_ref().err());
    if let Some(fault) = errors().find(|error| matches!(error, PolicyError::Fault(_))) {
        return Err(fault.clone());
    }
    let answered = |answer: &Result<Priced, PolicyError>| {
        matches!(answer, Ok(_) | Err(PolicyError::Refused(_)))
    };
    match errors().next() {
        Some(error) if !rated.iter().any(answered) => Err(error.clone()),
        _ => Ok(()),
    }
}

impl Service {
    /// Rates and charges what was used, item by item. Answer i is of item i.
    pub async fn record_batch(
        &self,
        context: &Context,
        items: Vec<Item<'_>>,
    ) -> Vec<Result<Recorded, UsageError>> {
        let mut contexts = Vec::with_capacity(items.len());
        let mut prepared = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            contexts.push(Context {
                idempotency: item.own.or_else(|| {
                    let batch = context.idempotency?;
                    Some(of_item(batch, index, item.request_digest))
                }),
                ..context.clone()
            });
            prepared.push(self.prepare_usage(context, item.reported));
        }
        let mut answers = self.rate_all(context.org, &mut prepared).into_iter();
        let mut submitted = Vec::with_capacity(prepared.len());
        for (prepared, context) in prepared.into_iter().zip(&contexts) {
            submitted.push(prepared.and_then(|prepared| {
                let answer = match prepared.is_ratable() {
                    true => Some(answers.next().unwrap_or(Ok(Err(PolicyError::NotLoaded)))?),
                    false => None,
                };
                Ok(self.submit_usage(context, prepared, answer))
            }));
        }
        self.finish_all(&contexts, submitted).await
    }

    /// The answers for every item that can be rated, in order. Items of one release go together,
    /// unless a book counts: then what one used, the next must know.
    fn rate_all(
        &self,
        org: OrgId,
        items: &mut [Result<Prepared, UsageError>],
    ) -> Vec<Result<Result<Priced, PolicyError>, ReadError>> {
        let counts = |item: &Prepared| !self.engine.counters(item.question().0).is_empty();
        if items.iter().flatten().any(counts) {
            let ratable = items.iter_mut().flatten().filter(|item| item.is_ratable());
            return ratable.map(|item| self.rate_prepared(org, item)).collect();
        }
        let ratable: Vec<_> = items
            .iter()
            .flatten()
            .filter(|item| item.is_ratable())
            .map(Prepared::question)
            .collect();
        let mut answers = Vec::with_capacity(ratable.len());
        for group in ratable.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((release, _)) = group.first() else {
                continue;
            };
            let questions: Vec<_> = group.iter().map(|(_, request)| *request).collect();
            let mut rated = self.rate_group(**release, org, &questions);
            // An engine that answers too few has failed for the rest.
            rated.resize_with(questions.len(), || Err(PolicyError::NotLoaded));
            answers.extend(rated.into_iter().map(Ok));
        }
        answers
    }

    /// The answers of one release. However many of them are faults, the breaker counts one: it was
    /// one question.
    fn rate_group(
        &self,
        release: ReleaseId,
        org: OrgId,
        questions: &[RateRequest<'_>],
    ) -> Vec<Result<Priced, PolicyError>> {
        let mut rated = Vec::new();
        let asked = self.ask(release, org, Question::Rate, || {
            rated = self.engine.rate_batch(&release, questions);
            told_by(&rated)
        });
        if matches!(asked, Err(PolicyError::Paused)) {
            rated.resize_with(questions.len(), || Err(PolicyError::Paused));
        }
        let refused = questions.iter().zip(&rated);
        let refused = refused.filter(|(_, answer)| matches!(answer, Err(PolicyError::Refused(_))));
        let refused: Vec<_> = refused.map(|(question, _)| *question).collect();
        if let Some((_, facts)) = refused.first() {
            self.note_refusals(release, org, facts.plan.as_deref(), |bound| {
                let again = self.engine.rate_batch(bound, &refused);
                again.iter().filter(|answer| answer.is_ok()).count()
            });
        }
        rated
    }

    async fn finish_all(
        &self,
        contexts: &[Context],
        submitted: Vec<Result<Submitted, UsageError>>,
    ) -> Vec<Result<Recorded, UsageError>> {
        let mut results = Vec::with_capacity(submitted.len());
        // All are in the queue already, so waiting one after the other costs one commit, not many.
        for (submitted, context) in submitted.into_iter().zip(contexts) {
            results.push(match submitted {
                Ok(submitted) => self.finish_usage(context, submitted).await,
                Err(error) => Err(error),
            });
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::policy::Fault;
    use farebox_pricing::answer::Refusal;

    #[test]
    fn a_fault_anywhere_is_a_fault_and_a_full_house_says_nothing() {
        let refused = || {
            Err(PolicyError::Refused(Refusal::NotAllowed {
                rule: "test".into(),
            }))
        };
        let fault = || Err(PolicyError::Fault(Fault::Fuel));
        let busy = || Err(PolicyError::Busy);
        let check = |rated: &[Result<Priced, PolicyError>], expect| {
            assert_eq!(told_by(rated), expect, "{rated:?}");
        };
        check(
            &[refused(), busy(), fault()],
            Err(PolicyError::Fault(Fault::Fuel)),
        );
        check(&[busy(), busy()], Err(PolicyError::Busy));
        check(&[busy(), refused()], Ok(()));
        check(&[refused()], Ok(()));
        check(&[], Ok(()));
    }
}
