//! The dearest a unit can be, over everything that a quote request leaves open.
//!
//! A bound is over *tables*: whichever tier, region or context tier turns out, the rate comes from
//! one of the tables that the request can reach, so the dearest rate among those is enough.

use super::lookup::{PriceList, special_tier};
use super::out_of_range;
use super::sheet::SheetPrices;
use crate::answer::Refusal;
use crate::book::{MeterFallback, Rate, RateTable};
use crate::event::QuoteRequest;
use crate::exact;
use crate::meter::{Attribute, Meter};
use rust_decimal::Decimal;

/// The dearest price of one unit, and where it stands in the book.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnitPrice<'b> {
    pub usd: Decimal,
    pub table: &'b RateTable,
    /// The meter whose rate was used instead.
    pub base: Option<&'b Meter>,
    /// Whether the standard rates were used for another tier.
    pub standard_tier: bool,
}

/// What of a request decides which tables can be reached.
pub(super) struct Reach<'r> {
    /// `None`: any tier may be served. `Some(None)`: only the standard one.
    service_tier: Option<Option<&'r str>>,
    /// `None`: any region.
    region: Option<&'r str>,
    /// At most this many prompt tokens.
    prompt_tokens: Decimal,
    /// The largest factor on standard rates of a tier without tables of its own; at least 1.
    tier_factor: Decimal,
    /// What list prices become.
    prices: SheetPrices<'r>,
}

impl<'r> Reach<'r> {
    pub fn of(
        request: &'r QuoteRequest,
        list: &PriceList<'_>,
        prices: SheetPrices<'r>,
        prompt_tokens: Decimal,
    ) -> Self {
        let service_tier = match request.service_tier.as_deref() {
            None | Some("auto") => None,
            Some(tier) => Some(special_tier(tier)),
        };
        let may_be_served = |tier: &str| service_tier.is_none_or(|asked| asked == Some(tier));
        let factors = list.terms.tier_fallbacks.iter().filter(|fallback| {
            may_be_served(&fallback.service_tier) && !list.has_tier(&fallback.service_tier)
        });
        Self {
            service_tier,
            region: request.region.as_deref(),
            prompt_tokens,
            tier_factor: factors.fold(Decimal::ONE, |most, f| most.max(f.factor)),
            prices,
        }
    }

    /// The dearest price of one unit of `meter`, whatever attributes it has beyond the declared
    /// ones. `None`: no event can have a price for it.
    pub fn dearest<'b>(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        declared: &[Attribute],
    ) -> Result<Option<UnitPrice<'b>>, Refusal> {
        let mut dearest = self.dearest_direct(list, meter, declared, None)?;
        if always_priced(list, meter) {
            return Ok(dearest);
        }
        for fallback in list
            .terms
            .meter_fallbacks
            .iter()
            .filter(|f| f.meter == *meter)
        {
            let price = self.dearest_direct(list, meter, declared, Some(fallback))?;
            dearest = dearer(dearest, price);
            if always_priced(list, &fallback.base) {
                break;
            }
        }
        Ok(dearest)
    }

    /// The dearest fee per call, where the model has one.
    pub fn request_fee<'b>(&self, list: &PriceList<'b>) -> Result<Option<UnitPrice<'b>>, Refusal> {
        self.dearest_direct(list, &Meter::Request, &[], None)
    }

    fn dearest_direct<'b>(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        declared: &[Attribute],
        fallback: Option<&'b MeterFallback>,
    ) -> Result<Option<UnitPrice<'b>>, Refusal> {
        let base = fallback.map(|fallback| &fallback.base);
        let factor = fallback.map_or(Decimal::ONE, |fallback| fallback.factor);
        let mut dearest = None;
        for table in list.period.tables.iter().filter(|t| self.reaches(list, t)) {
            // Only standard rates stand in for a tier without tables.
            let standard = table.service_tier.is_none();
            let tier_factor = if standard {
                self.tier_factor
            } else {
                Decimal::ONE
            };
            let rated = base.unwrap_or(meter);
            let rates = table.rates.iter().filter(|rate| rate.meter == *rated);
            for rate in rates.filter(|rate| fits(rate, declared)) {
                let usd = exact::mul(rate.usd, factor)
                    .and_then(|usd| exact::mul(usd, tier_factor))
                    .and_then(|usd| self.prices.unit_price(meter, usd, fallback))
                    .map_err(|_| out_of_range(format!("price of `{}`", meter.name())))?;
                let price = UnitPrice {
                    usd,
                    table,
                    base,
                    standard_tier: standard && tier_factor != Decimal::ONE,
                };
                dearest = dearer(dearest, Some(price));
            }
        }
        Ok(dearest)
    }

    fn reaches(&self, list: &PriceList<'_>, table: &RateTable) -> bool {
        let tier = table.service_tier.as_deref();
        let region = table.region.as_deref();
        (tier.is_none() || self.service_tier.is_none_or(|asked| asked == tier))
            && (region.is_none() || self.region.is_none_or(|known| Some(known) == region))
            && table
                .context_above
                .is_none_or(|above| list.passes(self.prompt_tokens, above))
    }
}

/// Whether every event finds a direct rate: the standard table, asked last by all, has one that
/// needs no attribute. Fallbacks are then never used.
fn always_priced(list: &PriceList<'_>, meter: &Meter) -> bool {
    let standard = list.period.tables.first();
    let mut rates = standard.into_iter().flat_map(|table| &table.rates);
    rates.any(|rate| rate.meter == *meter && rate.attributes.is_empty())
}

/// Whether a pool with the declared attributes, and perhaps more, can have this rate.
fn fits(rate: &Rate, declared: &[Attribute]) -> bool {
    rate.attributes.iter().all(|wanted| {
        declared
            .iter()
            .all(|have| have.name != wanted.name || have.value == wanted.value)
    })
}

/// The dearer of two prices; the first where they are equal.
pub(super) fn dearer<'b>(
    a: Option<UnitPrice<'b>>,
    b: Option<UnitPrice<'b>>,
) -> Option<UnitPrice<'b>> {
    match (a, b) {
        (Some(a), Some(b)) if b.usd > a.usd => Some(b),
        (None, b) => b,
        (a, _) => a,
    }
}
