//! Usage that waits for a price is tried again until a release can price it.
//!
//! A policy that fails or does not know a model loses no usage: it is recorded and its hold stays.
//! Here it is rated once more, by the release that it ran under, and charged. Another release prices
//! it only where an operator names one. Usage that states nothing that
//! was used is left to a person: rated, it would be charged nothing, and nobody would look again.
//! When to try is told by [`Backoff`]; who calls on time is `app`'s business.

use super::ledger::failure::ReadError;
use super::ledger::receipt::Pricing;
use super::ledger::view::UsageView;
use super::ledger::write::Actor;
use super::policy::ReleaseId;
use super::settle::{SettleError, Settlement};
use super::{Context, Service};
use farebox_ledger::ids::{ChargeId, EventId, OrgId};
use farebox_pricing::failure::Outcome;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The most events looked at in one step.
pub const STEP_MAX: usize = 256;

/// The longest wait between two tries of an event, in intervals.
const INTERVALS_MAX: u32 = 64;

/// One event that was tried.
#[derive(Debug)]
pub struct Tried {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub event: EventId,
    /// Its charge and price, or why it still waits.
    pub result: Result<(ChargeId, Pricing), SettleError>,
}

/// What one step did.
#[derive(Debug)]
pub struct Step {
    /// What was tried, oldest first.
    pub tried: Vec<Tried>,
    /// Where the next step begins; absent: this was the last.
    pub next: Option<EventId>,
}

/// What became of the tries of this process.
#[derive(Debug, Default)]
pub(super) struct Tally {
    settled: AtomicU64,
    failed: AtomicU64,
}

/// How much waits, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// When the oldest was recorded, milliseconds since the Unix epoch; absent: nothing waits.
    pub oldest_at_ms: Option<i64>,
    /// Events that got their price by being tried again, since the start.
    pub settled: u64,
    /// Tries that gave no price, since the start.
    pub failed: u64,
}

/// When each event is tried again: after one interval, then after twice as long each time, up to 64
/// intervals. What its release may price in a moment is no failure of the event: an odd one, which
/// pauses the release for its org, falls back behind those that only wait for the pause to end.
#[derive(Debug)]
pub struct Backoff {
    interval: Duration,
    waits: HashMap<EventId, Wait>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    failures: u32,
    due: Duration,
}

impl Backoff {
    /// Nothing was tried yet.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            waits: HashMap::new(),
        }
    }

    fn after_failure(&self, before: Option<Wait>, passes: bool, now: Duration) -> Wait {
        let failures = before.map_or(0, |wait| wait.failures);
        if passes {
            let due = now.saturating_add(self.interval);
            return Wait { failures, due };
        }
        let failures = failures.saturating_add(1);
        let intervals = 1_u32
            .checked_shl(failures.saturating_sub(1))
            .map_or(INTERVALS_MAX, |doubled| doubled.min(INTERVALS_MAX));
        Wait {
            failures,
            due: now.saturating_add(self.interval.saturating_mul(intervals)),
        }
    }
}

