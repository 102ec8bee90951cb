//! A policy's own table of cases: calls, whose they are, and what must come of them. The form is that
//! of `tests/cases/rate`, so a table can move between the two.

use crate::cli::failure::{self, Failure};
use crate::cli::price_book;
use crate::cli::rate::input::{self, LineError};
use crate::config::DeploymentOption;
use farebox_book::{Format, compile};
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::meter::Attribute;
use farebox_pricing::rating::COUNT_PREFIX;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// When a case's call ran that does not say so: 2026-11-21T00:00:00Z.
const OCCURRED_AT_MS: i64 = 1_795_219_200_000;

/// A book and the cases under it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    book: Option<BookText>,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum BookText {
    /// A file, from the table's folder.
    File(String),
    /// TOML, line by line.
    Lines(Vec<String>),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeyOption {
    Managed,
    Own,
}

/// A call and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows. Stands once.
    pub name: String,
    call: Box<RawValue>,
    deployment: Option<DeploymentOption>,
    key_source: Option<KeyOption>,
    plan: Option<Box<str>>,
    org: Option<Box<str>>,
    project: Option<Box<str>>,
    user: Option<Box<str>>,
    agent: Option<Box<str>>,
    month_to_date_usd: Option<String>,
    /// What the host counted, by the rule that counts.
    #[serde(default)]
    counts: BTreeMap<String, String>,
    /// See [`Case::difference`]. Absent: whatever the golden output says.
    #[serde(default)]
    expect: Map<String, Value>,
}

impl Table {
    /// The table in this file.
    ///
    /// # Errors
    /// It cannot be read, is not in the form, or has no cases or two of one name.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let found = |what: String| Failure::Found(format!("{}: {what}", path.display()));
        let table: Self = serde_json::from_slice(&failure::read(path)?)
            .map_err(|error| found(error.to_string()))?;
        let mut names = BTreeSet::new();
        if let Some(twice) = table.cases.iter().find(|case| !names.insert(&case.name)) {
            return Err(found(format!("case `{}` stands twice", twice.name)));
        }
        if table.cases.is_empty() {
            return Err(found("it has no cases".to_owned()));
        }
        Ok(table)
    }

    /// Its book, canonical, where it names one.
    ///
    /// # Errors
    /// The book cannot be read, or does not compile.
    pub fn book(&self, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
        match &self.book {
            None => Ok(None),
            Some(BookText::File(name)) => {
                let file = path.parent().unwrap_or_else(|| Path::new("")).join(name);
                Ok(Some(price_book::load(&file)?.canonical))
            }
            Some(BookText::Lines(lines)) => {
                let compiled = compile(&lines.join("\n"), Format::Toml).map_err(|errors| {
                    let first = errors.first().map(ToString::to_string);
                    let first = first.unwrap_or_default();
                    Failure::Found(format!("{}: book: {first}", path.display()))
                })?;
                Ok(Some(compiled.canonical))
            }
        }
    }
}

impl Case {
    /// What is rated.
    ///
    /// # Errors
    /// The call cannot be understood.
    pub fn request(&self) -> Result<(UsageEvent, Facts), LineError> {
        let call = input::read(self.call.get().as_bytes())?;
        let mut facts = Facts::new(
            self.deployment.map_or(Deployment::Hosted, Into::into),
            match self.key_source {
                None | Some(KeyOption::Managed) => KeySource::Managed,
                Some(KeyOption::Own) => KeySource::Own,
            },
            call.occurred_at_ms.unwrap_or(OCCURRED_AT_MS),
        );
        facts.plan.clone_from(&self.plan);
        facts.org.clone_from(&self.org);
        facts.project.clone_from(&self.project);
        facts.user.clone_from(&self.user);
        facts.agent.clone_from(&self.agent);
        if let Some(text) = &self.month_to_date_usd {
            facts.month_to_date_usd =
                Decimal::from_str_exact(text).map_err(|_| LineError::Malformed {
                    reason: format!("`month_to_date_usd` is `{text}`: give a plain number"),
                })?;
        }
        let counts = self.counts.iter().map(|(rule, count)| Attribute {
            name: format!("{COUNT_PREFIX}{rule}").into(),
            value: count.as_str().into(),
        });
        facts.other = counts.chain(call.facts).collect();
        facts.other.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((call.intake.event, facts))
    }

    /// Where `answer`, in the form of `farebox rate`, is not what the case expects. The expected
    /// fields are compared as they are written; those that the case leaves out may be anything.
    pub fn difference(&self, answer: &Value) -> Option<String> {
        self.expect.iter().find_map(|(field, expected)| {
            let got = answer.get(field).unwrap_or(&Value::Null);
            let got = match field.as_str() {
                "lines" => lines(got, expected),
                _ => got.clone(),
            };
            (got != *expected).then(|| format!("{field}: expected {expected}, got {got}"))
        })
    }
}

/// Lines as tables write them: meter or kind, quantity, unit price, amount, and of the reason those
/// fields that are expected.
fn lines(got: &Value, expected: &Value) -> Value {
    let Some(got) = got.as_array() else {
        return Value::Null;
    };
    let line = |(number, line): (usize, &Value)| {
        let field = |name: &str| line.get(name).cloned().unwrap_or_default();
        let kind = field("kind");
        let what = if kind == "usage" {
            field("meter")
        } else {
            kind
        };
        let mut cells = vec![what];
        cells.extend(["quantity", "unit_price_usd", "amount_usd"].map(field));
        let reason = expected.get(number).and_then(|line| line.get(4));
        if let Some(wanted) = reason.and_then(Value::as_object) {
            let reason = field("reason");
            let known = |name: &String| {
                let value = reason.get(name).cloned().unwrap_or_default();
                (name.clone(), value)
            };
            cells.push(Value::Object(wanted.keys().map(known).collect()));
        }
        Value::Array(cells)
    };
    Value::Array(got.iter().enumerate().map(line).collect())
}
