//! What a service tier costs in a region that says nothing of that tier.
//!
//! A provider that serves a tier in a region charges the region's uplift there as well, and no
//! source says so of every pair. So a tier is raised as the region raises the standard price, rate
//! by rate: what it costs elsewhere × what the region asks ÷ what is asked elsewhere, and never
//! lowered. In the same way large prompts are raised of which the region says nothing. It must not
//! know texts: only rates.

use super::tables::{Contexts, Rates, below};
use super::values::{AMOUNT_MAX, SCALE_MAX};
use farebox_pricing::meter::{Attribute, Meter};
use rust_decimal::Decimal;
use std::collections::BTreeSet;

/// The most digits of a price that was divided; what lies beyond rounds it up. Enough for any
/// price that is written, and few enough that quantities and markups multiply it exactly.
const DIGITS: u32 = 9;

/// The standard prices elsewhere and in a region.
#[derive(Clone, Copy)]
pub(super) struct Uplift<'c> {
    pub(super) elsewhere: &'c Contexts,
    pub(super) regional: &'c Contexts,
}

impl Uplift<'_> {
    /// What `tier`, the prices of a service tier elsewhere, becomes in the region; without the
    /// meters that are `silent` in it, whose price a fallback of the tier supplies.
    ///
    /// `Err` is the meter whose price would be too large.
    pub(super) fn of(&self, tier: &Contexts, silent: &BTreeSet<Meter>) -> Result<Contexts, Meter> {
        let sizes: BTreeSet<Option<u64>> =
            tier.keys().chain(self.regional.keys()).copied().collect();
        sizes
            .into_iter()
            .map(|above| {
                let level = Level {
                    tier: below(tier, above),
                    elsewhere: below(self.elsewhere, above),
                    regional: below(self.regional, above),
                };
                Ok((above, level.raised(silent)?))
            })
            .collect()
    }
}

/// What every context size elsewhere becomes in a region whose prices for small prompts are `small`.
///
/// `Err` is the meter whose price would be too large.
pub(super) fn of_large_prompts(elsewhere: &Contexts, small: &Rates) -> Result<Contexts, Meter> {
    let sizes = elsewhere.iter().map(|(above, rates)| match above {
        None => Ok((None, rates.clone())),
        Some(_) => {
            let level = Level {
                tier: rates.clone(),
                elsewhere: below(elsewhere, None),
                regional: small.clone(),
            };
            Ok((*above, level.raised(&BTreeSet::new())?))
        }
    });
    sizes.collect()
}

/// The rates of one context size.
struct Level {
    tier: Rates,
    elsewhere: Rates,
    regional: Rates,
}

impl Level {
    fn raised(&self, silent: &BTreeSet<Meter>) -> Result<Rates, Meter> {
        let keys: BTreeSet<&Key> = self.tier.keys().chain(self.regional.keys()).collect();
        let tokens = self.regional.keys().filter(|(meter, _)| meter.is_tokens());
        let raises: Vec<Raise> = tokens.filter_map(|key| self.raise(key)).collect();
        let mut rates = Rates::new();
        for key in keys {
            let regional = price_of(&self.regional, key);
            let usd = match price_of(&self.tier, key) {
                None if silent.contains(&key.0) => continue,
                None => regional,
                Some(usd) => {
                    // Without a standard price to compare, a token is raised like the one that is
                    // raised most.
                    let own = self.raise(key);
                    let others = if own.is_none() && key.0.is_tokens() {
                        raises.as_slice()
                    } else {
                        &[]
                    };
                    let mut raised = usd;
                    for raise in own.iter().chain(others) {
                        let usd = raise.apply(usd).ok_or_else(|| key.0.clone())?;
                        raised = raised.max(usd);
                    }
                    let is_new = price_of(&self.elsewhere, key).is_none_or(|usd| usd.is_zero());
                    let least = regional.filter(|_| is_new).unwrap_or_default();
                    Some(raised.max(least))
                }
            };
            rates.extend(usd.map(|usd| (key.clone(), usd)));
        }
        Ok(rates)
    }

