//! What running trials show: each charge is priced again by the other release, and what differs is
//! counted, until a bound is passed.
//!
//! Charges are asked with the facts that they were charged with. What a rule counts (free quotas,
//! volume steps) is among them by the rule's name, as it would be for the candidate if it were
//! activated now; a rule that only the candidate has begins with nothing.

use super::super::Service;
use super::super::ledger::failure::ReadError;
use super::super::ledger::past::{Lines, PastCharge};
use super::super::ledger::trials::{Trial, TrialKind, TrialResult, TrialSample};
use super::super::policy::{BATCH_MAX, PolicyError, Priced, ReleaseId};
use farebox_ledger::ids::TransactionId;
use farebox_pricing::exact;
use rust_decimal::Decimal;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Differences that are kept, the largest.
const SAMPLES: usize = 20;

/// Parts of the past that are looked at in one turn: then others may have theirs.
const PARTS: u64 = 8;

/// What is known of every trial that runs.
#[derive(Debug, Default)]
pub(in super::super) struct Watches {
    all: Mutex<HashMap<TransactionId, Watch>>,
    /// Trials that ended by themselves, since the start.
    pub halted: AtomicU64,
}

/// How far one is.
#[derive(Clone, Debug, Default)]
struct Watch {
    /// The part of the past that is looked at next, ...
    part: u64,
    /// ... and how many of its charges were seen already.
    seen: usize,
    result: TrialResult,
}

impl Watches {
    fn all(&self) -> MutexGuard<'_, HashMap<TransactionId, Watch>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a trial showed so far.
    pub fn result(&self, trial: TransactionId) -> TrialResult {
        let all = self.all();
        all.get(&trial)
            .map(|watch| watch.result.clone())
            .unwrap_or_default()
    }

    /// Notes what no charge shows.
    pub fn note(&self, trial: TransactionId, note: impl FnOnce(&mut TrialResult)) {
        note(&mut self.all().entry(trial).or_default().result);
    }

    /// Forgets what is noted of other trials than those that run: one may end while it is looked at.
    fn keep_only(&self, running: impl FnOnce() -> Vec<TransactionId>) {
        let mut all = self.all();
        // Asked under the lock: of a trial that begins now nothing is noted yet, or it runs.
        let running = running();
        all.retain(|trial, _| running.contains(trial));
    }

    /// A trial is over.
    pub fn forget(&self, trial: TransactionId) {
        self.all().remove(&trial);
    }
}

impl Service {
    /// Looks at what was charged since the last time, and returns the trials that passed a bound,
    /// each with the reason. Takes as long as there is new to look at, up to a limit: call it where a
    /// thread may block.
    ///
    /// # Errors
    /// The past cannot be read.
    pub fn watch_trials(&self) -> Result<Vec<(TransactionId, Box<str>)>, ReadError> {
        let bindings = self.store.bindings();
        let mut over = Vec::new();
        for trial in bindings.trials() {
            if trial.scope.deployment != self.settings.deployment {
                continue;
            }
            self.watch(trial)?;
            if let Some(why) = passed(trial, &self.watches.result(trial.id)) {
                over.push((trial.id, why));
            }
        }
        self.watches.keep_only(|| {
            let bindings = self.store.bindings();
            bindings.trials().iter().map(|trial| trial.id).collect()
        });
        Ok(over)
    }

    fn watch(&self, trial: &Arc<Trial>) -> Result<(), ReadError> {
        let mut watch = self.watches.all().entry(trial.id).or_default().clone();
        let span = self.store.charges_posted(trial.at_ms..i64::MAX)?;
        if watch.part < span.parts.start {
            watch.part = span.parts.start;
            watch.seen = 0;
        }
        let stop = watch.part.saturating_add(PARTS).min(span.parts.end);
        for part in watch.part..stop {
            let charges = self.store.charges_of(&span, part, Lines::LeftOut)?;
            let new = charges.get(watch.seen..).unwrap_or_default();
            let Some(compared) = self.compare(trial, new) else {
                // The sandboxes are all in use: calls come first.
                return Ok(());
            };
            // Where a later part exists, this one is complete.
            let is_complete = part.saturating_add(1) < span.parts.end;
            watch.seen = if is_complete { 0 } else { charges.len() };
            let mut all = self.watches.all();
            let Some(known) = all.get_mut(&trial.id) else {
                // It ended meanwhile.
                return Ok(());
            };
            known.part = part.saturating_add(u64::from(is_complete));
            known.seen = watch.seen;
            for (charge, again) in compared {
                see(trial, &mut known.result, charge, again);
            }
        }
        Ok(())
    }

