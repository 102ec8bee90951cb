//! Rate tables: every combination of region, service tier and context size that the text prices,
//! each completed, so that a table needs no other to be read.
//!
//! What a cell does not price is taken from the standard cell of the same context size; for a tier
//! within a region from the same tier elsewhere, raised as the region raises the standard price
//! ([`super::uplift`]), else from the region's standard cell. So a tier has a cell in every region:
//! the cell of the tier elsewhere would lose the uplift. A context price that a tier does not have
//! costs the standard price *there*, or its own price for small prompts if that is dearer: large
//! prompts never become cheaper by an omission. One that a region does not have is the price
//! elsewhere, raised as the region raises small prompts.
//! A meter is left out of a tier where the tier prices the meter that a fallback of the book takes
//! in its place *in that tier*: the fallback speaks, not the standard price.
//! Tables of hours are not completed: they stand over the standard table beside them, which is
//! asked for what they lack.

use super::regions::{Region, Tier, Tiers};
use super::values::{PriceUnit, check_name, check_tier, meter, per_one, positive};
use super::{Problems, hours};
use crate::amount::Amount;
use crate::document::Path;
use crate::text::{HoursText, Leaf, ModelText, PeriodText, RegionText, TierText, TierView};
use farebox_pricing::book::{GLOBAL, Hours, MeterFallback, REGIONAL, Rate, RateTable};
use farebox_pricing::exact;
use farebox_pricing::meter::{Attribute, Meter};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// What a period says, at the model itself or dated.
pub(super) struct PeriodView<'a> {
    standard: TierView<'a>,
    tiers: &'a [TierText],
    regions: &'a [RegionText],
    hours: &'a [HoursText],
    /// The book's rules for meters without a rate.
    fallbacks: &'a [MeterFallback],
}

impl<'a> PeriodView<'a> {
    pub(super) fn of_model(text: &'a ModelText, fallbacks: &'a [MeterFallback]) -> Self {
        Self {
            standard: text.view(),
            tiers: &text.tiers,
            regions: &text.regions,
            hours: &text.hours,
            fallbacks,
        }
    }

    pub(super) fn of_period(text: &'a PeriodText, fallbacks: &'a [MeterFallback]) -> Self {
        Self {
            standard: text.view(),
            tiers: &text.tiers,
            regions: &text.regions,
            hours: &text.hours,
            fallbacks,
        }
    }

    /// Whether it prices nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.standard.leaf.is_empty()
            && self.standard.context.is_empty()
            && self.tiers.is_empty()
            && self.regions.is_empty()
            && self.hours.is_empty()
    }

    /// Adds the cells of `texts` to `tiers`, or lays them over those of the same name there.
    pub(super) fn lower_tiers(
        &self,
        texts: &'a [TierText],
        standard: &Contexts,
        tiers: &mut Tiers<'a>,
        path: &Path<'_>,
        problems: &mut Problems<'_>,
    ) {
        let list = path.field("tiers");
        let mut seen = BTreeSet::new();
        for (number, text) in texts.iter().enumerate() {
            let place = list.index(number);
            let name = text.name.as_str();
            if !check_tier(name, &place.field("name"), problems) {
                continue;
            }
            if !seen.insert(name) {
                problems.note(&place.field("name"), format!("tier `{name}` stands twice"));
                continue;
            }
            let tier = tiers.entry(name).or_insert_with(|| Tier {
                contexts: standard.clone(),
                silent: BTreeSet::new(),
            });
            let fallbacks = self.fallbacks.iter().filter(|fallback| {
                fallback.service_tier.as_deref() == Some(name) && prices_meter(text, &fallback.base)
            });
            for fallback in fallbacks {
                for cell in tier.contexts.values_mut() {
                    cell.retain(|(meter, _), _| *meter != fallback.meter);
                }
                tier.silent.insert(fallback.meter.clone());
            }
            tier.contexts = overlay(&tier.contexts, &text.view(), &place, problems);
        }
    }
}

/// Whether the text of a tier has a price for `meter` in small prompts.
fn prices_meter(text: &TierText, meter: &Meter) -> bool {
    let name = meter.name();
    text.per_million.contains_key(name) || text.per_unit.contains_key(name)
}

pub(super) type Rates = BTreeMap<(Meter, Vec<Attribute>), Decimal>;
/// By context size; absent: from zero.
pub(super) type Contexts = BTreeMap<Option<u64>, Rates>;

