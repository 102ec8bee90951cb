//! Names that come to mean another model.
//!
//! A model's own name stays its own, so it moves only with a model that is gone. A prefix or a
//! pattern stands for names without end: it is asked for itself, among the prefixes and patterns. A
//! name that is new may have meant another model all along, through one of its prefixes or patterns.

use super::prices::changes;
use super::{NameKind, NameMove};
use crate::describe::{by_pattern, by_prefix, find};
use farebox_pricing::book::{Book, Model};
use std::collections::BTreeMap;

/// Every name that means another model in `after` than it meant in `before`, with the prices that differ for
/// calls from `from_ms` on.
pub(super) fn moved(before: &Book, after: &Book, from_ms: i64) -> Vec<NameMove> {
    let (old, new) = (Exact::of(before), Exact::of(after));
    let mut moved = Vec::new();
    for model in &before.models {
        for (kind, name) in names(model) {
            let was = old.meaning(model, kind, name);
            let is = new.meaning(model, kind, name);
            let stays = is.is_some_and(|is| is.name == model.name);
            // A name that another model's name or alias hides here was never this model's.
            if stays || was.is_none_or(|was| was.name != model.name) {
                continue;
            }
            // A model that is gone is told as removed.
            if kind == NameKind::Name && is.is_none() {
                continue;
            }
            moved.push(NameMove {
                provider: model.provider.clone(),
                name: name.into(),
                kind,
                from: (*model.name).into(),
                to: is.map(|is| (*is.name).into()),
                prices: is.map(|is| changes(model, is, from_ms)).unwrap_or_default(),
            });
        }
    }
    for model in &after.models {
        for (kind, name) in names(model) {
            let Some(was) = old.meaning(model, kind, name) else {
                continue;
            };
            // What was written in the old book was asked above, and what is hidden in the new one
            // means nothing there.
            let is_known = was.name == model.name || names(was).any(|known| known.1 == name);
            let is = new.meaning(model, kind, name);
            if is_known || is.is_none_or(|is| is.name != model.name) {
                continue;
            }
            let prices = changes(was, model, from_ms);
            if prices.is_empty() {
                continue;
            }
            moved.push(NameMove {
                provider: model.provider.clone(),
                name: name.into(),
                // To the old book a new model's own name is one of the names of another.
                kind: if kind == NameKind::Name {
                    NameKind::Alias
                } else {
                    kind
                },
                from: (*was.name).into(),
                to: Some((*model.name).into()),
                prices,
            });
        }
    }
    moved
}

fn names(model: &Model) -> impl Iterator<Item = (NameKind, &str)> {
    let further = [
        (NameKind::Alias, &model.aliases),
        (NameKind::Prefix, &model.prefixes),
        (NameKind::Pattern, &model.patterns),
    ];
    let further = further
        .into_iter()
        .flat_map(|(kind, names)| names.iter().map(move |name| (kind, &**name)));
    std::iter::once((NameKind::Name, &*model.name)).chain(further)
}

/// A book with its names and aliases in reach.
struct Exact<'b> {
    book: &'b Book,
    models: BTreeMap<(&'b str, &'b str), &'b Model>,
}

impl<'b> Exact<'b> {
    fn of(book: &'b Book) -> Self {
        let mut models = BTreeMap::new();
        for model in &book.models {
            for alias in &model.aliases {
                models.insert((&*model.provider, &**alias), model);
            }
        }
        // A name wins over an alias.
        for model in &book.models {
            models.insert((&*model.provider, &*model.name), model);
        }
        Self { book, models }
    }

    /// What a name of `model` means in this book.
    fn meaning(&self, model: &Model, kind: NameKind, name: &str) -> Option<&'b Model> {
        let provider = &*model.provider;
        match kind {
            NameKind::Name | NameKind::Alias => {
                let exact = self.models.get(&(provider, name)).copied();
                exact.or_else(|| find(self.book, provider, name).map(|(model, ..)| model))
            }
            NameKind::Prefix => {
                let found = by_prefix(self.book, provider, name);
                let found = found.or_else(|| by_pattern(self.book, provider, name));
                found.map(|(model, ..)| model)
            }
            NameKind::Pattern => {
                let models = self.book.models.iter();
                let mut models = models.filter(|model| *model.provider == *provider);
                models.find(|model| model.patterns.iter().any(|pattern| **pattern == *name))
            }
        }
    }
}
