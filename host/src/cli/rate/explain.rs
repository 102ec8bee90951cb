//! What `farebox rate --explain` says beside an answer: decisions that no line of it shows.

use crate::service::failures::{Fate, Understood};
use crate::wire::plain;
use farebox_book::describe::{FoundBy, describe_model};
use farebox_pricing::book::Book;
use farebox_pricing::meter::Pool;
use serde::Serialize;
use std::collections::BTreeMap;

/// How the call ended and what its model is.
#[derive(Debug, Serialize)]
pub struct Explain {
    /// How the call ended, where it did not end well: `client_abort`, `no_usage` …
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// What the book does about that: `nothing`, `estimate`, `hold` or `seen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    /// The pools that are rated, where some of them are estimated, by meter and attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    estimated: BTreeMap<String, String>,
    /// The book's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// The rule by which its name was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    found_by: Option<String>,
}

impl Explain {
    /// What there is to say about a call under `book`.
    pub fn new(book: &Book, understood: &Understood) -> Self {
        let event = &understood.intake.event;
        let action = understood
            .outcome
            .map(|outcome| book.failure_rules.action(outcome).name());
        let estimated = match (action, understood.fate) {
            (Some("estimate"), Fate::Rate) => event
                .pools
                .iter()
                .map(|pool| (named(pool), plain(pool.quantity.get())))
                .collect(),
            _ => BTreeMap::new(),
        };
        let name = event.model();
        let found = name.and_then(|name| describe_model(book, &event.provider, name));
        let found_by = match &found {
            Some(found) => {
                let rule = match found.found_by {
                    FoundBy::Name => "name",
                    FoundBy::Alias => "alias",
                    FoundBy::Prefix => "prefix",
                    FoundBy::Pattern => "pattern",
                };
                Some(format!("{rule} {}", found.rule))
            }
            None => name.map(|_| "unknown_models".to_owned()),
        };
        Self {
            outcome: understood.outcome.map(|outcome| outcome.name()),
            action,
            estimated,
            model: found.map(|found| format!("{}/{}", found.model.provider, found.model.name)),
            found_by,
        }
    }
}

/// `cache_read`, or `cache_read modality=audio`: pools of one meter differ in their attributes.
fn named(pool: &Pool) -> String {
    let mut name = pool.meter.name().to_owned();
    for attribute in &pool.attributes {
        name.push_str(&format!(" {}={}", attribute.name, attribute.value));
    }
    name
}
