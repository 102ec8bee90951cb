//! The hand-written cases of `tests/cases/usage`, and what they show about every case: that the
//! network may cut it anywhere, that no count of it can be damaged unnoticed, and that
//! `docs/usage.md` says what is read.

mod chunks;
mod damage;
mod sources;
mod table;

use std::collections::BTreeSet;
use table::{Expected, Refusal, tables};

#[test]
fn every_case_comes_out_as_it_says() {
    let mut failures = Vec::new();
    let tables = tables();
    assert!(tables.len() >= 22, "tables were lost");
    for (table, cases) in tables {
        assert!(cases.len() >= 5, "cases of {table} were lost");
        for case in cases {
            let name = format!("{table}: {}", case.name);
            match (case.run(), &case.expect, &case.error) {
                (Ok(normalised), Some(expected), None) => {
                    let got = Expected::from(&normalised);
                    if got != *expected {
                        failures.push(format!(
                            "{name}\n  expected {expected:?}\n  got      {got:?}"
                        ));
                    }
                }
                (Err(error), None, Some(expected)) => {
                    let got = Refusal::from(&error);
                    if got != *expected {
                        failures.push(format!(
                            "{name}\n  expected {expected:?}\n  got      {got:?}"
                        ));
                    }
                }
                (got, _, _) => failures.push(format!("{name}\n  got {got:?}")),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What is never streamed: the results of a batch are read from a file.
const UNSTREAMED: &str = "batch";

#[test]
fn every_table_has_a_whole_stream_and_a_cut_one() {
    for (table, cases) in tables() {
        let streams = cases.iter().filter(|case| case.stream().is_some());
        let ends: BTreeSet<&str> = streams.filter_map(table::Case::end).collect();
        let whole = ends.contains("complete");
        let cut = ends.contains("partial") || ends.contains("no_usage");
        assert!(table == UNSTREAMED || (whole && cut), "{table}: {ends:?}");
    }
}

#[test]
fn no_two_cases_have_one_name() {
    for (table, cases) in tables() {
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len(), "{table}");
    }
}