/// The tables of a period, in canonical order.
pub(super) fn lower(
    view: &PeriodView<'_>,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Vec<RateTable> {
    let mut cells: BTreeMap<(Option<&str>, Option<&str>), Contexts> = BTreeMap::new();
    let standard = overlay(&Contexts::new(), &view.standard, path, problems);
    let mut tiers = Tiers::new();
    view.lower_tiers(view.tiers, &standard, &mut tiers, path, problems);
    let list = path.field("regions");
    let mut regions = Vec::with_capacity(view.regions.len());
    for (number, text) in view.regions.iter().enumerate() {
        regions.extend(Region::lower(text, &standard, list.index(number), problems));
    }
    // What only any region has, the others have from it.
    regions.sort_by_key(|region| region.text.name != REGIONAL);
    let mut any: Option<(&Region<'_, '_>, Tiers<'_>)> = None;
    for region in &regions {
        let name = region.text.name.as_str();
        if cells
            .insert((None, Some(name)), region.contexts.clone())
            .is_some()
        {
            let message = format!("region `{name}` stands twice");
            problems.note(&region.path.field("name"), message);
            continue;
        }
        let any_has = any.as_ref().filter(|_| name != GLOBAL);
        let here = region.tiers(view, &tiers, any_has, problems);
        for (tier, here) in &here {
            cells.insert((Some(tier), Some(name)), here.contexts.clone());
        }
        if name == REGIONAL {
            any = Some((region, here));
        }
    }
    for (tier, here) in tiers {
        cells.insert((Some(tier), None), here.contexts);
    }
    let hourly = hourly(view.hours, &standard, path, problems);
    cells.insert((None, None), standard);
    let tables = cells.into_iter().flat_map(|((tier, region), contexts)| {
        contexts
            .into_iter()
            .map(move |(context_above, rates)| RateTable {
                service_tier: tier.map(Into::into),
                region: region.map(Into::into),
                context_above,
                hours: None,
                rates: in_order(rates),
            })
    });
    let mut tables: Vec<RateTable> = tables.chain(hourly).collect();
    tables.sort_by(|a, b| key(a).cmp(&key(b)));
    tables
}

fn key(table: &RateTable) -> impl Ord + '_ {
    (
        &table.service_tier,
        &table.region,
        table.context_above,
        &table.hours,
    )
}

/// Rates as a table holds them.
pub(super) fn in_order(rates: Rates) -> Vec<Rate> {
    let rates = rates.into_iter();
    rates
        .map(|((meter, attributes), usd)| Rate {
            meter,
            attributes,
            usd,
        })
        .collect()
}

/// The tables of hours: a factor holds for every context size, prices for small prompts.
fn hourly(
    texts: &[HoursText],
    standard: &Contexts,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Vec<RateTable> {
    let list = path.field("hours");
    let mut tables = Vec::new();
    let mut before: Vec<Hours> = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let place = list.index(number);
        let own = rates(&text.leaf(), &place, problems);
        let Some(hours) = hours::lower(text, &place, problems) else {
            continue;
        };
        if let Some(other) = before.iter().find(|other| hours.overlaps(other)) {
            let message = format!("overlaps with the hours `{}`", other.name);
            problems.note(&place.field("when"), message);
        }
        before.push(hours.clone());
        let cells = match text.factor {
            Some(_) if !own.is_empty() => {
                problems.note(&place, "hours have either `factor` or prices");
                continue;
            }
            Some(factor) => {
                let place = place.field("factor");
                let factor = positive(factor, &place, problems);
                times(standard, factor, &place, problems)
            }
            None if own.is_empty() => {
                problems.note(&place, "hours have either `factor` or prices");
                continue;
            }
            None => Contexts::from([(None, own)]),
        };
        tables.extend(cells.into_iter().map(|(context_above, rates)| RateTable {
            service_tier: None,
            region: None,
            context_above,
            hours: Some(Box::new(hours.clone())),
            rates: in_order(rates),
        }));
    }
    tables
}

