//! What a bill becomes after its rule: free quotas, volume steps, rounding, maximum, floor.
//!
//! Only books that use such terms come here. The order is fixed (see [`crate::terms`]); each step
//! adds lines and never changes one, so a customer can follow the bill from top to bottom.

use super::charge::{Bill, own_key_cap};
use super::lookup::unreadable;
use super::out_of_range;
use super::scope::Call;
use crate::answer::{Line, LineKind, Reason, Refusal};
use crate::book::{Book, FreeQuota, Maximum, Per, Sale, Volume};
use crate::event::Facts;
use crate::exact;
use crate::meter::Meter;
use crate::money::Rounding;
use rust_decimal::Decimal;

/// What the terms took note of on the way to a price: what the host has to count, and how much
/// was given away by rules that declare it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What a declared loss-leader took off the price, in USD.
    pub declared_usd: Decimal,
    /// Rules that count, and by how much.
    pub counts: Vec<(Box<str>, Per, Decimal)>,
}

/// What the host counted for the rule called `name`.
fn counted(facts: &Facts, name: &str) -> Result<Decimal, Refusal> {
    let fact = facts.other.iter().find(|fact| {
        let counter = fact.name.strip_prefix(super::COUNT_PREFIX);
        counter == Some(name)
    });
    let Some(fact) = fact else {
        return Ok(Decimal::ZERO);
    };
    Decimal::from_str_exact(&fact.value)
        .ok()
        .filter(|count| !exact::is_negative(*count))
        .ok_or_else(|| unreadable(fact))
}

impl Bill {
    /// Takes off what is left of the free quotas. `factor` is what the rule multiplied prices by.
    pub fn give_free_quotas(
        &mut self,
        call: &Call<'_>,
        sale: &Sale,
        factor: Decimal,
        tally: &mut Tally,
    ) -> Result<(), Refusal> {
        let mut seen: Vec<&Meter> = Vec::new();
        for quota in &sale.free_quotas {
            if !call.is_in(&quota.scope) || seen.contains(&&quota.meter) {
                continue;
            }
            seen.push(&quota.meter);
            self.give(call, quota, factor, tally)?;
        }
        Ok(())
    }

    fn give(
        &mut self,
        call: &Call<'_>,
        quota: &FreeQuota,
        factor: Decimal,
        tally: &mut Tally,
    ) -> Result<(), Refusal> {
        let inexact = |_| out_of_range("free units");
        let before = counted(call.facts, &quota.name)?;
        let mut left = exact::sub(quota.quantity, before.min(quota.quantity));
        let mut used = Decimal::ZERO;
        let is_usage = |line: &&Line| {
            line.kind == LineKind::Usage && line.meter.as_ref() == Some(&quota.meter)
        };
        let lines: Vec<_> = self.lines.iter().filter(is_usage).cloned().collect();
        for line in lines {
            used = exact::add(used, line.quantity).map_err(inexact)?;
            let free = left.map_err(inexact)?.min(line.quantity);
            left = exact::sub(left.map_err(inexact)?, free);
            let price = exact::mul(line.unit_price_usd, factor).map_err(inexact)?;
            if !free.is_zero() && !price.is_zero() {
                let taken = self.discount(line.meter.as_ref(), free, price, &quota.name)?;
                tally.declare(quota.loss_leader, taken)?;
            }
        }
        if !used.is_zero() {
            tally.count(&quota.name, quota.per, used);
        }
        Ok(())
    }

