//! From what people wrote to the plain book: names become ids, per-million prices become exact
//! prices of one unit, terms become ordered rules, and everything is put in canonical order.
//!
//! Errors are collected, so that one run names everything that is wrong. It must not know the
//! format of the text.

mod failures;
mod fallbacks;
mod hours;
mod models;
mod overrides;
mod places;
mod regions;
mod routes;
mod rules;
mod sale;
mod tables;
mod uplift;
mod values;
mod when;

use crate::document::{Document, Path};
use crate::error::BookError;
use crate::text::{BookText, RoundingText};
use farebox_pricing::book::{Book, Source};
use farebox_pricing::money::Rounding;

pub use overrides::Note;

/// Output tokens that a quote assumes when neither request, model nor book bounds them.
pub(crate) const MAX_OUTPUT_TOKENS_DEFAULT: u64 = 16_384;

/// Collects what is wrong.
pub(crate) struct Problems<'d> {
    document: &'d Document<'d>,
    errors: Vec<BookError>,
}

impl<'d> Problems<'d> {
    pub(crate) const fn new(document: &'d Document<'d>) -> Self {
        Self {
            document,
            errors: Vec::new(),
        }
    }

    /// Notes that what stands at `path` is wrong.
    pub(crate) fn note(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.errors
            .push(self.document.error_at(path, message.into()));
    }

    pub(crate) fn into_errors(self) -> Vec<BookError> {
        self.errors
    }
}

/// The book that `text` means, and what was changed in it by overrides. Complete only when
/// `problems` stays empty.
pub(crate) fn lower(text: &BookText, problems: &mut Problems<'_>) -> (Book, Vec<Note>) {
    let root = Path::Root;
    values::check_name(&text.name, &root.field("name"), problems);
    if text.as_of.len() != 10 || text.as_of.parse::<jiff::civil::Date>().is_err() {
        problems.note(&root.field("as_of"), "a date is written `YYYY-MM-DD`");
    }
    let sources = text.sources.iter().map(|source| Source {
        name: source.name.as_str().into(),
        version: source.version.as_str().into(),
    });
    let meter_fallbacks = fallbacks::meter_fallbacks(text, problems);
    let mut models = models::lower(&text.models, &meter_fallbacks, problems);
    let notes = overrides::apply(&text.overrides, &mut models, problems);
    routes::apply(text, &mut models, problems);
    let places = places::places(text, problems);
    let own_key_cap = rules::own_key_cap(text, &places, problems);
    let book = Book {
        name: text.name.as_str().into(),
        as_of: text.as_of.as_str().into(),
        sources: sources.collect(),
        rounding: match text.rounding {
            None | Some(RoundingText::AwayFromZero) => Rounding::AwayFromZero,
            Some(RoundingText::HalfEven) => Rounding::HalfEven,
            Some(RoundingText::TowardZero) => Rounding::TowardZero,
        },
        models,
        meter_fallbacks,
        tier_fallbacks: fallbacks::tier_fallbacks(text, problems),
        charge_rules: rules::charge_rules(text, &places, &own_key_cap, problems),
        minimums: rules::minimums(&places, problems),
        plans: {
            let mut plans: Vec<Box<str>> = text.plans.keys().map(|p| p.as_str().into()).collect();
            plans.sort_unstable();
            plans
        },
        own_key_cap,
        max_output_tokens_default: text
            .defaults
            .max_output_tokens
            .unwrap_or(MAX_OUTPUT_TOKENS_DEFAULT),
        loss_leader: text.loss_leader,
        sale: sale::lower(text, &places, problems).map(Box::new),
        unknown_models: failures::unknown_models(text, problems),
        failure_rules: failures::failure_rules(text, problems),
    };
    (book, notes)
}
