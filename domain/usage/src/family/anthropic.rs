//! Anthropic messages, at Anthropic, on Vertex (rawPredict) and on Bedrock (InvokeModel).
//!
//! `input_tokens` excludes cache reads and writes. The split of writes into five minutes and one
//! hour stands under `cache_creation`; what the split does not cover is a five-minute write (with
//! server tools, the provider's own split covers only a part of its total). Server tools are
//! counted beside the tokens. `output_tokens` is what is billed; its details say how much of it was
//! thinking.
//!
//! The totals leave out what compacting the context used: those iterations are added. The totals are
//! sums over the other iterations, so that a price that depends on the length of a prompt sees the
//! sum of all prompts of the call.
//!
//! In a stream, `message_start` states the input and each `message_delta` restates cumulative
//! totals: of each field, the last value wins, and a field absent from the delta keeps its value
//! from the start. A stream cut after `message_start` has an `output_tokens` of a few tokens that
//! means nothing yet: such a reading is partial.
//!
//! Source: Anthropic API reference, "Messages" (`Usage`), "Prompt caching", "Data residency", "Fast
//! mode", "Compaction" and "Streaming messages" (November 2026), and 234 recorded answers.

use super::vendor::openrouter;
use super::{Bill, Progress, Reader, Reading, Told, Word, keep, parse, where_it_fits};
use crate::USAGE_BYTES_MAX;
use crate::error::UsageError;
use crate::fields::{Fields, too_large};
use crate::object::{self, Kind};
use crate::pools::{attribute, rest, sum};
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

pub(super) const SOURCES: &[Source] = &[
    row("*", "messages", "usage.input_tokens", "input"),
    row(
        "*",
        "messages",
        "usage.cache_read_input_tokens",
        "cache_read",
    ),
    row(
        "*",
        "messages",
        "usage.cache_creation_input_tokens",
        "cache_write_5m",
    ),
    row(
        "*",
        "messages",
        "usage.cache_creation.ephemeral_5m_input_tokens",
        "cache_write_5m",
    ),
    row(
        "*",
        "messages",
        "usage.cache_creation.ephemeral_1h_input_tokens",
        "cache_write_1h",
    ),
    row("*", "messages", "usage.output_tokens", "output"),
    row(
        "*",
        "messages",
        "usage.output_tokens_details.thinking_tokens",
        "reasoning",
    ),
    row(
        "*",
        "messages",
        "usage.server_tool_use.web_search_requests",
        "search",
    ),
    row(
        "*",
        "messages",
        "usage.server_tool_use.web_fetch_requests",
        "its tokens, billed above",
    ),
    row(
        "*",
        "messages",
        "usage.server_tool_use.*_requests",
        "tool_call{tool=}",
    ),
    row(
        "*",
        "messages",
        "usage.iterations[].*",
        "the same pools, where `type` is `compaction`; else in the totals",
    ),
    row(
        "*",
        "messages",
        "usage.service_tier",
        "the tier that was served",
    ),
    row("*", "messages", "usage.speed", "the tier, if `fast`"),
    row("*", "messages", "usage.inference_geo", "the region"),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Messages {
    pub(super) told: Told,
    start: Option<String>,
    /// What all deltas stated so far.
    delta: Option<String>,
    /// A delta with a stop reason, or the end of the message, was seen.
    stopped: bool,
    is_stream: bool,
}

#[derive(Deserialize)]
struct Event<'a> {
    r#type: Option<Word>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    id: Option<Word>,
    model: Option<Word>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    id: Option<Word>,
    model: Option<Word>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta {
    stop_reason: Option<IgnoredAny>,
}

impl Reader for Messages {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let event: Event<'_> = parse(text)?;
        self.told.failure(event.error);
        match event.r#type.as_ref().map_or("", |Word(kind)| kind) {
            "message_start" => {
                self.is_stream = true;
                let message: Message<'_> = match event.message {
                    Some(message) => parse(message.get())?,
                    None => return Ok(()),
                };
                self.told.model(message.model);
                self.told.response_id(message.id);
                keep(&mut self.start, message.usage)
            }
            "message_delta" => {
                self.is_stream = true;
                let delta: Option<Delta> = where_it_fits(event.delta);
                self.stopped |= delta.is_some_and(|delta| delta.stop_reason.is_some());
                self.overlay(event.usage)
            }
            "content_block_delta" => {
                self.told.text(where_it_fits(event.delta));
                Ok(())
            }
            "message_stop" => {
                self.stopped = true;
                Ok(())
            }
            "error" => {
                self.told
                    .failure
                    .get_or_insert_with(|| "unknown".to_owned());
                Ok(())
            }
            "message" | "" => {
                self.told.model(event.model);
                self.told.response_id(event.id);
                keep(&mut self.start, event.usage)
            }
            _ => Ok(()),
        }
    }

    fn progress(&self) -> Progress {
        let told = self.told.progress();
        Progress {
            ended: told.ended || self.stopped,
            ..told
        }
    }

    fn is_streamed_as_text(&self) -> bool {
        true
    }

    fn conclude(self: Box<Self>, vendor: &str) -> Result<Reading, UsageError> {
        let mut told = self.told;
        told.ended = !self.is_stream || (self.stopped && self.delta.is_some());
        let (raw, merged) = match (self.start, self.delta) {
            (None, None) => return Err(told.no_usage()),
            (Some(start), None) => (start, None),
            (None, Some(delta)) => (format!("[{delta}]"), Some(delta)),
            (Some(start), Some(delta)) => {
                let merged = overlay(&start, &delta)?;
                (format!("[{start},{delta}]"), Some(merged))
            }
        };
        let mut bill = Bill::default();
        let mut usage = Fields::parse("usage", merged.as_ref().unwrap_or(&raw))?;
        let stated = read_tokens(&mut usage, &mut bill)?;
        read_iterations(&mut usage, &mut bill)?;
        read_server_tools(&mut usage, &mut bill)?;
        if vendor == "openrouter" {
            openrouter::read(&mut usage, &mut bill)?;
        }
        read_served(&mut told, &mut usage)?;
        usage.leftovers(&mut bill.unrecognised);
        if !stated {
            return Err(told.no_usage());
        }
        Ok(told.reading(bill, raw))
    }
}

