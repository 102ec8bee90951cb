//! Which family of answers a payload belongs to: by the caller's word, else by shape.
//!
//! A provider is not a family: `anthropic` behind its OpenAI-compatible endpoint answers as
//! [`Api::Chat`]. So the api decides how to read, and the provider only settles the few
//! fields on which compatible providers differ.

use crate::error::UsageError;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A family of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// OpenAI chat completions, completions and embeddings, and every compatible provider.
    Chat,
    /// OpenAI responses; images and transcriptions share its usage object.
    Responses,
    /// Anthropic messages.
    Messages,
    /// Gemini generateContent and streamGenerateContent.
    GenerateContent,
}

impl Api {
    /// Every accepted name, with its family. The first of a family is its own.
    pub const NAMES: [(&'static str, Self); 13] = [
        ("chat", Self::Chat),
        ("chat_completions", Self::Chat),
        ("chat.completions", Self::Chat),
        ("completions", Self::Chat),
        ("embeddings", Self::Chat),
        ("responses", Self::Responses),
        ("images", Self::Responses),
        ("transcriptions", Self::Responses),
        ("messages", Self::Messages),
        ("generate_content", Self::GenerateContent),
        ("generateContent", Self::GenerateContent),
        ("stream_generate_content", Self::GenerateContent),
        ("streamGenerateContent", Self::GenerateContent),
    ];

    /// The family with this name.
    ///
    /// # Errors
    /// [`UsageError::UnknownApi`].
    pub fn from_name(name: &str) -> Result<Self, UsageError> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, api)| *api)
            .ok_or_else(|| UsageError::UnknownApi {
                api: name.chars().take(64).collect(),
            })
    }

    /// The family whose shape this JSON object has; `None` for an error body or an unknown shape.
    pub(crate) fn detect(text: &str) -> Result<Option<Self>, serde_json::Error> {
        let shape: Shape<'_> = serde_json::from_str(text)?;
        Ok(shape.api())
    }
}

/// The fields that tell the families apart. Their values are only looked at where they must be.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, default)]
    r#type: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a serde_json::value::RawValue>,
    choices: Option<IgnoredAny>,
    candidates: Option<IgnoredAny>,
    #[serde(rename = "usageMetadata")]
    usage_metadata: Option<IgnoredAny>,
    #[serde(rename = "promptFeedback")]
    prompt_feedback: Option<IgnoredAny>,
    #[serde(borrow, default)]
    usage: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
struct UsageShape {
    prompt_tokens: Option<IgnoredAny>,
    input_tokens: Option<IgnoredAny>,
    total_tokens: Option<IgnoredAny>,
}

impl Shape<'_> {
    fn api(&self) -> Option<Api> {
        if self.candidates.is_some()
            || self.usage_metadata.is_some()
            || self.prompt_feedback.is_some()
        {
            return Some(Api::GenerateContent);
        }
        let kind = self.r#type.map_or("", |raw| raw.get().trim_matches('"'));
        if kind == "message" || kind.starts_with("message_") || kind.starts_with("content_block_") {
            return Some(Api::Messages);
        }
        if kind.starts_with("response.") {
            return Some(Api::Responses);
        }
        match self.object.map_or("", |raw| raw.get().trim_matches('"')) {
            "response" => return Some(Api::Responses),
            "chat.completion" | "chat.completion.chunk" | "text_completion" | "list" => {
                return Some(Api::Chat);
            }
            _ => {}
        }
        if self.choices.is_some() {
            return Some(Api::Chat);
        }
        let usage: UsageShape = serde_json::from_str(self.usage?.get()).ok()?;
        match (
            &usage.prompt_tokens,
            &usage.input_tokens,
            &usage.total_tokens,
        ) {
            (Some(_), _, _) => Some(Api::Chat),
            (None, Some(_), Some(_)) => Some(Api::Responses),
            (None, Some(_), None) => Some(Api::Messages),
            (None, None, _) => None,
        }
    }
}
