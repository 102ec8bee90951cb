//! Every rule that a book must keep, checked before it becomes bytes.
//!
//! What stands here need not be asked again while rating: sorted tables, prices that cannot be
//! negative, rules that can match. An error names the place in the book.

use super::check_terms::check_rules;
use crate::book::{Book, Model, Period, Rate, RateTable};
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
    /// The first table of a period is not the standard one.
    #[error("the first table must be the standard one: no tier, no region, no context")]
    NoStandardTable,
    /// `default`, `standard` and `auto` are not tiers of their own.
    #[error("`default`, `standard` and `auto` mean no service tier")]
    StandardTier,
    /// Two models of a provider have the same alias or prefix.
    #[error("another model of the provider has the same alias or prefix")]
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
    for (number, model) in book.models.iter().enumerate() {
        let place = || format!("model `{}/{}`", model.provider, model.name);
        at(place, check_model(model))?;
        for (names, taken) in [
            (&model.aliases, &mut aliases),
            (&model.prefixes, &mut prefixes),
        ] {
            for name in names {
                if taken.insert((&model.provider, name), number).is_some() {
                    let place = || format!("{}, `{name}`", place());
                    return at(place, Err(BrokenRule::Ambiguous));
                }
            }
        }
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
            .and_then(|()| amount(fallback.factor));
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
    check_rules(book)
}

fn check_model(model: &Model) -> Checked {
    provider_id(&model.provider)?;
    name(&model.name)?;
    for names in [&model.aliases, &model.prefixes] {
        names.iter().try_for_each(|text| name(text))?;
        refuse(!strictly_sorted(names.iter()), BrokenRule::NotSorted)?;
    }
    refuse(model.periods.is_empty(), BrokenRule::Empty)?;
    let mut periods = model.periods.iter().peekable();
    while let Some(period) = periods.next() {
        let (from, to) = (period.valid_from_ms, period.valid_to_ms);
        let backward = from.zip(to).is_some_and(|(from, to)| from >= to);
        // A period without an end can only be the last, one without a beginning only the first.
        let overlaps = periods.peek().is_some_and(|next| {
            to.zip(next.valid_from_ms)
                .is_none_or(|(to, next_from)| next_from < to)
        });
        refuse(backward || overlaps, BrokenRule::PeriodsOverlap)?;
    }
    Ok(())
}

fn check_period(period: &Period) -> Checked {
    let keys = period
        .tables
        .iter()
        .map(|t| (&t.service_tier, &t.region, t.context_above));
    let standard = keys.clone().next() == Some((&None, &None, None));
    refuse(!standard, BrokenRule::NoStandardTable)?;
    refuse(!strictly_sorted(keys), BrokenRule::NotSorted)
}

fn check_table(table: &RateTable) -> Checked {
    if let Some(service_tier) = &table.service_tier {
        tier(service_tier)?;
    }
    if let Some(region) = &table.region {
        name(region)?;
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
