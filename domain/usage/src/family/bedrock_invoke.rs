//! Bedrock InvokeModel and InvokeModelWithResponseStream: a body by model family.
//!
//! Claude, Nova, and the models with an OpenAI-like body answer as at home, and are read by their own
//! families. What is left has counts of its own: Titan (`inputTextTokenCount`, and `tokenCount` of
//! each result), Llama (`prompt_token_count`, `generation_token_count`). The others (Cohere, Mistral,
//! DeepSeek, Stability) state none in the body: an answer says its counts in headers
//! ([`crate::Normaliser::header`]), a stream in the `amazon-bedrock-invocationMetrics` of its last
//! chunk. What the body states comes first, then those metrics, then the headers.
//!
//! Source: Amazon Bedrock user guide, "Inference request parameters and response fields" by model,
//! and "Prompt caching" (November 2026).

use super::{Bill, Reader, Reading, Told, flat::Flat, keep, parse, reader, where_it_fits};
use crate::api::Api;
use crate::error::UsageError;
use crate::fields::Fields;
use crate::pools::sum;
use crate::source::{Source, row};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;

pub(super) const SOURCES: &[Source] = &[
    row("bedrock", "invoke", "inputTextTokenCount", "input"),
    row("bedrock", "invoke", "results[].tokenCount", "output"),
    row("bedrock", "invoke", "totalOutputTextTokenCount", "output"),
    row("bedrock", "invoke", "prompt_token_count", "input"),
    row("bedrock", "invoke", "generation_token_count", "output"),
    row(
        "bedrock",
        "invoke",
        "images[]",
        "image, where nothing else is stated",
    ),
    row(
        "bedrock",
        "invoke",
        "amazon-bedrock-invocationMetrics.inputTokenCount",
        "input",
    ),
    row(
        "bedrock",
        "invoke",
        "amazon-bedrock-invocationMetrics.outputTokenCount",
        "output",
    ),
    row(
        "bedrock",
        "invoke",
        "amazon-bedrock-invocationMetrics.cacheReadInputTokenCount",
        "cache_read",
    ),
    row(
        "bedrock",
        "invoke",
        "amazon-bedrock-invocationMetrics.cacheWriteInputTokenCount",
        "cache_write_5m",
    ),
    row(
        "bedrock",
        "invoke",
        "amazon-bedrock-invocationMetrics.invocationLatency",
        "a time, billed by nobody",
    ),
    row(
        "bedrock",
        "invoke",
        "amazon-bedrock-invocationMetrics.firstByteLatency",
        "a time, billed by nobody",
    ),
    row(
        "bedrock",
        "invoke",
        "header x-amzn-bedrock-input-token-count",
        "input",
    ),
    row(
        "bedrock",
        "invoke",
        "header x-amzn-bedrock-output-token-count",
        "output",
    ),
    row(
        "bedrock",
        "invoke",
        "header x-amzn-bedrock-cache-read-input-token-count",
        "cache_read",
    ),
    row(
        "bedrock",
        "invoke",
        "header x-amzn-bedrock-cache-write-input-token-count",
        "cache_write_5m",
    ),
];

