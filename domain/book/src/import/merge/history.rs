//! Past and announced prices: what holds on the day of the book, and how one source's dated prices
//! are put around another's undated ones.

use super::share_a_meter;
use crate::amount::Amount;
use crate::import::report::Lost;
use crate::text::{AllowanceText, Leaf, ModelText, PeriodText, RateText, TierText};
use indexmap::IndexMap;
use std::collections::BTreeSet;

/// The standard prices of a day, and the tiers beside them.
pub(super) struct InForce<'m> {
    pub(super) leaf: Leaf<'m>,
    pub(super) tiers: &'m [TierText],
}

/// What holds on the day `as_of`.
pub(super) fn in_force<'m>(model: &'m ModelText, as_of: &str) -> InForce<'m> {
    let last = begun(model, as_of).checked_sub(1);
    match last.and_then(|last| model.periods.get(last)) {
        Some(period) => InForce {
            leaf: period.leaf(),
            tiers: &period.tiers,
        },
        None => InForce {
            leaf: model.leaf(),
            tiers: &model.tiers,
        },
    }
}

/// How many of the model's dated periods have begun by `as_of`. Importers write days, sorted.
fn begun(model: &ModelText, as_of: &str) -> usize {
    let begun = |period: &&PeriodText| {
        let from = period.valid_from.as_deref();
        from.is_none_or(|from| from <= as_of)
    };
    model.periods.iter().take_while(begun).count()
}

/// Prices before and after those in force are something `own`, without dates, lacks: the other
/// source's are taken around its own, with the prices of whole things and the allowances that only
/// `own` has. Its prices of tokens are not carried over: a tier at today's price would be below
/// cost from the day on which prices rise. Returns what is lost so.
pub(super) fn take_history(
    id: &str,
    own: &mut ModelText,
    mut other: ModelText,
    as_of: &str,
) -> Vec<Lost> {
    if !own.periods.is_empty() || other.periods.is_empty() || !share_a_meter(own, &other, as_of) {
        return Vec::new();
    }
    let dated = std::mem::take(&mut other.periods);
    let mut past: Vec<PeriodText> = std::iter::once(stands_at(&mut other))
        .chain(dated)
        .collect();
    let holds = |period: &PeriodText| {
        period
            .valid_from
            .as_deref()
            .is_none_or(|from| from <= as_of)
    };
    let begun = past.iter().take_while(|period| holds(period)).count();
    let mut future = past.split_off(begun.min(past.len()));
    // Of what is in force, the other source says only since when its standard prices hold.
    let since = past.pop().map(|mut since| {
        while past
            .last()
            .is_some_and(|before| same_standard(before, &since))
        {
            since.valid_from = past.pop().and_then(|before| before.valid_from);
        }
        since.valid_from
    });
    past.retain(|period| !period.leaf().is_empty() || period.valid_from.is_some());
    let mut current = stands_at(own);
    let since = since.flatten().filter(|_| !past.is_empty());
    if since.is_none() {
        past.clear();
    }
    let mut lost = Vec::new();
    let priced = |period: &&mut PeriodText| !period.leaf().is_empty();
    for period in past.iter_mut().chain(&mut future).filter(priced) {
        carry_over(&current, period);
        lost.extend(losses(id, own, &current, period));
    }
    let Some(since) = since else {
        put(own, current);
        own.periods = future;
        return lost;
    };
    current.valid_from = Some(since);
    let open = past.first().is_some_and(|first| first.valid_from.is_none());
    if open {
        put(own, past.remove(0));
    }
    own.periods = past.into_iter().chain([current]).chain(future).collect();
    lost
}

/// What stands at the model itself, taken from it, as a period without dates.
fn stands_at(model: &mut ModelText) -> PeriodText {
    PeriodText {
        valid_from: None,
        valid_to: None,
        known_since: None,
        per_million: std::mem::take(&mut model.per_million),
        per_unit: std::mem::take(&mut model.per_unit),
        rates: std::mem::take(&mut model.rates),
        context: std::mem::take(&mut model.context),
        tiers: std::mem::take(&mut model.tiers),
        regions: std::mem::take(&mut model.regions),
        hours: std::mem::take(&mut model.hours),
        allowances: std::mem::take(&mut model.allowances),
    }
}

