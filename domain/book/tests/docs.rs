//! The reference is true: its examples compile, its fields exist, and no field is missing.

use farebox_book::{Format, compile, schema};
use serde_json::Value;
use std::collections::BTreeSet;

const REFERENCE: &str = include_str!("../../../docs/price-book.md");
const EXAMPLE: &str = include_str!("../../../guest/standard/books/example.toml");
/// The ways of billing, and the terms that go with any, each with its book and its page.
const BILLING: [(&str, &str); 6] = [
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
    (
        include_str!("../../../guest/standard/books/more-terms.toml"),
        include_str!("../../../docs/billing/more-terms.md"),
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
fn every_book_to_copy_from_names_the_schema_beside_it() {
    let books = BILLING.iter().map(|(book, _)| *book).chain([EXAMPLE]);
    for book in books {
        let line = book.lines().next().unwrap();
        assert_eq!(line, "#:schema price-book.schema.json", "{book}");
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

/// The page of the terms that go with any way of billing says the prices that its cases assert, under
/// the terms of its book.
#[test]
fn the_page_of_further_terms_says_what_its_book_and_its_cases_say() {
    let book = include_str!("../../../guest/standard/books/more-terms.toml");
    let page = include_str!("../../../docs/billing/more-terms.md");
    let cases = include_str!("../../../tests/cases/rate/also.json");
    for example in examples(page) {
        for part in example.split("\n\n") {
            let part = part.trim_start_matches("name = \"doc\"\nas_of = \"2026-11-21\"\n");
            assert!(book.contains(part.trim_end()), "not in the book: {part}");
        }
    }
    let mut column = None;
    let mut prices = 0;
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if cells.len() < 3 {
            column = None;
            continue;
        }
        let Some(column) = column else {
            column = cells.iter().position(|cell| *cell == "price");
            continue;
        };
        let usd = cells[column].split([',', ' ']).next().unwrap();
        if !usd.starts_with('-') {
            let case = format!("\"price_usd\": \"{usd}\"");
            assert!(cases.contains(&case), "no case says {usd}: {line}");
            prices += 1;
        }
    }
    assert!(prices >= 24, "{prices}");
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
