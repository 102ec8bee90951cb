//! From a model and the conditions of a call to the price of one unit.

use super::out_of_range;
use crate::answer::{RateReason, Refusal};
use crate::book::{Book, Model, Period, Rate, RateTable};
use crate::canonical::{BookView, CanonicalError};
use crate::event::UsageEvent;
use crate::exact;
use crate::meter::{Attribute, Meter};
use crate::provider;
use rust_decimal::Decimal;

/// The prices of one model at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct PriceList<'b> {
    pub terms: &'b Book,
    pub model: &'b Model,
    pub period: &'b Period,
    /// Whether the model stands under a related provider.
    pub related: bool,
}

impl<'b> PriceList<'b> {
    /// The prices of `model`, which may stand under a related provider.
    pub fn find(
        book: &'b BookView,
        provider: &str,
        model: Option<&str>,
        at_ms: i64,
    ) -> Result<Self, Refusal> {
        let unknown = || Refusal::UnknownModel {
            provider: provider.into(),
            model: model.unwrap_or_default().into(),
        };
        let name = model.ok_or_else(unknown)?;
        let mut found = book.find(provider, name).map_err(malformed)?;
        for related in provider::related(provider) {
            if found.is_none() {
                found = book.find(related, name).map_err(malformed)?;
            }
        }
        let model = found.ok_or_else(unknown)?;
        let period = model.periods.iter().find(|period| period.holds_at(at_ms));
        Ok(Self {
            terms: book.terms(),
            model,
            period: period.ok_or_else(|| not_priced(model, "the time of the call"))?,
            related: &*model.provider != provider,
        })
    }

    /// Whether any table of the period is for this service tier.
    pub fn has_tier(&self, service_tier: &str) -> bool {
        let mut tables = self.period.tables.iter();
        tables.any(|table| table.service_tier.as_deref() == Some(service_tier))
    }

    /// The declared factor for a service tier without tables of its own.
    pub fn tier_factor(&self, service_tier: &str) -> Option<Decimal> {
        let mut declared = self.terms.tier_fallbacks.iter();
        declared
            .find(|fallback| &*fallback.service_tier == service_tier)
            .map(|fallback| fallback.factor)
    }

    /// Whether `prompt_tokens` pass the context tier that begins beyond `above`.
    pub fn passes(&self, prompt_tokens: Decimal, above: u64) -> bool {
        let above = Decimal::from(above);
        prompt_tokens > above || (self.model.context_inclusive && prompt_tokens == above)
    }

    pub fn not_priced(&self, meter: &Meter) -> Refusal {
        not_priced(self.model, meter.name())
    }
}

/// What of a call decides which tables hold.
#[derive(Debug)]
pub(super) struct Conditions<'e> {
    /// `None`: standard, or a tier that is priced by a factor on standard.
    service_tier: Option<&'e str>,
    /// Factor of a tier without tables of its own.
    tier_factor: Option<Decimal>,
    region: Option<&'e str>,
    prompt_tokens: Decimal,
}

impl<'e> Conditions<'e> {
    pub fn of(event: &'e UsageEvent, list: &PriceList<'_>) -> Result<Self, Refusal> {
        let served = event.service_tier.as_deref().and_then(special_tier);
        let (service_tier, tier_factor) = match served {
            Some(tier) if !list.has_tier(tier) => {
                let factor = list
                    .tier_factor(tier)
                    .ok_or_else(|| not_priced(list.model, &format!("service tier {tier}")))?;
                (None, Some(factor))
            }
            tier => (tier, None),
        };
        Ok(Self {
            service_tier,
            tier_factor,
            region: event.region.as_deref(),
            prompt_tokens: prompt_tokens(event)?,
        })
    }

