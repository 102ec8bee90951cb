//! The receipt: all that is needed to price a charge again (L10).

use crate::service::policy::{Priced, ReleaseId};
use farebox_ledger::ids::{ChargeId, CommodityId, EventId};
use farebox_pricing::answer::Line;
use farebox_pricing::event::{Facts, KeySource, UsageEvent};
use farebox_pricing::exact::{self, ArithmeticError};
use farebox_pricing::money::{Nanos, Peg, Rounding};
use rust_decimal::Decimal;

/// How a charge came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// The charge.
    pub charge: ChargeId,
    /// What was used.
    pub event_id: EventId,
    /// What was used, as it was priced.
    pub event: UsageEvent,
    /// How it was priced.
    pub pricing: Pricing,
}

/// How an event was priced: the inputs besides the event itself, and the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Pricing {
    /// What priced it. Absent: an operator wrote the usage off, without a policy.
    pub release: Option<ReleaseId>,
    /// What the host vouched for.
    pub facts: Facts,
    /// Lines that add up to `price_usd`.
    pub lines: Vec<Line>,
    /// The price in USD, exact and unrounded.
    pub price_usd: Decimal,
    /// What the operator owes the provider, in USD, as the host computed it.
    pub provider_cost_usd: Decimal,
    /// The provider's list price in USD, where the book knows it.
    pub market_usd: Option<Decimal>,
    /// How the total became nano-credits.
    pub rounding: Rounding,
    /// Whether the release declares that it sells below cost, and this call was.
    pub below_cost: bool,
    /// Which credits.
    pub commodity: CommodityId,
    /// What one of them is worth.
    pub peg: Peg,
    /// The price in nano-credits: `price_usd ÷ peg`, rounded once.
    pub price: Nanos,
    /// The provider cost in nano-credits, rounded in the same way.
    pub cost: Nanos,
}

impl Pricing {
    /// What the call cost the customer less than the provider's list price says, in USD; below zero
    /// where it cost more. `None` without a list price, and on the customer's own key: there the
    /// list price is paid to the provider, beside the charge.
    pub fn saved_usd(&self) -> Option<Decimal> {
        let managed = self.facts.key_source == KeySource::Managed;
        let market_usd = self.market_usd.filter(|_| managed)?;
        exact::sub(market_usd, self.price_usd).ok()
    }

    /// An answer of a release in the ledger's integers: the one rounding of a charge.
    ///
    /// # Errors
    /// The price does not fit them.
    pub fn of(
        release: ReleaseId,
        facts: Facts,
        priced: Priced,
        commodity: CommodityId,
        peg: Peg,
    ) -> Result<Self, ArithmeticError> {
        Ok(Self {
            release: Some(release),
            facts,
            price: peg.to_nanos(priced.price_usd, priced.rounding)?,
            cost: peg.to_nanos(priced.provider_cost_usd, priced.rounding)?,
            lines: priced.lines,
            price_usd: priced.price_usd,
            provider_cost_usd: priced.provider_cost_usd,
            market_usd: priced.market_usd,
            rounding: priced.rounding,
            below_cost: priced.below_cost,
            commodity,
            peg,
        })
    }

    /// What usage comes to that an operator writes off, whatever it was.
    pub fn write_off(facts: Facts, commodity: CommodityId, peg: Peg) -> Self {
        Self {
            release: None,
            facts,
            lines: Vec::new(),
            price_usd: Decimal::ZERO,
            provider_cost_usd: Decimal::ZERO,
            market_usd: None,
            rounding: Rounding::default(),
            below_cost: false,
            commodity,
            peg,
            price: Nanos::ZERO,
            cost: Nanos::ZERO,
        }
    }
}
