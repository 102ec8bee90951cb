//! The tables of `tests/cases/rate` (their `README.md` says how they are written): events, and the
//! prices that were worked out for them by hand.

use super::http::Reported;
use super::pricer::Request;
use super::recorded::OCCURRED_AT_MS;
use super::repository;
use farebox::cli::rate::input::{self, LineError};
use farebox_book::{Format, compile};
use farebox_pricing::event::{Deployment, Facts, KeySource};
use farebox_pricing::meter::Attribute;
use farebox_pricing::rating::COUNT_PREFIX;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A book and the cases under it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    book: BookText,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum BookText {
    File(String),
    Lines(Vec<String>),
}

/// A call and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    call: Box<RawValue>,
    deployment: Option<String>,
    key_source: Option<String>,
    plan: Option<Box<str>>,
    org: Option<Box<str>>,
    /// What the host counted, by the rule that counts.
    #[serde(default)]
    counts: BTreeMap<String, String>,
    /// See [`Case::difference`].
    expect: Map<String, Value>,
}

fn folder() -> PathBuf {
    repository("tests/cases/rate")
}

/// The names of all tables, sorted.
///
/// # Panics
/// The folder cannot be read.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.strip_suffix(".json").map(str::to_owned))
        .filter(|name| !["refused", "http", "pasts"].contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

impl Table {
    /// The table with this name.
    ///
    /// # Panics
    /// It is not there, or not well formed.
    pub fn read(name: &str) -> Self {
        let text = std::fs::read(folder().join(name).with_extension("json")).unwrap();
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Its book as it is written.
    ///
    /// # Panics
    /// There is no such file.
    pub fn book(&self) -> String {
        match &self.book {
            BookText::File(name) => std::fs::read_to_string(folder().join(name)).unwrap(),
            BookText::Lines(lines) => lines.join("\n"),
        }
    }

    /// Its book, canonical.
    ///
    /// # Panics
    /// The book does not compile.
    pub fn canonical_book(&self) -> Vec<u8> {
        let compiled = compile(&self.book(), Format::Toml);
        compiled
            .unwrap_or_else(|errors| panic!("{errors:?}"))
            .canonical
    }
}

impl Case {
    /// What is rated.
    ///
    /// # Errors
    /// The call cannot be understood.
    ///
    /// # Panics
    /// A word of the case itself is unknown.
    pub fn request(&self) -> Result<Request, LineError> {
        let call = input::read(self.call.get().as_bytes())?;
        let occurred_at_ms = call.occurred_at_ms.unwrap_or(OCCURRED_AT_MS);
        Ok((call.intake.event, self.facts(occurred_at_ms, &call.facts)))
    }

    /// The call as a gateway would report it. Facts are the host's to give, so they are no part of it:
    /// see [`Case::stated`].
    ///
    /// # Panics
    /// It is no JSON object, or a word of the case itself is unknown.
    pub fn reported(&self) -> Reported {
        let mut reported = self.stated();
        reported.call.remove("facts");
        reported
    }

    /// The call as a gateway would report it that states facts itself.
    ///
    /// # Panics
    /// It is no JSON object, or a word of the case itself is unknown.
    pub fn stated(&self) -> Reported {
        let call: Map<String, Value> = serde_json::from_str(self.call.get()).unwrap();
        let occurred_at_ms = call.get("occurred_at").map_or(OCCURRED_AT_MS, |text| {
            let parsed = text.as_str().unwrap().parse::<Timestamp>();
            parsed.unwrap().as_millisecond()
        });
        let other = input::read(self.call.get().as_bytes());
        let other = other.map(|call| call.facts).unwrap_or_default();
        Reported {
            facts: self.facts(occurred_at_ms, &other),
            call,
        }
    }

    /// Whether the case says what only a server of its own could: its customer's id, or what it has
    /// counted.
    pub fn is_of_a_past(&self) -> bool {
        self.org.is_some() || !self.counts.is_empty()
    }

    /// The customer, by the name that the book knows it by.
    pub fn org(&self) -> Option<&str> {
        self.org.as_deref()
    }

    /// What the host counted before the call, by the rule that counts. Nothing is a count of zero.
    pub fn counts(&self) -> BTreeMap<String, String> {
        let mut counts = self.counts.clone();
        counts.retain(|_, count| count != "0");
        counts
    }

    /// The error that the case expects: its type and detail.
    pub fn expected_error(&self) -> Option<(&str, &str)> {
        let error = self.expect.get("error")?;
        Some((error["type"].as_str()?, error["detail"].as_str()?))
    }

    fn facts(&self, occurred_at_ms: i64, other: &[Attribute]) -> Facts {
        let deployment = match self.deployment.as_deref() {
            None | Some("hosted") => Deployment::Hosted,
            Some("self-hosted") => Deployment::SelfHosted,
            Some(other) => panic!("deployment `{other}`"),
        };
        let key_source = match self.key_source.as_deref() {
            None | Some("managed") => KeySource::Managed,
            Some("own") => KeySource::Own,
            Some(other) => panic!("key source `{other}`"),
        };
        let mut facts = Facts::new(deployment, key_source, occurred_at_ms);
        facts.plan.clone_from(&self.plan);
        facts.org.clone_from(&self.org);
        let counts = self.counts.iter().map(|(rule, count)| Attribute {
            name: format!("{COUNT_PREFIX}{rule}").into(),
            value: count.as_str().into(),
        });
        facts.other = counts.collect();
        facts.other.extend(other.iter().cloned());
        facts
    }

    /// Where `answer`, in the form of `farebox rate`, is not what the case expects. The expected
    /// fields are compared as they are written; those that the case leaves out may be anything.
    ///
    /// # Panics
    /// The case expects neither a price with lines nor an error.
    pub fn difference(&self, answer: &Value) -> Option<String> {
        let complete = ["price_usd", "credits", "lines"];
        assert!(
            self.expect.contains_key("error")
                || complete.iter().all(|f| self.expect.contains_key(*f)),
            "`{}` expects too little",
            self.name
        );
        self.expect.iter().find_map(|(field, expected)| {
            let got = answer.get(field).unwrap_or(&Value::Null);
            let got = if field == "lines" {
                lines(got, expected)
            } else {
                got.clone()
            };
            (got != *expected).then(|| format!("{field}\n  expected {expected}\n  got      {got}"))
        })
    }
}

/// Lines as tables write them. Of a reason, only the fields that are expected are kept.
fn lines(got: &Value, expected: &Value) -> Value {
    let Some(got) = got.as_array() else {
        return Value::Null;
    };
    let line = |(number, line): (usize, &Value)| {
        let kind = &line["kind"];
        let what = if kind == "usage" {
            &line["meter"]
        } else {
            kind
        };
        let mut cells = vec![what.clone()];
        cells.extend(["quantity", "unit_price_usd", "amount_usd"].map(|name| line[name].clone()));
        if let Some(reason) = expected[number][4].as_object() {
            let known = |name: &String| (name.clone(), line["reason"][name].clone());
            cells.push(Value::Object(reason.keys().map(known).collect()));
        }
        Value::Array(cells)
    };
    Value::Array(got.iter().enumerate().map(line).collect())
}

/// Whether the lines of an answer are each quantity × unit price, and add up to its price. An
/// error has none.
///
/// # Panics
/// An amount is not a decimal in plain notation.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a test; the amounts of cases are far from the ends of the range"
)]
pub fn adds_up(answer: &Value) -> bool {
    let decimal = |value: &Value| Decimal::from_str_exact(value.as_str().unwrap()).unwrap();
    let Some(lines) = answer["lines"].as_array() else {
        return true;
    };
    let exact = lines.iter().all(|line| {
        decimal(&line["quantity"]) * decimal(&line["unit_price_usd"])
            == decimal(&line["amount_usd"])
    });
    let sum: Decimal = lines.iter().map(|line| decimal(&line["amount_usd"])).sum();
    exact && sum == decimal(&answer["price_usd"])
}
