//! `docs/usage.md` is generated from the code's own table of fields, and that table is held to the
//! cases: each row is shown by one, and each number of a usage object that a case reads has a row.

use super::table::{Case, tables};
use farebox_pricing::meter::Meter;
use farebox_pricing::provider;
use farebox_usage::{Api, Source, sources};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Where usage stands in an answer.
const USAGE: [&str; 7] = [
    "usage",
    "usageMetadata",
    "usage_info",
    "billed_units",
    "tokens",
    "statistics",
    "amazon-bedrock-invocationMetrics",
];

/// The JSON objects of a case's answer: one body, or the events of its stream.
fn documents(case: &Case) -> Vec<Value> {
    let bytes = case.body().or_else(|| case.stream()).unwrap();
    if let Ok(body) = serde_json::from_slice(&bytes) {
        return vec![body];
    }
    let text = String::from_utf8(bytes).unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| line.strip_prefix("data:").unwrap_or(line));
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Every value of an answer under its path, once with its indices and once with `[]`.
pub fn nodes(value: &Value) -> Vec<(String, String, &Value)> {
    fn walk<'v>(
        exact: &str,
        any: &str,
        value: &'v Value,
        out: &mut Vec<(String, String, &'v Value)>,
    ) {
        let dot = if exact.is_empty() { "" } else { "." };
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    walk(
                        &format!("{exact}{dot}{key}"),
                        &format!("{any}{dot}{key}"),
                        value,
                        out,
                    );
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    walk(
                        &format!("{exact}[{index}]"),
                        &format!("{any}[]"),
                        value,
                        out,
                    );
                }
            }
            _ => {}
        }
        if !value.is_null() {
            out.push((exact.to_owned(), any.to_owned(), value));
        }
    }
    let mut out = Vec::new();
    walk("", "", value, &mut out);
    out
}

/// The family of a case that says its api.
fn family(case: &Case) -> Option<&'static str> {
    Some(Api::from_name(case.api.as_deref()?).ok()?.name())
}

pub fn rows_of(case: &Case) -> impl Iterator<Item = &'static Source> {
    let provider = provider::normalise(&case.provider)
        .unwrap_or_default()
        .into_owned();
    let family = family(case);
    sources().filter(move |row| {
        let of_family = Some(row.api) == family
            // An InvokeModel body is that of another family.
            || (family == Some("invoke") && matches!(row.api, "messages" | "converse" | "chat"));
        of_family && (row.provider == "*" || row.provider == provider)
    })
}

/// Whether `row` is about the value at `path`, wherever its object stands in the answer.
pub fn is_about(row: &Source, path: &str, value: &Value) -> bool {
    let (field, wanted) = row.field.split_once(" = ").unwrap_or((row.field, ""));
    let ends = |path: &str, field: &str| {
        path.strip_suffix(field)
            .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let found = match field.split_once(".*") {
        Some((parent, rest)) => path
            .rsplit_once('.')
            .is_some_and(|(before, key)| ends(before, parent) && key.ends_with(rest)),
        None => ends(path, field),
    };
    found && (wanted.is_empty() || value.as_str() == Some(wanted))
}

/// The meter a row begins with, where it is one.
fn meter(row: &Source) -> Option<&'static str> {
    let word = row.becomes.split([',', ' ', '{']).next().unwrap();
    let named = Meter::NAMED.iter().any(|meter| meter.name() == word);
    // Words of a sentence are no meters, except those two that providers invented.
    (named || matches!(word, "citation" | "classification")).then_some(word)
}

fn shows(case: &Case, row: &Source) -> bool {
    let Some(expected) = &case.expect else {
        return false;
    };
    let billed = meter(row).is_none_or(|meter| {
        let is = |pool: &String| pool.split('{').next() == Some(meter);
        expected.pools.keys().any(is)
    });
    let header = row.field.strip_prefix("header ");
    let stated = match header {
        Some(header) => case
            .headers()
            .any(|(name, _)| name.eq_ignore_ascii_case(header)),
        None => documents(case).iter().any(|document| {
            nodes(document)
                .iter()
                .any(|(_, path, value)| is_about(row, path, value))
        }),
    };
    billed && stated
}

#[test]
fn every_row_is_shown_by_a_case() {
    let cases: Vec<Case> = tables().into_iter().flat_map(|(_, cases)| cases).collect();
    let hidden: Vec<&Source> = sources()
        .filter(|row| {
            let mut shown = cases
                .iter()
                .filter(|case| rows_of(case).any(|of| of == *row));
            !shown.any(|case| shows(case, row))
        })
        .collect();
    assert!(hidden.is_empty(), "{hidden:#?}");
}

#[test]
fn every_number_that_is_read_has_a_row() {
    let mut nameless = Vec::new();
    for (table, cases) in tables() {
        for case in cases {
            let (Some(family), Some(expected)) = (family(&case), &case.expect) else {
                continue;
            };
            if family == "batch" {
                continue;
            }
            for document in documents(&case) {
                for (exact, path, value) in nodes(&document) {
                    let in_usage = path.split(['.', '[']).any(|key| USAGE.contains(&key));
                    let known = rows_of(&case).any(|row| is_about(row, &path, value))
                        || expected
                            .unrecognised
                            .keys()
                            .any(|place| exact.ends_with(place));
                    if value.is_number() && in_usage && !known {
                        nameless.push(format!("{table}: {}: {exact}", case.name));
                    }
                }
            }
        }
    }
    assert!(nameless.is_empty(), "{nameless:#?}");
}

fn written() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## Names of an `api`\n\n| family | accepted names |\n|---|---|\n");
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut order = Vec::new();
    for (name, api) in Api::NAMES {
        if !order.contains(&api.name()) {
            order.push(api.name());
        }
        names
            .entry(api.name())
            .or_default()
            .push(format!("`{name}`"));
    }
    for family in &order {
        writeln!(
            page,
            "| `{family}` | {} |",
            names.get(family).unwrap().join(", ")
        )
        .unwrap();
    }
    page.push_str("\n## Fields\n\n`*` stands for every provider that answers in this family, `[]` for any index.\n");
    for family in order {
        write!(
            page,
            "\n### `{family}`\n\n| provider | field | becomes |\n|---|---|---|\n"
        )
        .unwrap();
        for row in sources().filter(|row| row.api == family) {
            let becomes = match meter(row) {
                Some(_) => row.becomes.split_once(", where").map_or_else(
                    || format!("`{}`", row.becomes),
                    |(pool, when)| format!("`{pool}`, where{when}"),
                ),
                None => row.becomes.to_owned(),
            };
            let becomes = becomes.replace("; the rest is text`", "`; the rest is text");
            writeln!(page, "| {} | `{}` | {becomes} |", row.provider, row.field).unwrap();
        }
    }
    page.push_str(REFUSALS);
    page
}

#[test]
fn the_page_of_usage_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/usage.md");
    let written = written();
    if std::env::var_os("FAREBOX_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == written,
        "docs/usage.md is old: run with FAREBOX_UPDATE_DOCS=1"
    );
}

const INTRODUCTION: &str = include_str!("introduction.md");
const REFUSALS: &str = include_str!("refusals.md");
