//! Pools that are priced in parts: free units of an allowance come first, and a marginal context
//! divides the rest at its thresholds.
//!
//! Apart from [`super::price_usage`], so that the many models without either pay nothing for it.

use super::super::lookup::{Conditions, PriceList, unreadable};
use super::super::out_of_range;
use super::super::sheet::SheetPrices;
use super::{PricedPool, amount_out_of_range, must_be_whole};
use crate::answer::{Refusal, is_in_range};
use crate::book::Allowance;
use crate::event::{Facts, UsageEvent};
use crate::exact::{self, ArithmeticError};
use crate::meter::{Attribute, Meter};
use rust_decimal::Decimal;

pub(super) fn price_usage<'b>(
    list: &PriceList<'b>,
    event: &UsageEvent,
    prices: SheetPrices<'_>,
    facts: &Facts,
    each: &mut impl FnMut(PricedPool<'_, 'b>),
) -> Result<Decimal, Refusal> {
    let mut parts = Parts {
        list,
        prices,
        conditions: Conditions::of(event, list)?,
        steps: if list.model.context_marginal {
            list.context_steps()
        } else {
            Vec::new()
        },
        total: Decimal::ZERO,
        each,
    };
    let mut counts_requests = false;
    for (number, pool) in event.pools.iter().enumerate() {
        let meter = &pool.meter;
        counts_requests |= *meter == Meter::Request;
        let quantity = pool.quantity.get();
        if quantity.is_zero() {
            continue;
        }
        must_be_whole(meter, quantity)?;
        // Units of the same meter count together, whatever their attributes.
        let before = event.pools.iter().take(number);
        let before = before.filter(|before| before.meter == *meter);
        let before = exact::sum(before.map(|before| before.quantity.get()));
        let before = before.map_err(|_| amount_out_of_range(meter))?;
        let units = Units {
            meter,
            attributes: &pool.attributes,
            is_fee: false,
        };
        parts.price(units, before, quantity, facts)?;
    }
    if !counts_requests {
        let meter = &Meter::Request;
        match parts.conditions.direct(list, meter, &[]) {
            Some(_) => {
                let fee = Units {
                    meter,
                    attributes: &[],
                    is_fee: true,
                };
                parts.price(fee, Decimal::ZERO, Decimal::ONE, facts)?;
            }
            None if event.pools.is_empty() => return Err(list.not_priced(meter)),
            None => {}
        }
    }
    if !is_in_range(parts.total) {
        return Err(out_of_range("provider cost"));
    }
    Ok(parts.total)
}

/// What is priced.
#[derive(Clone, Copy)]
struct Units<'u> {
    meter: &'u Meter,
    attributes: &'u [Attribute],
    /// Whether it is the fee that every call pays: only a rate of the book's own is one, never a
    /// fallback, and a quote counts on that.
    is_fee: bool,
}

struct Parts<'p, 'b, F> {
    list: &'p PriceList<'b>,
    prices: SheetPrices<'p>,
    conditions: Conditions<'p>,
    /// Thresholds of a marginal context, ascending.
    steps: Vec<u64>,
    total: Decimal,
    each: &'p mut F,
}

impl<'b, F: FnMut(PricedPool<'_, 'b>)> Parts<'_, 'b, F> {
    /// Prices `quantity` units that follow `before` units of the same meter in this event.
    fn price(
        &mut self,
        units: Units<'_>,
        before: Decimal,
        quantity: Decimal,
        facts: &Facts,
    ) -> Result<(), Refusal> {
        let meter = units.meter;
        let mut from = before;
        let end = exact::add(before, quantity).map_err(|_| amount_out_of_range(meter))?;
        let mut allowances = self.list.period.allowances.iter();
        if let Some(allowance) = allowances.find(|allowance| allowance.meter == *meter) {
            let free_until = free_units(allowance, facts)?.min(end);
            if free_until > from {
                self.part(units, from, free_until, Some(&allowance.name))?;
                from = free_until;
            }
        }
        let steps = std::mem::take(&mut self.steps);
        for step in &steps {
            let step = Decimal::from(*step);
            if from < step && step < end {
                self.part(units, from, step, None)?;
                from = step;
            }
        }
        self.steps = steps;
        if from < end {
            self.part(units, from, end, None)?;
        }
        Ok(())
    }

    /// Prices the units from `from` to `to`, which lie between two thresholds.
    fn part(
        &mut self,
        units: Units<'_>,
        from: Decimal,
        to: Decimal,
        allowance: Option<&'b str>,
    ) -> Result<(), Refusal> {
        let Units {
            meter,
            attributes,
            is_fee,
        } = units;
        let beyond;
        let conditions = if self.list.model.context_marginal {
            beyond = self.conditions.beyond(from);
            &beyond
        } else {
            &self.conditions
        };
        let found = if is_fee {
            conditions.direct(self.list, meter, attributes)
        } else {
            conditions.rate_for(self.list, meter, attributes)
        };
        let Some(found) = found else {
            return Err(self.list.not_priced(meter));
        };
        let amounts = || -> Result<_, ArithmeticError> {
            let quantity = exact::sub(to, from)?;
            // What the list gives away, a sheet may still price.
            let list_usd = match allowance {
                Some(_) => Decimal::ZERO,
                None => conditions.unit_price(&found)?,
            };
            let unit_price_usd = self.prices.of_found(meter, list_usd, &found)?;
            let amount_usd = exact::mul(quantity, unit_price_usd)?;
            Ok((
                quantity,
                unit_price_usd,
                amount_usd,
                exact::add(self.total, amount_usd)?,
            ))
        };
        let (quantity, unit_price_usd, amount_usd, total) =
            amounts().map_err(|_| amount_out_of_range(meter))?;
        self.total = total;
        (self.each)(PricedPool {
            meter,
            quantity,
            unit_price_usd,
            amount_usd,
            conditions,
            found,
            allowance,
        });
        Ok(())
    }
}

/// How many units of this call are free. Without the fact none is: a cost must not be assumed away.
fn free_units(allowance: &Allowance, facts: &Facts) -> Result<Decimal, Refusal> {
    let mut other = facts.other.iter();
    let used = other.find(|fact| {
        let name = fact.name.strip_prefix("used:");
        name == Some(&*allowance.name)
    });
    let used = match used {
        Some(fact) => fact.value.parse::<u64>().map_err(|_| unreadable(fact))?,
        None => return Ok(Decimal::ZERO),
    };
    Ok(Decimal::from(allowance.count.saturating_sub(used)))
}
