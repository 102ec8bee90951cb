//! Every rule that a book must keep, checked before it becomes bytes.
//!
//! What stands here need not be asked again while rating: sorted tables, prices that cannot be
//! negative, rules that can match. An error names the place in the book.

use super::check_terms::check_rules;
use crate::book::{Book, Hours, Model, Per, Period, Rate, RateTable, UnknownModels, WEEK_MINUTES};
use crate::meter::{Attribute, Meter};
use crate::provider;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// The most decimal places of a price or factor.
pub const SCALE_MAX: u32 = 24;
/// The longest name, in bytes.
pub const NAME_LEN_MAX: usize = 256;

/// A book that cannot be encoded: which rule it breaks, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {rule}")]
pub struct EncodeError {
    /// Such as ``model `openai/gpt-4o`, period 0, table 1, rate `input` ``.
    pub place: Box<str>,
    /// The rule.
    pub rule: BrokenRule,
}

/// The rules of a book, in the order they are checked within one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenRule {
    /// Names have 1 to 256 bytes and no control characters.
    #[error("a name must have 1 to 256 bytes and no control characters")]
    BadName,
    /// The date is not `YYYY-MM-DD`.
    #[error("a date must be written YYYY-MM-DD")]
    BadDate,
    /// The provider id is not canonical.
    #[error("the provider id must be the canonical one")]
    ProviderNotCanonical,
    /// The meter is not well-formed, or a named meter was written as another.
    #[error("the meter is not a well-formed name")]
    BadMeter,
    /// A price, factor, share or fee is below zero.
    #[error("an amount cannot be negative")]
    Negative,
    /// More than 24 decimal places or 63 bits.
    #[error("an amount cannot have more than 24 decimal places or more than 63 bits")]
    TooPrecise,
    /// A list that must be sorted is not, or has the same item twice.
    #[error("must be sorted, and nothing may stand twice")]
    NotSorted,
    /// Something in an unsorted list stands twice.
    #[error("stands twice")]
    Duplicate,
    /// A model has no period, or a period no table.
    #[error("must not be empty")]
    Empty,
    /// Periods overlap, or one ends before it begins.
    #[error("periods must follow each other and not overlap")]
    PeriodsOverlap,
    /// Hours are empty, out of order, or reach past the week.
    #[error("hours must be spans of a week that follow each other and do not touch")]
    BadHours,
    /// Two tables of the same tier, region and context hold at the same time.
    #[error("two tables hold in the same hours")]
    HoursOverlap,
    /// A marginal context has no inclusive threshold.
    #[error("a marginal context begins beyond its threshold, never at it")]
    MarginalInclusive,
    /// An estimate needs at least one byte a token, and at most all of the output.
    #[error("an estimate needs at least 1 byte a token and an output share of at most 1")]
    BadEstimate,
    /// The first table of a period is not the standard one.
    #[error("the first table must be the standard one: no tier, no region, no context, no hours")]
    NoStandardTable,
    /// `default`, `standard` and `auto` are not tiers of their own.
    #[error("`default`, `standard` and `auto` mean no service tier")]
    StandardTier,
    /// Two models of a provider have the same alias, prefix or pattern.
    #[error("another model of the provider has the same alias, prefix or pattern")]
    Ambiguous,
    /// A markup below 1 in a book that is not a declared loss-leader.
    #[error("a markup below 1 needs a declared loss-leader")]
    BelowCost,
    /// A platform fee that passes the cap for own keys.
    #[error("the platform fee is above the declared cap")]
    AboveCap,
    /// Cost plus only matches managed keys, a platform fee only own keys.
    #[error("the rule can never match: cost plus is for managed keys, a platform fee for own keys")]
    NeverMatches,
    /// A rule or fallback names a plan the book does not list.
    #[error("the plan is not listed")]
    UnknownPlan,
    /// A rule names a sheet the book does not have.
    #[error("the sheet is not listed")]
    UnknownSheet,
    /// The book passes 4 GiB.
    #[error("the book is too large")]
    TooLarge,
}

pub(super) type Checked = Result<(), BrokenRule>;

