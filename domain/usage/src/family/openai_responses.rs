//! OpenAI responses, and the responses inside realtime events.
//!
//! Source: OpenAI API reference, "The response object" and "Realtime server events:
//! response.done" (November 2026), and 272 recorded answers.
//!
//! In a stream, the terminal event (`response.completed`, `.incomplete`, `.failed`) carries the
//! whole response with its usage and the tier that was served; earlier events carry `null` and the
//! tier that was asked for. Hosted tools are billed by the call and stand in `output`, not in
//! usage: searches, file searches, code containers and generated images are counted there, unless
//! the provider counts its tools in usage itself (xAI).

use super::openai_tokens::{Names, read};
use super::vendor::xai;
use super::{Bill, Progress, Reader, Reading, Told, Word, keep, parse, where_it_fits};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::normalised::{Stated, Unrecognised};
use crate::pools::attribute;
use crate::source::{Source, row};
use farebox_pricing::meter::{Attribute, Meter};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// At most this many kinds of images, or unknown tools, in one answer; nobody sends as many.
const KINDS_MAX: usize = 64;

const NAMES: Names = Names {
    input: "input_tokens",
    input_details: "input_tokens_details",
    output: "output_tokens",
    output_details: "output_tokens_details",
    output_meter: Meter::Output,
};

/// Realtime events say `input_token_details`.
const REALTIME_NAMES: Names = Names {
    input: "input_tokens",
    input_details: "input_token_details",
    output: "output_tokens",
    output_details: "output_token_details",
    output_meter: Meter::Output,
};

pub(super) const SOURCES: &[Source] = &[
    row("*", "responses", "usage.input_tokens", "input"),
    row(
        "*",
        "responses",
        "usage.input_tokens_details.cached_tokens",
        "cache_read",
    ),
    row(
        "*",
        "responses",
        "usage.input_tokens_details.cache_write_tokens",
        "cache_write_5m",
    ),
    row("*", "responses", "usage.output_tokens", "output"),
    row(
        "*",
        "responses",
        "usage.output_tokens_details.reasoning_tokens",
        "reasoning",
    ),
    row("*", "responses", "usage.total_tokens", "checks the sum"),
    row(
        "*",
        "responses",
        "usage.input_token_details.text_tokens",
        "what the other parts leave",
    ),
    row(
        "*",
        "responses",
        "usage.input_token_details.audio_tokens",
        "input_audio",
    ),
    row(
        "*",
        "responses",
        "usage.input_token_details.image_tokens",
        "input_image",
    ),
    row(
        "*",
        "responses",
        "usage.input_token_details.cached_tokens",
        "cache_read",
    ),
    row(
        "*",
        "responses",
        "usage.input_token_details.cached_tokens_details.audio_tokens",
        "cache_read{modality=audio}",
    ),
    row(
        "*",
        "responses",
        "usage.input_token_details.cached_tokens_details.image_tokens",
        "cache_read{modality=image}",
    ),
    row(
        "*",
        "responses",
        "usage.input_token_details.cached_tokens_details.text_tokens",
        "what the other parts leave",
    ),
    row(
        "*",
        "responses",
        "usage.output_token_details.text_tokens",
        "what the other parts leave",
    ),
    row(
        "*",
        "responses",
        "usage.output_token_details.audio_tokens",
        "output_audio",
    ),
    row(
        "*",
        "responses",
        "output[].type = web_search_call",
        "search",
    ),
    row(
        "*",
        "responses",
        "output[].type = file_search_call",
        "tool_call{tool=file_search}",
    ),
    row(
        "*",
        "responses",
        "output[].type = code_interpreter_call",
        "tool_call{tool=code_interpreter}",
    ),
    row(
        "*",
        "responses",
        "output[].type = image_generation_call",
        "image{quality=,size=}",
    ),
    row("*", "responses", "service_tier", "the tier that was served"),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Responses {
    pub(super) told: Told,
    usage: Option<String>,
    calls: Calls,
}

/// An event wraps a response; a body is one. Both are read by one type, so that an event whose
/// `response` is missing is simply a response that says nothing.
#[derive(Deserialize)]
struct Event<'a> {
    r#type: Option<Word>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

/// Deltas of text. Those of sound and pictures are bytes of another kind.
const TEXT_DELTAS: [&str; 5] = [
    "text.delta",
    "refusal.delta",
    "arguments.delta",
    "input.delta",
    "code.delta",
];

#[derive(Deserialize)]
struct Response<'a> {
    id: Option<Word>,
    model: Option<Word>,
    service_tier: Option<Word>,
    status: Option<Word>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<Vec<Item<'a>>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    r#type: Option<Word>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    size: Option<&'a RawValue>,
    #[serde(borrow)]
    quality: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Action {
    r#type: Option<Word>,
}

/// What the hosted tools did.
#[derive(Clone, Debug, Default, PartialEq)]
struct Calls {
    searches: u64,
    file_searches: u64,
    code_interpreters: u64,
    images: BTreeMap<Vec<Attribute>, u64>,
    unrecognised: Vec<Unrecognised>,
}

impl Reader for Responses {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let event: Event<'_> = parse(text)?;
        let kind = event.r#type.as_ref().map_or("", |Word(kind)| kind);
        if kind == "error" {
            let code: Option<Word> = where_it_fits(event.code);
            self.told.failure = Some(code.map_or("unknown".into(), |Word(code)| code.into()));
            return Ok(());
        }
        if TEXT_DELTAS.iter().any(|delta| kind.ends_with(delta)) {
            self.told.text(where_it_fits(event.delta));
        }
        match event.response {
            Some(response) => self.read_response(response),
            // Deltas say nothing about usage; anything else is a body.
            None if kind.starts_with("response.") => Ok(()),
            None => self.read_response(parse(text)?),
        }
    }

    fn progress(&self) -> Progress {
        self.told.progress()
    }

    fn is_streamed_as_text(&self) -> bool {
        true
    }

    fn conclude(self: Box<Self>, vendor: &str) -> Result<Reading, UsageError> {
        let Some(raw) = self.usage else {
            return Err(self.told.no_usage());
        };
        let mut bill = Bill::default();
        let fields = Fields::parse("usage", &raw)?;
        let counts_tools = fields.has(xai::TOOLS);
        let is_realtime =
            fields.has(REALTIME_NAMES.input_details) || fields.has(REALTIME_NAMES.output_details);
        let names = if is_realtime { &REALTIME_NAMES } else { &NAMES };
        if !read(fields, names, vendor, &mut bill)? {
            return Err(self.told.no_usage());
        }
        if !(vendor == "xai" && counts_tools) {
            self.calls.bill(&mut bill)?;
        }
        Ok(self.told.reading(bill, raw))
    }
}

