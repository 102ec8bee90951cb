//! The bounds themselves.

use super::{Oddity, Severity, has_rates, plain_rate};
use farebox_pricing::book::{Book, Model, RateTable};
use farebox_pricing::exact;
use farebox_pricing::meter::Meter;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

type Note<'n> = dyn FnMut(Severity, Oddity) + 'n;

/// The dearest token that is believed. The dearest real one costs USD 0.0006.
const TOKEN_USD_MAX: Decimal = Decimal::from_parts(1, 0, 0, false, 2);
/// Output is believed between a tenth and a hundred times the input ...
const OUTPUT_FACTOR_MAX: Decimal = Decimal::from_parts(100, 0, 0, false, 0);
const TEN: Decimal = Decimal::from_parts(10, 0, 0, false, 0);

/// Who is called what.
pub(super) struct Names<'b> {
    names: BTreeSet<(&'b str, &'b str)>,
    aliases: BTreeMap<(&'b str, &'b str), u32>,
}

impl<'b> Names<'b> {
    pub(super) fn of(book: &'b Book) -> Self {
        let names = book
            .models
            .iter()
            .map(|m| (&*m.provider, &*m.name))
            .collect();
        let mut aliases: BTreeMap<_, u32> = BTreeMap::new();
        for model in &book.models {
            for alias in &model.aliases {
                let uses = aliases.entry((&*model.provider, &**alias)).or_default();
                *uses = uses.saturating_add(1);
            }
        }
        Self { names, aliases }
    }
}

pub(super) fn names(model: &Model, names: &Names<'_>, note: &mut Note<'_>) {
    for alias in &model.aliases {
        let key = (&*model.provider, &**alias);
        if names.names.contains(&key) {
            note(
                Severity::Warning,
                Oddity::AliasIsAName {
                    alias: alias.clone(),
                },
            );
        }
        if names.aliases.get(&key).is_some_and(|uses| *uses > 1) {
            note(
                Severity::Error,
                Oddity::AliasTwice {
                    alias: alias.clone(),
                },
            );
        }
    }
}

pub(super) fn whole(model: &Model, note: &mut Note<'_>) {
    if !has_rates(model) {
        note(Severity::Warning, Oddity::NoPrice);
        return;
    }
    let mut tables = model.periods.iter().flat_map(|period| &period.tables);
    if tables.all(|table| table.rates.iter().all(|rate| rate.usd.is_zero())) {
        note(Severity::Warning, Oddity::Free);
    }
    let standard = model
        .periods
        .last()
        .and_then(|period| period.tables.first());
    let Some(standard) = standard else { return };
    let priced = |meter| standard.rates.iter().any(|rate| rate.meter == meter);
    let answers = [
        Meter::Output,
        Meter::OutputAudio,
        Meter::OutputImage,
        Meter::Image,
    ];
    let costs_input = plain_rate(standard, &Meter::Input).is_some_and(|usd| !usd.is_zero());
    if costs_input && model.max_output_tokens.is_some() && !answers.into_iter().any(priced) {
        note(Severity::Warning, Oddity::NoOutputPrice);
    }
}

pub(super) fn table(table: &RateTable, siblings: &[RateTable], note: &mut Note<'_>) {
    for rate in &table.rates {
        let meter = || Box::from(rate.meter.name());
        if rate.usd < Decimal::ZERO {
            note(
                Severity::Error,
                Oddity::Negative {
                    meter: meter(),
                    usd: rate.usd,
                },
            );
        }
        if rate.meter.is_tokens() && rate.usd > TOKEN_USD_MAX {
            note(
                Severity::Warning,
                Oddity::TooDear {
                    meter: meter(),
                    usd: rate.usd,
                },
            );
        }
    }
    ratios(table, note);
    if table.hours.is_none() {
        smaller_context(table, siblings, note);
        tier(table, siblings, note);
    }
}

/// Batches and slow tiers are sold as cheaper than the standard one, fast tiers as dearer.
fn tier(table: &RateTable, siblings: &[RateTable], note: &mut Note<'_>) {
    let cheaper = match table.service_tier.as_deref() {
        Some("batch" | "flex") => true,
        Some("priority" | "fast") => false,
        _ => return,
    };
    let standard = siblings.iter().find(|other| {
        other.service_tier.is_none()
            && other.region == table.region
            && other.context_above == table.context_above
            && other.hours.is_none()
    });
    let Some(standard) = standard else { return };
    for meter in [Meter::Input, Meter::Output] {
        let (Some(usd), Some(standard)) = (plain_rate(table, &meter), plain_rate(standard, &meter))
        else {
            continue;
        };
        if (cheaper && usd > standard) || (!cheaper && usd < standard) {
            let meter = meter.name().into();
            let contradicts = Oddity::TierContradicts {
                meter,
                usd,
                standard,
            };
            note(Severity::Warning, contradicts);
        }
    }
}

fn ratios(table: &RateTable, note: &mut Note<'_>) {
    let Some(input) = plain_rate(table, &Meter::Input).filter(|usd| !usd.is_zero()) else {
        return;
    };
    let times = |factor| exact::mul(input, factor).unwrap_or(Decimal::MAX);
    if let Some(cache_read) = plain_rate(table, &Meter::CacheRead)
        && cache_read > input
    {
        note(
            Severity::Warning,
            Oddity::CacheReadAboveInput { cache_read, input },
        );
    }
    for meter in [Meter::CacheWrite5m, Meter::CacheWrite1h] {
        if let Some(cache_write) = plain_rate(table, &meter)
            && cache_write > times(TEN)
        {
            note(
                Severity::Warning,
                Oddity::CacheWriteFarAboveInput { cache_write, input },
            );
        }
    }
    // ... and zero, as embeddings have it.
    if let Some(output) = plain_rate(table, &Meter::Output).filter(|usd| !usd.is_zero()) {
        let tenfold = exact::mul(output, TEN).unwrap_or(Decimal::MAX);
        if output > times(OUTPUT_FACTOR_MAX) || tenfold < input {
            note(Severity::Warning, Oddity::OutputRatio { output, input });
        }
    }
}

/// Compares with the next smaller context of the same tier and region.
fn smaller_context(table: &RateTable, siblings: &[RateTable], note: &mut Note<'_>) {
    let smaller = siblings
        .iter()
        .filter(|other| {
            other.service_tier == table.service_tier
                && other.region == table.region
                && other.hours.is_none()
                && other.context_above < table.context_above
        })
        .max_by_key(|other| other.context_above);
    let Some(smaller) = smaller else { return };
    for meter in [Meter::Input, Meter::Output] {
        if let (Some(below), Some(above)) = (plain_rate(smaller, &meter), plain_rate(table, &meter))
            && above < below
        {
            let meter = meter.name().into();
            note(
                Severity::Warning,
                Oddity::ContextCheaper {
                    meter,
                    below,
                    above,
                },
            );
        }
    }
}
