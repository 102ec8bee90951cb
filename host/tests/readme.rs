//! The README's worked example, run by the binary a reader would run.

use std::io::Write;
use std::process::{Command, Stdio};

const README: &str = include_str!("../../README.md");

/// The text between the marker and the next blank line that ends its block.
fn after<'a>(marker: &str, until: &str) -> &'a str {
    let marked = README
        .split(marker)
        .nth(1)
        .unwrap_or_else(|| panic!("no {marker}"));
    marked.split(until).next().unwrap().trim()
}

/// The cells of a Markdown table, without its two head lines.
fn table(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .skip(2)
        .map(|row| {
            row.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

fn rate(line: &str) -> serde_json::Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(["rate", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(line.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_worked_example_is_what_the_binary_answers() {
    let call = after("<!-- worked example: call -->\n```json\n", "```");
    let answer = rate(call);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();

    let lines: Vec<Vec<String>> = answer["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            ["kind", "meter", "quantity", "unit_price_usd", "amount_usd"]
                .iter()
                .map(|name| text(&line[*name]))
                .collect()
        })
        .collect();
    assert_eq!(
        table(after("<!-- worked example: lines -->\n", "\n\n")),
        lines
    );

    let totals: Vec<Vec<String>> = ["provider_cost_usd", "market_usd", "price_usd", "credits"]
        .iter()
        .map(|name| vec![(*name).to_owned(), text(&answer[*name])])
        .collect();
    assert_eq!(
        table(after("<!-- worked example: totals -->\n", "\n\n")),
        totals
    );
}
