//! The hand-written cases of `tests/cases/usage` (its `README.md` says how they are written).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint's own exemption stops at its functions"
)]

use farebox_pricing::meter::Pool;
use farebox_usage::{Normalised, Normaliser, UsageError, normalise_response, normalise_sse};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    provider: String,
    api: Option<String>,
    response: Option<Box<RawValue>>,
    body: Option<String>,
    body_hex: Option<String>,
    sse: Option<Vec<String>>,
    sse_hex: Option<String>,
    expect: Option<Expected>,
    error: Option<Refusal>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Expected {
    model: Option<String>,
    service_tier: Option<String>,
    region: Option<String>,
    response_id: Option<String>,
    pools: BTreeMap<String, String>,
    provider_cost_usd: Option<String>,
    upstream_cost_usd: Option<String>,
    own_key: Option<bool>,
    #[serde(default)]
    unknown_fields: Vec<String>,
    #[serde(default = "complete")]
    finish: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Refusal {
    kind: String,
    path: Option<String>,
    value: Option<String>,
}

fn complete() -> String {
    "complete".to_owned()
}

impl From<&Normalised> for Expected {
    fn from(normalised: &Normalised) -> Self {
        let text = |word: &Option<Box<str>>| word.as_deref().map(str::to_owned);
        Self {
            model: text(&normalised.model_served),
            service_tier: text(&normalised.service_tier),
            region: text(&normalised.region),
            response_id: text(&normalised.response_id),
            pools: normalised.pools.iter().map(written).collect(),
            provider_cost_usd: normalised.provider_cost_usd.map(|cost| cost.to_string()),
            upstream_cost_usd: normalised.upstream_cost_usd.map(|cost| cost.to_string()),
            own_key: normalised.own_key,
            unknown_fields: normalised.unknown_fields.clone(),
            finish: normalised.finish.name().to_owned(),
        }
    }
}

impl From<&UsageError> for Refusal {
    fn from(error: &UsageError) -> Self {
        let value = match error {
            UsageError::Quantity { value, .. } => Some(value.clone()),
            _ => None,
        };
        Self {
            kind: error.kind().to_owned(),
            path: error.path().map(str::to_owned),
            value,
        }
    }
}

fn written(pool: &Pool) -> (String, String) {
    let attributes: Vec<String> = pool
        .attributes
        .iter()
        .map(|attribute| format!("{}={}", attribute.name, attribute.value))
        .collect();
    let meter = pool.meter.name();
    let meter = if attributes.is_empty() {
        meter.to_owned()
    } else {
        format!("{meter}{{{}}}", attributes.join(","))
    };
    (meter, pool.quantity.get().to_string())
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..=at.wrapping_add(1)).unwrap(), 16).unwrap())
        .collect()
}

impl Case {
    fn stream(&self) -> Option<Vec<u8>> {
        match (&self.sse, &self.sse_hex) {
            (Some(lines), None) => Some(lines.join("\n").into_bytes()),
            (None, Some(hex)) => Some(bytes(hex)),
            _ => None,
        }
    }

    fn body(&self) -> Option<Vec<u8>> {
        match (&self.response, &self.body, &self.body_hex) {
            (Some(json), None, None) => Some(json.get().as_bytes().to_vec()),
            (None, Some(text), None) => Some(text.as_bytes().to_vec()),
            (None, None, Some(hex)) => Some(bytes(hex)),
            _ => None,
        }
    }

    fn run(&self) -> Result<Normalised, UsageError> {
        let api = self.api.as_deref();
        match (self.body(), self.stream()) {
            (Some(body), None) => normalise_response(&self.provider, api, &body),
            (None, Some(stream)) => {
                let at_once = normalise_sse(&self.provider, api, &stream);
                assert_eq!(self.by_bytes(&stream), at_once, "{}", self.name);
                at_once
            }
            _ => panic!("`{}` has not exactly one answer", self.name),
        }
    }

    fn by_bytes(&self, stream: &[u8]) -> Result<Normalised, UsageError> {
        let mut normaliser = Normaliser::new(&self.provider, self.api.as_deref())?;
        for byte in stream {
            normaliser.feed(std::slice::from_ref(byte))?;
        }
        normaliser.finish()
    }
}

fn run(family: &str, cases_min: usize) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/cases/usage")
        .join(family);
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() >= cases_min, "cases were lost");
    let mut failures = Vec::new();
    for case in cases {
        let name = &case.name;
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
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn openai_chat() {
    run("openai_chat.json", 50);
}

#[test]
fn openai_compatible() {
    run("openai_compatible.json", 19);
}

#[test]
fn openai_responses() {
    run("openai_responses.json", 13);
}

#[test]
fn anthropic() {
    run("anthropic.json", 19);
}

#[test]
fn gemini() {
    run("gemini.json", 21);
}
