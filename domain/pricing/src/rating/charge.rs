//! From what a call costs to what it is charged: rules, markup, fees and minimums.

use super::out_of_range;
use super::scope::Call;
use crate::answer::{LINES_MAX, Line, LineKind, Reason, Refusal, is_in_range};
use crate::book::{Book, Charge, ChargeRule, Minimum};
use crate::event::KeySource;
use crate::exact;
use crate::meter::Meter;
use rust_decimal::Decimal;

/// Lines and their exact sum so far.
pub(super) struct Bill {
    pub lines: Vec<Line>,
    pub total_usd: Decimal,
}

impl Bill {
    pub fn with_capacity(lines: usize) -> Self {
        Self {
            lines: Vec::with_capacity(lines.min(LINES_MAX)),
            total_usd: Decimal::ZERO,
        }
    }

    /// Adds a line whose amount is `quantity × unit price`.
    pub fn add(
        &mut self,
        kind: LineKind,
        meter: Option<&Meter>,
        quantity: Decimal,
        unit_price_usd: Decimal,
        reason: Reason,
    ) -> Result<(), Refusal> {
        let amount_usd =
            exact::mul(quantity, unit_price_usd).map_err(|_| out_of_range("amount of a line"))?;
        self.total_usd =
            exact::add(self.total_usd, amount_usd).map_err(|_| out_of_range("total"))?;
        self.lines.push(Line {
            kind,
            meter: meter.cloned(),
            quantity,
            unit_price_usd,
            amount_usd,
            reason,
        });
        Ok(())
    }

    /// Adds the provider's own figure.
    pub fn add_provider_cost(&mut self, usd: Decimal) -> Result<(), Refusal> {
        let reason = Reason::ProviderCost;
        self.add(LineKind::ProviderCost, None, Decimal::ONE, usd, reason)
    }

    /// Adds what `rule` charges. The lines so far are the call at the rule's base prices; with own
    /// keys there are none, and `market` gives the list price when it is asked for.
    pub fn charge(
        &mut self,
        rule: &ChargeRule,
        market: impl FnOnce() -> Result<Decimal, Refusal>,
    ) -> Result<(), Refusal> {
        match rule.charge {
            Charge::CostPlus { markup: factor } | Charge::Listed { share: factor, .. } => {
                let rate = exact::sub(factor, Decimal::ONE).map_err(|_| out_of_range("markup"))?;
                let rule = rule.name.clone();
                let (kind, reason) = if rate.is_zero() {
                    return Ok(());
                } else if !exact::is_negative(rate) {
                    (LineKind::Markup, Reason::Markup { rule })
                } else {
                    (LineKind::Discount, Reason::Discount { rule })
                };
                self.add(kind, None, self.total_usd, rate, reason)
            }
            Charge::PlatformFee {
                fixed_usd,
                share_of_market,
            } => {
                let kind = LineKind::PlatformFee;
                if !fixed_usd.is_zero() {
                    self.add(
                        kind,
                        None,
                        Decimal::ONE,
                        fixed_usd,
                        Reason::PlatformFeeFixed,
                    )?;
                }
                if !share_of_market.is_zero() {
                    let reason = Reason::PlatformFeeShare;
                    self.add(kind, None, market()?, share_of_market, reason)?;
                }
                Ok(())
            }
            Charge::Free => Ok(()),
            Charge::NotAllowed => Err(Refusal::NotAllowed {
                rule: rule.name.clone(),
            }),
        }
    }

    /// Lifts the total to the highest minimum that matches. With own keys never above the fixed
    /// part of the cap: the cap is a promise to the customer.
    pub fn lift(&mut self, call: &Call<'_>, minimums: &[Minimum]) -> Result<(), Refusal> {
        let mut highest: Option<&Minimum> = None;
        for minimum in minimums {
            if highest.is_none_or(|highest| minimum.usd > highest.usd) && call.is_in(&minimum.scope)
            {
                highest = Some(minimum);
            }
        }
        let Some(minimum) = highest else {
            return Ok(());
        };
        let usd = match call.facts.key_source {
            KeySource::Managed => minimum.usd,
            KeySource::Own => minimum.usd.min(call.book.terms().own_key_cap.fixed_usd),
        };
        if usd <= self.total_usd {
            return Ok(());
        }
        let missing =
            exact::sub(usd, self.total_usd).map_err(|_| out_of_range("minimum charge"))?;
        let rule = minimum.name.clone();
        let reason = Reason::Minimum { rule };
        self.add(LineKind::Minimum, None, Decimal::ONE, missing, reason)
    }

    /// The bill, when it is in range.
    pub fn finish(self) -> Result<Self, Refusal> {
        if self.lines.len() > LINES_MAX {
            return Err(out_of_range("number of lines"));
        }
        if !is_in_range(self.total_usd) {
            return Err(out_of_range("total"));
        }
        Ok(self)
    }
}

/// The most that a call on the customer's own key may be charged, in USD.
/// The share counts for nothing where the list price is not known, or cannot be had exactly.
pub fn own_key_cap(terms: &Book, market_usd: Option<Decimal>) -> Decimal {
    let cap = &terms.own_key_cap;
    market_usd
        .and_then(|market| exact::mul(cap.share_of_market, market).ok())
        .and_then(|share| exact::add(cap.fixed_usd, share).ok())
        .unwrap_or(cap.fixed_usd)
}
