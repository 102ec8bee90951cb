//! One module per provider family, and what they share: the reading in progress.
//!
//! A family reads JSON objects one after the other (a whole body is one, a stream is many), keeps
//! only the last usage text and a few words, and turns them into a [`Reading`] at the end. So its
//! memory does not grow with the answer.
//!
//! Adding a provider is one module, one line in [`reader`], one name in [`Api::NAMES`], one table of
//! cases in `tests/cases/usage`.

mod anthropic;
mod batch;
mod bedrock_converse;
mod bedrock_invoke;
mod cohere;
mod flat;
mod gemini;
mod mistral_ocr;
mod ollama;
mod openai_audio;
mod openai_chat;
mod openai_images;
mod openai_responses;
mod openai_tokens;
mod text;
mod vendor;
mod vertex_predict;

use crate::api::Api;
use crate::error::UsageError;
use crate::fields::too_large;
use crate::normalised::{Finish, Served, Unrecognised};
use crate::object::{Kind, Object};
use crate::pools::Pools;
use crate::source::Source;
use crate::stream::Progress;
use crate::{USAGE_BYTES_MAX, WORD_BYTES_MAX};
use rust_decimal::Decimal;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::value::RawValue;
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use text::Text;

/// What each family reads, for [`crate::sources`].
pub(crate) const SOURCES: &[&[Source]] = &[
    openai_chat::SOURCES,
    vendor::azure::SOURCES,
    vendor::compatible::SOURCES,
    vendor::deepseek::SOURCES,
    vendor::groq::SOURCES,
    vendor::mistral::SOURCES,
    vendor::openrouter::SOURCES,
    vendor::perplexity::SOURCES,
    vendor::xai::SOURCES,
    openai_responses::SOURCES,
    openai_images::SOURCES,
    openai_audio::SOURCES,
    anthropic::SOURCES,
    gemini::SOURCES,
    vertex_predict::SOURCES,
    bedrock_converse::SOURCES,
    bedrock_invoke::SOURCES,
    cohere::SOURCES,
    ollama::SOURCES,
    mistral_ocr::SOURCES,
    batch::SOURCES,
];

/// The answer as read to its end.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) served: Served,
    pub(crate) bill: Bill,
    pub(crate) raw_usage: String,
    pub(crate) finish: Finish,
}

/// What a usage object says, while it is read.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    pub(crate) pools: Pools,
    pub(crate) provider_cost_usd: Option<Decimal>,
    pub(crate) upstream_cost_usd: Option<Decimal>,
    pub(crate) own_key: Option<bool>,
    pub(crate) unrecognised: Vec<Unrecognised>,
}

/// A reading in progress.
pub(crate) trait Reader: State + Any + Send + Sync {
    /// Reads one JSON object: a whole body, or one event of a stream.
    fn read(&mut self, text: &str) -> Result<(), UsageError>;

    /// The stream said that it is over (`[DONE]`), or the body was read whole. Families that say
    /// themselves whether they are complete have no use for it.
    fn end(&mut self) {}

    /// How far a stream has come. Families that are not streamed as text say nothing.
    fn progress(&self) -> Progress {
        Progress::default()
    }

    /// Whether its answers are streamed as text.
    fn is_streamed_as_text(&self) -> bool {
        false
    }

    /// `vendor` is the canonical provider id.
    fn conclude(self: Box<Self>, vendor: &str) -> Result<Reading, UsageError>;
}

/// A reading as what was read so far.
pub(crate) trait State {
    /// The same, which goes its own way from here.
    fn copy(&self) -> Box<dyn Reader>;

    /// Whether both have read the same, so that they come to the same conclusion.
    fn is_same(&self, other: &dyn Reader) -> bool;
}

impl<T: Reader + Clone + PartialEq> State for T {
    fn copy(&self) -> Box<dyn Reader> {
        Box::new(self.clone())
    }

    fn is_same(&self, other: &dyn Reader) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref() == Some(self)
    }
}

impl fmt::Debug for dyn Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Reader")
    }
}

impl Clone for Box<dyn Reader> {
    fn clone(&self) -> Self {
        (**self).copy()
    }
}