/// The first broken rule, in the order of the book.
pub(super) fn check(book: &Book) -> Result<(), EncodeError> {
    check_terms(book)?;
    let names = book.models.iter().map(|m| (&m.provider, &m.name));
    if !strictly_sorted(names) {
        return at(|| "models".into(), Err(BrokenRule::NotSorted));
    }
    let mut aliases = BTreeMap::new();
    let mut prefixes = BTreeMap::new();
    let mut patterns = BTreeMap::new();
    for (number, model) in book.models.iter().enumerate() {
        let place = || format!("model `{}/{}`", model.provider, model.name);
        at(place, check_model(model))?;
        for (names, taken) in [
            (&model.aliases, &mut aliases),
            (&model.prefixes, &mut prefixes),
            (&model.patterns, &mut patterns),
        ] {
            for name in names {
                if taken.insert((&model.provider, name), number).is_some() {
                    let place = || format!("{}, `{name}`", place());
                    return at(place, Err(BrokenRule::Ambiguous));
                }
            }
        }
        check_prices(model, place)?;
    }
    if let UnknownModels::DefaultRate { model } = &book.unknown_models {
        let place = || "unknown models".to_owned();
        let named = !model.aliases.is_empty()
            || !model.prefixes.is_empty()
            || !model.patterns.is_empty()
            || (&*model.provider, &*model.name) != ("*", "default-rate");
        at(place, refuse(named, BrokenRule::NeverMatches))?;
        at(place, check_times(model))?;
        check_prices(model, place)?;
    }
    Ok(())
}

fn check_prices(model: &Model, place: impl Fn() -> String) -> Result<(), EncodeError> {
    for (p, period) in model.periods.iter().enumerate() {
        at(|| format!("{}, period {p}", place()), check_period(period))?;
        for (t, table) in period.tables.iter().enumerate() {
            let place = || format!("{}, period {p}, table {t}", place());
            at(place, check_table(table))?;
            for rate in &table.rates {
                let place = || format!("{}, rate `{}`", place(), rate.meter.name());
                at(place, check_rate(rate))?;
            }
        }
    }
    Ok(())
}

fn check_terms(book: &Book) -> Result<(), EncodeError> {
    at(|| "name".into(), name(&book.name))?;
    at(|| "as_of".into(), date(&book.as_of))?;
    for source in &book.sources {
        let checked = name(&source.name).and_then(|()| name(&source.version));
        at(|| "sources".into(), checked)?;
    }
    for fallback in &book.meter_fallbacks {
        let checked = meter(&fallback.meter)
            .and_then(|()| meter(&fallback.base))
            .and_then(|()| amount(fallback.factor))
            .and_then(|()| fallback.name.as_deref().map_or(Ok(()), name))
            .and_then(|()| fallback.service_tier.as_deref().map_or(Ok(()), tier));
        at(
            || format!("fallback of `{}`", fallback.meter.name()),
            checked,
        )?;
    }
    for (n, fallback) in book.tier_fallbacks.iter().enumerate() {
        let mut before = book.tier_fallbacks.iter().take(n);
        let twice = before.any(|other| other.service_tier == fallback.service_tier);
        let checked = tier(&fallback.service_tier)
            .and_then(|()| amount(fallback.factor))
            .and_then(|()| refuse(twice, BrokenRule::Duplicate));
        at(
            || format!("service tier `{}`", fallback.service_tier),
            checked,
        )?;
    }
    for (n, plan) in book.plans.iter().enumerate() {
        let twice = book.plans.iter().take(n).any(|other| other == plan);
        let checked = name(plan).and_then(|()| refuse(twice, BrokenRule::Duplicate));
        at(|| format!("plan `{plan}`"), checked)?;
    }
    check_rules(book)?;
    if let UnknownModels::Cap { usd } = &book.unknown_models {
        at(|| "unknown models".into(), amount(*usd))?;
    }
    let estimate = &book.failure_rules.estimate;
    let checked = amount(estimate.output_share).and_then(|()| {
        let bad = estimate.bytes_per_token == 0 || estimate.output_share > Decimal::ONE;
        refuse(bad, BrokenRule::BadEstimate)
    });
    at(|| "estimate".into(), checked)
}

fn check_model(model: &Model) -> Checked {
    provider_id(&model.provider)?;
    name(&model.name)?;
    for names in [
        &model.aliases,
        &model.prefixes,
        &model.patterns,
        &model.except,
    ] {
        names.iter().try_for_each(|text| name(text))?;
        refuse(!strictly_sorted(names.iter()), BrokenRule::NotSorted)?;
    }
    check_times(model)
}

fn check_times(model: &Model) -> Checked {
    refuse(
        model.context_inclusive && model.context_marginal,
        BrokenRule::MarginalInclusive,
    )?;
    refuse(model.periods.is_empty(), BrokenRule::Empty)?;
    let order = model.periods.iter();
    let order = order.map(|period| (period.valid_from_ms, period.known_since_ms));
    refuse(!strictly_sorted(order), BrokenRule::PeriodsOverlap)?;
    // The last period of each moment of knowledge, and its end.
    let mut ends: BTreeMap<Option<i64>, Option<i64>> = BTreeMap::new();
    for period in &model.periods {
        let (from, to) = (period.valid_from_ms, period.valid_to_ms);
        let backward = from.zip(to).is_some_and(|(from, to)| from >= to);
        // A period without an end can only be the last, one without a beginning only the first.
        let before = ends.insert(period.known_since_ms, to);
        let overlaps = before.is_some_and(|end| end.zip(from).is_none_or(|(end, from)| from < end));
        refuse(backward || overlaps, BrokenRule::PeriodsOverlap)?;
    }
    Ok(())
}

