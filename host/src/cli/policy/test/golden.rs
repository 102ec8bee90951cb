//! The answers of a table of cases as they were accepted, whole: what a change of the policy does to
//! them is what a reviewer reads.

use super::cases::Table;
use super::trial::Answered;
use crate::cli::failure::Failure;
use serde_json::{Map, Value};
use std::io::ErrorKind;
use std::path::Path;

/// Answers by the names of their cases, in the order of the table.
pub struct Golden(Map<String, Value>);

impl Golden {
    /// The answers that came.
    pub fn of(table: &Table, answered: &[Answered]) -> Self {
        let answers = table.cases.iter().zip(answered);
        Self(
            answers
                .map(|(case, answered)| (case.name.clone(), answered.answer.clone()))
                .collect(),
        )
    }

    /// Those that were accepted; `None` where there is no such file yet.
    ///
    /// # Errors
    /// The file cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                let path = path.to_owned();
                return Err(Failure::Read { path, source });
            }
        };
        let answers = serde_json::from_slice(&text)
            .map_err(|error| Failure::Found(format!("{}: {error}", path.display())))?;
        Ok(Some(Self(answers)))
    }

    /// The file's text. Equal answers make equal text.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.0).unwrap_or_default();
        text.push('\n');
        text
    }

    /// What of these is not what was accepted, case by case.
    pub fn differences(&self, accepted: &Self) -> Vec<(String, String)> {
        let mut differences = Vec::new();
        let mut add = |name: &String, what: String| differences.push((name.clone(), what));
        for (name, got) in &self.0 {
            match accepted.0.get(name) {
                None => add(name, "it is not in the golden file".to_owned()),
                Some(expected) if expected != got => {
                    add(name, first_difference(expected, got));
                }
                Some(_) => {}
            }
        }
        for gone in accepted.0.keys().filter(|name| !self.0.contains_key(*name)) {
            add(
                gone,
                "it is in the golden file, and no case any more".to_owned(),
            );
        }
        differences
    }
}

/// The first field that differs, with what was accepted and what came.
fn first_difference(expected: &Value, got: &Value) -> String {
    let fields = expected.as_object().into_iter().flatten();
    let differs = |(name, value): &(&String, &Value)| got.get(name.as_str()) != Some(value);
    match fields.clone().find(differs) {
        Some((name, value)) => {
            let came = got.get(name.as_str()).unwrap_or(&Value::Null);
            format!("{name} was {value}, is {came}")
        }
        None => format!("was {expected}, is {got}"),
    }
}
