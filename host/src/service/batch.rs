//! Many reports at once: rated in one call of the policy, charged one by one, in order.
//!
//! Each item stands for itself: one that is refused does not stop the others.

use super::breaker::Question;
use super::policy::{PolicyError, Priced, ReleaseId};
use super::usage::{Prepared, Recorded, Reported, Submitted, UsageError};
use super::{Context, Service};
use farebox_ledger::idempotency::Idempotency;
use farebox_ledger::ids::OrgId;
use farebox_pricing::event::{Facts, UsageEvent};
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
            submitted.push(prepared.map(|prepared| {
                let answer = prepared
                    .is_ratable()
                    .then(|| answers.next().unwrap_or(Err(PolicyError::NotLoaded)));
                self.submit_usage(context, prepared, answer)
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
    ) -> Vec<Result<Priced, PolicyError>> {
        let counts = |item: &Prepared| !self.engine.counters(item.question().0).is_empty();
        if items.iter().flatten().any(counts) {
            let ratable = items.iter_mut().flatten().filter(|item| item.is_ratable());
            return ratable
                .map(|item| {
                    let answer = self.rate_prepared(org, item);
                    answer.unwrap_or(Err(PolicyError::NotLoaded))
                })
                .collect();
        }
        let ratable: Vec<_> = items
            .iter()
            .flatten()
            .filter(|item| item.is_ratable())
            .map(Prepared::question)
            .collect();
        let mut answers = Vec::with_capacity(ratable.len());
        for group in ratable.chunk_by(|(a, _, _), (b, _, _)| a == b) {
            let Some((release, _, _)) = group.first() else {
                continue;
            };
            let questions: Vec<_> = group
                .iter()
                .map(|(_, event, facts)| ((*event).clone(), (*facts).clone()))
                .collect();
            let mut rated = self.rate_group(**release, org, &questions);
            // An engine that answers too few has failed for the rest.
            rated.resize_with(questions.len(), || Err(PolicyError::NotLoaded));
            answers.extend(rated);
        }
        answers
    }

    /// The answers of one release. A fault of the group is every item's, but one fault.
    fn rate_group(
        &self,
        release: ReleaseId,
        org: OrgId,
        questions: &[(UsageEvent, Facts)],
    ) -> Vec<Result<Priced, PolicyError>> {
        let mut rated = Vec::new();
        let asked = self.ask(release, org, Question::Rate, || {
            rated = self.engine.rate_batch(&release, questions);
            match rated.iter().find_map(|answer| answer.as_ref().err()) {
                Some(error @ PolicyError::Fault(_)) => Err(error.clone()),
                _ => Ok(()),
            }
        });
        if matches!(asked, Err(PolicyError::Paused)) {
            rated.resize_with(questions.len(), || Err(PolicyError::Paused));
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
