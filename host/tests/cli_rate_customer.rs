//! What a customer is and has used decides its price, in `farebox rate` as on a server.

use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

const BOOK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../guest/standard/books/plan-tiers.toml"
);

fn rate(flags: &[&str], line: &Value) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(["rate", "--price-book", BOOK])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take();
    writeln!(input.unwrap(), "{line}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_contract_wins_over_the_plan() {
    let call = json!({"provider": "openai", "model": "gpt-4o-mini", "usage": {"search": 100}});
    let plan = rate(&["--plan", "pro"], &call);
    let contract = rate(&["--plan", "pro", "--org", "org_acme"], &call);
    let markup = |answer: &Value| {
        let lines = answer["lines"].as_array().unwrap();
        let line = lines.iter().find(|line| line["kind"] == "markup").unwrap();
        line["unit_price_usd"].clone()
    };
    assert_eq!(markup(&plan), "0.25");
    assert_eq!(markup(&contract), "0.05");
}

#[test]
fn what_was_used_before_is_a_fact_of_the_line() {
    let search = |used: &str| {
        let call = json!({
            "provider": "openai", "model": "gpt-4o-mini", "usage": {"search": 1},
            "facts": {"count:rule:trial searches/free/search": used},
        });
        rate(&["--plan", "starter"], &call)["price_usd"].clone()
    };
    assert_eq!(search("9"), "0");
    assert_eq!(search("10"), "0.015");
}