    /// How the region raises the standard price; `None` when there is none to compare.
    fn raise(&self, key: &Key) -> Option<Raise> {
        let from = price_of(&self.elsewhere, key).filter(|usd| !usd.is_zero())?;
        let to = price_of(&self.regional, key)?;
        Some(Raise { from, to })
    }
}

/// A meter with the attributes of a pool.
type Key = (Meter, Vec<Attribute>);

/// What a pool like `key` costs: the rate with the most of its attributes.
fn price_of(rates: &Rates, (meter, attributes): &Key) -> Option<Decimal> {
    let fitting = rates.iter().filter(|((priced, wanted), _)| {
        priced == meter && wanted.iter().all(|wanted| attributes.contains(wanted))
    });
    let best = fitting.max_by_key(|((_, wanted), _)| wanted.len());
    best.map(|(_, usd)| *usd)
}

/// From a price above zero to another.
#[derive(Clone, Copy)]
struct Raise {
    from: Decimal,
    to: Decimal,
}

impl Raise {
    /// `usd × to ÷ from`, never below `usd`; `None` when it is too large.
    fn apply(self, usd: Decimal) -> Option<Decimal> {
        if self.to <= self.from {
            return Some(usd);
        }
        quotient(usd, self)
    }
}

/// `usd × to ÷ from` in at most [`DIGITS`] digits, rounded up; `None` when it is too large.
fn quotient(usd: Decimal, Raise { from, to }: Raise) -> Option<Decimal> {
    let [usd, from, to] = [usd, from, to].map(|value| value.normalize());
    let mut numerator = digits(usd).checked_mul(digits(to))?;
    if numerator == 0 {
        return Some(Decimal::ZERO);
    }
    let scales = i64::from(usd.scale()).checked_add(i64::from(to.scale()))?;
    let mut places = scales.checked_sub(i64::from(from.scale()))?;
    while let Some(longer) = numerator.checked_mul(10) {
        numerator = longer;
        places = places.checked_add(1)?;
    }
    let divisor = digits(from);
    let mut quotient = (divisor > 0).then(|| numerator.div_ceil(divisor))?;
    let end = 10_u128.checked_pow(DIGITS)?;
    while quotient > end || places > i64::from(SCALE_MAX) {
        quotient = quotient.div_ceil(10);
        places = places.checked_sub(1)?;
    }
    while places < 0 {
        quotient = quotient.checked_mul(10)?;
        places = places.checked_add(1)?;
    }
    let quotient = i128::try_from(quotient).ok()?;
    let price = Decimal::try_from_i128_with_scale(quotient, u32::try_from(places).ok()?).ok()?;
    (price <= AMOUNT_MAX).then(|| price.normalize())
}

/// The digits of `value`, without its decimal point.
const fn digits(value: Decimal) -> u128 {
    value.mantissa().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_price_is_raised_in_proportion_and_rounded_up_at_its_ninth_digit() {
        for (usd, from, to, raised) in [
            // 1.25 × 2.75 ÷ 2.5.
            ("0.00000125", "0.0000025", "0.00000275", Some("0.000001375")),
            // 1 × 1 ÷ 3 and 2 × 2 ÷ 3, and the same far to the left.
            ("1", "0.3", "1", Some("3.33333334")),
            ("2", "3", "2", Some("2")),
            ("2000000", "0.3", "2", Some("13333333.4")),
            // The smallest price that a book holds, three times.
            ("1e-24", "1", "3", Some("0.000000000000000000000003")),
            ("1e-24", "2", "3", Some("0.000000000000000000000002")),
            ("0", "1", "3", Some("0")),
            // Never lowered.
            ("5", "2", "1", Some("5")),
            // A thousand million USD is the most.
            ("1000", "0.000001", "1", Some("1000000000")),
            ("1001", "0.000001", "1", None),
        ] {
            let raise = Raise {
                from: d(from),
                to: d(to),
            };
            let usd = usd
                .parse()
                .or_else(|_| Decimal::from_scientific(usd))
                .unwrap();
            assert_eq!(raise.apply(usd), raised.map(d), "{usd} {from} {to}");
        }
    }
}
