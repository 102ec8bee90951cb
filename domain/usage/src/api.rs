//! Which family of answers a payload belongs to: by the caller's word, else by shape.
//!
//! A provider is not a family: `anthropic` behind its OpenAI-compatible endpoint answers as
//! [`Api::Chat`]. So the api decides how to read, and the provider only settles the few
//! fields on which compatible providers differ.

use crate::error::UsageError;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// A family of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// OpenAI chat completions, completions and embeddings, and every compatible provider.
    Chat,
    /// OpenAI responses, and the responses inside its realtime events.
    Responses,
    /// OpenAI images, generated or edited.
    Images,
    /// OpenAI speech: text to audio.
    Speech,
    /// OpenAI transcriptions and translations: audio to text.
    Transcriptions,
    /// Anthropic messages, at Anthropic, on Vertex and on Bedrock.
    Messages,
    /// Gemini generateContent and streamGenerateContent, of the Gemini API and of Vertex.
    GenerateContent,
    /// Vertex predict: embeddings, images and the models before Gemini.
    Predict,
    /// Bedrock Converse and ConverseStream.
    Converse,
    /// Bedrock InvokeModel and InvokeModelWithResponseStream: a body by model family.
    Invoke,
    /// Cohere chat, embed, rerank and classify, versions 1 and 2.
    Cohere,
    /// Ollama's own chat, generate and embed.
    Ollama,
    /// Mistral OCR.
    Ocr,
    /// One line of a batch's output file; the answer inside is told by its shape.
    Batch,
}

