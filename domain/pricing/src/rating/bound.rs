//! The dearest a unit can be, over everything that a quote request leaves open.
//!
//! A bound is over *tables*: whichever tier, region, hours or context tier turn out, the rate comes from
//! one of the tables that the request can reach, so the dearest rate among those is enough.

use super::lookup::{PriceList, is_in, special_tier};
use super::out_of_range;
use super::sheet::SheetPrices;
use crate::answer::Refusal;
use crate::book::{MeterFallback, Rate, RateTable, TierFallback};
use crate::event::QuoteRequest;
use crate::exact;
use crate::meter::{Attribute, Meter};
use rust_decimal::Decimal;

/// The dearest price of one unit, and where it stands in the book.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnitPrice<'b> {
    pub usd: Decimal,
    pub table: &'b RateTable,
    /// What supplied the rate of another meter.
    pub meter: Option<&'b MeterFallback>,
    /// What supplied the standard rate for another tier.
    pub tier: Option<&'b TierFallback>,
}

/// The tables that a request can reach, and what their rates become.
pub(super) struct Reach<'r, 'b> {
    tables: Vec<&'b RateTable>,
    /// The tier without tables of its own that makes standard rates dearest, if any does.
    tier: Option<&'b TierFallback>,
    /// What list prices become.
    prices: SheetPrices<'r>,
}

impl<'r, 'b> Reach<'r, 'b> {
    pub fn of(
        request: &'r QuoteRequest,
        list: &PriceList<'b>,
        prices: SheetPrices<'r>,
        prompt_tokens: Decimal,
    ) -> Self {
        let service_tier = match request.service_tier.as_deref() {
            None | Some("auto") => None,
            Some(tier) => Some(special_tier(tier)),
        };
        let may_be_served = |tier: &str| service_tier.is_none_or(|asked| asked == Some(tier));
        // Where the region is open, a tier that only some region has is missing in the others.
        let region = request.region.as_deref();
        let factors = list.terms.tier_fallbacks.iter().filter(|fallback| {
            let tier = &fallback.service_tier;
            may_be_served(tier) && !list.has_tier(tier, region)
        });
        let asked = Asked {
            service_tier,
            region,
            prompt_tokens,
        };
        let tables = list.period.tables.iter();
        Self {
            tables: tables.filter(|table| asked.reaches(list, table)).collect(),
            tier: factors
                .filter(|fallback| fallback.factor > Decimal::ONE)
                .max_by_key(|fallback| fallback.factor),
            prices,
        }
    }

    /// The dearest price of one unit of `meter`, whatever attributes it has beyond the declared
    /// ones. `None`: no event can have a price for it.
    pub fn dearest(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        declared: &[Attribute],
    ) -> Result<Option<UnitPrice<'b>>, Refusal> {
        let mut dearest = self.dearest_direct(meter, declared, None)?;
        let fallbacks = || {
            let all = list.terms.meter_fallbacks.iter();
            all.filter(|fallback| fallback.meter == *meter)
        };
        for fallback in fallbacks().filter(|fallback| fallback.service_tier.is_some()) {
            let price = self.dearest_direct(meter, declared, Some(fallback))?;
            dearest = dearer(dearest, price);
        }
        if always_priced(list, meter) {
            return Ok(dearest);
        }
        for fallback in fallbacks().filter(|fallback| fallback.service_tier.is_none()) {
            let price = self.dearest_direct(meter, declared, Some(fallback))?;
            dearest = dearer(dearest, price);
            if always_priced(list, &fallback.base) {
                break;
            }
        }
        Ok(dearest)
    }

    /// The dearest fee per call, where the model has one.
    pub fn request_fee(&self) -> Result<Option<UnitPrice<'b>>, Refusal> {
        self.dearest_direct(&Meter::Request, &[], None)
    }

    fn dearest_direct(
        &self,
        meter: &Meter,
        declared: &[Attribute],
        fallback: Option<&'b MeterFallback>,
    ) -> Result<Option<UnitPrice<'b>>, Refusal> {
        let times = |usd: Decimal, factor: Option<Decimal>| match factor {
            Some(factor) => exact::mul(usd, factor),
            None => Ok(usd),
        };
        let factor = fallback.map(|fallback| fallback.factor);
        let mut dearest = None;
        let only = fallback.and_then(|fallback| fallback.service_tier.as_deref());
        for table in &self.tables {
            if only.is_some() && table.service_tier.as_deref() != only {
                continue;
            }
            // Only standard rates stand in for a tier without tables.
            let tier = self.tier.filter(|_| table.service_tier.is_none());
            let tier_factor = tier.map(|tier| tier.factor);
            let rated = fallback.map_or(meter, |fallback| &fallback.base);
            let rates = table.rates.iter().filter(|rate| rate.meter == *rated);
            for rate in rates.filter(|rate| fits(rate, declared)) {
                let usd = times(rate.usd, factor)
                    .and_then(|usd| times(usd, tier_factor))
                    .and_then(|usd| self.prices.unit_price(meter, usd, fallback))
                    .map_err(|_| out_of_range(format!("price of `{}`", meter.name())))?;
                let price = UnitPrice {
                    usd,
                    table,
                    meter: fallback,
                    tier,
                };
                dearest = dearer(dearest, Some(price));
            }
        }
        Ok(dearest)
    }
}

/// What of a request decides which tables it can reach.
struct Asked<'r> {
    /// `None`: any tier may be served. `Some(None)`: only the standard one.
    service_tier: Option<Option<&'r str>>,
    /// `None`: any region.
    region: Option<&'r str>,
    /// At most this many prompt tokens.
    prompt_tokens: Decimal,
}

impl Asked<'_> {
    fn reaches(&self, list: &PriceList<'_>, table: &RateTable) -> bool {
        let tier = table.service_tier.as_deref();
        let region = table.region.as_deref();
        (tier.is_none() || self.service_tier.is_none_or(|asked| asked == tier))
            && region.is_none_or(|region| self.region.is_none() || is_in(self.region, region))
            // Of a marginal context, any meter may pass any threshold. Hours do not narrow the
            // reach: the call may run at any time after the quote.
            && table.context_above.is_none_or(|above| {
                list.model.context_marginal || list.passes(self.prompt_tokens, above)
            })
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
