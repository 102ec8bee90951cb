//! The hand-written cases of `tests/cases/usage` (its `README.md` says how they are written).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint's own exemption stops at its functions"
)]

use farebox_pricing::meter::Pool;
use farebox_usage::{Normalised, Normaliser, Stated, Unrecognised, UsageError};
use farebox_usage::{normalise_answer, normalise_sse};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    provider: String,
    api: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
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
    unrecognised: BTreeMap<String, String>,
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
            unrecognised: normalised.unrecognised.iter().map(reported).collect(),
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

fn reported(unrecognised: &Unrecognised) -> (String, String) {
    let stated = match &unrecognised.stated {
        Stated::Number(text) => text.clone(),
        Stated::Other => "other".to_owned(),
        Stated::BrokenEvent => "broken event".to_owned(),
    };
    (unrecognised.path.clone(), stated)
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

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    fn run(&self) -> Result<Normalised, UsageError> {
        let api = self.api.as_deref();
        match (self.body(), self.stream()) {
            (Some(body), None) => normalise_answer(&self.provider, api, self.headers(), &body),
            (None, Some(stream)) => normalise_sse(&self.provider, api, &stream),
            _ => panic!("`{}` has not exactly one answer", self.name),
        }
    }

    /// The answer as a stream, cut into chunks of these sizes and the rest.
    fn in_chunks(
        &self,
        answer: &[u8],
        sizes: impl Iterator<Item = usize>,
    ) -> Result<Normalised, UsageError> {
        let mut normaliser = Normaliser::new(&self.provider, self.api.as_deref())?;
        for (name, value) in self.headers() {
            normaliser.header(name, value)?;
        }
        let mut rest = answer;
        for size in sizes {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            normaliser.feed(chunk)?;
            rest = after;
        }
        normaliser.feed(rest)?;
        normaliser.finish()
    }
}

/// Every table of cases, by name. `refused.json` is another list (see the README there).
fn tables() -> Vec<(String, Vec<Case>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/usage");
    let mut tables: Vec<(String, Vec<Case>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "refused"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let cases = serde_json::from_slice(&std::fs::read(&path).unwrap());
            (
                name.clone(),
                cases.unwrap_or_else(|e| panic!("{name}: {e}")),
            )
        })
        .collect();
    tables.sort_by(|a, b| a.0.cmp(&b.0));
    tables
}

#[test]
fn every_case_comes_out_as_it_says() {
    let mut failures = Vec::new();
    let tables = tables();
    assert!(tables.len() >= 19, "tables were lost");
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

#[test]
fn no_two_cases_have_one_name() {
    for (table, cases) in tables() {
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len(), "{table}");
    }
}

#[test]
fn any_chunks_are_the_whole() {
    let cases: Vec<Case> = tables().into_iter().flat_map(|(_, cases)| cases).collect();
    for case in &cases {
        let answer = case.stream().or_else(|| case.body()).unwrap();
        assert_eq!(
            case.in_chunks(&answer, std::iter::repeat(1)),
            case.in_chunks(&answer, std::iter::empty()),
            "{} by single bytes",
            case.name
        );
    }
    let cuts = proptest::collection::vec(1_usize..200, 0..20);
    let case = proptest::sample::select((0..cases.len()).collect::<Vec<_>>());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(4096)
    };
    proptest!(config, |(index in case, cuts in cuts)| {
        let case = &cases[index];
        let answer = case.stream().or_else(|| case.body()).unwrap();
        prop_assert_eq!(
            case.in_chunks(&answer, cuts.iter().copied()),
            case.in_chunks(&answer, std::iter::empty()),
            "{}", case.name
        );
    });
}
