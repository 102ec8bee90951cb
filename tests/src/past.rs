//! What a customer used earlier in the month, so that a server of its own counts what a case says that
//! the host has counted (`tests/cases/rate/pasts.json`).
//!
//! The rules are told what was counted; a server cannot be told, it has to be asked. So each count of
//! a table has the calls that come to it.

use super::pricer::Request;
use super::recorded::OCCURRED_AT_MS;
use super::repository;
use farebox::cli::rate::input;
use farebox_pricing::canonical::BookView;
use farebox_pricing::event::Facts;
use farebox_pricing::meter::Attribute;
use farebox_pricing::rating::{self, COUNT_PREFIX};
use farebox_pricing::verify;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Calls that come to a count, or why none do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// The table of the cases.
    pub table: String,
    /// What they say was counted, by the rule that counts.
    pub counts: BTreeMap<String, String>,
    /// In their order.
    #[serde(default)]
    calls: Vec<Box<RawValue>>,
    /// Why no calls come to it.
    pub why_not: Option<String>,
}

/// All of them.
///
/// # Panics
/// The file is not there, or not well formed.
pub fn all() -> Vec<Past> {
    let text = std::fs::read(repository("tests/cases/rate/pasts.json")).unwrap();
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("pasts: {error}"))
}

impl Past {
    /// The bodies of the reports.
    ///
    /// # Panics
    /// A call is no JSON object.
    pub fn reports(&self) -> Vec<Map<String, Value>> {
        let object = |call: &RawValue| serde_json::from_str(call.get()).unwrap();
        self.calls.iter().map(|call| object(call)).collect()
    }

    /// What the rules themselves count of the calls, for whoever `facts` are of.
    ///
    /// # Panics
    /// A call has no price.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "a test; the counts of cases are far from the ends of the range"
    )]
    pub fn counted(&self, book: &BookView, facts: &Facts) -> BTreeMap<String, String> {
        let mut counted: BTreeMap<String, Decimal> = BTreeMap::new();
        for call in &self.calls {
            let (event, facts) = with_counts(call, facts, &counted);
            let rated = rating::rate(book, &event, &facts).unwrap();
            let price_usd = verify::rating(book, &event, &facts, &rated)
                .unwrap()
                .price_usd;
            for count in rating::counts(book, &event, &facts, price_usd).unwrap() {
                *counted.entry(count.rule.into()).or_default() += count.quantity;
            }
        }
        let text = |(rule, count): (String, Decimal)| (rule, count.normalize().to_string());
        counted.into_iter().map(text).collect()
    }
}

fn with_counts(call: &RawValue, facts: &Facts, counted: &BTreeMap<String, Decimal>) -> Request {
    let call = input::read(call.get().as_bytes()).unwrap();
    let mut facts = facts.clone();
    facts.occurred_at_ms = call.occurred_at_ms.unwrap_or(OCCURRED_AT_MS);
    let counts = counted.iter().map(|(rule, count)| Attribute {
        name: format!("{COUNT_PREFIX}{rule}").into(),
        value: count.to_string().into(),
    });
    facts.other = counts.collect();
    (call.intake.event, facts)
}