impl Api {
    /// Every accepted name, with its family. The first of a family is its own.
    pub const NAMES: [(&'static str, Self); 34] = [
        ("chat", Self::Chat),
        ("chat_completions", Self::Chat),
        ("chat.completions", Self::Chat),
        ("completions", Self::Chat),
        ("embeddings", Self::Chat),
        ("responses", Self::Responses),
        ("realtime", Self::Responses),
        ("images", Self::Images),
        ("speech", Self::Speech),
        ("transcriptions", Self::Transcriptions),
        ("translations", Self::Transcriptions),
        ("messages", Self::Messages),
        ("raw_predict", Self::Messages),
        ("generate_content", Self::GenerateContent),
        ("generateContent", Self::GenerateContent),
        ("stream_generate_content", Self::GenerateContent),
        ("streamGenerateContent", Self::GenerateContent),
        ("embed_content", Self::GenerateContent),
        ("embedContent", Self::GenerateContent),
        ("predict", Self::Predict),
        ("converse", Self::Converse),
        ("converse_stream", Self::Converse),
        ("converse-stream", Self::Converse),
        ("invoke", Self::Invoke),
        ("invoke_with_response_stream", Self::Invoke),
        ("invoke-with-response-stream", Self::Invoke),
        ("cohere", Self::Cohere),
        ("cohere_chat", Self::Cohere),
        ("embed", Self::Cohere),
        ("rerank", Self::Cohere),
        ("classify", Self::Cohere),
        ("ollama", Self::Ollama),
        ("ocr", Self::Ocr),
        ("batch", Self::Batch),
    ];

    /// The family's own name, which is the first of its names.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, api)| *api == self)
            .map_or("", |(name, _)| name)
    }

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
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    event_type: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    custom_id: Option<IgnoredAny>,
    #[serde(rename = "recordId")]
    record_id: Option<IgnoredAny>,
    #[serde(rename = "modelOutput")]
    model_output: Option<IgnoredAny>,
    key: Option<IgnoredAny>,
    request: Option<IgnoredAny>,
    response: Option<IgnoredAny>,
    choices: Option<IgnoredAny>,
    candidates: Option<IgnoredAny>,
    #[serde(rename = "usageMetadata")]
    usage_metadata: Option<IgnoredAny>,
    #[serde(rename = "promptFeedback")]
    prompt_feedback: Option<IgnoredAny>,
    predictions: Option<IgnoredAny>,
    metadata: Option<IgnoredAny>,
    usage_info: Option<IgnoredAny>,
    created: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
    duration: Option<IgnoredAny>,
    text: Option<IgnoredAny>,
    done: Option<IgnoredAny>,
    created_at: Option<IgnoredAny>,
    prompt_eval_count: Option<IgnoredAny>,
    #[serde(rename = "stopReason")]
    stop_reason: Option<IgnoredAny>,
    #[serde(rename = "messageStart")]
    message_start: Option<IgnoredAny>,
    #[serde(rename = "messageStop")]
    message_stop: Option<IgnoredAny>,
    #[serde(rename = "contentBlockStart", alias = "contentBlockDelta")]
    content_block: Option<IgnoredAny>,
    chunk: Option<IgnoredAny>,
    #[serde(rename = "inputTextTokenCount")]
    titan_input: Option<IgnoredAny>,
    generation: Option<IgnoredAny>,
    #[serde(rename = "amazon-bedrock-invocationMetrics")]
    invocation_metrics: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct UsageShape {
    prompt_tokens: Option<IgnoredAny>,
    input_tokens: Option<IgnoredAny>,
    total_tokens: Option<IgnoredAny>,
    #[serde(rename = "inputTokens")]
    camel_input: Option<IgnoredAny>,
    billed_units: Option<IgnoredAny>,
    seconds: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct MetaShape {
    billed_units: Option<IgnoredAny>,
    api_version: Option<IgnoredAny>,
}

fn word(raw: Option<&RawValue>) -> &str {
    raw.map_or("", |raw| raw.get().trim_matches('"'))
}

impl Shape<'_> {
    fn api(&self) -> Option<Api> {
        self.by_envelope()
            .or_else(|| self.by_event())
            .or_else(|| self.by_body())
            .or_else(|| self.by_usage())
    }

    /// Answers inside something else.
    fn by_envelope(&self) -> Option<Api> {
        let is_google_line =
            self.response.is_some() && (self.key.is_some() || self.request.is_some());
        let is_bedrock_line = self.record_id.is_some() || self.model_output.is_some();
        (self.custom_id.is_some() || is_bedrock_line || is_google_line).then_some(Api::Batch)
    }

    /// Events of a stream say their type, or have a field of that name.
    fn by_event(&self) -> Option<Api> {
        let kind = word(self.r#type);
        if kind == "message" || kind.starts_with("message_") || kind.starts_with("content_block_") {
            return Some(Api::Messages);
        }
        for (prefix, api) in [
            ("response.", Api::Responses),
            ("image_generation.", Api::Images),
            ("image_edit.", Api::Images),
            ("speech.audio.", Api::Speech),
            ("transcript.text.", Api::Transcriptions),
            ("transcription.", Api::Transcriptions),
            ("message-", Api::Cohere),
            ("content-", Api::Cohere),
        ] {
            if kind.starts_with(prefix) {
                return Some(api);
            }
        }
        if self.chunk.is_some() || self.invocation_metrics.is_some() {
            return Some(Api::Invoke);
        }
        if self.message_start.is_some()
            || self.message_stop.is_some()
            || self.content_block.is_some()
        {
            return Some(Api::Converse);
        }
        matches!(
            word(self.event_type),
            "stream-start" | "text-generation" | "stream-end"
        )
        .then_some(Api::Cohere)
    }

    fn by_body(&self) -> Option<Api> {
        if self.candidates.is_some()
            || self.usage_metadata.is_some()
            || self.prompt_feedback.is_some()
        {
            return Some(Api::GenerateContent);
        }
        match word(self.object) {
            "response" => return Some(Api::Responses),
            "chat.completion" | "chat.completion.chunk" | "text_completion" | "list" | "edit" => {
                return Some(Api::Chat);
            }
            _ => {}
        }
        if self.choices.is_some() {
            return Some(Api::Chat);
        }
        let is_ollama = self.done.is_some() && self.created_at.is_some();
        let meta: Option<MetaShape> = self
            .meta
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        if meta.is_some_and(|meta| meta.billed_units.is_some() || meta.api_version.is_some()) {
            return Some(Api::Cohere);
        }
        [
            (self.predictions.is_some(), Api::Predict),
            (self.usage_info.is_some(), Api::Ocr),
            (is_ollama || self.prompt_eval_count.is_some(), Api::Ollama),
            (self.titan_input.is_some(), Api::Invoke),
            (self.generation.is_some(), Api::Invoke),
            (self.stop_reason.is_some(), Api::Converse),
            (self.created.is_some() && self.data.is_some(), Api::Images),
            (
                self.text.is_some() && self.duration.is_some(),
                Api::Transcriptions,
            ),
        ]
        .into_iter()
        .find_map(|(is, api)| is.then_some(api))
    }

    /// The names of the counts themselves.
    fn by_usage(&self) -> Option<Api> {
        let Some(usage) = self.usage else {
            // The last event of a Bedrock stream has its usage under `metadata`.
            return self.metadata.as_ref().map(|_| Api::Converse);
        };
        let usage: UsageShape = serde_json::from_str(usage.get()).ok()?;
        if usage.billed_units.is_some() {
            return Some(Api::Cohere);
        }
        if usage.camel_input.is_some() {
            return Some(Api::Converse);
        }
        if self.text.is_some() && (usage.seconds.is_some() || usage.total_tokens.is_some()) {
            return Some(Api::Transcriptions);
        }
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
