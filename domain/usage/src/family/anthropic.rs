//! Anthropic messages.
//!
//! `input_tokens` excludes cache reads and writes. The split of writes into five minutes and one
//! hour stands under `cache_creation`; what the split does not cover is a five-minute write (with
//! server tools, the provider's own split covers only a part of its total). Server tools are
//! counted beside the tokens.
//!
//! In a stream, `message_start` states the input and each `message_delta` restates cumulative
//! totals: of each field, the last value wins, and a field absent from the delta keeps its value
//! from the start. A stream cut after `message_start` has an `output_tokens` of a few tokens that
//! means nothing yet: such a reading is partial.

use super::{Bill, Reading, Told, Word, keep, where_it_fits};
use crate::USAGE_BYTES_MAX;
use crate::error::UsageError;
use crate::fields::{Fields, too_large};
use crate::pools::{attribute, rest, sum};
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

#[derive(Debug, Default)]
pub(crate) struct Messages {
    pub(super) told: Told,
    start: Option<String>,
    delta: Option<Map<String, Value>>,
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

impl Messages {
    pub(super) fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let event: Event<'_> =
            serde_json::from_str(text).map_err(|error| UsageError::malformed(&error))?;
        self.told.failure(event.error);
        match event.r#type.as_ref().map_or("", |Word(kind)| kind) {
            "message_start" => {
                self.is_stream = true;
                let message: Message<'_> = match event.message {
                    Some(message) => serde_json::from_str(message.get())
                        .map_err(|error| UsageError::malformed(&error))?,
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

    fn overlay(&mut self, usage: Option<&RawValue>) -> Result<(), UsageError> {
        let Some(usage) = usage else { return Ok(()) };
        let newer = object(usage.get())?;
        let delta = self.delta.get_or_insert_with(Map::new);
        overlay(delta, newer);
        // Deltas with ever new fields must not grow the memory.
        if text(delta).len() > USAGE_BYTES_MAX {
            return Err(too_large());
        }
        Ok(())
    }

    pub(super) fn conclude(self) -> Result<Reading, UsageError> {
        let mut told = self.told;
        told.ended = !self.is_stream || (self.stopped && self.delta.is_some());
        let mut merged = match &self.start {
            Some(start) => object(start)?,
            None => Map::new(),
        };
        let raw = match (self.start, self.delta) {
            (None, None) => return Err(told.no_usage()),
            (Some(start), None) => start,
            (start, Some(delta)) => {
                let raw = format!(
                    "[{}{}]",
                    start.map_or_else(String::new, |s| s + ","),
                    text(&delta)
                );
                overlay(&mut merged, delta);
                raw
            }
        };
        let mut bill = Bill::default();
        let mut usage = Fields::new("usage".to_owned(), merged);
        let stated = read_tokens(&mut usage, &mut bill)?;
        read_iterations(&mut usage, &mut bill)?;
        read_server_tools(&mut usage, &mut bill)?;
        read_served(&mut told, &mut usage)?;
        usage.leftovers(&mut bill.unknown);
        if !stated {
            return Err(told.no_usage());
        }
        Ok(told.reading(bill, raw))
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
        split.leftovers(&mut bill.unknown);
    }
    if let Some(written) = written {
        let path = || usage.path_of("cache_creation_input_tokens");
        let uncovered = rest(path, written, &[five_minutes, one_hour])?;
        five_minutes = sum(&[five_minutes, uncovered]);
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
                iteration.leftovers(&mut bill.unknown);
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
    tools.leftovers(&mut bill.unknown);
    Ok(())
}

/// The last value of each field wins; `null` says nothing.
fn overlay(older: &mut Map<String, Value>, newer: Map<String, Value>) {
    for (key, value) in newer {
        match (older.get_mut(&key), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(older)), Value::Object(newer)) => overlay(older, newer),
            (_, value) => {
                older.insert(key, value);
            }
        }
    }
}

fn object(usage: &str) -> Result<Map<String, Value>, UsageError> {
    if usage.len() > USAGE_BYTES_MAX {
        return Err(too_large());
    }
    match serde_json::from_str(usage) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(UsageError::WrongType {
            path: "usage".to_owned(),
            expected: "an object",
        }),
        Err(error) => Err(UsageError::malformed(&error)),
    }
}

fn text(map: &Map<String, Value>) -> String {
    serde_json::to_string(map).unwrap_or_default()
}
