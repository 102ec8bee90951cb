//! From a model and the conditions of a call to the price of one unit.

use super::out_of_range;
use crate::answer::{RateReason, Refusal};
use crate::book::{Book, MeterFallback, Model, Period, Rate, RateTable};
use crate::canonical::{BookView, CanonicalError};
use crate::event::UsageEvent;
use crate::exact::{self, ArithmeticError};
use crate::meter::{Attribute, Meter};
use crate::provider;
use rust_decimal::Decimal;
use std::cmp::Ordering;

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
        let model = find_model(book, provider, name)?.ok_or_else(unknown)?;
        let period = model.periods.iter().find(|period| period.holds_at(at_ms));
        Ok(Self {
            terms: book.terms(),
            model,
            period: period.ok_or_else(|| not_priced(model, "the time of the call"))?,
            related: *model.provider != *provider,
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
        match exact::cmp(prompt_tokens, Decimal::from(above)) {
            Ordering::Greater => true,
            Ordering::Equal => self.model.context_inclusive,
            Ordering::Less => false,
        }
    }

    /// The highest context tier that a call passes. It passes all below as well, so each table is
    /// decided by comparing integers.
    fn context_passed(&self, event: &UsageEvent) -> Result<Option<u64>, Refusal> {
        let tiers = self.period.tables.iter().filter_map(|t| t.context_above);
        let mut prompt = None;
        let mut passed = None;
        for above in tiers {
            let prompt_tokens = match prompt {
                Some(known) => known,
                None => *prompt.insert(prompt_tokens(event)?),
            };
            if passed < Some(above) && self.passes(prompt_tokens, above) {
                passed = Some(above);
            }
        }
        Ok(passed)
    }

    /// Why a line has its price.
    #[inline]
    pub fn reason(
        &self,
        table: &RateTable,
        standard_tier: bool,
        base: Option<&Meter>,
    ) -> RateReason {
        let is_direct = !self.related && !standard_tier && base.is_none();
        RateReason {
            model: self.model.name.clone(),
            service_tier: table.service_tier.clone(),
            context_above: table.context_above,
            fallback: if is_direct {
                None
            } else {
                Some(self.fallback(standard_tier, base))
            },
        }
    }

    /// Names, in this order and joined by `/`, the related provider, the tier and the meter whose
    /// rate was used instead.
    #[cold]
    fn fallback(&self, standard_tier: bool, base: Option<&Meter>) -> Box<str> {
        let parts = [
            self.related.then_some(&*self.model.provider),
            standard_tier.then_some("standard"),
            base.map(Meter::name),
        ];
        let parts = parts.into_iter().flatten().collect::<Vec<_>>();
        parts.join("/").into()
    }

    #[cold]
    pub fn not_priced(&self, meter: &Meter) -> Refusal {
        not_priced(self.model, meter.name())
    }
}

/// The model that `name` means at `provider`, which may stand under a related provider.
pub(super) fn find_model<'b>(
    book: &'b BookView,
    provider: &str,
    name: &str,
) -> Result<Option<&'b Model>, Refusal> {
    match book.find(provider, name).map_err(malformed)? {
        Some(model) => Ok(Some(model)),
        None => find_related(book, provider, name),
    }
}

#[cold]
fn find_related<'b>(
    book: &'b BookView,
    provider: &str,
    name: &str,
) -> Result<Option<&'b Model>, Refusal> {
    for related in provider::related(provider) {
        if let Some(model) = book.find(related, name).map_err(malformed)? {
            return Ok(Some(model));
        }
    }
    Ok(None)
}

/// What of a call decides which tables hold.
#[derive(Debug)]
pub(super) struct Conditions<'e> {
    /// `None`: standard, or a tier that is priced by a factor on standard.
    service_tier: Option<&'e str>,
    /// Factor of a tier without tables of its own.
    tier_factor: Option<Decimal>,
    region: Option<&'e str>,
    /// The highest context tier that is passed.
    context_passed: Option<u64>,
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
            context_passed: list.context_passed(event)?,
        })
    }

    /// The rate for a pool, or `None` when the book has none.
    #[inline]
    pub fn rate_for<'b>(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        attributes: &[Attribute],
    ) -> Option<FoundRate<'b>> {
        if let Some(found) = self.direct(list, meter, attributes) {
            return Some(found);
        }
        let mut fallbacks = list.terms.meter_fallbacks.iter();
        fallbacks.find_map(|fallback| {
            if fallback.meter != *meter {
                return None;
            }
            let found = self.direct(list, &fallback.base, attributes)?;
            Some(FoundRate {
                fallback: Some(fallback),
                ..found
            })
        })
    }

    /// What one unit costs at this rate.
    #[inline]
    pub fn unit_price(&self, found: &FoundRate<'_>) -> Result<Decimal, ArithmeticError> {
        let mut usd = found.rate.usd;
        if let Some(fallback) = found.fallback {
            usd = exact::mul(usd, fallback.factor)?;
        }
        if let Some(factor) = self.tier_factor {
            usd = exact::mul(usd, factor)?;
        }
        Ok(usd)
    }

    /// Why a line has this rate.
    #[inline]
    pub fn reason(&self, list: &PriceList<'_>, found: &FoundRate<'_>) -> RateReason {
        let base = found.fallback.map(|fallback| &fallback.base);
        list.reason(found.table, self.tier_factor.is_some(), base)
    }

    /// The rate that a table has for the meter itself.
    pub fn direct<'b>(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        attributes: &[Attribute],
    ) -> Option<FoundRate<'b>> {
        // Tables are sorted with the absent first, so backwards is from the most specific on.
        let tables = list.period.tables.iter().rev();
        tables.filter(|table| self.holds(table)).find_map(|table| {
            Some(FoundRate {
                table,
                rate: best_rate(table, meter, attributes)?,
                fallback: None,
            })
        })
    }

    fn holds(&self, table: &RateTable) -> bool {
        let tier = table.service_tier.as_deref();
        let region = table.region.as_deref();
        (tier.is_none() || tier == self.service_tier)
            && (region.is_none() || region == self.region)
            && (table.context_above.is_none() || table.context_above <= self.context_passed)
    }
}

/// A rate, and how it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundRate<'b> {
    pub table: &'b RateTable,
    pub rate: &'b Rate,
    /// What supplied the rate of another meter.
    pub fallback: Option<&'b MeterFallback>,
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
        model: (*model.name).into(),
        meter: meter.into(),
    }
}

/// A malformed book is refused at admission, so this is never seen with an admitted one.
pub(super) fn malformed(error: CanonicalError) -> Refusal {
    out_of_range(format!("price book: {error}"))
}