impl Service {
    /// Tries usage that waits, of any org, from after `after` on: looks at most at `limit` events
    /// and tries those that are `due`. What their own release cannot price may be priced `under`
    /// another. Takes as long as the policies take: call it where a thread may block.
    ///
    /// # Errors
    /// The list cannot be read. What fails for one event is that event's result.
    pub async fn settle_waiting(
        &self,
        context_of: impl Fn(OrgId) -> Context,
        after: Option<EventId>,
        limit: usize,
        under: Option<ReleaseId>,
        due: impl Fn(EventId) -> bool,
    ) -> Result<Step, ReadError> {
        let limit = limit.min(STEP_MAX);
        let listed = self.store.unpriced(after, limit)?;
        let next = listed
            .last()
            .map(|(_, event)| *event)
            .filter(|_| listed.len() == limit);
        let mut tried = Vec::new();
        for (org, event) in listed {
            if !due(event) {
                continue;
            }
            let result = self.settle_by_itself(&context_of(org), event, under).await;
            let counter = match result {
                Ok(_) => &self.waiting.settled,
                Err(_) => &self.waiting.failed,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            tried.push(Tried { org, event, result });
        }
        Ok(Step { tried, next })
    }

    async fn settle_by_itself(
        &self,
        context: &Context,
        event: EventId,
        under: Option<ReleaseId>,
    ) -> Result<(ChargeId, Pricing), SettleError> {
        let usage = self.usage_event(context, event)?;
        let unpriced = usage.unpriced.as_ref();
        let is_held = unpriced.is_some_and(|why| Outcome::from_name(&why.reason).is_some());
        let states_nothing =
            usage.event.pools.is_empty() && usage.event.provider_cost_usd.is_none();
        // What the price book's rule for calls that ended badly holds waits for a person.
        if is_held || states_nothing {
            return Err(SettleError::NeedsDecision(event));
        }
        let settlement = Settlement::Rate {
            key_source: None,
            under,
        };
        let (charge, pricing, _) = self.settle_usage(context, usage, settlement).await?;
        Ok((charge, pricing))
    }

    /// Tries everything that waits and is due, as the host, until it is told to stop. Call it where a
    /// thread may block.
    ///
    /// # Errors
    /// The list cannot be read.
    pub async fn settle_due(
        &self,
        backoff: &mut Backoff,
        stopped: impl Fn() -> bool,
    ) -> Result<u64, ReadError> {
        let before = std::mem::take(&mut backoff.waits);
        let now = self.clock.elapsed();
        let mut settled = 0_u64;
        let mut after = None;
        loop {
            // A try that fails waits for nothing, so whoever stops this is heard only here.
            let due = |event| !stopped() && before.get(&event).is_none_or(|wait| wait.due <= now);
            let step = self
                .settle_waiting(Context::of_host, after, STEP_MAX, None, due)
                .await?;
            for Tried { event, result, .. } in step.tried {
                match result {
                    Ok(_) => settled = settled.saturating_add(1),
                    Err(error) => {
                        tracing::debug!(%event, %error, "usage still waits for a price");
                        let before = before.get(&event).copied();
                        let wait = backoff.after_failure(before, error.passes(), now);
                        backoff.waits.insert(event, wait);
                    }
                }
            }
            after = step.next;
            if after.is_none() || stopped() {
                break;
            }
        }
        // What was not due keeps its place.
        for (event, wait) in before {
            if wait.due > now {
                backoff.waits.entry(event).or_insert(wait);
            }
        }
        Ok(settled)
    }

    /// Usage that waits, of any org, oldest first, from after `after` on.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn list_waiting(
        &self,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<(OrgId, UsageView)>, ReadError> {
        let mut found = Vec::new();
        for (org, event) in self.store.unpriced(after, limit)? {
            // One that is settled in between is not there any more.
            if let Some(usage) = self.store.usage_event(org, event)? {
                found.push((org, usage));
            }
        }
        Ok(found)
    }

    /// How much waits.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn waiting(&self) -> Result<Waiting, ReadError> {
        let oldest = match self.store.unpriced(None, 1)?.first() {
            Some((org, event)) => self.store.usage_event(*org, *event)?,
            None => None,
        };
        Ok(Waiting {
            oldest_at_ms: oldest.map(|usage| usage.recorded_at_ms),
            settled: self.waiting.settled.load(Ordering::Relaxed),
            failed: self.waiting.failed.load(Ordering::Relaxed),
        })
    }
}

impl Context {
    /// The host itself, at work for `org`.
    fn of_host(org: OrgId) -> Self {
        Self {
            org,
            actor: Actor::Host,
            key: None,
            request_id: "settler".into(),
            idempotency: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_its_bound() {
        let backoff = Backoff::new(Duration::from_secs(1));
        let mut wait = None;
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                let next = backoff.after_failure(wait, false, Duration::ZERO);
                wait = Some(next);
                next.due.as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    }

    #[test]
    fn what_passes_by_itself_is_tried_at_the_next_interval_and_doubles_nothing() {
        let backoff = Backoff::new(Duration::from_secs(1));
        let failed = backoff.after_failure(None, false, Duration::ZERO);
        let failed = backoff.after_failure(Some(failed), false, failed.due);
        assert_eq!(failed.due, Duration::from_secs(3));
        let paused = backoff.after_failure(Some(failed), true, failed.due);
        assert_eq!(paused.due, Duration::from_secs(4));
        let failed = backoff.after_failure(Some(paused), false, paused.due);
        assert_eq!(failed.due, Duration::from_secs(8));
    }
}