    /// Prices the bill so far by what was consumed this month.
    pub fn step_volume(
        &mut self,
        call: &Call<'_>,
        sale: &Sale,
        tally: &mut Tally,
    ) -> Result<(), Refusal> {
        let mut volumes = sale.volumes.iter();
        let Some(volume) = volumes.find(|volume| call.is_in(&volume.scope)) else {
            return Ok(());
        };
        let amount = self.total_usd;
        if amount.is_zero() {
            return Ok(());
        }
        let before = counted(call.facts, &volume.name)?;
        let after = exact::add(before, amount).map_err(|_| out_of_range("consumption"))?;
        tally.count(&volume.name, Per::Month, amount);
        for (number, step) in volume.steps.iter().enumerate() {
            let next = volume.steps.get(number.saturating_add(1));
            let until = next.map_or(after, |next| next.above_usd.min(after));
            let part = if volume.whole {
                let reached = after > step.above_usd && after == until;
                if reached { amount } else { Decimal::ZERO }
            } else {
                let from = step.above_usd.max(before);
                exact::sub(until, from.min(until)).map_err(|_| out_of_range("consumption"))?
            };
            if !part.is_zero() {
                self.step(volume, step.factor, part, tally)?;
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        volume: &Volume,
        factor: Decimal,
        part: Decimal,
        tally: &mut Tally,
    ) -> Result<(), Refusal> {
        let rate = exact::sub(factor, Decimal::ONE).map_err(|_| out_of_range("volume step"))?;
        if rate.is_zero() {
            return Ok(());
        }
        let rule = volume.name.clone();
        if exact::is_negative(rate) {
            let off = exact::sub(Decimal::ONE, factor).map_err(|_| out_of_range("volume step"))?;
            let taken = self.discount(None, part, off, &volume.name)?;
            return tally.declare(volume.loss_leader, taken);
        }
        self.add(LineKind::Markup, None, part, rate, Reason::Markup { rule })
    }

    /// The dearest that volume steps can make the bill.
    pub fn step_volume_at_worst(&mut self, call: &Call<'_>, sale: &Sale) -> Result<(), Refusal> {
        let mut volumes = sale.volumes.iter();
        let Some(volume) = volumes.find(|volume| call.is_in(&volume.scope)) else {
            return Ok(());
        };
        let factors = volume.steps.iter().map(|step| step.factor);
        let factor = factors.fold(Decimal::ONE, Decimal::max);
        self.step(volume, factor, self.total_usd, &mut Tally::default())
    }

    /// Brings the total to a whole multiple of the step.
    pub fn round_to(&mut self, step: Decimal, rounding: Rounding) -> Result<(), Refusal> {
        let rounded = multiple(self.total_usd, step, rounding)
            .ok_or_else(|| out_of_range("rounded charge"))?;
        let change =
            exact::sub(rounded, self.total_usd).map_err(|_| out_of_range("rounded charge"))?;
        let kind = if change.is_zero() {
            return Ok(());
        } else if exact::is_negative(change) {
            LineKind::Discount
        } else {
            LineKind::Minimum
        };
        let reason = Reason::Custom {
            code: "rounding".into(),
            parameters: Vec::new(),
        };
        self.add(kind, None, Decimal::ONE, change, reason)
    }

    /// Cuts the total to the lowest maximum that matches. A quote asks only those per call: what
    /// is left of a month may be more by then.
    pub fn cut(
        &mut self,
        call: &Call<'_>,
        sale: &Sale,
        is_quote: bool,
        tally: &mut Tally,
    ) -> Result<(), Refusal> {
        let mut lowest: Option<(Decimal, &Maximum)> = None;
        let matching = sale.maximums.iter().filter(|most| call.is_in(&most.scope));
        for most in matching.filter(|most| !is_quote || most.per == Per::Call) {
            let mut limit = most.usd;
            if most.per != Per::Call {
                let spent = counted(call.facts, &most.name)?.min(limit);
                limit = exact::sub(limit, spent).map_err(|_| out_of_range("maximum charge"))?;
            }
            if lowest.is_none_or(|(lowest, _)| limit < lowest) {
                lowest = Some((limit, most));
            }
        }
        let Some((limit, most)) = lowest.filter(|(limit, _)| *limit < self.total_usd) else {
            return Ok(());
        };
        let off = exact::sub(self.total_usd, limit).map_err(|_| out_of_range("maximum charge"))?;
        let taken = self.discount(None, Decimal::ONE, off, &most.name)?;
        tally.declare(most.loss_leader, taken)
    }

    /// Lifts the total to `floor_usd`: no call is sold below what it costs.
    pub fn lift_to_floor(&mut self, floor_usd: Decimal) -> Result<(), Refusal> {
        if exact::cmp(self.total_usd, floor_usd).is_ge() {
            return Ok(());
        }
        let missing =
            exact::sub(floor_usd, self.total_usd).map_err(|_| out_of_range("cost floor"))?;
        let reason = Reason::Minimum {
            rule: super::COST_FLOOR.into(),
        };
        self.add(LineKind::Minimum, None, Decimal::ONE, missing, reason)
    }

    /// Cuts a charge on the customer's own key to the cap: dearer volume steps and rounding are no
    /// way around it.
    pub fn keep_own_key_cap(
        &mut self,
        terms: &Book,
        market_usd: Option<Decimal>,
    ) -> Result<(), Refusal> {
        let cap = own_key_cap(terms, market_usd);
        if exact::cmp(self.total_usd, cap).is_le() {
            return Ok(());
        }
        let off = exact::sub(self.total_usd, cap).map_err(|_| out_of_range("cap for own keys"))?;
        self.discount(None, Decimal::ONE, off, super::OWN_KEY_CAP)?;
        Ok(())
    }

    /// Takes `quantity × off` off the price, and says how much that is.
    fn discount(
        &mut self,
        meter: Option<&Meter>,
        quantity: Decimal,
        off: Decimal,
        rule: &str,
    ) -> Result<Decimal, Refusal> {
        let before = self.total_usd;
        let mut price = off;
        price.set_sign_negative(true);
        let reason = Reason::Discount { rule: rule.into() };
        self.add(LineKind::Discount, meter, quantity, price, reason)?;
        exact::sub(before, self.total_usd).map_err(|_| out_of_range("discount"))
    }
}

impl Tally {
    fn declare(&mut self, is_loss_leader: bool, taken_usd: Decimal) -> Result<(), Refusal> {
        if is_loss_leader {
            self.declared_usd = exact::add(self.declared_usd, taken_usd)
                .map_err(|_| out_of_range("declared discounts"))?;
        }
        Ok(())
    }

    fn count(&mut self, name: &str, per: Per, quantity: Decimal) {
        self.counts.push((name.into(), per, quantity));
    }

    /// Counts what was charged for the maximums of a period.
    pub fn count_charged(&mut self, call: &Call<'_>, sale: &Sale, charged_usd: Decimal) {
        for most in &sale.maximums {
            if most.per != Per::Call && !charged_usd.is_zero() && call.is_in(&most.scope) {
                self.count(&most.name, most.per, charged_usd);
            }
        }
    }
}

/// The multiple of `step` that `amount` is rounded to; `None` when it does not fit.
fn multiple(amount: Decimal, step: Decimal, rounding: Rounding) -> Option<Decimal> {
    let scale = amount.scale().max(step.scale());
    let whole = |d: Decimal| {
        let places = scale.checked_sub(d.scale())?;
        d.mantissa().checked_mul(10_i128.checked_pow(places)?)
    };
    let (amount, step) = (whole(amount)?, whole(step)?);
    let rest = amount.checked_rem(step)?;
    let below = amount.checked_sub(rest)?;
    let up = match rounding {
        Rounding::TowardZero => false,
        Rounding::AwayFromZero => rest > 0,
        Rounding::HalfEven => {
            let is_odd = below.checked_div(step)?.checked_rem(2)? == 1;
            match rest.cmp(&step.checked_sub(rest)?) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Equal => is_odd,
            }
        }
    };
    let rounded = if up { below.checked_add(step)? } else { below };
    Decimal::try_from_i128_with_scale(rounded, scale)
        .ok()
        .map(|rounded| rounded.normalize())
}
