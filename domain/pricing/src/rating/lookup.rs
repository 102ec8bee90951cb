//! From a model and the conditions of a call to the price of one unit.

use super::out_of_range;
use crate::answer::{RateReason, Refusal};
use crate::book::{
    Book, GLOBAL, MeterFallback, Model, Period, REGIONAL, Rate, RateTable, TierFallback,
    UnknownModels,
};
use crate::canonical::{BookView, CanonicalError};
use crate::event::{Facts, UsageEvent};
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
    /// Whether the book does not have the model, and the prices are those of its rule for that.
    pub unknown: bool,
    /// When the call ran, milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// What a call is priced by.
pub(super) enum Prices<'b> {
    /// The rates of a model.
    List(PriceList<'b>),
    /// One amount for the whole call, in USD: the book does not have the model.
    Cap(Decimal),
}

impl<'b> Prices<'b> {
    /// What prices `model`: the book's model, or what the book says about unknown ones.
    pub fn find(
        book: &'b BookView,
        provider: &str,
        model: Option<&str>,
        facts: &Facts,
    ) -> Result<Self, Refusal> {
        match PriceList::find(book, provider, model, facts) {
            Ok(list) => Ok(Self::List(list)),
            Err(refusal @ Refusal::UnknownModel { .. }) if model.is_some() => {
                Self::of_unknown(book.terms(), facts, refusal)
            }
            Err(refusal) => Err(refusal),
        }
    }

    #[cold]
    fn of_unknown(terms: &'b Book, facts: &Facts, refusal: Refusal) -> Result<Self, Refusal> {
        match &terms.unknown_models {
            UnknownModels::Refuse | UnknownModels::ProviderCost => Err(refusal),
            UnknownModels::Cap { usd } => Ok(Self::Cap(*usd)),
            UnknownModels::DefaultRate { model } => {
                let list = PriceList::of(terms, model, facts)?;
                Ok(Self::List(PriceList {
                    unknown: true,
                    ..list
                }))
            }
        }
    }
}

impl<'b> PriceList<'b> {
    /// The prices of `model`, which may stand under a related provider.
    pub fn find(
        book: &'b BookView,
        provider: &str,
        model: Option<&str>,
        facts: &Facts,
    ) -> Result<Self, Refusal> {
        let unknown = || Refusal::UnknownModel {
            provider: provider.into(),
            model: model.unwrap_or_default().into(),
        };
        let name = model.ok_or_else(unknown)?;
        let model = find_model(book, provider, name)?.ok_or_else(unknown)?;
        Ok(Self {
            related: *model.provider != *provider,
            ..Self::of(book.terms(), model, facts)?
        })
    }

    /// The prices of `model` at the time of the call.
    fn of(terms: &'b Book, model: &'b Model, facts: &Facts) -> Result<Self, Refusal> {
        let at_ms = facts.occurred_at_ms;
        let period = match model.periods.as_slice() {
            // Nothing to choose: most models have one period.
            [only] => Some(only).filter(|only| only.holds_at(at_ms)),
            _ => model.period_at(at_ms, known_at(facts)?),
        };
        Ok(Self {
            terms,
            model,
            period: period.ok_or_else(|| not_priced(model, "the time of the call"))?,
            related: false,
            unknown: false,
            at_ms,
        })
    }

    /// Whether a table of the period is for this service tier in `region`; without one, in every
    /// region.
    pub fn has_tier(&self, service_tier: &str, region: Option<&str>) -> bool {
        let mut tables = self.period.tables.iter();
        tables.any(|table| {
            let there = table.region.as_deref();
            table.service_tier.as_deref() == Some(service_tier)
                && there.is_none_or(|there| is_in(region, there))
        })
    }