    /// The charges that concern a trial, priced by the other release; `None` when there is no room
    /// for it now.
    fn compare<'c>(
        &self,
        trial: &Trial,
        charges: &'c [PastCharge],
    ) -> Option<Vec<(&'c PastCharge, Result<Priced, PolicyError>)>> {
        let mut of: HashMap<ReleaseId, Vec<&PastCharge>> = HashMap::new();
        for charge in charges {
            if let Some(other) = self.other(trial, charge) {
                of.entry(other).or_default().push(charge);
            }
        }
        let mut compared = Vec::with_capacity(charges.len());
        for (other, charges) in of {
            for batch in charges.chunks(BATCH_MAX) {
                let questions: Vec<_> = batch.iter().map(|charge| charge.request()).collect();
                let answers = self.engine.rate_batch(&other, &questions);
                if answers.contains(&Err(PolicyError::Busy)) {
                    return None;
                }
                compared.extend(batch.iter().copied().zip(answers));
            }
        }
        Some(compared)
    }

    /// What prices a charge again for a trial; `None` where it does not concern it.
    fn other(&self, trial: &Trial, charge: &PastCharge) -> Option<ReleaseId> {
        let facts = &charge.pricing.facts;
        let plan = facts.plan.as_deref();
        let charged = charge.pricing.release?;
        let bindings = self.store.bindings();
        if !bindings.concerns(&trial.scope, charge.org, plan) {
            return None;
        }
        match &trial.kind {
            TrialKind::Shadow => (charged != trial.release).then_some(trial.release),
            TrialKind::Canary(_) => {
                let bound = bindings.bound_for(trial.scope.deployment, charge.org, plan)?;
                (charged == trial.release && bound != charged).then_some(bound)
            }
        }
    }
}

/// Counts one comparison.
fn see(
    trial: &Trial,
    result: &mut TrialResult,
    charge: &PastCharge,
    again: Result<Priced, PolicyError>,
) {
    let charged = charge.pricing.price_usd;
    let is_shadow = trial.kind == TrialKind::Shadow;
    let (again, reason) = match again {
        Ok(priced) => (Some(priced.price_usd), None),
        Err(PolicyError::Refused(refusal)) => {
            result.refused = result.refused.saturating_add(1);
            (None, Some(refusal.to_string()))
        }
        Err(error) => {
            // What is bound may fail where the candidate did not: that is no fault of the candidate.
            let count = if is_shadow {
                &mut result.faults
            } else {
                &mut result.refused
            };
            *count = count.saturating_add(1);
            (None, Some(error.to_string()))
        }
    };
    let (bound, candidate) = if is_shadow {
        (Some(charged), again)
    } else {
        (again, Some(charged))
    };
    if let (Some(bound), Some(candidate)) = (bound, candidate) {
        result.compared = result.compared.saturating_add(1);
        let count = match candidate.cmp(&bound) {
            std::cmp::Ordering::Equal => &mut result.same,
            std::cmp::Ordering::Greater => &mut result.dearer,
            std::cmp::Ordering::Less => &mut result.cheaper,
        };
        *count = count.saturating_add(1);
        // Sums that no longer fit stay as they are: no ledger has charged 10^28 dollars.
        result.bound_usd = exact::add(result.bound_usd, bound).unwrap_or(result.bound_usd);
        result.candidate_usd =
            exact::add(result.candidate_usd, candidate).unwrap_or(result.candidate_usd);
        let moved = exact::sub(candidate, bound).map(|difference| difference.abs());
        let moved = moved.and_then(|moved| exact::add(result.moved_usd, moved));
        result.moved_usd = moved.unwrap_or(result.moved_usd);
        if bound == candidate {
            return;
        }
    }
    result.samples.push(TrialSample {
        org: charge.org,
        charge: charge.charge,
        bound_usd: bound,
        candidate_usd: candidate,
        reason: reason.map(Into::into),
    });
    result.samples.sort_by_key(|sample| Reverse(weight(sample)));
    result.samples.truncate(SAMPLES);
}

/// What has only one price comes first, then by how much they differ.
fn weight(sample: &TrialSample) -> (bool, Decimal) {
    match (sample.bound_usd, sample.candidate_usd) {
        (Some(bound), Some(candidate)) => {
            let difference = exact::sub(bound, candidate).unwrap_or(Decimal::MAX);
            (false, difference.abs())
        }
        (one, other) => (true, one.or(other).unwrap_or_default()),
    }
}

/// Why a trial is over, where a bound is passed.
fn passed(trial: &Trial, result: &TrialResult) -> Option<Box<str>> {
    let bounds = &trial.bounds;
    if result.faults > bounds.faults_max {
        let (faults, max) = (result.faults, bounds.faults_max);
        return Some(format!("the candidate failed {faults} times; {max} are allowed").into());
    }
    if let Some(max) = bounds.refused_max.filter(|max| result.refused > *max) {
        let refused = result.refused;
        let told = format!("{refused} calls have a price under one release only; {max} may");
        return Some(told.into());
    }
    let max = bounds.change_max?;
    let is_passed = result.compared >= bounds.calls_min && change_passes(result, max.get())?;
    is_passed.then(|| {
        format!(
            "{} calls are USD {} under the candidate and USD {} under what is bound: call by call \
             they differ by USD {}, which is more than {} %",
            result.compared,
            result.candidate_usd.normalize(),
            result.bound_usd.normalize(),
            result.moved_usd.normalize(),
            max.percent()
        )
        .into()
    })
}

/// Σ|candidate − bound| × 10,000 > Σ bound × points. Who pays twice is not made good by who pays
/// nothing, so it is not the difference of the sums. Sums that leave the range decide nothing.
fn change_passes(result: &TrialResult, points: u32) -> Option<bool> {
    let scaled = exact::mul(result.moved_usd, Decimal::from(10_000)).ok()?;
    let bound = exact::mul(result.bound_usd, Decimal::from(points)).ok()?;
    Some(scaled > bound)
}
