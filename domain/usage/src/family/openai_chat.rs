//! OpenAI chat completions, and every provider that answers like it; completions, edits and
//! embeddings have the same usage object.
//!
//! Source: OpenAI API reference, "The chat completion object" and "Create embeddings" (November
//! 2026), and 113 recorded answers of four providers.
//!
//! In a stream, usage stands in the last chunk before `[DONE]`, or (some providers) in every
//! chunk, cumulative: the last one counts. It is the provider's last word once `[DONE]` or a
//! finish reason has come. Groq puts it under `x_groq`, Moonshot into the choice.

use super::openai_tokens::{Names, read};
use super::text::Text;
use super::vendor::groq;
use super::{Bill, Progress, Reader, Reading, Told, Word, keep, parse};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

const NAMES: Names = Names {
    input: "prompt_tokens",
    input_details: "prompt_tokens_details",
    output: "completion_tokens",
    output_details: "completion_tokens_details",
    output_meter: Meter::Output,
};

pub(super) const SOURCES: &[Source] = &[
    row("*", "chat", "usage.prompt_tokens", "input"),
    row(
        "*",
        "chat",
        "usage.prompt_tokens_details.cached_tokens",
        "cache_read",
    ),
    row(
        "*",
        "chat",
        "usage.prompt_tokens_details.cache_write_tokens",
        "cache_write_5m",
    ),
    row(
        "*",
        "chat",
        "usage.prompt_tokens_details.audio_tokens",
        "input_audio",
    ),
    row(
        "*",
        "chat",
        "usage.prompt_tokens_details.image_tokens",
        "input_image",
    ),
    row(
        "*",
        "chat",
        "usage.prompt_tokens_details.video_tokens",
        "input_video",
    ),
    row(
        "*",
        "chat",
        "usage.prompt_tokens_details.text_tokens",
        "what the other parts leave",
    ),
    row(
        "*",
        "chat",
        "usage.prompt_tokens_details.cached_tokens_details.audio_tokens",
        "cache_read{modality=audio}",
    ),
    row(
        "*",
        "chat",
        "usage.prompt_tokens_details.cached_tokens_details.image_tokens",
        "cache_read{modality=image}",
    ),
    row(
        "*",
        "chat",
        "usage.prompt_tokens_details.cached_tokens_details.text_tokens",
        "what the other parts leave",
    ),
    row("*", "chat", "usage.completion_tokens", "output"),
    row(
        "*",
        "chat",
        "usage.completion_tokens_details.reasoning_tokens",
        "reasoning",
    ),
    row(
        "*",
        "chat",
        "usage.completion_tokens_details.audio_tokens",
        "output_audio",
    ),
    row(
        "*",
        "chat",
        "usage.completion_tokens_details.image_tokens",
        "output_image",
    ),
    row(
        "*",
        "chat",
        "usage.completion_tokens_details.text_tokens",
        "what the other parts leave",
    ),
    row(
        "*",
        "chat",
        "usage.completion_tokens_details.accepted_prediction_tokens",
        "already in `output`",
    ),
    row(
        "*",
        "chat",
        "usage.completion_tokens_details.rejected_prediction_tokens",
        "already in `output`",
    ),
    row(
        "*",
        "chat",
        "usage.total_tokens",
        "checks the sum; alone it is `input`",
    ),
    row("*", "chat", "service_tier", "the tier that was served"),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chat {
    pub(super) told: Told,
    usage: Option<String>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    id: Option<Word>,
    model: Option<Word>,
    service_tier: Option<Word>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<InGroq<'a>>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage_breakdown: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct InGroq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    finish_reason: Option<IgnoredAny>,
    delta: Option<Text>,
    text: Option<Text>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl Reader for Chat {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let chunk: Chunk<'_> = parse(text)?;
        self.told.model(chunk.model);
        self.told.service_tier(chunk.service_tier);
        self.told.response_id(chunk.id);
        self.told.failure(chunk.error);
        groq::one_model(chunk.usage_breakdown)?;
        let choices = chunk.choices.unwrap_or_default();
        for choice in &choices {
            self.told.ended |= choice.finish_reason.is_some();
            self.told.text(choice.delta.or(choice.text));
        }
        let in_choice = choices.iter().find_map(|choice| choice.usage);
        let in_groq = chunk.x_groq.and_then(|groq| groq.usage);
        keep(&mut self.usage, chunk.usage.or(in_groq).or(in_choice))
    }

    fn end(&mut self) {
        self.told.ended = true;
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
        if !read(fields, &NAMES, vendor, &mut bill)? {
            return Err(self.told.no_usage());
        }
        Ok(self.told.reading(bill, raw))
    }
}
