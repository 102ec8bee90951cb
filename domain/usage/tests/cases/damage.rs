//! No number that is read can be damaged unnoticed: as a string, below zero, in part, beyond all
//! bounds or as an object, it is refused by its own path.

use super::sources::{is_about, nodes, rows_of};
use super::table::tables;
use farebox_usage::{Source, normalise_answer};
use serde_json::Value;

/// What may have a fraction.
fn is_measured(row: &Source) -> bool {
    row.becomes.starts_with("second")
        || [
            "a time",
            "the provider cost in USD",
            "the upstream cost",
            "a part of",
        ]
        .iter()
        .any(|words| row.becomes.starts_with(words) && !row.becomes.ends_with("10^10"))
}

fn place<'v>(document: &'v mut Value, path: &str) -> &'v mut Value {
    let pointer = path.replace(['.', '['], "/").replace(']', "");
    document.pointer_mut(&format!("/{pointer}")).unwrap()
}

#[test]
fn no_number_can_be_damaged_unnoticed() {
    let mut damaged = 0;
    let mut unnoticed = Vec::new();
    for (table, cases) in tables() {
        for case in cases {
            let (Some(response), Some(_), Some(api)) = (&case.response, &case.expect, &case.api)
            else {
                continue;
            };
            let document: Value = serde_json::from_str(response.get()).unwrap();
            for (exact, path, value) in nodes(&document) {
                let Some(row) = rows_of(&case).find(|row| is_about(row, &path, value)) else {
                    continue;
                };
                // Iterations of the message itself are in its totals, and a duration is in the usage:
                // neither is read again.
                let is_said_before = path.contains("iterations")
                    || (path == "duration" && document.get("usage").is_some());
                if !value.is_number() || is_said_before {
                    continue;
                }
                for (damage, in_part) in [
                    ("\"7\"", false),
                    ("-1", false),
                    ("0.5", true),
                    ("1e30", false),
                    ("{\"tokens\":{\"tokens\":1}}", false),
                    ("true", false),
                ] {
                    if in_part && is_measured(row) {
                        continue;
                    }
                    let mut document = document.clone();
                    *place(&mut document, &exact) = serde_json::from_str(damage).unwrap();
                    let body = document.to_string();
                    let outcome = normalise_answer(
                        &case.provider,
                        Some(api),
                        case.headers(),
                        body.as_bytes(),
                    );
                    damaged += 1;
                    let refused = outcome.as_ref().err().and_then(|error| error.path());
                    if !refused.is_some_and(|refused| exact.ends_with(refused)) {
                        unnoticed.push(format!(
                            "{table}: {}: {exact} {damage}: {outcome:?}",
                            case.name
                        ));
                    }
                }
            }
        }
    }
    assert!(damaged > 1_000, "cases were lost");
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}