impl Responses {
    fn read_response(&mut self, response: Response<'_>) -> Result<(), UsageError> {
        self.told.model(response.model);
        self.told.service_tier(response.service_tier);
        self.told.response_id(response.id);
        self.told.failure(response.error);
        match response.status.as_ref().map(|Word(status)| &**status) {
            // Images and transcriptions have no status: they answer when they are done.
            Some("completed" | "incomplete" | "cancelled") | None => self.told.ended = true,
            Some("failed") => {
                let unknown = || "failed".to_owned();
                self.told.failure.get_or_insert_with(unknown);
            }
            Some(_) => {}
        }
        if let Some(output) = response.output {
            self.calls = Calls::count(&output)?;
        }
        keep(&mut self.usage, response.usage)
    }
}

impl Calls {
    fn count(output: &[Item<'_>]) -> Result<Self, UsageError> {
        let mut calls = Self::default();
        for (index, item) in output.iter().enumerate() {
            match item.r#type.as_ref().map_or("", |Word(kind)| kind) {
                "web_search_call" if item.searches() => calls.searches = one_more(calls.searches),
                "file_search_call" => calls.file_searches = one_more(calls.file_searches),
                "code_interpreter_call" => {
                    calls.code_interpreters = one_more(calls.code_interpreters);
                }
                "image_generation_call" => {
                    let images = calls.images.entry(item.image_attributes()).or_default();
                    *images = one_more(*images);
                    if calls.images.len() > KINDS_MAX {
                        return Err(UsageError::Unsupported {
                            path: "output".to_owned(),
                            reason: "too many kinds of images",
                        });
                    }
                }
                // These run at the caller's, or cost tokens only.
                "web_search_call" | "function_call" | "custom_tool_call" | "computer_call"
                | "mcp_call" | "local_shell_call" | "shell_call" | "apply_patch_call"
                | "tool_search_call" => {}
                kind if kind.ends_with("_call") && calls.unrecognised.len() < KINDS_MAX => {
                    calls.unrecognised.push(Unrecognised {
                        path: format!("output[{index}].type={kind}"),
                        stated: Stated::Other,
                    });
                }
                _ => {}
            }
        }
        Ok(calls)
    }

    fn bill(self, bill: &mut Bill) -> Result<(), UsageError> {
        let pools = &mut bill.pools;
        let tool = |name| attribute("tool", name);
        pools.detail(Meter::Search, self.searches)?;
        pools.detail_with(Meter::ToolCall, self.file_searches, tool("file_search"))?;
        pools.detail_with(
            Meter::ToolCall,
            self.code_interpreters,
            tool("code_interpreter"),
        )?;
        for (attributes, images) in self.images {
            pools.detail_with(Meter::Image, images, attributes)?;
        }
        bill.unrecognised.extend(self.unrecognised);
        Ok(())
    }
}

impl Item<'_> {
    /// Opening a page and finding in it are steps of a search, billed with it.
    fn searches(&self) -> bool {
        let action: Option<Action> = where_it_fits(self.action);
        action
            .and_then(|action| action.r#type)
            .is_none_or(|Word(action)| &*action == "search")
    }

    fn image_attributes(&self) -> Vec<Attribute> {
        [("quality", self.quality), ("size", self.size)]
            .into_iter()
            .filter_map(|(name, value)| {
                let Word(value) = where_it_fits(value)?;
                Some(Attribute {
                    name: name.into(),
                    value,
                })
            })
            .collect()
    }
}

const fn one_more(count: u64) -> u64 {
    count.saturating_add(1)
}
