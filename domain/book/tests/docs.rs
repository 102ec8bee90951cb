//! The reference is true: its examples compile, its fields exist, and no field is missing.

use farebox_book::{Format, compile, schema};
use serde_json::Value;
use std::collections::BTreeSet;

const REFERENCE: &str = include_str!("../../../docs/price-book.md");
const EXAMPLE: &str = include_str!("../../../guest/standard/books/example.toml");
/// The ways of billing, each with its book and its page.
const BILLING: [(&str, &str); 5] = [
    (
        include_str!("../../../guest/standard/books/cost-plus.toml"),
        include_str!("../../../docs/billing/cost-plus.md"),
    ),
    (
        include_str!("../../../guest/standard/books/discounted-resale.toml"),
        include_str!("../../../docs/billing/discounted-resale.md"),
    ),
    (
        include_str!("../../../guest/standard/books/provider-costs.toml"),
        include_str!("../../../docs/billing/provider-costs.md"),
    ),
    (
        include_str!("../../../guest/standard/books/plan-tiers.toml"),
        include_str!("../../../docs/billing/plan-tiers.md"),
    ),
    (
        include_str!("../../../guest/standard/books/compute-units.toml"),
        include_str!("../../../docs/billing/compute-units.md"),
    ),
];

fn examples(page: &str) -> Vec<String> {
    let parts = page.split("```toml\n").skip(1);
    let blocks = parts.map(|part| part.split("```").next().unwrap());
    blocks
        .map(|block| {
            let head = "name = \"doc\"\nas_of = \"2026-11-21\"\n";
            if block.starts_with("name") {
                block.to_owned()
            } else {
                format!("{head}{block}")
            }
        })
        .collect()
}

#[test]
fn every_example_compiles_and_nothing_in_it_is_odd() {
    let examples = examples(REFERENCE);
    assert!(examples.len() >= 8, "{}", examples.len());
    for example in examples.iter().map(String::as_str).chain([EXAMPLE]) {
        let compiled = compile(example, Format::Toml);
        let compiled = compiled
            .map_err(|errors| format!("{errors:?}\n{example}"))
            .unwrap();
        assert_eq!(compiled.findings, [], "{example}");
    }
}

#[test]
fn every_way_of_billing_is_a_book_and_a_page_that_compile() {
    for (book, page) in BILLING {
        let examples = examples(page);
        assert!(examples.len() >= 3, "{page}");
        for example in examples.iter().map(String::as_str).chain([book]) {
            let compiled = compile(example, Format::Toml);
            let compiled = compiled
                .map_err(|errors| format!("{errors:?}\n{example}"))
                .unwrap();
            assert_eq!(compiled.findings, [], "{example}");
        }
    }
}

#[test]
fn every_field_is_explained() {
    fn fields(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::Object(properties)) = object.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                object.values().for_each(|value| fields(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    fields(&schema(), &mut found);
    assert!(found.len() > 30, "{found:?}");
    let words: BTreeSet<&str> = REFERENCE
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let missing: Vec<&String> = found
        .iter()
        .filter(|field| !words.contains(field.as_str()))
        .collect();
    assert!(missing.is_empty(), "not in docs/price-book.md: {missing:?}");
}
