//! The rules that the terms of sale keep.

use super::check::{
    BrokenRule, Checked, EncodeError, amount, at, meter, name, provider_id, refuse, strictly_sorted,
};
use crate::book::{
    Book, Charge, ChargeRule, ModelName, ModelPattern, Narrowing, Per, Sale, Scope, SheetEntry,
    Volume,
};
use crate::event::KeySource;
use rust_decimal::Decimal;
use std::collections::BTreeSet;

const DAY_MINUTES: u16 = 1_440;

pub(super) fn check_rules(book: &Book) -> Result<(), EncodeError> {
    for rule in &book.charge_rules {
        let checked = name(&rule.name)
            .and_then(|()| scope(book, &rule.scope))
            .and_then(|()| charge(book, rule));
        at(|| format!("charge rule `{}`", rule.name), checked)?;
    }
    for minimum in &book.minimums {
        let checked = name(&minimum.name)
            .and_then(|()| scope(book, &minimum.scope))
            .and_then(|()| amount(minimum.usd));
        at(|| format!("minimum `{}`", minimum.name), checked)?;
    }
    let cap = &book.own_key_cap;
    let checked = amount(cap.fixed_usd).and_then(|()| amount(cap.share_of_market));
    at(|| "cap for own keys".into(), checked)?;
    match &book.sale {
        Some(sale) => check_sale(book, sale),
        None => Ok(()),
    }
}

fn check_sale(book: &Book, sale: &Sale) -> Result<(), EncodeError> {
    at(
        || "further terms".into(),
        refuse(sale.is_empty(), BrokenRule::Empty),
    )?;
    at(|| "costs".into(), entries(&sale.costs))?;
    let names = sale.sheets.iter().map(|sheet| &sheet.name);
    let sorted = refuse(!strictly_sorted(names), BrokenRule::NotSorted);
    at(|| "sheets".into(), sorted)?;
    for sheet in &sale.sheets {
        let checked = name(&sheet.name).and_then(|()| entries(&sheet.entries));
        at(|| format!("sheet `{}`", sheet.name), checked)?;
    }
    for access in &sale.access {
        let checked = name(&access.name)
            .and_then(|()| scope(book, &access.scope))
            .and_then(|()| patterns(&access.models));
        at(|| format!("models of `{}`", access.name), checked)?;
    }
    for quota in &sale.free_quotas {
        let checked = name(&quota.name)
            .and_then(|()| scope(book, &quota.scope))
            .and_then(|()| meter(&quota.meter))
            .and_then(|()| amount(quota.quantity))
            .and_then(|()| refuse(quota.per == Per::Call, BrokenRule::NeverMatches));
        at(|| format!("free quota `{}`", quota.name), checked)?;
    }
    for volume in &sale.volumes {
        let checked = name(&volume.name)
            .and_then(|()| scope(book, &volume.scope))
            .and_then(|()| steps(volume));
        at(|| format!("volume steps `{}`", volume.name), checked)?;
    }
    for most in &sale.maximums {
        let checked = name(&most.name)
            .and_then(|()| scope(book, &most.scope))
            .and_then(|()| amount(most.usd));
        at(|| format!("maximum `{}`", most.name), checked)?;
    }
    for least in &sale.preflights {
        let checked = name(&least.name)
            .and_then(|()| scope(book, &least.scope))
            .and_then(|()| amount(least.usd));
        at(|| format!("preflight `{}`", least.name), checked)?;
    }
    let mut counters = BTreeSet::new();
    for counter in sale.counters() {
        let twice = refuse(!counters.insert(counter.name), BrokenRule::Duplicate);
        at(|| format!("counter `{}`", counter.name), twice)?;
    }
    let step = sale.step_usd.unwrap_or(Decimal::ONE);
    let checked = amount(step).and_then(|()| refuse(step.is_zero(), BrokenRule::Empty));
    at(|| "rounding step".into(), checked)
}

