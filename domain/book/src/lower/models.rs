//! Models: names, aliases, prefixes and periods.

use super::Problems;
use super::tables::{self, PeriodView};
use super::values::{any_meter, check_name, moment, window};
use crate::document::Path;
use crate::text::{AllowanceText, ModelText};
use farebox_pricing::book::{Allowance, MeterFallback, Model, Period};
use farebox_pricing::provider;
use std::collections::{BTreeMap, BTreeSet};

/// All models, sorted by provider and name.
pub(super) fn lower(
    texts: &[ModelText],
    fallbacks: &[MeterFallback],
    problems: &mut Problems<'_>,
) -> Vec<Model> {
    let list = Path::Field(&Path::Root, "models");
    let mut models = Vec::with_capacity(texts.len());
    let mut places = BTreeMap::new();
    for (number, text) in texts.iter().enumerate() {
        let path = list.index(number);
        let Some(model) = lower_one(text, fallbacks, &path, problems) else {
            continue;
        };
        let key = (model.provider.clone(), model.name.clone());
        if let Some(first) = places.insert(key, number) {
            problems.note(
                &path.field("model"),
                format!(
                    "model `{}` of provider `{}` stands twice, first as models[{first}]",
                    model.name, model.provider
                ),
            );
        }
        models.push((number, model));
    }
    refuse_ambiguous(&models, "aliases", |model| &model.aliases, problems);
    refuse_ambiguous(&models, "prefixes", |model| &model.prefixes, problems);
    refuse_ambiguous(&models, "patterns", |model| &model.patterns, problems);
    refuse_circles(&models, problems);
    let mut models: Vec<Model> = models.into_iter().map(|(_, model)| model).collect();
    models.sort_by(|a, b| (&a.provider, &a.name).cmp(&(&b.provider, &b.name)));
    models
}

/// The same alias, or the same prefix, cannot mean two models.
fn refuse_ambiguous(
    models: &[(usize, Model)],
    field: &str,
    names_of: impl Fn(&Model) -> &Vec<Box<str>>,
    problems: &mut Problems<'_>,
) {
    let mut taken: BTreeMap<(&str, &str), &Model> = BTreeMap::new();
    for (number, model) in models {
        for name in names_of(model) {
            if let Some(first) = taken.insert((&model.provider, name), model) {
                let list = Path::Field(&Path::Root, "models");
                problems.note(
                    &list.index(*number).field(field),
                    format!("`{name}` already means model `{}`", first.name),
                );
            }
        }
    }
}

/// An alias that is another model's own name means that model. Where such aliases lead back to
/// where they began, somebody meant something that no reading gives.
fn refuse_circles(models: &[(usize, Model)], problems: &mut Problems<'_>) {
    let named: BTreeMap<(&str, &str), &(usize, Model)> = models
        .iter()
        .map(|entry| ((&*entry.1.provider, &*entry.1.name), entry))
        .collect();
    let leads_to = |model: &Model| -> Vec<&(usize, Model)> {
        let aliases = model.aliases.iter();
        aliases
            .filter_map(|alias| named.get(&(&*model.provider, &**alias)).copied())
            .collect()
    };
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for (number, model) in models {
        if told.contains(number) {
            continue;
        }
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        let mut open = vec![(*number, model)];
        while let Some((from, at)) = open.pop() {
            for (next, target) in leads_to(at) {
                if next == number {
                    let mut way = vec![from];
                    while let Some(before) = way.last().and_then(|last| seen.get(last)) {
                        way.push(*before);
                    }
                    told.extend(&way);
                    let names = models.iter().filter(|(n, _)| way.contains(n));
                    let names: Vec<String> = names.map(|(_, m)| format!("`{}`", m.name)).collect();
                    let list = Path::Field(&Path::Root, "models");
                    problems.note(
                        &list.index(*number).field("aliases"),
                        format!("{} are aliases of each other in a circle", names.join(", ")),
                    );
                    open.clear();
                    break;
                }
                if *next != *number && !seen.contains_key(next) {
                    seen.insert(*next, from);
                    open.push((*next, target));
                }
            }
        }
    }
}

