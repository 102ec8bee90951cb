//! A table of cases: how a case is written, run, and compared (`tests/cases/usage/README.md`).

use farebox_pricing::meter::Pool;
use farebox_usage::{Normalised, Normaliser, Stated, Unrecognised, UsageError};
use farebox_usage::{normalise_answer, normalise_sse};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub provider: String,
    pub api: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub response: Option<Box<RawValue>>,
    body: Option<String>,
    body_hex: Option<String>,
    sse: Option<Vec<String>>,
    sse_hex: Option<String>,
    pub expect: Option<Expected>,
    pub error: Option<Refusal>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    model: Option<String>,
    service_tier: Option<String>,
    region: Option<String>,
    response_id: Option<String>,
    pub pools: BTreeMap<String, String>,
    provider_cost_usd: Option<String>,
    upstream_cost_usd: Option<String>,
    own_key: Option<bool>,
    #[serde(default)]
    pub unrecognised: BTreeMap<String, String>,
    #[serde(default = "complete")]
    finish: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
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
    pub fn stream(&self) -> Option<Vec<u8>> {
        match (&self.sse, &self.sse_hex) {
            (Some(lines), None) => Some(lines.join("\n").into_bytes()),
            (None, Some(hex)) => Some(bytes(hex)),
            _ => None,
        }
    }

    pub fn body(&self) -> Option<Vec<u8>> {
        match (&self.response, &self.body, &self.body_hex) {
            (Some(json), None, None) => Some(json.get().as_bytes().to_vec()),
            (None, Some(text), None) => Some(text.as_bytes().to_vec()),
            (None, None, Some(hex)) => Some(bytes(hex)),
            _ => None,
        }
    }

    /// How the answer ends, as the case expects it: the name of a finish, or of an error.
    pub fn end(&self) -> Option<&str> {
        let finish = self.expect.as_ref().map(|expect| expect.finish.as_str());
        finish.or(self.error.as_ref().map(|error| error.kind.as_str()))
    }

    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    pub fn run(&self) -> Result<Normalised, UsageError> {
        let api = self.api.as_deref();
        match (self.body(), self.stream()) {
            (Some(body), None) => normalise_answer(&self.provider, api, self.headers(), &body),
            (None, Some(stream)) => normalise_sse(&self.provider, api, &stream),
            _ => panic!("`{}` has not exactly one answer", self.name),
        }
    }

    /// The answer as a stream, cut into chunks of these sizes and the rest.
    pub fn in_chunks(
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
pub fn tables() -> Vec<(String, Vec<Case>)> {
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
