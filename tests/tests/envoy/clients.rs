//! The clients that people already have: the official ones of OpenAI and Anthropic, in Python, against
//! the example of a gateway, with nothing changed but the base URL and the key.

use super::gateway::{Gateway, amount};
use farebox_tests::provider::Served;
use farebox_tests::repository;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::process::Command;

const KINDS: [(&str, &str); 4] = [
    ("chat", "gpt-4o"),
    ("chat", "smart"),
    ("responses", "gpt-4o-mini"),
    ("messages", "claude-sonnet-4-5"),
];

/// What the clients say of their calls, and of one with a wrong key.
fn run(gateway: &Gateway, key: &str, calls: &[Value]) -> Vec<Value> {
    let python = repository("target/clients/venv/bin/python");
    assert!(
        python.is_file(),
        "no clients at `{}`: `cargo xtask envoy` installs them",
        python.display()
    );
    let asked = json!({
        "gateway": format!("http://{}", gateway.envoy.address),
        "key": key,
        "calls": calls,
    });
    let output = Command::new(python)
        .arg(repository("tests/peers/clients.py"))
        .arg(asked.to_string())
        .output()
        .unwrap();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{failed}");
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Input and output tokens that a provider stated for an answer.
fn stated(served: &Served) -> (u64, u64) {
    let texts = match served.call["sse"].as_str() {
        Some(stream) => stream
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter_map(|data| serde_json::from_str::<Value>(data).ok())
            .collect(),
        None => vec![served.call["response"].clone()],
    };
    let (mut input, mut output) = (0, 0);
    for text in texts {
        for usage in [
            &text["usage"],
            &text["response"]["usage"],
            &text["message"]["usage"],
        ] {
            let count = |names: [&str; 2]| names.iter().find_map(|name| usage[*name].as_u64());
            input = count(["prompt_tokens", "input_tokens"]).unwrap_or(input);
            output = count(["completion_tokens", "output_tokens"]).unwrap_or(output);
        }
    }
    (input, output)
}

#[test]
fn official_clients_work_through_envoy_and_the_ledger_has_what_the_upstream_counted() {
    let gateway = Gateway::start();
    let key = gateway.host.sell_to("100");
    let calls: Vec<Value> = KINDS
        .iter()
        .flat_map(|(kind, model)| {
            [false, true].map(|stream| json!({"kind": kind, "model": model, "stream": stream}))
        })
        .collect();
    let mut said = run(&gateway, &key, &calls);
    assert_eq!(said.pop(), Some(json!({"refused": 401})));
    let served = gateway.served();
    assert_eq!((said.len(), served.len()), (calls.len(), calls.len()));
    for (call, said) in calls.iter().zip(&said) {
        let answer = served.iter().find(|served| served.id == said["id"]);
        let (input, output) = stated(answer.unwrap_or_else(|| panic!("{call}: {said}")));
        assert_eq!(said["input"], input, "{call}");
        assert_eq!(said["output"], output, "{call}");
    }
    gateway.until_reported(calls.len());
    let usage = gateway.host.read(&key, "/v1/usage");
    let events = usage["items"].as_array().unwrap();
    assert_eq!(events.len(), calls.len());
    let mut spent = Decimal::ZERO;
    for event in events {
        let answer = served
            .iter()
            .find(|served| served.id == event["response_id"]);
        let (input, output) = stated(answer.unwrap_or_else(|| panic!("{event}")));
        let pools = event["event"]["pools"].as_array().unwrap();
        let of = |direction: fn(&str) -> bool| -> Decimal {
            let pools = pools.iter();
            let pools = pools.filter(|pool| direction(pool["meter"].as_str().unwrap()));
            pools.map(|pool| amount(&pool["quantity"])).sum()
        };
        let is_output = |meter: &str| meter.starts_with("output") || meter == "reasoning";
        assert_eq!(of(is_output), Decimal::from(output), "{event}");
        let is_input = |meter: &str| meter.starts_with("input") || meter.starts_with("cache");
        assert_eq!(of(is_input), Decimal::from(input), "{event}");
        spent += amount(&event["credits"]);
    }
    assert_eq!(gateway.balance(&key), Decimal::from(100) - spent);
}