impl Messages {
    fn overlay(&mut self, usage: Option<&RawValue>) -> Result<(), UsageError> {
        let Some(usage) = usage else { return Ok(()) };
        let delta = overlay(self.delta.as_deref().unwrap_or("{}"), usage.get())?;
        // Deltas with ever new fields must not grow the memory.
        if delta.len() > USAGE_BYTES_MAX {
            return Err(too_large());
        }
        self.delta = Some(delta);
        Ok(())
    }
}

fn read_served(told: &mut Told, usage: &mut Fields) -> Result<(), UsageError> {
    let mut tier = usage.text("service_tier")?;
    // Fast mode has prices of its own, and exists on the standard tier only.
    if usage.text("speed")?.as_deref() == Some("fast") {
        tier = Some("fast".to_owned());
    }
    told.served.service_tier = tier.filter(|t| !t.is_empty()).map(Into::into);
    told.served.region = usage
        .text("inference_geo")?
        .filter(|geo| !geo.is_empty() && geo != "not_available")
        .map(Into::into);
    Ok(())
}

/// Tokens of one usage object, or of one iteration. Returns whether it stated any.
fn read_tokens(usage: &mut Fields, bill: &mut Bill) -> Result<bool, UsageError> {
    let input = usage.count("input_tokens")?;
    let output = usage.count("output_tokens")?;
    let read = usage.count("cache_read_input_tokens")?;
    let written = usage.count("cache_creation_input_tokens")?;
    let (mut five_minutes, mut one_hour) = (0, 0);
    if let Some(mut split) = usage.object("cache_creation")? {
        five_minutes = split.count("ephemeral_5m_input_tokens")?.unwrap_or(0);
        one_hour = split.count("ephemeral_1h_input_tokens")?.unwrap_or(0);
        split.leftovers(&mut bill.unrecognised);
    }
    if let Some(written) = written {
        let path = || usage.path_of("cache_creation_input_tokens");
        let uncovered = rest(path, written, &[five_minutes, one_hour])?;
        five_minutes = sum(&[five_minutes, uncovered]);
    }
    let mut thinking = 0;
    if let Some(mut details) = usage.object("output_tokens_details")? {
        thinking = details.count("thinking_tokens")?.unwrap_or(0);
        details.leftovers(&mut bill.unrecognised);
    }
    let pools = &mut bill.pools;
    if let Some(input) = input {
        pools.stated(Meter::Input, input)?;
    }
    if let Some(output) = output {
        let text = rest(|| usage.path_of("output_tokens"), output, &[thinking])?;
        pools.stated(Meter::Output, text)?;
        pools.detail(Meter::Reasoning, thinking)?;
    }
    pools.detail(Meter::CacheRead, read.unwrap_or(0))?;
    pools.detail(Meter::CacheWrite5m, five_minutes)?;
    pools.detail(Meter::CacheWrite1h, one_hour)?;
    Ok(input.is_some() || output.is_some() || read.is_some() || written.is_some())
}

/// The top-level totals leave out what compacting the context used; other models that were
/// consulted on the way cannot be billed as tokens of this one.
fn read_iterations(usage: &mut Fields, bill: &mut Bill) -> Result<(), UsageError> {
    for mut iteration in usage.objects("iterations")? {
        match iteration.text("type")?.as_deref() {
            Some("message") => {}
            Some("compaction") => {
                read_tokens(&mut iteration, bill)?;
                iteration.leftovers(&mut bill.unrecognised);
            }
            _ => {
                return Err(UsageError::Unsupported {
                    path: iteration.path_of("type"),
                    reason: "an iteration that may be of another model",
                });
            }
        }
    }
    Ok(())
}

fn read_server_tools(usage: &mut Fields, bill: &mut Bill) -> Result<(), UsageError> {
    let Some(mut tools) = usage.object("server_tool_use")? else {
        return Ok(());
    };
    let searches = tools.count("web_search_requests")?.unwrap_or(0);
    bill.pools.detail(Meter::Search, searches)?;
    // Fetching a page has no price besides its tokens.
    tools.count("web_fetch_requests")?;
    for key in tools.keys() {
        let Some(tool) = key.strip_suffix("_requests") else {
            continue;
        };
        let calls = tools.count(&key)?.unwrap_or(0);
        bill.pools
            .detail_with(Meter::ToolCall, calls, attribute("tool", tool))?;
    }
    tools.leftovers(&mut bill.unrecognised);
    Ok(())
}

/// The last value of each field wins; `null` says nothing.
fn overlay(older: &str, newer: &str) -> Result<String, UsageError> {
    if newer.len() > USAGE_BYTES_MAX {
        return Err(too_large());
    }
    if [Kind::of(older), Kind::of(newer)] != [Kind::Object; 2] {
        return Err(UsageError::WrongType {
            path: "usage".to_owned(),
            expected: "an object",
        });
    }
    object::overlay(older, newer).map_err(|error| UsageError::malformed(&error))
}
