//! Models: names, aliases, prefixes and periods.

use super::Problems;
use super::tables::{self, PeriodView};
use super::values::{check_name, moment};
use crate::document::Path;
use crate::text::ModelText;
use farebox_pricing::book::{Model, Period};
use farebox_pricing::provider;
use std::collections::BTreeMap;

/// All models, sorted by provider and name.
pub(super) fn lower(texts: &[ModelText], problems: &mut Problems<'_>) -> Vec<Model> {
    let list = Path::Field(&Path::Root, "models");
    let mut models = Vec::with_capacity(texts.len());
    let mut places = BTreeMap::new();
    for (number, text) in texts.iter().enumerate() {
        let path = list.index(number);
        let Some(model) = lower_one(text, &path, problems) else {
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

fn lower_one(text: &ModelText, path: &Path<'_>, problems: &mut Problems<'_>) -> Option<Model> {
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
    let periods = periods(text, path, problems);
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
        max_output_tokens: text.max_output_tokens,
        context_inclusive: text.context_inclusive,
        periods,
    })
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
fn periods(text: &ModelText, path: &Path<'_>, problems: &mut Problems<'_>) -> Vec<Period> {
    let base = PeriodView::of_model(text);
    let list = path.field("periods");
    let mut dated = Vec::with_capacity(text.periods.len());
    for (number, period) in text.periods.iter().enumerate() {
        let place = list.index(number);
        let from = period.valid_from.as_deref();
        let to = period.valid_to.as_deref();
        let from = from.and_then(|text| moment(text, &place.field("valid_from"), problems));
        let to = to.and_then(|text| moment(text, &place.field("valid_to"), problems));
        let tables = tables::lower(&PeriodView::of_period(period), &place, problems);
        dated.push((
            number,
            Period {
                valid_from_ms: from,
                valid_to_ms: to,
                tables,
            },
        ));
    }
    dated.sort_by_key(|(_, period)| period.valid_from_ms);
    let begins = dated.first().map(|(_, first)| first.valid_from_ms);
    let mut periods = Vec::with_capacity(dated.len().saturating_add(1));
    match begins {
        // The first dated period begins with time itself: nothing can come before it.
        Some(None) if !base.is_empty() => problems.note(
            &list,
            "with prices at the model itself, every period needs `valid_from`",
        ),
        Some(_) if base.is_empty() => {}
        _ => periods.push(Period {
            valid_from_ms: None,
            valid_to_ms: begins.flatten(),
            tables: tables::lower(&base, path, problems),
        }),
    }
    let starts: Vec<Option<i64>> = dated.iter().skip(1).map(|(_, p)| p.valid_from_ms).collect();
    for (position, (number, mut period)) in dated.into_iter().enumerate() {
        let next = starts.get(position).copied();
        period.valid_to_ms = period.valid_to_ms.or(next.flatten());
        let ends = period.valid_to_ms;
        if next.is_some_and(|next| next.is_none() || ends.is_none() || next < ends) {
            problems.note(&list.index(number), "overlaps with the next period");
        } else if ends.is_some_and(|end| period.valid_from_ms.is_some_and(|from| from >= end)) {
            problems.note(&list.index(number), "ends before it begins");
        }
        periods.push(period);
    }
    periods
}