    /// What the book declares for a service tier without tables of its own.
    fn tier_fallback(&self, service_tier: &str) -> Option<&'b TierFallback> {
        let mut declared = self.terms.tier_fallbacks.iter();
        declared.find(|fallback| &*fallback.service_tier == service_tier)
    }

    /// Whether `prompt_tokens` pass the context tier that begins beyond `above`. At a model whose
    /// context is marginal, they are the units before the one that is priced.
    pub fn passes(&self, prompt_tokens: Decimal, above: u64) -> bool {
        match exact::cmp(prompt_tokens, Decimal::from(above)) {
            Ordering::Greater => true,
            Ordering::Equal => self.model.context_inclusive || self.model.context_marginal,
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

    /// Where the units of one meter change their price, at a model whose context is marginal.
    pub fn context_steps(&self) -> Vec<u64> {
        let tables = self.period.tables.iter();
        let mut steps = Vec::new();
        for step in tables.filter_map(|table| table.context_above) {
            if let Err(at) = steps.binary_search(&step) {
                steps.insert(at, step);
            }
        }
        steps
    }

    /// Why a line has its price.
    #[inline]
    pub fn reason(
        &self,
        table: &RateTable,
        tier: Option<&TierFallback>,
        meter: Option<&MeterFallback>,
    ) -> RateReason {
        let plain = !self.related && !self.unknown && tier.is_none() && meter.is_none();
        RateReason {
            model: self.model.name.clone(),
            service_tier: table.service_tier.clone(),
            context_above: table.context_above,
            fallback: (!plain).then(|| self.rules(tier, meter)),
            conditions: if table.region.is_none() && table.hours.is_none() {
                Vec::new()
            } else {
                conditions(table)
            },
        }
    }

    /// The names of the rules that supplied a rate.
    #[cold]
    fn rules(&self, tier: Option<&TierFallback>, meter: Option<&MeterFallback>) -> Box<str> {
        let mut rules = String::new();
        let mut add = |parts: [&str; 3]| {
            if !rules.is_empty() {
                rules.push('/');
            }
            for part in parts {
                rules.push_str(part);
            }
        };
        if self.unknown {
            add(["unknown_models", "", ""]);
        }
        if self.related {
            add(["provider:", &self.model.provider, ""]);
        }
        if let Some(tier) = tier {
            add(["tier:", &tier.service_tier, ""]);
        }
        if let Some(fallback) = meter {
            match &fallback.name {
                Some(name) => add([name, "", ""]),
                None => add([fallback.meter.name(), "_as_", fallback.base.name()]),
            }
        }
        rules.into()
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

/// The most output tokens of a call whose request does not say: what the model says by which it is
/// priced, in the book, at a related provider or by the rule for unknown ones; else the book's
/// default.
pub(crate) fn max_output_tokens(book: &BookView, provider: &str, model: Option<&str>) -> u64 {
    model_max_output_tokens(book, provider, model).unwrap_or(book.terms().max_output_tokens_default)
}

/// The same where the book knows it, and does not assume it.
pub(crate) fn model_max_output_tokens(
    book: &BookView,
    provider: &str,
    model: Option<&str>,
) -> Option<u64> {
    let terms = book.terms();
    let known = model.and_then(|name| find_model(book, provider, name).ok().flatten());
    let priced_by = known.or(match &terms.unknown_models {
        UnknownModels::DefaultRate { model } => Some(&**model),
        _ => None,
    });
    priced_by.and_then(|model| model.max_output_tokens)
}

/// As of when prices are to be known: the fact `known_at` in milliseconds since the Unix epoch,
/// else the time of the call. A fact that cannot be read is refused: it would choose a price.
fn known_at(facts: &Facts) -> Result<i64, Refusal> {
    let mut other = facts.other.iter();
    match other.find(|fact| &*fact.name == "known_at") {
        Some(fact) => fact.value.parse().map_err(|_| unreadable(fact)),
        None => Ok(facts.occurred_at_ms),
    }
}

/// Refuses a fact whose value is none of its kind.
#[cold]
pub(super) fn unreadable(fact: &Attribute) -> Refusal {
    out_of_range(format!("fact `{}`", fact.name))
}

#[cold]
fn conditions(table: &RateTable) -> Vec<Attribute> {
    let hours = table.hours.as_ref().map(|hours| ("hours", &hours.name));
    let region = table.region.as_ref().map(|region| ("region", region));
    let conditions = hours.into_iter().chain(region);
    conditions
        .map(|(name, value)| Attribute {
            name: name.into(),
            value: value.clone(),
        })
        .collect()
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
    /// What is declared for a tier without tables of its own.
    tier_fallback: Option<&'e TierFallback>,
    region: Option<&'e str>,
    /// The highest context tier that is passed.
    context_passed: Option<u64>,
    /// When the call ran, milliseconds since the Unix epoch.
    at_ms: i64,
    /// The number of the table that holds, where it is the only one: most calls need no other.
    only: Option<usize>,
}

impl<'e> Conditions<'e> {
    pub fn of(event: &'e UsageEvent, list: &PriceList<'e>) -> Result<Self, Refusal> {
        let served = event.service_tier.as_deref().and_then(special_tier);
        let region = event.region.as_deref();
        let (service_tier, tier_fallback) = match served {
            Some(tier) if !list.has_tier(tier, region) => {
                let fallback = list
                    .tier_fallback(tier)
                    .ok_or_else(|| not_priced(list.model, &format!("service tier {tier}")))?;
                (None, Some(fallback))
            }
            tier => (tier, None),
        };
        let conditions = Self {
            service_tier,
            tier_fallback,
            region,
            at_ms: list.at_ms,
            context_passed: if list.model.context_marginal {
                Some(0)
            } else {
                list.context_passed(event)?
            },
            only: None,
        };
        Ok(Self {
            only: conditions.only_table(list),
            ..conditions
        })
    }

    fn only_table(&self, list: &PriceList<'_>) -> Option<usize> {
        let mut only = None;
        for (number, table) in list.period.tables.iter().enumerate() {
            if self.holds(table) && only.replace(number).is_some() {
                return None;
            }
        }
        only
    }

    /// The same with this many units of the meter before the one that is priced.
    pub fn beyond(&self, units: Decimal) -> Self {
        Self {
            service_tier: self.service_tier,
            tier_fallback: self.tier_fallback,
            region: self.region,
            // A threshold is whole, so a part of a unit passes none.
            context_passed: u64::try_from(units.trunc()).ok(),
            at_ms: self.at_ms,
            // Another context, and perhaps another table.
            only: None,
        }
    }

    /// The rate for a pool, or `None` when the book has none.
    #[inline]
    pub fn rate_for<'b>(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        attributes: &[Attribute],
    ) -> Option<FoundRate<'b>> {
        // Of a tier's own fallbacks, and of those of any, few calls need one.
        if self.service_tier.is_none()
            && let Some(found) = self.direct(list, meter, attributes)
        {
            return Some(found);
        }
        self.rate_by_any_rule(list, meter, attributes)
    }

    #[cold]
    fn rate_by_any_rule<'b>(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        attributes: &[Attribute],
    ) -> Option<FoundRate<'b>> {
        if let Some(tier) = self.service_tier
            && let Some(found) = self.within_tier(list, tier, meter, attributes)
        {
            return Some(found);
        }
        if let Some(found) = self.direct(list, meter, attributes) {
            return Some(found);
        }
        let mut fallbacks = list.terms.meter_fallbacks.iter();
        fallbacks.find_map(|fallback| {
            if fallback.meter != *meter || fallback.service_tier.is_some() {
                return None;
            }
            let found = self.direct(list, &fallback.base, attributes)?;
            Some(FoundRate {
                fallback: Some(fallback),
                ..found
            })
        })
    }

    /// The rate that the tables of `tier` have for a pool of a meter which has fallbacks of its own
    /// there.
    fn within_tier<'b>(
        &self,
        list: &PriceList<'b>,
        tier: &str,
        meter: &Meter,
        attributes: &[Attribute],
    ) -> Option<FoundRate<'b>> {
        let of_tier = |table: &RateTable| table.service_tier.as_deref() == Some(tier);
        let fallbacks = list.terms.meter_fallbacks.iter().filter(|fallback| {
            fallback.service_tier.as_deref() == Some(tier) && fallback.meter == *meter
        });
        let mut bases = fallbacks
            .map(|fallback| (&fallback.base, Some(fallback)))
            .peekable();
        bases.peek()?;
        std::iter::once((meter, None))
            .chain(bases)
            .find_map(|(base, fallback)| {
                let found = self.first(list, base, attributes, of_tier)?;
                Some(FoundRate { fallback, ..found })
            })
    }

    /// What one unit costs at this rate.
    #[inline]
    pub fn unit_price(&self, found: &FoundRate<'_>) -> Result<Decimal, ArithmeticError> {
        let mut usd = found.rate.usd;
        if let Some(fallback) = found.fallback {
            usd = exact::mul(usd, fallback.factor)?;
        }
        if let Some(tier) = self.tier_fallback {
            usd = exact::mul(usd, tier.factor)?;
        }
        Ok(usd)
    }

    /// Why a line has this rate.
    #[inline]
    pub fn reason(&self, list: &PriceList<'_>, found: &FoundRate<'_>) -> RateReason {
        list.reason(found.table, self.tier_fallback, found.fallback)
    }

    /// The rate that a table has for the meter itself.
    #[inline]
    pub fn direct<'b>(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        attributes: &[Attribute],
    ) -> Option<FoundRate<'b>> {
        if let Some(only) = self.only {
            return FoundRate::in_table(list.period.tables.get(only)?, meter, attributes);
        }
        self.first(list, meter, attributes, |_| true)
    }

    /// The rate for the meter itself in the most specific of the tables that hold and that are
    /// `wanted`.
    #[inline]
    fn first<'b>(
        &self,
        list: &PriceList<'b>,
        meter: &Meter,
        attributes: &[Attribute],
        wanted: impl Fn(&RateTable) -> bool,
    ) -> Option<FoundRate<'b>> {
        // Tables are sorted with the absent first, so backwards is from the most specific on.
        let tables = list.period.tables.iter().rev();
        let mut tables = tables.filter(|table| wanted(table) && self.holds(table));
        tables.find_map(|table| FoundRate::in_table(table, meter, attributes))
    }

    fn holds(&self, table: &RateTable) -> bool {
        let tier = table.service_tier.as_deref();
        let region = table.region.as_deref();
        (tier.is_none() || tier == self.service_tier)
            && region.is_none_or(|region| is_in(self.region, region))
            && (table.context_above.is_none() || table.context_above <= self.context_passed)
            && table
                .hours
                .as_ref()
                .is_none_or(|hours| hours.hold_at(self.at_ms))
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

impl<'b> FoundRate<'b> {
    #[inline]
    fn in_table(table: &'b RateTable, meter: &Meter, pool: &[Attribute]) -> Option<Self> {
        Some(Self {
            table,
            rate: best_rate(table, meter, pool)?,
            fallback: None,
        })
    }
}

/// The rate of `table` for a pool: all its attributes are the pool's, and it has the most.
#[inline]
fn best_rate<'b>(table: &'b RateTable, meter: &Meter, pool: &[Attribute]) -> Option<&'b Rate> {
    let mut best: Option<&Rate> = None;
    for rate in table.rates.iter().filter(|rate| rate.meter.is(meter)) {
        let better = best.is_none_or(|best| rate.attributes.len() > best.attributes.len());
        if better && rate.attributes.iter().all(|a| pool.contains(a)) {
            best = Some(rate);
        }
    }
    best
}

/// Whether a call from region `actual` has the prices of `region`.
pub(super) fn is_in(actual: Option<&str>, region: &str) -> bool {
    actual == Some(region)
        || (region == REGIONAL && actual.is_some_and(|named| !matches!(named, "" | GLOBAL)))
}

/// The tier, unless the word means the standard one.
pub(super) fn special_tier(service_tier: &str) -> Option<&str> {
    (!matches!(service_tier, "" | "default" | "standard")).then_some(service_tier)
}

fn prompt_tokens(event: &UsageEvent) -> Result<Decimal, Refusal> {
    let pools = || event.pools.iter().filter(|p| p.meter.is_prompt_tokens());
    // Whole numbers up to 10^15 each: nearly always, and far from any end.
    let whole = pools().try_fold(0_u64, |sum, pool| sum.checked_add(pool.quantity.whole()?));
    if let Some(sum) = whole {
        return Ok(Decimal::from(sum));
    }
    let pools = pools();
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
