//! The recorded provider responses of `tests/data`, as the API takes them.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::io::{BufRead, BufReader};
use std::path::Path;

/// One recorded call: what was known before it, and what the provider answered.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `openai chat`, `anthropic messages, streamed` …
    pub kind: String,
    /// What is known before the call, as quotes and holds take it.
    pub before: Map<String, Value>,
    /// What the provider answered, as a usage report takes it.
    pub after: Map<String, Value>,
}

/// Reads them all.
///
/// # Errors
/// The file is missing or is not what it should be.
pub fn read(root: &Path) -> Result<Vec<Recorded>> {
    let path = root.join("tests/data/responses.jsonl.gz");
    let file = std::fs::File::open(&path)
        .with_context(|| format!("could not read `{}`", path.display()))?;
    let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
    lines.map(|line| recorded(&line?)).collect()
}

fn recorded(line: &str) -> Result<Recorded> {
    let mut record: Map<String, Value> = serde_json::from_str(line)?;
    let provider = text(&record, "provider")?;
    let api = text(&record, "api")?;
    let request = record
        .get("request")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut before = Map::new();
    before.insert("provider".into(), provider.as_str().into());
    for (theirs, ours) in [
        ("model", "model"),
        ("body_bytes", "body_bytes"),
        ("max_output", "max_output_tokens"),
        ("service_tier", "service_tier"),
    ] {
        if let Some(value) = request.get(theirs).filter(|value| !value.is_null()) {
            before.insert(ours.into(), value.clone());
        }
    }
    let mut after = Map::new();
    after.insert("provider".into(), provider.as_str().into());
    after.insert("api".into(), api.as_str().into());
    if let Some(model) = request.get("model") {
        after.insert("model".into(), model.clone());
    }
    let streamed = record.contains_key("sse");
    for source in ["response", "sse"] {
        if let Some(answer) = record.remove(source) {
            after.insert(source.into(), answer);
        }
    }
    let manner = if streamed { ", streamed" } else { "" };
    Ok(Recorded {
        kind: format!("{provider} {}{manner}", api.replace('_', " ")),
        before,
        after,
    })
}

fn text(record: &Map<String, Value>, field: &str) -> Result<String> {
    let value = record.get(field).and_then(Value::as_str);
    Ok(value
        .with_context(|| format!("a recorded call without `{field}`"))?
        .to_owned())
}
