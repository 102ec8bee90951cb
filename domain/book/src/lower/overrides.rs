//! Changes of an operator to prices that come from elsewhere, applied to the plain models: a
//! guest never sees them, only the prices that come of them.

use super::Problems;
use super::values::{PriceUnit, any_meter, check_name, meter, moment, per_one, positive};
use crate::document::Path;
use crate::text::OverrideText;
use farebox_pricing::book::{Model, Period, Rate, RateTable};
use farebox_pricing::exact;
use farebox_pricing::meter::Meter;
use farebox_pricing::{pattern, provider};
use rust_decimal::Decimal;

/// Something a person should see beside a model's prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Canonical provider id.
    pub provider: Box<str>,
    /// The model.
    pub model: Box<str>,
    /// What there is to say.
    pub text: Box<str>,
    /// Whether it is about a price that sources do not agree on.
    pub is_dispute: bool,
}

enum Change {
    Factor(Decimal),
    Price(Decimal),
}

/// Applies every override in order.
pub(super) fn apply(
    texts: &[OverrideText],
    models: &mut [Model],
    problems: &mut Problems<'_>,
) -> Vec<Note> {
    let list = Path::Field(&Path::Root, "overrides");
    let mut notes = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        apply_one(text, models, &list.index(number), &mut notes, problems);
    }
    notes
}

fn apply_one(
    text: &OverrideText,
    models: &mut [Model],
    path: &Path<'_>,
    notes: &mut Vec<Note>,
    problems: &mut Problems<'_>,
) {
    check_name(&text.reason, &path.field("reason"), problems);
    let Some((change, meters)) = change(text, path, problems) else {
        return;
    };
    let from = text.valid_from.as_deref();
    let from_ms = from.and_then(|text| moment(text, &path.field("valid_from"), problems));
    let wanted = provider::normalise(&text.provider);
    let names = text.model.as_deref().unwrap_or("*");
    let mut changed = 0_u64;
    for model in models {
        let named = *names == *model.name || pattern::matches(names, &model.name);
        if wanted.as_deref() != Some(&*model.provider) || !named {
            continue;
        }
        split(model, from_ms);
        let before = changed;
        for period in &mut model.periods {
            if from_ms.is_none_or(|from| period.valid_from_ms.is_some_and(|at| at >= from)) {
                changed = changed.saturating_add(change_period(
                    period, text, &change, &meters, path, problems,
                ));
            }
        }
        if changed > before {
            notes.push(Note {
                provider: model.provider.clone(),
                model: (*model.name).into(),
                text: described(text).into(),
                is_dispute: false,
            });
        }
    }
    if changed == 0 {
        problems.note(path, "changes no price of this book");
    }
}

fn described(text: &OverrideText) -> String {
    let what = if text.meters.is_empty() {
        "every price".to_owned()
    } else {
        text.meters.join(", ")
    };
    let change = match (text.factor, text.per_million, text.per_unit) {
        (Some(factor), _, _) => format!("× {factor}"),
        (_, Some(usd), _) => format!("is {usd} per million"),
        (_, _, usd) => format!("is {}", usd.unwrap_or_default()),
    };
    let from = text.valid_from.as_deref();
    let from = from.map_or_else(String::new, |from| format!(" from {from} on"));
    format!("override: {what} {change}{from} ({})", text.reason)
}

fn change(
    text: &OverrideText,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Option<(Change, Vec<Meter>)> {
    let list = path.field("meters");
    let (per, amount, field) = match (text.factor, text.per_million, text.per_unit) {
        (Some(factor), None, None) => {
            let factor = positive(factor, &path.field("factor"), problems);
            let meters = text.meters.iter().enumerate();
            let meters = meters.map(|(n, name)| any_meter(name, &list.index(n), problems));
            return Some((Change::Factor(factor), meters.collect::<Option<_>>()?));
        }
        (None, Some(amount), None) => (PriceUnit::Million, amount, "per_million"),
        (None, None, Some(amount)) => (PriceUnit::Unit, amount, "per_unit"),
        _ => {
            let message = "an override has one of `factor`, `per_million` and `per_unit`";
            problems.note(path, message);
            return None;
        }
    };
    if text.meters.is_empty() {
        problems.note(
            path,
            "an amount needs `meters`: no one price fits all of them",
        );
        return None;
    }
    let meters = text.meters.iter().enumerate();
    let meters = meters.map(|(n, name)| meter(name, per, &list.index(n), problems));
    let meters = meters.collect::<Option<Vec<_>>>()?;
    let usd = per_one(amount, per, &path.field(field), problems);
    Some((Change::Price(usd), meters))
}

/// Divides the period that `from_ms` lies within, so that a change can begin there.
fn split(model: &mut Model, from_ms: Option<i64>) {
    let Some(from) = from_ms else { return };
    let mut periods = Vec::with_capacity(model.periods.len().saturating_add(1));
    for mut period in std::mem::take(&mut model.periods) {
        if period.holds_at(from) && period.valid_from_ms != Some(from) {
            let after = Period {
                valid_from_ms: Some(from),
                ..period.clone()
            };
            period.valid_to_ms = Some(from);
            periods.extend([period, after]);
        } else {
            periods.push(period);
        }
    }
    periods.sort_by_key(|period| (period.valid_from_ms, period.known_since_ms));
    model.periods = periods;
}

fn change_period(
    period: &mut Period,
    text: &OverrideText,
    change: &Change,
    meters: &[Meter],
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> u64 {
    let mut changed = 0_u64;
    let selected = |table: &&mut RateTable| {
        let tier = table.service_tier.as_deref().unwrap_or("standard");
        let region = table.region.as_deref();
        text.tier.as_deref().is_none_or(|wanted| wanted == tier)
            && text
                .region
                .as_deref()
                .is_none_or(|wanted| Some(wanted) == region)
    };
    for table in period.tables.iter_mut().filter(selected) {
        for rate in &mut table.rates {
            if !meters.is_empty() && !meters.contains(&rate.meter) {
                continue;
            }
            let usd = match change {
                Change::Price(usd) => Ok(*usd),
                Change::Factor(factor) => exact::mul(rate.usd, *factor),
            };
            match usd {
                Ok(usd) => rate.usd = usd.normalize(),
                Err(_) => problems.note(
                    path,
                    format!(
                        "the price of `{}` would have too many digits",
                        rate.meter.name()
                    ),
                ),
            }
            changed = changed.saturating_add(1);
        }
        let Change::Price(usd) = change else { continue };
        let standard = table.service_tier.is_none()
            && table.region.is_none()
            && table.context_above.is_none()
            && table.hours.is_none();
        // A price that the model lacks is a new one.
        for meter in meters {
            if standard && !table.rates.iter().any(|rate| rate.meter == *meter) {
                table.rates.push(Rate {
                    meter: meter.clone(),
                    attributes: Vec::new(),
                    usd: *usd,
                });
                changed = changed.saturating_add(1);
            }
        }
        table
            .rates
            .sort_by(|a, b| (&a.meter, &a.attributes).cmp(&(&b.meter, &b.attributes)));
    }
    changed
}
