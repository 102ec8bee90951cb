//! Rating under a release whose book counts: one charge after the other, each with what was counted
//! of its org until then.

use super::Unrated;
use super::rating::without_counts;
use crate::service::counts::period_of;
use crate::service::ledger::past::PastCharge;
use crate::service::policy::{Counters, PolicyEngine, Priced, ReleaseId};
use farebox_ledger::ids::OrgId;
use farebox_pricing::exact;
use farebox_pricing::meter::Attribute;
use farebox_pricing::rating::COUNT_PREFIX;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, HashMap};

/// Periods of a counter that are kept. Usage is settled late, and reported late as far as the
/// server's skew allows, a month at most: a day that comes back after so many others begins at zero.
const PERIODS_KEPT: usize = 100;

/// What a release has counted so far. Grows with orgs, rules and periods, not with charges.
pub(super) struct Recount<'e> {
    engine: &'e dyn PolicyEngine,
    release: ReleaseId,
    counters: Counters,
    /// Of each org and rule.
    known: HashMap<(OrgId, Box<str>), Periods>,
}

/// The latest periods, whose names sort by time, and how much was counted in them.
type Periods = BTreeMap<Box<str>, Decimal>;

impl<'e> Recount<'e> {
    /// `None` for a release that counts nothing.
    pub(super) fn of(engine: &'e dyn PolicyEngine, release: ReleaseId) -> Option<Self> {
        let counters = engine.counters(&release);
        (!counters.is_empty()).then(|| Self {
            engine,
            release,
            counters,
            known: HashMap::new(),
        })
    }

    /// Rates the next charge, and counts it. Its facts are then those it was rated with. Nothing is
    /// known of what was used before `read_from`, the first moment of a month.
    pub(super) fn rate(
        &mut self,
        charge: &mut PastCharge,
        read_from: i64,
    ) -> Result<Priced, Unrated> {
        if charge.pricing.release.is_none() {
            return Err(Unrated::WrittenOff);
        }
        let facts = &mut charge.pricing.facts;
        let at_ms = facts.occurred_at_ms;
        if at_ms < read_from {
            return Err(Unrated::Uncounted);
        }
        without_counts(facts);
        for (rule, per) in self.counters.iter() {
            let period = period_of(*per, at_ms);
            let periods = self.known.get(&(charge.org, rule.clone()));
            let value = periods.and_then(|all| all.get(&period)).copied();
            if let Some(value) = value.filter(|value| !value.is_zero()) {
                facts.other.push(Attribute {
                    name: format!("{COUNT_PREFIX}{rule}").into(),
                    value: value.normalize().to_string().into(),
                });
            }
        }
        facts.other.sort_by(|a, b| a.name.cmp(&b.name));
        let rated = self.engine.rate(&self.release, &charge.event, facts);
        let priced = rated.map_err(Unrated::Policy)?;
        let counts = self
            .engine
            .counts(&self.release, &charge.event, facts, priced.price_usd);
        for count in counts {
            let period = period_of(count.per, at_ms);
            let periods = self.known.entry((charge.org, count.rule)).or_default();
            match periods.get_mut(&period) {
                // A count that no longer fits stays as it is: no rule has a step at 10^28.
                Some(value) => *value = exact::add(*value, count.quantity).unwrap_or(*value),
                None => {
                    periods.insert(period, count.quantity);
                    if periods.len() > PERIODS_KEPT {
                        periods.pop_first();
                    }
                }
            }
        }
        Ok(priced)
    }
}

/// From where charges are read so that what was used from then on is counted: the start of the UTC
/// month before the one in which `at_ms` lies. A report comes a month after its call at most.
pub(super) fn read_from(at_ms: i64) -> i64 {
    month_of(month_of(at_ms).saturating_sub(1))
}

/// The first moment of the UTC month in which `at_ms` lies.
fn month_of(at_ms: i64) -> i64 {
    jiff::Timestamp::from_millisecond(at_ms)
        .ok()
        .and_then(|at| {
            let at = at.to_zoned(jiff::tz::TimeZone::UTC);
            at.first_of_month().ok()?.start_of_day().ok()
        })
        .map_or(at_ms, |at| at.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_begins_with_the_month() {
        // 2026-11-21T00:00:00Z and 2026-11-01T00:00:00Z.
        assert_eq!(month_of(1_795_219_200_000), 1_793_491_200_000);
        assert_eq!(month_of(1_793_491_200_000), 1_793_491_200_000);
        assert_eq!(month_of(i64::MIN), i64::MIN);
        // 2026-10-01T00:00:00Z.
        assert_eq!(read_from(1_795_219_200_000), 1_790_812_800_000);
        assert_eq!(read_from(i64::MIN), i64::MIN);
    }
}
