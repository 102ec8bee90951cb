//! What each org has used of what the book counts: free quotas, volume steps, maximums.
//!
//! Calls run at once, and two of them must not both have the last free unit. So what a rated call
//! counts is added here in the same step that rates it, before its write is even in the queue;
//! a write that takes no effect is taken back. Durable are the counts of charges (`counts` in the
//! store), which are read when an org's counter is asked for the first time since start.
//!
//! Only books with such rules come here: for all others rating takes no lock.

use super::Service;
use super::breaker::Question;
use super::ledger::failure::ReadError;
use super::ledger::write::Counted;
use super::policy::{PolicyError, Priced, ReleaseId};
use farebox_ledger::ids::OrgId;
use farebox_pricing::book::Per;
use farebox_pricing::event::{Facts, UsageEvent};
use farebox_pricing::exact;
use farebox_pricing::meter::Attribute;
use farebox_pricing::rating::COUNT_PREFIX;
use rust_decimal::Decimal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counters since start. Each org has a lock of its own: it is held while a call is rated, and one
/// org's calls must not wait for another's.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<HashMap<OrgId, Arc<Mutex<Known>>>>);

/// Of each rule of an org, its latest periods and how much was counted in them.
type Known = HashMap<Box<str>, Vec<(Box<str>, Decimal)>>;

impl Counters {
    fn of(&self, org: OrgId) -> Arc<Mutex<Known>> {
        let mut orgs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(orgs.entry(org).or_default())
    }
}

/// How many periods of a counter are kept: late usage may be of the one before.
const PERIODS_KEPT: usize = 3;

impl Service {
    /// The same through the breaker.
    ///
    /// # Errors
    /// The inner error is the policy's; the outer says that the counts cannot be read.
    pub(super) fn ask_counted(
        &self,
        question: Question,
        release: ReleaseId,
        org: OrgId,
        event: &UsageEvent,
        facts: &mut Facts,
    ) -> Result<(Result<Priced, PolicyError>, Vec<Counted>), ReadError> {
        let mut counted = Ok(Vec::new());
        let answer = self.ask(release, org, question, || {
            match self.rate_counted(&release, org, event, facts) {
                Ok((answer, found)) => {
                    counted = Ok(found);
                    answer
                }
                Err(error) => {
                    counted = Err(error);
                    // Says nothing of the policy.
                    Err(PolicyError::NotLoaded)
                }
            }
        });
        Ok((answer, counted?))
    }

    /// Rates an event, with what the release's book counts among its facts.
    ///
    /// # Errors
    /// The inner error is the policy's; the outer says that the counts cannot be read.
    pub(super) fn rate_counted(
        &self,
        release: &ReleaseId,
        org: OrgId,
        event: &UsageEvent,
        facts: &mut Facts,
    ) -> Result<(Result<Priced, PolicyError>, Vec<Counted>), ReadError> {
        let counters = self.engine.counters(release);
        if counters.is_empty() {
            return Ok((self.engine.rate(release, event, facts), Vec::new()));
        }
        let at_ms = facts.occurred_at_ms;
        let known = self.counters.of(org);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        for (rule, per) in counters.iter() {
            let period = period_of(*per, at_ms);
            let periods = known.entry(rule.clone()).or_default();
            let value = match periods.iter().find(|(name, _)| *name == period) {
                Some((_, value)) => *value,
                None => {
                    let value = self.store.counted(org, rule, &period)?;
                    periods.push((period, value));
                    forget_oldest(periods);
                    value
                }
            };
            if !value.is_zero() {
                facts.other.push(Attribute {
                    name: format!("{COUNT_PREFIX}{rule}").into(),
                    value: value.normalize().to_string().into(),
                });
            }
        }
        facts.other.sort_by(|a, b| a.name.cmp(&b.name));
        let answer = self.engine.rate(release, event, facts);
        let Ok(priced) = &answer else {
            return Ok((answer, Vec::new()));
        };
        let counts = self.engine.counts(release, event, facts, priced.price_usd);
        let counted: Vec<Counted> = counts
            .into_iter()
            .map(|count| Counted {
                period: period_of(count.per, at_ms),
                rule: count.rule,
                quantity: count.quantity,
            })
            .collect();
        for count in &counted {
            change(&mut known, count, exact::add);
        }
        Ok((answer, counted))
    }

    /// Takes back what was counted of a charge that took no effect.
    pub(super) fn take_back(&self, org: OrgId, counted: &[Counted]) {
        if counted.is_empty() {
            return;
        }
        let known = self.counters.of(org);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        for count in counted {
            change(&mut known, count, exact::sub);
        }
    }
}

/// Makes room beside the last, which is asked for now and stays: late usage of long ago must not
/// push out today's count, whose latest writes may not be durable yet.
fn forget_oldest(periods: &mut Vec<(Box<str>, Decimal)>) {
    if periods.len() <= PERIODS_KEPT {
        return;
    }
    let others = periods.len().saturating_sub(1);
    let others = periods.iter().take(others).enumerate();
    let oldest = others.min_by(|(_, (a, _)), (_, (b, _))| a.cmp(b));
    if let Some((oldest, _)) = oldest {
        periods.remove(oldest);
    }
}

/// A count that no longer fits stays as it is: no rule has a step at 10^28.
fn change(
    known: &mut Known,
    count: &Counted,
    by: fn(Decimal, Decimal) -> Result<Decimal, exact::ArithmeticError>,
) {
    let periods = known.get_mut(&count.rule);
    let found = periods.and_then(|all| all.iter_mut().find(|(name, _)| *name == count.period));
    if let Some((_, value)) = found
        && let Ok(changed) = by(*value, count.quantity)
    {
        *value = changed;
    }
}

/// The UTC day or month of a moment, `2026-11-21` or `2026-11`.
pub(super) fn period_of(per: Per, at_ms: i64) -> Box<str> {
    let date = jiff::Timestamp::from_millisecond(at_ms)
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let month = format!("{:04}-{:02}", date.year(), date.month());
    match per {
        Per::Day => format!("{month}-{:02}", date.day()).into(),
        Per::Month | Per::Call => month.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_usage_does_not_push_out_todays_count() {
        let mut periods = Vec::new();
        for period in [
            "2026-11-20",
            "2026-11-21",
            "2026-11-01",
            "2026-10-31",
            "2026-10-30",
        ] {
            periods.push((Box::from(period), Decimal::ZERO));
            forget_oldest(&mut periods);
        }
        let kept: Vec<_> = periods.iter().map(|(period, _)| &**period).collect();
        assert_eq!(kept.len(), PERIODS_KEPT);
        assert!(
            kept.contains(&"2026-11-21") && kept.contains(&"2026-10-30"),
            "{kept:?}"
        );
    }
}