    /// The price of one unit, or `None` when the book has none.
    pub fn unit_price<'b>(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        attributes: &[Attribute],
    ) -> Result<Option<UnitPrice<'b>>, Refusal> {
        if let Some((table, rate)) = self.direct(list, meter, attributes) {
            return self.priced(table, rate.usd, None).map(Some);
        }
        for fallback in list
            .terms
            .meter_fallbacks
            .iter()
            .filter(|f| f.meter == *meter)
        {
            if let Some((table, rate)) = self.direct(list, &fallback.base, attributes) {
                let usd = exact::mul(rate.usd, fallback.factor)
                    .map_err(|_| out_of_range(format!("price of `{}`", meter.name())))?;
                return self.priced(table, usd, Some(&fallback.base)).map(Some);
            }
        }
        Ok(None)
    }

    /// The rate that a table has for the meter itself.
    pub fn direct<'b>(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        attributes: &[Attribute],
    ) -> Option<(&'b RateTable, &'b Rate)> {
        // Tables are sorted with the absent first, so backwards is from the most specific on.
        let tables = list.period.tables.iter().rev();
        tables
            .filter(|table| self.holds(list, table))
            .find_map(|table| Some((table, best_rate(table, meter, attributes)?)))
    }

    fn holds(&self, list: &PriceList<'_>, table: &RateTable) -> bool {
        let tier = table.service_tier.as_deref();
        let region = table.region.as_deref();
        (tier.is_none() || tier == self.service_tier)
            && (region.is_none() || region == self.region)
            && table
                .context_above
                .is_none_or(|above| list.passes(self.prompt_tokens, above))
    }

    fn priced<'b>(
        &self,
        table: &'b RateTable,
        usd: Decimal,
        base: Option<&'b Meter>,
    ) -> Result<UnitPrice<'b>, Refusal> {
        let usd = match self.tier_factor {
            Some(factor) => {
                exact::mul(usd, factor).map_err(|_| out_of_range("price of the service tier"))?
            }
            None => usd,
        };
        Ok(UnitPrice {
            usd,
            table,
            base,
            standard_tier: self.tier_factor.is_some(),
        })
    }
}

/// The price of one unit, and where it stands in the book.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnitPrice<'b> {
    pub usd: Decimal,
    pub table: &'b RateTable,
    /// The meter whose rate was used instead.
    pub base: Option<&'b Meter>,
    /// Whether the standard rates were used for another tier.
    pub standard_tier: bool,
}

impl UnitPrice<'_> {
    /// Why this price, for a line. The fallback names, in this order and joined by `/`, the
    /// related provider, the tier and the meter whose rate was used instead.
    pub fn reason(&self, list: &PriceList<'_>) -> RateReason {
        let fallbacks = [
            list.related.then_some(&*list.model.provider),
            self.standard_tier.then_some("standard"),
            self.base.map(Meter::name),
        ];
        let fallback = fallbacks.into_iter().flatten().collect::<Vec<_>>();
        RateReason {
            model: list.model.name.clone(),
            service_tier: self.table.service_tier.clone(),
            context_above: self.table.context_above,
            fallback: (!fallback.is_empty()).then(|| fallback.join("/").into()),
        }
    }
}

/// The rate of `table` for a pool: all its attributes are the pool's, and it has the most.
fn best_rate<'b>(table: &'b RateTable, meter: &Meter, pool: &[Attribute]) -> Option<&'b Rate> {
    let mut best: Option<&Rate> = None;
    for rate in table.rates.iter().filter(|rate| rate.meter == *meter) {
        let better = best.is_none_or(|best| rate.attributes.len() > best.attributes.len());
        if better && rate.attributes.iter().all(|a| pool.contains(a)) {
            best = Some(rate);
        }
    }
    best
}

/// The tier, unless the word means the standard one.
pub(super) fn special_tier(service_tier: &str) -> Option<&str> {
    (!matches!(service_tier, "" | "default" | "standard")).then_some(service_tier)
}

fn prompt_tokens(event: &UsageEvent) -> Result<Decimal, Refusal> {
    let pools = event.pools.iter().filter(|p| p.meter.is_prompt_tokens());
    exact::sum(pools.map(|pool| pool.quantity.get())).map_err(|_| out_of_range("prompt tokens"))
}

fn not_priced(model: &Model, meter: &str) -> Refusal {
    Refusal::NotPriced {
        model: model.name.clone(),
        meter: meter.into(),
    }
}

/// A malformed book is refused at admission, so this is never seen with an admitted one.
pub(super) fn malformed(error: CanonicalError) -> Refusal {
    out_of_range(format!("price book: {error}"))
}
