//! Rating under a release whose book counts: one charge after the other, each with what was counted
//! of its org until then.

use super::rating::without_counts;
use crate::service::counts::period_of;
use crate::service::ledger::past::PastCharge;
use crate::service::policy::{Counters, PolicyEngine, PolicyError, Priced, ReleaseId};
use farebox_ledger::ids::OrgId;
use farebox_pricing::exact;
use farebox_pricing::meter::Attribute;
use farebox_pricing::rating::COUNT_PREFIX;
use rust_decimal::Decimal;
use std::collections::HashMap;

/// Periods of a counter that are kept: late usage may be of the one before.
const PERIODS_KEPT: usize = 3;

/// What a release has counted so far. Grows with orgs and rules, not with charges.
pub(super) struct Recount<'e> {
    engine: &'e dyn PolicyEngine,
    release: ReleaseId,
    counters: Counters,
    /// Of each org and rule.
    known: HashMap<(OrgId, Box<str>), Periods>,
}

/// The latest periods, and how much was counted in them.
type Periods = Vec<(Box<str>, Decimal)>;

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

    /// Rates the next charge, and counts it. Its facts are then those it was rated with.
    pub(super) fn rate(&mut self, charge: &mut PastCharge) -> Result<Priced, PolicyError> {
        if charge.pricing.release.is_none() {
            return Err(PolicyError::NotLoaded);
        }
        let facts = &mut charge.pricing.facts;
        let at_ms = facts.occurred_at_ms;
        without_counts(facts);
        for (rule, per) in self.counters.iter() {
            let period = period_of(*per, at_ms);
            let periods = self.known.get(&(charge.org, rule.clone()));
            let value = periods
                .and_then(|all| all.iter().find(|(name, _)| *name == period))
                .map(|(_, value)| *value);
            if let Some(value) = value.filter(|value| !value.is_zero()) {
                facts.other.push(Attribute {
                    name: format!("{COUNT_PREFIX}{rule}").into(),
                    value: value.normalize().to_string().into(),
                });
            }
        }
        facts.other.sort_by(|a, b| a.name.cmp(&b.name));
        let priced = self.engine.rate(&self.release, &charge.event, facts)?;
        let counts = self
            .engine
            .counts(&self.release, &charge.event, facts, priced.price_usd);
        for count in counts {
            let period = period_of(count.per, at_ms);
            let periods = self.known.entry((charge.org, count.rule)).or_default();
            match periods.iter_mut().find(|(name, _)| *name == period) {
                // A count that no longer fits stays as it is: no rule has a step at 10^28.
                Some((_, value)) => *value = exact::add(*value, count.quantity).unwrap_or(*value),
                None => {
                    periods.push((period, count.quantity));
                    if periods.len() > PERIODS_KEPT {
                        periods.remove(0);
                    }
                }
            }
        }
        Ok(priced)
    }
}

/// The first moment of the UTC month in which `at_ms` lies.
pub(super) fn month_of(at_ms: i64) -> i64 {
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
    }
}