fn lower_one(
    text: &ModelText,
    fallbacks: &[MeterFallback],
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Option<Model> {
    let named = check_name(&text.model, &path.field("model"), problems);
    let Some(provider) = provider::normalise(&text.provider) else {
        problems.note(
            &path.field("provider"),
            format!(
                "`{}` is no provider id: letters, digits, `.`, `_` and `-`, at most 64",
                text.provider
            ),
        );
        return None;
    };
    let periods = periods(text, fallbacks, path, problems);
    let aliases = names(&text.aliases, "aliases", path, problems);
    named.then(|| Model {
        provider: provider.as_ref().into(),
        name: text.model.as_str().into(),
        // A name that is its own alias says nothing.
        aliases: aliases
            .into_iter()
            .filter(|alias| **alias != *text.model)
            .collect(),
        prefixes: names(&text.prefixes, "prefixes", path, problems),
        patterns: patterns(text, path, problems),
        except: names(&text.except, "except", path, problems),
        max_output_tokens: text.max_output_tokens,
        context_inclusive: text.context_inclusive,
        context_marginal: text.context_marginal,
        periods,
    })
}

fn patterns(text: &ModelText, path: &Path<'_>, problems: &mut Problems<'_>) -> Vec<Box<str>> {
    let list = path.field("patterns");
    for (number, pattern) in text.patterns.iter().enumerate() {
        if !pattern.contains(['*', '#']) {
            let message = format!("`{pattern}` has neither `*` nor `#`: write it in `aliases`");
            problems.note(&list.index(number), message);
        }
    }
    if text.patterns.is_empty() && !text.except.is_empty() {
        problems.note(
            &path.field("except"),
            "there are no `patterns` to except from",
        );
    }
    if text.context_marginal && text.context_inclusive {
        let message = "a marginal context begins beyond its threshold, never at it";
        problems.note(&path.field("context_inclusive"), message);
    }
    names(&text.patterns, "patterns", path, problems)
}

fn names(
    texts: &[String],
    field: &str,
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Vec<Box<str>> {
    let list = path.field(field);
    let mut names = Vec::with_capacity(texts.len());
    for (number, name) in texts.iter().enumerate() {
        if check_name(name, &list.index(number), problems) {
            names.push(Box::from(name.as_str()));
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// The periods of a model: what stands at the model itself, then each dated one.
fn periods(
    text: &ModelText,
    fallbacks: &[MeterFallback],
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Vec<Period> {
    let base = PeriodView::of_model(text, fallbacks);
    let list = path.field("periods");
    let mut dated = Vec::with_capacity(text.periods.len());
    for (number, period) in text.periods.iter().enumerate() {
        let place = list.index(number);
        let mut read = |field: &str, text: &Option<String>| {
            let text = text.as_deref()?;
            moment(text, &place.field(field), problems)
        };
        let valid_from_ms = read("valid_from", &period.valid_from);
        let valid_to_ms = read("valid_to", &period.valid_to);
        let known_since_ms = read("known_since", &period.known_since);
        let tables = tables::lower(&PeriodView::of_period(period, fallbacks), &place, problems);
        let allowances = allowances(&period.allowances, &place, problems);
        let period = Period {
            valid_from_ms,
            valid_to_ms,
            known_since_ms,
            tables,
            allowances,
        };
        dated.push((number, period));
    }
    dated.sort_by_key(|(_, period)| (period.valid_from_ms, period.known_since_ms));
    let mut first_day = dated.iter().filter(|(_, p)| p.known_since_ms.is_none());
    let begins = first_day.next().map(|(_, first)| first.valid_from_ms);
    let mut periods = Vec::with_capacity(dated.len().saturating_add(1));
    match begins {
        // The first dated period begins with time itself: nothing can come before it.
        Some(None) if !base.is_empty() => problems.note(
            &list,
            "with prices at the model itself, every period needs `valid_from`",
        ),
        _ if base.is_empty() && !dated.is_empty() => {}
        _ => periods.push(Period {
            valid_from_ms: None,
            valid_to_ms: begins.flatten(),
            known_since_ms: None,
            tables: tables::lower(&base, path, problems),
            allowances: allowances(&text.allowances, path, problems),
        }),
    }
    let times: Vec<_> = dated
        .iter()
        .map(|(_, p)| (p.valid_from_ms, p.known_since_ms))
        .collect();
    for (position, (number, mut period)) in dated.into_iter().enumerate() {
        let after = times.iter().skip(position.saturating_add(1));
        // What is announced on the same day or before ends a price; a later correction does not.
        let mut ending = after.clone().filter(|(from, known)| {
            *known <= period.known_since_ms && *from > period.valid_from_ms
        });
        let next = ending.next().and_then(|(from, _)| *from);
        period.valid_to_ms = period.valid_to_ms.or(next);
        let ends = period.valid_to_ms;
        let mut alike = after.filter(|(_, known)| *known == period.known_since_ms);
        let next = alike.next().map(|(from, _)| *from);
        if next.is_some_and(|next| next.is_none() || ends.is_none() || next < ends) {
            problems.note(&list.index(number), "overlaps with the next period");
        } else if ends.is_some_and(|end| period.valid_from_ms.is_some_and(|from| from >= end)) {
            problems.note(&list.index(number), "ends before it begins");
        }
        periods.push(period);
    }
    periods.sort_by_key(|period| (period.valid_from_ms, period.known_since_ms));
    periods
}

fn allowances(
    texts: &[AllowanceText],
    path: &Path<'_>,
    problems: &mut Problems<'_>,
) -> Vec<Allowance> {
    let list = path.field("allowances");
    let mut allowances: Vec<Allowance> = Vec::with_capacity(texts.len());
    for (number, text) in texts.iter().enumerate() {
        let place = list.index(number);
        let named = check_name(&text.name, &place.field("name"), problems);
        let meter = any_meter(&text.meter, &place.field("meter"), problems);
        let Some(meter) = meter.filter(|_| named) else {
            continue;
        };
        if allowances.iter().any(|before| before.meter == meter) {
            let message = format!("`{}` has an allowance already", text.meter);
            problems.note(&place.field("meter"), message);
            continue;
        }
        allowances.push(Allowance {
            name: text.name.as_str().into(),
            meter,
            count: text.count,
            per: window(text.per),
        });
    }
    allowances.sort_by(|a, b| a.meter.cmp(&b.meter));
    allowances
}
