//! Answers of the API as people read them: one field a line, a list as a table.

use crate::cli::failure::Failure;
use serde_json::{Map, Value};
use std::io::Write;

/// Prints an answer: as JSON for programs, else for people. A list is an array, or an object with
/// `items`.
///
/// # Errors
/// Standard output is gone.
pub fn answer(answer: &Value, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        return Ok(writeln!(out, "{answer:#}")?);
    }
    let items = answer
        .as_array()
        .or_else(|| answer.get("items")?.as_array());
    match (items, answer) {
        (Some(items), _) => table(items, out),
        (None, Value::Object(fields)) => lines(fields, "", out),
        (None, other) => Ok(writeln!(out, "{}", cell(other))?),
    }
}

fn lines(fields: &Map<String, Value>, indent: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let width = fields.keys().map(String::len).max().unwrap_or_default();
    for (name, value) in fields {
        match value {
            Value::Object(inner) => {
                writeln!(out, "{indent}{name}")?;
                lines(inner, &format!("{indent}  "), out)?;
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                writeln!(out, "{indent}{name}")?;
                table(items, out)?;
            }
            value => writeln!(out, "{indent}{name:width$}  {}", cell(value))?,
        }
    }
    Ok(())
}

/// Columns in the order of the first appearance of their names.
fn table(items: &[Value], out: &mut dyn Write) -> Result<(), Failure> {
    let rows: Vec<&Map<String, Value>> = items.iter().filter_map(Value::as_object).collect();
    let mut names: Vec<&str> = Vec::new();
    for name in rows.iter().flat_map(|row| row.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let of = |row: &Map<String, Value>, name: &str| row.get(name).map(cell).unwrap_or_default();
    let widths: Vec<usize> = names
        .iter()
        .map(|name| {
            let widest = rows.iter().map(|row| of(row, name).chars().count()).max();
            widest.unwrap_or_default().max(name.len())
        })
        .collect();
    let mut print = |cells: Vec<String>| {
        let padded = cells.iter().zip(&widths);
        let line: Vec<_> = padded
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", line.join("  ").trim_end())
    };
    print(names.iter().map(ToString::to_string).collect())?;
    for row in rows {
        print(names.iter().map(|name| of(row, name)).collect())?;
    }
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: &Value, expect: &str) {
        let mut out = Vec::new();
        answer(value, false, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn an_object_is_a_field_a_line() {
        check(
            &json!({ "id": "org_1", "name": "acme", "balance": { "held_credits": "0" } }),
            "id       org_1\nname     acme\nbalance\n  held_credits  0\n",
        );
    }

    #[test]
    fn a_list_is_a_table_with_every_field_that_any_row_has() {
        check(
            &json!({ "items": [{ "id": "a" }, { "id": "bcd", "scopes": ["x", "y"] }] }),
            "id   scopes\na\nbcd  x,y\n",
        );
    }
}
