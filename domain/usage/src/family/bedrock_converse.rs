//! Bedrock Converse and ConverseStream.
//!
//! `inputTokens` excludes cache reads and writes, as Anthropic's does, whatever the model behind it;
//! `totalTokens` covers them or not, by model. `cacheDetails` splits the writes by their time to
//! live. In a stream, the `metadata` event comes last and has the usage. The answer names no model:
//! that is in the URL. Amazon Nova answers InvokeModel in the same shape, with older names for the
//! cache counts.
//!
//! Source: Amazon Bedrock API reference, "TokenUsage", "CacheDetail", "Converse" and
//! "ConverseStreamMetadataEvent"; Amazon Nova user guide, "Complete request schema" (all November
//! 2026).

use super::{Bill, Reader, Reading, Told, Word, keep, parse};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::pools::{rest, sum};
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

pub(super) const SOURCES: &[Source] = &[
    row("bedrock", "converse", "usage.inputTokens", "input"),
    row("bedrock", "converse", "usage.outputTokens", "output"),
    row(
        "bedrock",
        "converse",
        "usage.cacheReadInputTokens",
        "cache_read",
    ),
    row(
        "bedrock",
        "converse",
        "usage.cacheReadInputTokenCount",
        "cache_read",
    ),
    row(
        "bedrock",
        "converse",
        "usage.cacheWriteInputTokens",
        "cache_write_5m",
    ),
    row(
        "bedrock",
        "converse",
        "usage.cacheWriteInputTokenCount",
        "cache_write_5m",
    ),
    row(
        "bedrock",
        "converse",
        "usage.cacheDetails[].inputTokens",
        "cache_write_1h, where its `ttl` is `1h`",
    ),
    row("bedrock", "converse", "usage.totalTokens", "checks the sum"),
    row(
        "bedrock",
        "converse",
        "serviceTier.type",
        "the tier that was served",
    ),
    row(
        "bedrock",
        "converse",
        "performanceConfig.latency",
        "the tier, if `optimized`",
    ),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Converse {
    told: Told,
    usage: Option<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(rename = "serviceTier")]
    service_tier: Option<Tier>,
    #[serde(rename = "performanceConfig")]
    performance: Option<Performance>,
    #[serde(rename = "stopReason")]
    stop_reason: Option<IgnoredAny>,
    /// The last event of a stream: a body's fields, one level deeper.
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(rename = "internalServerException")]
    internal: Option<IgnoredAny>,
    #[serde(rename = "modelStreamErrorException")]
    model_stream: Option<IgnoredAny>,
    #[serde(rename = "serviceUnavailableException")]
    unavailable: Option<IgnoredAny>,
    #[serde(rename = "throttlingException")]
    throttling: Option<IgnoredAny>,
    #[serde(rename = "validationException")]
    validation: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Tier {
    r#type: Option<Word>,
}

#[derive(Deserialize)]
struct Performance {
    latency: Option<Word>,
}

impl Body<'_> {
    /// An exception in the middle of a stream is an event of that name.
    fn exception(&self) -> Option<&'static str> {
        [
            (&self.internal, "internalServerException"),
            (&self.model_stream, "modelStreamErrorException"),
            (&self.unavailable, "serviceUnavailableException"),
            (&self.throttling, "throttlingException"),
            (&self.validation, "validationException"),
        ]
        .into_iter()
        .find_map(|(exception, name)| exception.is_some().then_some(name))
    }
}

impl Reader for Converse {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let body: Body<'_> = parse(text)?;
        self.told.failure(body.error);
        if let Some(name) = body.exception() {
            self.told.failure = Some(name.to_owned());
        }
        if let Some(metadata) = body.metadata {
            let metadata: Body<'_> = parse(metadata.get())?;
            self.told.ended |= metadata.usage.is_some();
            self.served(metadata.service_tier, metadata.performance);
            keep(&mut self.usage, metadata.usage)?;
        }
        self.told.ended |= body.usage.is_some() && body.stop_reason.is_some();
        self.served(body.service_tier, body.performance);
        keep(&mut self.usage, body.usage)
    }

    fn conclude(self: Box<Self>, _vendor: &str) -> Result<Reading, UsageError> {
        let Some(raw) = self.usage else {
            return Err(self.told.no_usage());
        };
        let mut bill = Bill::default();
        if !read_tokens(Fields::parse("usage", &raw)?, &mut bill)? {
            return Err(self.told.no_usage());
        }
        Ok(self.told.reading(bill, raw))
    }

    fn end(&mut self) {
        self.told.ended = true;
    }
}

impl Converse {
    /// Latency-optimised inference has prices of its own, and exists on the default tier only.
    fn served(&mut self, tier: Option<Tier>, performance: Option<Performance>) {
        self.told.service_tier(tier.and_then(|tier| tier.r#type));
        if let Some(Word(latency)) = performance.and_then(|performance| performance.latency)
            && &*latency == "optimized"
        {
            self.told.service_tier(Some(Word(latency)));
        }
    }
}

/// Returns whether any tokens were stated.
fn read_tokens(mut usage: Fields, bill: &mut Bill) -> Result<bool, UsageError> {
    let input = usage.count("inputTokens")?;
    let output = usage.count("outputTokens")?;
    let total = usage.count("totalTokens")?;
    let read = usage.either("cacheReadInputTokens", "cacheReadInputTokenCount")?;
    let written = usage.either("cacheWriteInputTokens", "cacheWriteInputTokenCount")?;
    let (mut five_minutes, mut one_hour) = (0, 0);
    for mut detail in usage.objects("cacheDetails")? {
        let tokens = detail.count("inputTokens")?.unwrap_or(0);
        match detail.text("ttl")?.as_deref() {
            Some("1h") => one_hour = sum(&[one_hour, tokens]),
            Some("5m") => five_minutes = sum(&[five_minutes, tokens]),
            _ => {
                return Err(UsageError::Unsupported {
                    path: detail.path_of("ttl"),
                    reason: "a time to live that no price is known for",
                });
            }
        }
        detail.leftovers(&mut bill.unrecognised);
    }
    if let Some(written) = written {
        let path = || usage.path_of("cacheWriteInputTokens");
        let uncovered = rest(path, written, &[five_minutes, one_hour])?;
        five_minutes = sum(&[five_minutes, uncovered]);
    }
    if let Some(total) = total {
        let uncached = sum(&[input.unwrap_or(0), output.unwrap_or(0)]);
        let all = sum(&[uncached, read.unwrap_or(0), five_minutes, one_hour]);
        if total != uncached && total != all {
            return Err(UsageError::TotalMismatch {
                path: usage.path_of("totalTokens"),
                total,
                parts: all,
            });
        }
    }
    let pools = &mut bill.pools;
    if let Some(input) = input {
        pools.stated(Meter::Input, input)?;
    }
    if let Some(output) = output {
        pools.stated(Meter::Output, output)?;
    }
    pools.detail(Meter::CacheRead, read.unwrap_or(0))?;
    pools.detail(Meter::CacheWrite5m, five_minutes)?;
    pools.detail(Meter::CacheWrite1h, one_hour)?;
    usage.leftovers(&mut bill.unrecognised);
    Ok(input.is_some() || output.is_some())
}