fn check_period(period: &Period) -> Checked {
    let keys = period
        .tables
        .iter()
        .map(|t| (&t.service_tier, &t.region, t.context_above, &t.hours));
    let standard = keys.clone().next() == Some((&None, &None, None, &None));
    refuse(!standard, BrokenRule::NoStandardTable)?;
    refuse(!strictly_sorted(keys), BrokenRule::NotSorted)?;
    for allowance in &period.allowances {
        name(&allowance.name).and_then(|()| meter(&allowance.meter))?;
        refuse(allowance.per == Per::Call, BrokenRule::NeverMatches)?;
    }
    let meters = period.allowances.iter().map(|allowance| &allowance.meter);
    refuse(!strictly_sorted(meters), BrokenRule::NotSorted)?;
    // Tables that differ only in their hours stand beside each other.
    for (n, table) in period.tables.iter().enumerate() {
        let Some(hours) = &table.hours else { continue };
        let before = period.tables.iter().take(n);
        let overlaps = before
            .filter(|other| {
                other.service_tier == table.service_tier
                    && other.region == table.region
                    && other.context_above == table.context_above
            })
            .filter_map(|other| other.hours.as_ref())
            .any(|other| hours.overlaps(other));
        refuse(overlaps, BrokenRule::HoursOverlap)?;
    }
    Ok(())
}

fn check_hours(hours: &Hours) -> Checked {
    name(&hours.name)?;
    let mut end: Option<u16> = None;
    for (from, to) in &hours.spans {
        let bad = from >= to || *to > WEEK_MINUTES || end.is_some_and(|end| *from <= end);
        refuse(bad, BrokenRule::BadHours)?;
        end = Some(*to);
    }
    refuse(hours.spans.is_empty(), BrokenRule::BadHours)
}

fn check_table(table: &RateTable) -> Checked {
    if let Some(service_tier) = &table.service_tier {
        tier(service_tier)?;
    }
    if let Some(region) = &table.region {
        name(region)?;
    }
    if let Some(hours) = &table.hours {
        check_hours(hours)?;
    }
    let keys = table.rates.iter().map(|r| (&r.meter, &r.attributes));
    refuse(!strictly_sorted(keys), BrokenRule::NotSorted)
}

fn check_rate(rate: &Rate) -> Checked {
    meter(&rate.meter)?;
    amount(rate.usd)?;
    for Attribute { name: key, value } in &rate.attributes {
        name(key).and_then(|()| name(value))?;
    }
    let names = rate.attributes.iter().map(|attribute| &attribute.name);
    refuse(!strictly_sorted(names), BrokenRule::NotSorted)
}

pub(super) fn provider_id(id: &str) -> Checked {
    let canonical = provider::canonical(id).is_none_or(|canonical| canonical == id);
    refuse(
        !canonical || !provider::is_well_formed(id),
        BrokenRule::ProviderNotCanonical,
    )
}

fn tier(text: &str) -> Checked {
    name(text)?;
    let standard = matches!(text, "default" | "standard" | "auto");
    refuse(standard, BrokenRule::StandardTier)
}

pub(super) fn meter(meter: &Meter) -> Checked {
    let found = Meter::from_name(meter.name());
    refuse(found.as_ref() != Some(meter), BrokenRule::BadMeter)
}

pub(super) fn amount(amount: Decimal) -> Checked {
    let amount = amount.normalize();
    refuse(amount < Decimal::ZERO, BrokenRule::Negative)?;
    let too_precise = amount.scale() > SCALE_MAX || i64::try_from(amount.mantissa()).is_err();
    refuse(too_precise, BrokenRule::TooPrecise)
}

pub(super) fn name(text: &str) -> Checked {
    let bad = text.is_empty() || text.len() > NAME_LEN_MAX || text.chars().any(char::is_control);
    refuse(bad, BrokenRule::BadName)
}

fn date(text: &str) -> Checked {
    let shaped = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    refuse(!shaped, BrokenRule::BadDate)
}

pub(super) fn refuse(broken: bool, rule: BrokenRule) -> Checked {
    if broken { Err(rule) } else { Ok(()) }
}

pub(super) fn at(place: impl FnOnce() -> String, checked: Checked) -> Result<(), EncodeError> {
    checked.map_err(|rule| EncodeError {
        place: place().into(),
        rule,
    })
}

pub(super) fn strictly_sorted<T: PartialOrd>(items: impl Iterator<Item = T>) -> bool {
    items.is_sorted_by(|a, b| a < b)
}