const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// The counts at the top of Titan's and Llama's bodies.
const COUNTS: [&str; 4] = [
    "inputTextTokenCount",
    "totalOutputTextTokenCount",
    "prompt_token_count",
    "generation_token_count",
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Invoke {
    told: Told,
    /// The model family's own reader, once its shape was seen.
    at_home: Option<Box<dyn Reader>>,
    counts: Flat,
    results: Vec<String>,
    images: u64,
    metrics: Option<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    /// A chunk of a stream, as its event or bare.
    #[serde(borrow)]
    chunk: Option<&'a RawValue>,
    #[serde(borrow)]
    bytes: Option<&'a RawValue>,
    #[serde(borrow, rename = "amazon-bedrock-invocationMetrics")]
    metrics: Option<&'a RawValue>,
    #[serde(borrow)]
    results: Option<&'a RawValue>,
    #[serde(borrow)]
    images: Option<&'a RawValue>,
    stop_reason: Option<IgnoredAny>,
    #[serde(rename = "completionReason")]
    completion_reason: Option<IgnoredAny>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    bytes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct TitanResult<'a> {
    #[serde(borrow, rename = "tokenCount")]
    token_count: Option<&'a RawValue>,
}

impl Reader for Invoke {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let body: Body<'_> = parse(text)?;
        let in_chunk = where_it_fits(body.chunk).and_then(|chunk: Chunk<'_>| chunk.bytes);
        if let Some(bytes) = in_chunk.or(body.bytes) {
            return self.read_body(&decode(bytes)?);
        }
        self.read_body(text)
    }

    fn end(&mut self) {
        self.told.ended = true;
        if let Some(at_home) = &mut self.at_home {
            at_home.end();
        }
    }

    fn conclude(mut self: Box<Self>, vendor: &str) -> Result<Reading, UsageError> {
        let unread = match self.at_home.take().map(|at_home| at_home.conclude(vendor)) {
            Some(Err(UsageError::NoUsage { served })) => {
                self.told.served = *served;
                None
            }
            other => other,
        };
        if let Some(reading) = unread {
            return reading;
        }
        let mut bill = Bill::default();
        if let Some(raw) = self.read_counts(&mut bill)? {
            return Ok(self.told.reading(bill, raw));
        }
        if let Some(raw) = self.metrics.take() {
            read_metrics(Fields::parse(METRICS, &raw)?, &mut bill)?;
            if !bill.pools.is_empty() {
                return Ok(self.told.reading(bill, raw));
            }
        }
        if self.images > 0 {
            bill.pools.detail(Meter::Image, self.images)?;
            let raw = format!(r#"{{"images":{}}}"#, self.images);
            return Ok(self.told.reading(bill, raw));
        }
        Err(self.told.no_usage())
    }
}

impl Invoke {
    fn read_body(&mut self, text: &str) -> Result<(), UsageError> {
        let body: Body<'_> = parse(text)?;
        self.told.failure(body.error);
        self.told.ended |= body.metrics.is_some()
            || body.stop_reason.is_some()
            || body.completion_reason.is_some();
        keep(&mut self.metrics, body.metrics)?;
        if self.at_home.is_none() {
            self.at_home = Api::detect(text)
                .map_err(|error| UsageError::malformed(&error))?
                .filter(|api| {
                    matches!(api, Api::Chat | Api::Messages | Api::Converse | Api::Cohere)
                })
                .map(reader);
        }
        if let Some(at_home) = &mut self.at_home {
            at_home.read(text)?;
        }
        let images: Option<Vec<IgnoredAny>> = where_it_fits(body.images);
        let images = images.map_or(0, |images| images.len() as u64);
        self.images = sum(&[self.images, images]);
        let results: Option<Vec<TitanResult<'_>>> = where_it_fits(body.results);
        for result in results.unwrap_or_default() {
            let mut count = None;
            keep(&mut count, result.token_count)?;
            if self.results.len() < 64 {
                self.results.extend(count);
            }
        }
        self.counts.overlay(text, |key| COUNTS.contains(&key))
    }

    /// Titan's and Llama's own counts, as JSON text where there are any.
    fn read_counts(&mut self, bill: &mut Bill) -> Result<Option<String>, UsageError> {
        if self.counts.is_empty() && self.results.is_empty() {
            return Ok(None);
        }
        let raw = std::mem::take(&mut self.counts).into_text();
        let mut counts = Fields::parse("", &raw)?;
        let input = counts.either("inputTextTokenCount", "prompt_token_count")?;
        let mut output = counts.either("totalOutputTextTokenCount", "generation_token_count")?;
        for (index, result) in self.results.iter().enumerate() {
            let text = format!(r#"{{"tokenCount":{result}}}"#);
            let mut fields = Fields::parse(&format!("results[{index}]"), &text)?;
            if let Some(tokens) = fields.count("tokenCount")? {
                output = Some(sum(&[output.unwrap_or(0), tokens]));
            }
        }
        if let Some(input) = input {
            bill.pools.stated(Meter::Input, input)?;
        }
        if let Some(output) = output {
            bill.pools.stated(Meter::Output, output)?;
        }
        let results: Vec<String> = self
            .results
            .iter()
            .map(|count| format!(r#"{{"tokenCount":{count}}}"#))
            .collect();
        Ok(Some(if results.is_empty() {
            raw
        } else {
            format!(r#"[{raw},{{"results":[{}]}}]"#, results.join(","))
        }))
    }
}

fn read_metrics(mut metrics: Fields, bill: &mut Bill) -> Result<(), UsageError> {
    let pools = &mut bill.pools;
    if let Some(input) = metrics.count("inputTokenCount")? {
        pools.stated(Meter::Input, input)?;
    }
    if let Some(output) = metrics.count("outputTokenCount")? {
        pools.stated(Meter::Output, output)?;
    }
    let read = metrics.count("cacheReadInputTokenCount")?.unwrap_or(0);
    pools.detail(Meter::CacheRead, read)?;
    let written = metrics.count("cacheWriteInputTokenCount")?.unwrap_or(0);
    pools.detail(Meter::CacheWrite5m, written)?;
    metrics.quantity("invocationLatency")?;
    metrics.quantity("firstByteLatency")?;
    metrics.leftovers(&mut bill.unrecognised);
    Ok(())
}

/// The JSON inside a chunk of a stream.
fn decode(bytes: &RawValue) -> Result<String, UsageError> {
    let encoded: Cow<'_, str> =
        serde_json::from_str(bytes.get()).map_err(|error| UsageError::malformed(&error))?;
    let refuse = || UsageError::WrongType {
        path: "chunk.bytes".to_owned(),
        expected: "base64 of json",
    };
    let decoded = STANDARD.decode(&*encoded).map_err(|_| refuse())?;
    String::from_utf8(decoded).map_err(|_| refuse())
}