/// Every price of a token times `factor`; all others as they are.
pub(super) fn times(
    cells: &Contexts,
    factor: Decimal,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Contexts {
    let mut scaled = cells.clone();
    let prices = scaled.values_mut().flat_map(BTreeMap::iter_mut);
    for ((meter, _), usd) in prices.filter(|((meter, _), _)| meter.is_tokens()) {
        match exact::mul(*usd, factor) {
            Ok(product) => *usd = positive(Amount::new(product), path, problems),
            Err(_) => {
                let message = format!(
                    "`{factor}` times the price of `{}` has too many digits",
                    meter.name()
                );
                problems.note(path, message);
            }
        }
    }
    scaled
}

/// What `view` prices, laid over `under`.
pub(super) fn overlay(
    under: &Contexts,
    view: &TierView<'_>,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Contexts {
    let own = rates(&view.leaf, path, problems);
    let mut cells = under.clone();
    lay_over(cells.entry(None).or_default(), &own);
    for (above, cell) in &mut cells {
        // What this level costs for small prompts is the least that it costs for large ones.
        if above.is_some() {
            for (key, usd) in &own {
                let price = cell.entry(key.clone()).or_insert(*usd);
                *price = (*price).max(*usd);
            }
        }
    }
    let list = path.field("context");
    let mut seen = BTreeMap::new();
    let mut contexts = Vec::with_capacity(view.context.len());
    for (number, context) in view.context.iter().enumerate() {
        let place = list.index(number);
        if seen.insert(context.above, number).is_some() {
            problems.note(&place.field("above"), "this context size stands twice");
        }
        contexts.push((context.above, rates(&context.leaf(), &place, problems)));
    }
    contexts.sort_by_key(|(above, _)| *above);
    // Each context size begins with what the next smaller one costs here.
    let mut reached = own;
    for (above, rates) in contexts {
        lay_over(&mut reached, &rates);
        let mut cell = below(&cells, Some(above));
        lay_over(&mut cell, &reached);
        cells.insert(Some(above), cell);
    }
    cells
}

/// A meter that `rates` prices loses all its rates in `cell`, those with attributes too.
fn lay_over(cell: &mut Rates, rates: &Rates) {
    let meters: BTreeSet<&Meter> = rates.keys().map(|(meter, _)| meter).collect();
    cell.retain(|(meter, _), _| !meters.contains(meter));
    cell.extend(rates.iter().map(|(key, usd)| (key.clone(), *usd)));
}

/// The rates that hold at `above` so far: of the largest context size that is not larger.
pub(super) fn below(cells: &Contexts, above: Option<u64>) -> Rates {
    let nearest = cells.range(..=above).next_back();
    nearest.map(|(_, rates)| rates.clone()).unwrap_or_default()
}

pub(super) fn rates(leaf: &Leaf<'_>, path: &Path<'_>, problems: &mut Problems<'_>) -> Rates {
    let mut rates = Rates::new();
    for (field, amounts, per) in [
        ("per_million", leaf.per_million, PriceUnit::Million),
        ("per_unit", leaf.per_unit, PriceUnit::Unit),
    ] {
        let list = path.field(field);
        for (name, amount) in amounts {
            let place = list.field(name);
            if let Some(meter) = meter(name, per, &place, problems) {
                let usd = per_one(*amount, per, &place, problems);
                if rates.insert((meter, Vec::new()), usd).is_some() {
                    problems.note(&place, format!("`{name}` has a price per million already"));
                }
            }
        }
    }
    let list = path.field("rates");
    for (number, rate) in leaf.rates.iter().enumerate() {
        let place = list.index(number);
        let (amount, per, field) = match (rate.per_million, rate.per_unit) {
            (Some(amount), None) => (amount, PriceUnit::Million, "per_million"),
            (None, Some(amount)) => (amount, PriceUnit::Unit, "per_unit"),
            _ => {
                problems.note(&place, "a rate has either `per_million` or `per_unit`");
                continue;
            }
        };
        let named = rate.attributes.iter().all(|(name, value)| {
            check_name(name, &place.field("attributes"), problems)
                && check_name(value, &place.field("attributes"), problems)
        });
        let meter = meter(&rate.meter, per, &place.field("meter"), problems);
        let Some(meter) = meter.filter(|_| named) else {
            continue;
        };
        let mut attributes: Vec<Attribute> = rate
            .attributes
            .iter()
            .map(|(name, value)| Attribute {
                name: name.as_str().into(),
                value: value.as_str().into(),
            })
            .collect();
        attributes.sort_unstable();
        let usd = per_one(amount, per, &place.field(field), problems);
        if rates.insert((meter, attributes), usd).is_some() {
            problems.note(&place, "the same meter and attributes have a price already");
        }
    }
    rates
}