impl PartialEq for dyn Reader {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

/// The reader of a family.
pub(crate) fn reader(api: Api) -> Box<dyn Reader> {
    match api {
        Api::Chat => Box::<openai_chat::Chat>::default(),
        Api::Responses => Box::<openai_responses::Responses>::default(),
        Api::Images => Box::<openai_images::Images>::default(),
        Api::Speech => Box::new(openai_audio::Audio::new(openai_audio::Direction::ToAudio)),
        Api::Transcriptions => Box::new(openai_audio::Audio::new(openai_audio::Direction::ToText)),
        Api::Messages => Box::<anthropic::Messages>::default(),
        Api::GenerateContent => Box::<gemini::GenerateContent>::default(),
        Api::Predict => Box::<vertex_predict::Predict>::default(),
        Api::Converse => Box::<bedrock_converse::Converse>::default(),
        Api::Invoke => Box::<bedrock_invoke::Invoke>::default(),
        Api::Cohere => Box::<cohere::Cohere>::default(),
        Api::Ollama => Box::<ollama::Ollama>::default(),
        Api::Ocr => Box::<mistral_ocr::Ocr>::default(),
        Api::Batch => Box::<batch::Batch>::default(),
    }
}

/// What every family is told along the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    served: Served,
    failure: Option<String>,
    /// The provider said its last word.
    ended: bool,
    /// The text that was streamed.
    text: Text,
}

/// How much text has passed is no part of any conclusion.
impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            served,
            failure,
            ended,
            text: _,
        } = self;
        (served, failure, ended) == (&other.served, &other.failure, &other.ended)
    }
}

impl Told {
    fn model(&mut self, model: Option<Word>) {
        replace(&mut self.served.model, model);
    }

    fn service_tier(&mut self, tier: Option<Word>) {
        replace(&mut self.served.service_tier, tier);
    }

    fn response_id(&mut self, id: Option<Word>) {
        replace(&mut self.served.response_id, id);
    }

    fn failure(&mut self, error: Option<&RawValue>) {
        if let Some(error) = error {
            self.failure = Some(failure_kind(error.get()));
        }
    }

    fn text(&mut self, text: Option<Text>) {
        self.text.add(text.unwrap_or_default());
    }

    const fn progress(&self) -> Progress {
        Progress {
            text_bytes: self.text.0,
            ended: self.ended || self.failure.is_some(),
        }
    }

    fn no_usage(self) -> UsageError {
        let served = Box::new(self.served);
        match self.failure {
            Some(kind) => UsageError::ProviderError { kind, served },
            None => UsageError::NoUsage { served },
        }
    }

    const fn finish(&self) -> Finish {
        if self.failure.is_some() {
            Finish::Failed
        } else if self.ended {
            Finish::Complete
        } else {
            Finish::Partial
        }
    }

    fn reading(self, bill: Bill, raw_usage: String) -> Reading {
        Reading {
            finish: self.finish(),
            served: self.served,
            bill,
            raw_usage,
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, UsageError> {
    serde_json::from_str(text).map_err(|error| UsageError::malformed(&error))
}

/// Keeps the text of a usage object; `{}` states nothing.
fn keep(usage: &mut Option<String>, raw: Option<&RawValue>) -> Result<(), UsageError> {
    let Some(raw) = raw else { return Ok(()) };
    if raw.get().len() > USAGE_BYTES_MAX {
        return Err(too_large());
    }
    *usage = Some(raw.get().to_owned());
    Ok(())
}

fn replace(word: &mut Option<Box<str>>, new: Option<Word>) {
    // Some providers open a stream with empty names.
    if let Some(Word(new)) = new
        && !new.is_empty()
    {
        *word = Some(new);
    }
}

/// A short string: an id, a model, a tier. Anything else is an answer of another shape.
#[derive(Debug)]
pub(crate) struct Word(Box<str>);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        if text.len() > WORD_BYTES_MAX {
            return Err(D::Error::custom("the name is too long"));
        }
        Ok(Self(text.into()))
    }
}

/// A field that only sometimes has the shape that matters here. Other shapes say nothing: an item
/// that has nothing to do with usage must not make an answer unreadable.
fn where_it_fits<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// The provider's word for an error: its type, code or status. Never its message, which may
/// repeat content.
fn failure_kind(error: &str) -> String {
    let error = Object::parse(error).ok();
    for key in ["type", "code", "status", "errorCode"] {
        let Some(value) = error.as_ref().and_then(|error| error.get(key)) else {
            continue;
        };
        match Kind::of(value) {
            Kind::Text => {
                let word: Option<String> = serde_json::from_str(value).ok();
                if let Some(word) = word.filter(|word| word.len() <= 64) {
                    return word;
                }
            }
            Kind::Number => return value.chars().take(64).collect(),
            _ => {}
        }
    }
    "unknown".to_owned()
}
