//! The terms beyond markups and minimums: costs, sheets, models allowed, quotas, volume, maximums.

use super::Problems;
use super::places::Place;
use super::rules::preflights;
use super::values::{PriceUnit, any_meter, check_name, meter, per_one, positive, window};
use super::when::patterns;
use crate::amount::Amount;
use crate::document::Path;
use crate::suggest::did_you_mean;
use crate::text::{BookText, PriceText, StepText};
use farebox_pricing::book::{
    Access, FreeQuota, Maximum, Per, Sale, Sheet, SheetEntry, Volume, VolumeStep,
};
use farebox_pricing::event::KeySource;
use farebox_pricing::meter::Meter;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

const ROOT: Path<'static> = Path::Root;

/// The further terms of the book; `None` where it has none.
pub(super) fn lower(
    text: &BookText,
    places: &[Place<'_>],
    problems: &mut Problems<'_>,
) -> Option<Sale> {
    let mut sale = Sale {
        costs: entries(&text.costs, &ROOT.field("costs"), problems),
        sheets: sheets(text, problems),
        preflights: preflights(places, problems),
        step_usd: text.charge_step_usd.map(|step| {
            let path = ROOT.field("charge_step_usd");
            if step.get().is_zero() {
                problems.note(&path, "a step of zero has no multiples");
            }
            positive(step, &path, problems)
        }),
        ..Sale::default()
    };
    for place in places {
        place.at(|path| terms(place, path, &mut sale, problems));
    }
    (!sale.is_empty()).then_some(sale)
}

fn terms(place: &Place<'_>, path: &Path<'_>, sale: &mut Sale, problems: &mut Problems<'_>) {
    let terms = &place.terms;
    let loss_leader = terms.loss_leader;
    if !terms.models.is_empty() {
        sale.access.push(Access {
            name: place.name.as_str().into(),
            scope: place.scope.clone(),
            models: patterns(&terms.models, &path.field("models"), problems),
        });
    }
    let list = path.field("free");
    for (number, free) in terms.free.iter().enumerate() {
        let path = list.index(number);
        let Some(meter) = any_meter(&free.meter, &path.field("meter"), problems) else {
            continue;
        };
        let per = window(free.per);
        let name = format!("{}/free/{}", place.name, meter.name());
        if sale.free_quotas.iter().any(|other| *other.name == *name) {
            problems.note(
                &path,
                format!("`{}` has a quota here already", meter.name()),
            );
            continue;
        }
        sale.free_quotas.push(FreeQuota {
            name: name.into(),
            scope: place.scope_of(KeySource::Managed),
            quantity: positive(free.quantity, &path.field("quantity"), problems),
            meter,
            per,
            loss_leader,
        });
    }
    sale.volumes.extend(volume(place, path, problems));
    for (field, usd, per) in [
        ("maximum_usd", terms.maximum_usd, Per::Call),
        ("maximum_per_day_usd", terms.maximum_per_day_usd, Per::Day),
        (
            "maximum_per_month_usd",
            terms.maximum_per_month_usd,
            Per::Month,
        ),
    ] {
        sale.maximums.extend(usd.map(|usd| Maximum {
            name: match per {
                Per::Call => place.name.as_str().into(),
                _ => format!("{}/{}", place.name, field.trim_end_matches("_usd")).into(),
            },
            scope: place.scope_of(KeySource::Managed),
            usd: positive(usd, &path.field(field), problems),
            per,
            loss_leader,
        }));
    }
}

fn volume(place: &Place<'_>, path: &Path<'_>, problems: &mut Problems<'_>) -> Option<Volume> {
    let volume = place.terms.volume.as_ref()?;
    let path = path.field("volume");
    let (whole, list, field) = match (volume.graduated.as_slice(), volume.whole.as_slice()) {
        (graduated @ [_, ..], []) => (false, graduated, "graduated"),
        ([], whole @ [_, ..]) => (true, whole, "whole"),
        _ => {
            problems.note(&path, "either `graduated` or `whole` steps");
            return None;
        }
    };
    Some(Volume {
        name: format!("{}/volume", place.name).into(),
        scope: place.scope_of(KeySource::Managed),
        whole,
        steps: steps(list, &path.field(field), problems),
        loss_leader: place.terms.loss_leader,
    })
}

fn steps(texts: &[StepText], path: &Path<'_>, problems: &mut Problems<'_>) -> Vec<VolumeStep> {
    let mut steps: Vec<VolumeStep> = Vec::with_capacity(texts.len());
    for (number, text) in texts.iter().enumerate() {
        let path = path.index(number);
        let above_usd = positive(text.above_usd, &path.field("above_usd"), problems);
        let rises = steps
            .last()
            .is_none_or(|before| before.above_usd < above_usd);
        if above_usd.is_zero() || !rises {
            problems.note(&path.field("above_usd"), "steps rise from above 0");
        }
        steps.push(VolumeStep {
            above_usd,
            factor: positive(text.factor, &path.field("factor"), problems),
        });
    }
    steps
}

fn sheets(text: &BookText, problems: &mut Problems<'_>) -> Vec<Sheet> {
    let list = ROOT.field("sheets");
    let mut sheets: Vec<Sheet> = Vec::with_capacity(text.sheets.len());
    for (name, prices) in &text.sheets {
        let path = list.field(name);
        check_name(name, &path, problems);
        if prices.is_empty() {
            problems.note(&path, "a sheet has prices");
        }
        sheets.push(Sheet {
            name: name.as_str().into(),
            entries: entries(prices, &path, problems),
        });
    }
    sheets.sort_by(|a, b| a.name.cmp(&b.name));
    sheets
}

/// The number of the sheet called `name`, in the order of the canonical book.
pub(super) fn sheet_number(
    text: &BookText,
    name: &str,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Option<u16> {
    let mut names: Vec<&str> = text.sheets.keys().map(String::as_str).collect();
    names.sort_unstable();
    let number = names.binary_search(&name).ok();
    if number.is_none() {
        let meant = did_you_mean(name, names.iter().copied());
        problems.note(path, format!("unknown sheet `{name}`{meant}"));
    }
    number.and_then(|number| u16::try_from(number).ok())
}

fn entries(texts: &[PriceText], path: &Path<'_>, problems: &mut Problems<'_>) -> Vec<SheetEntry> {
    let mut entries = Vec::with_capacity(texts.len());
    for (number, text) in texts.iter().enumerate() {
        let path = path.index(number);
        if text.models.is_empty() {
            problems.note(&path, "which `models`? `*/*` means all");
        }
        let factor = text.factor.unwrap_or(Amount::new(Decimal::ONE));
        entries.push(SheetEntry {
            models: patterns(&text.models, &path.field("models"), problems),
            factor: positive(factor, &path.field("factor"), problems),
            prices: prices(text, &path, problems),
        });
    }
    entries
}

fn prices(text: &PriceText, path: &Path<'_>, problems: &mut Problems<'_>) -> Vec<(Meter, Decimal)> {
    let mut prices = BTreeMap::new();
    for (field, per, amounts) in [
        ("per_million", PriceUnit::Million, &text.per_million),
        ("per_unit", PriceUnit::Unit, &text.per_unit),
    ] {
        let list = path.field(field);
        for (name, amount) in amounts {
            let path = list.field(name);
            let Some(meter) = meter(name, per, &path, problems) else {
                continue;
            };
            let usd = per_one(*amount, per, &path, problems);
            if prices.insert(meter, usd).is_some() {
                problems.note(&path, format!("`{name}` has a price already"));
            }
        }
    }
    prices.into_iter().collect()
}
