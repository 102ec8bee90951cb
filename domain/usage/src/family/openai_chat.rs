//! OpenAI chat completions, and every provider that answers like it; completions and embeddings
//! have the same usage object.
//!
//! In a stream, usage stands in the last chunk before `[DONE]`, or (some providers) in every
//! chunk, cumulative: the last one counts. It is the provider's last word once `[DONE]` or a
//! finish reason has come. Groq puts it under `x_groq`, Moonshot into the choice.

use super::openai_tokens::{Names, read};
use super::{Bill, Reading, Told, Word, keep};
use crate::error::UsageError;
use crate::fields::Fields;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

const NAMES: Names = Names {
    input: "prompt_tokens",
    input_details: "prompt_tokens_details",
    output: "completion_tokens",
    output_details: "completion_tokens_details",
};

#[derive(Debug, Default)]
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
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl Chat {
    pub(super) fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let chunk: Chunk<'_> =
            serde_json::from_str(text).map_err(|error| UsageError::malformed(&error))?;
        self.told.model(chunk.model);
        self.told.service_tier(chunk.service_tier);
        self.told.response_id(chunk.id);
        self.told.failure(chunk.error);
        let choices = chunk.choices.unwrap_or_default();
        if choices.iter().any(|choice| choice.finish_reason.is_some()) {
            self.told.ended = true;
        }
        let in_choice = choices.iter().find_map(|choice| choice.usage);
        let in_groq = chunk.x_groq.and_then(|groq| groq.usage);
        keep(&mut self.usage, chunk.usage.or(in_groq).or(in_choice))
    }

    pub(super) fn conclude(self, vendor: &str) -> Result<Reading, UsageError> {
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