/// Puts a period without dates at the model itself.
fn put(model: &mut ModelText, period: PeriodText) {
    model.per_million = period.per_million;
    model.per_unit = period.per_unit;
    model.rates = period.rates;
    model.context = period.context;
    model.tiers = period.tiers;
    model.regions = period.regions;
    model.hours = period.hours;
    model.allowances = period.allowances;
}

fn same_standard(a: &PeriodText, b: &PeriodText) -> bool {
    a.per_million == b.per_million
        && a.per_unit == b.per_unit
        && a.rates == b.rates
        && a.context == b.context
        && a.hours == b.hours
}

/// Gives `period` the prices of whole things and the allowances of meters that only `current` has.
fn carry_over(current: &PeriodText, period: &mut PeriodText) {
    let priced = meters(period);
    let free = |meter: &String| !priced.contains(meter);
    let units = current.per_unit.iter().filter(|(meter, _)| free(meter));
    let units: IndexMap<String, Amount> = units.map(|(meter, usd)| (meter.clone(), *usd)).collect();
    period.per_unit.extend(units);
    super::sort_meters(&mut period.per_unit);
    let whole = |rate: &&RateText| rate.per_unit.is_some() && free(&rate.meter);
    period
        .rates
        .extend(current.rates.iter().filter(whole).cloned());
    let allowed: BTreeSet<String> = period.allowances.iter().map(|a| a.meter.clone()).collect();
    let now_priced = meters(period);
    let missing = |allowance: &&AllowanceText| {
        !allowed.contains(&allowance.meter) && now_priced.contains(&allowance.meter)
    };
    let missing = current.allowances.iter().filter(missing).cloned();
    period.allowances.extend(missing.collect::<Vec<_>>());
}

/// What `period` lacks of what `current` has, by name.
fn losses(id: &str, model: &ModelText, current: &PeriodText, period: &PeriodText) -> Vec<Lost> {
    let (had, has) = (meters(current), meters(period));
    let mut what: Vec<String> = had
        .difference(&has)
        .map(|meter| format!("`{meter}`"))
        .collect();
    let tiers = current.tiers.iter().map(|tier| &tier.name);
    let kept: BTreeSet<&String> = period.tiers.iter().map(|tier| &tier.name).collect();
    what.extend(
        tiers
            .filter(|name| !kept.contains(name))
            .map(|name| format!("tier `{name}`")),
    );
    let regions = current.regions.iter().map(|region| &region.name);
    let kept: BTreeSet<&String> = period.regions.iter().map(|region| &region.name).collect();
    what.extend(
        regions
            .filter(|name| !kept.contains(name))
            .map(|name| format!("region `{name}`")),
    );
    let kept: BTreeSet<u64> = period.context.iter().map(|context| context.above).collect();
    let contexts = current.context.iter().map(|context| context.above);
    what.extend(
        contexts
            .filter(|above| !kept.contains(above))
            .map(|above| format!("above {above} tokens")),
    );
    let hours = current.hours.iter().map(|hours| &hours.name);
    let kept: BTreeSet<&String> = period.hours.iter().map(|hours| &hours.name).collect();
    what.extend(
        hours
            .filter(|name| !kept.contains(name))
            .map(|name| format!("hours `{name}`")),
    );
    let what = what.into_iter();
    what.map(|what| Lost {
        provider: id.to_owned(),
        model: model.model.clone(),
        valid_from: period.valid_from.clone(),
        what,
    })
    .collect()
}

/// The meters with a standard price.
fn meters(period: &PeriodText) -> BTreeSet<String> {
    let tokens = period.per_million.keys().chain(period.per_unit.keys());
    let rates = period.rates.iter().map(|rate| &rate.meter);
    tokens.chain(rates).cloned().collect()
}