fn scope(book: &Book, scope: &Scope) -> Checked {
    if let Some(feature) = &scope.feature {
        name(feature)?;
    }
    if let Some(narrowed) = &scope.narrowing {
        narrowing(narrowed)?;
    }
    match &scope.plan {
        Some(plan) => {
            name(plan)?;
            let listed = book.plans.is_empty() || book.plans.contains(plan);
            refuse(!listed, BrokenRule::UnknownPlan)
        }
        None => Ok(()),
    }
}

fn narrowing(narrowing: &Narrowing) -> Checked {
    refuse(*narrowing == Narrowing::default(), BrokenRule::Empty)?;
    if let Some(org) = &narrowing.org {
        name(org)?;
    }
    if !narrowing.models.is_empty() {
        patterns(&narrowing.models)?;
    }
    let dates = narrowing.from_ms.zip(narrowing.until_ms);
    let never = dates.is_some_and(|(from, until)| from >= until)
        || narrowing
            .minutes
            .is_some_and(|(from, until)| from == until || from.max(until) >= DAY_MINUTES);
    refuse(never, BrokenRule::NeverMatches)
}

fn patterns(patterns: &[ModelPattern]) -> Checked {
    refuse(patterns.is_empty(), BrokenRule::Empty)?;
    patterns.iter().try_for_each(|pattern| {
        if let Some(provider) = &pattern.provider {
            provider_id(provider)?;
        }
        match &pattern.model {
            ModelName::Any => Ok(()),
            ModelName::Is(text) | ModelName::Begins(text) => name(text),
        }
    })
}

fn entries(entries: &[SheetEntry]) -> Checked {
    entries.iter().try_for_each(|entry| {
        patterns(&entry.models)?;
        amount(entry.factor)?;
        for (priced, usd) in &entry.prices {
            meter(priced).and_then(|()| amount(*usd))?;
        }
        let meters = entry.prices.iter().map(|(meter, _)| meter);
        refuse(!strictly_sorted(meters), BrokenRule::NotSorted)
    })
}

fn steps(volume: &Volume) -> Checked {
    refuse(volume.steps.is_empty(), BrokenRule::Empty)?;
    for step in &volume.steps {
        amount(step.above_usd).and_then(|()| amount(step.factor))?;
        refuse(step.above_usd.is_zero(), BrokenRule::Empty)?;
    }
    let above = volume.steps.iter().map(|step| step.above_usd);
    refuse(!strictly_sorted(above), BrokenRule::NotSorted)
}

fn charge(book: &Book, rule: &ChargeRule) -> Checked {
    let key_source = rule.scope.key_source;
    match &rule.charge {
        Charge::CostPlus { markup } => {
            amount(*markup)?;
            let declared = book.loss_leader || rule.loss_leader;
            refuse(*markup < Decimal::ONE && !declared, BrokenRule::BelowCost)?;
            refuse(key_source == Some(KeySource::Own), BrokenRule::NeverMatches)
        }
        Charge::Listed { sheet, share } => {
            amount(*share)?;
            let sheets = book.sale.as_ref().map_or(0, |sale| sale.sheets.len());
            let unknown = sheet.is_some_and(|number| usize::from(number) >= sheets);
            refuse(unknown, BrokenRule::UnknownSheet)?;
            refuse(key_source == Some(KeySource::Own), BrokenRule::NeverMatches)
        }
        Charge::PlatformFee {
            fixed_usd,
            share_of_market,
        } => {
            amount(*fixed_usd)?;
            amount(*share_of_market)?;
            let cap = &book.own_key_cap;
            let above = *fixed_usd > cap.fixed_usd || *share_of_market > cap.share_of_market;
            refuse(above, BrokenRule::AboveCap)?;
            let managed = key_source == Some(KeySource::Managed);
            refuse(managed, BrokenRule::NeverMatches)
        }
        Charge::Free | Charge::NotAllowed => Ok(()),
    }
}
