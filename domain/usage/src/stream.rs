//! The front door: a body, a recorded stream, or a live stream in chunks, to [`Normalised`].
//!
//! The live reader keeps one event, the last usage text and a few names, so its memory does not
//! grow with the answer. An event that is not JSON is reported and passed over: whether the usage
//! is whole is decided by the provider's own end marks, not by every event before them.

use crate::api::Api;
use crate::error::{UsageError, VALUE_CHARS_MAX};
use crate::family::{Family, Reading};
use crate::normalised::Normalised;
use crate::sse::{SseError, SseEvent, SseReader};
use crate::{EVENT_BYTES_MAX, normalised::Served};
use farebox_pricing::provider;
use serde_json::value::RawValue;

/// At most this many broken events are listed.
const BROKEN_EVENTS_MAX: usize = 8;

/// Normalises a JSON body. `provider` is any name the provider is known by; `api` is one of [`Api::NAMES`]; without it, the shape decides.
/// A body that is a list is read as a stream of its elements, which is what Gemini sends without
/// `alt=sse`.
///
/// # Errors
/// See [`UsageError`].
pub fn normalise_response(
    provider: &str,
    api: Option<&str>,
    body: &[u8],
) -> Result<Normalised, UsageError> {
    let mut reader = Answer::new(provider, api)?;
    let text = std::str::from_utf8(body).map_err(|error| UsageError::NotUtf8 {
        offset: error.valid_up_to() as u64,
    })?;
    if text.trim_start().starts_with('[') {
        let elements: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|error| UsageError::malformed(&error))?;
        for element in elements {
            reader.read(element.get())?;
        }
    } else {
        reader.read(text)?;
        reader.end();
    }
    reader.finish(Vec::new())
}

/// Normalises a whole recorded event stream.
///
/// # Errors
/// See [`UsageError`].
pub fn normalise_sse(
    provider: &str,
    api: Option<&str>,
    stream: &[u8],
) -> Result<Normalised, UsageError> {
    let mut normaliser = Normaliser::new(provider, api)?;
    normaliser.feed(stream)?;
    normaliser.finish()
}

/// Normalises a live event stream.
///
/// ```
/// let mut normaliser = farebox_usage::Normaliser::new("openai", Some("chat"))?;
/// normaliser.feed(b"data: {\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_to")?;
/// normaliser.feed(b"kens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\ndata: [DONE]\n\n")?;
/// let normalised = normaliser.finish()?;
/// assert_eq!(normalised.pools.len(), 2);
/// # Ok::<(), farebox_usage::UsageError>(())
/// ```
#[derive(Debug)]
pub struct Normaliser {
    reader: SseReader,
    events: Events,
}

impl Normaliser {
    /// A reader with the default limit on one event, [`EVENT_BYTES_MAX`].
    ///
    /// # Errors
    /// [`UsageError::UnknownApi`], [`UsageError::UnknownProvider`].
    pub fn new(provider: &str, api: Option<&str>) -> Result<Self, UsageError> {
        Self::with_limit(provider, api, EVENT_BYTES_MAX)
    }

    /// A reader that buffers at most `event_bytes_max` of one event.
    ///
    /// # Errors
    /// [`UsageError::UnknownApi`], [`UsageError::UnknownProvider`].
    pub fn with_limit(
        provider: &str,
        api: Option<&str>,
        event_bytes_max: usize,
    ) -> Result<Self, UsageError> {
        Ok(Self {
            reader: SseReader::new(event_bytes_max),
            events: Events {
                answer: Answer::new(provider, api)?,
                count: 0,
                broken: Vec::new(),
                failed: None,
            },
        })
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// See [`UsageError`]. After an error, every further call gives an error.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), UsageError> {
        let events = &mut self.events;
        self.reader.feed(chunk, |event| events.take(event))?;
        match &self.events.failed {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// The stream has ended, by itself or by a cut ([`crate::Finish`] tells which).
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn finish(mut self) -> Result<Normalised, UsageError> {
        let events = &mut self.events;
        self.reader.finish(|event| events.take(event))?;
        match self.events.failed {
            Some(error) => Err(error),
            None => self.events.answer.finish(self.events.broken),
        }
    }
}

/// The events of a stream, on their way into the answer.
#[derive(Debug)]
struct Events {
    answer: Answer,
    count: u64,
    broken: Vec<String>,
    failed: Option<UsageError>,
}

impl Events {
    fn take(&mut self, event: SseEvent<'_>) {
        let index = self.count;
        self.count = self.count.saturating_add(1);
        if self.failed.is_some() {
            return;
        }
        if event.data.trim() == "[DONE]" {
            self.answer.end();
            return;
        }
        match self.answer.read(event.data) {
            Ok(()) => {}
            Err(UsageError::Malformed { .. }) => {
                if self.broken.len() < BROKEN_EVENTS_MAX {
                    self.broken.push(format!("events[{index}]"));
                }
            }
            Err(error) => self.failed = Some(error),
        }
    }
}

/// One answer, whose family may still be unknown.
#[derive(Debug)]
struct Answer {
    provider: Box<str>,
    family: Option<Family>,
    /// An error that came before the family was known.
    early: Option<Family>,
}

impl Answer {
    fn new(provider: &str, api: Option<&str>) -> Result<Self, UsageError> {
        let api = api.map(Api::from_name).transpose()?;
        let canonical =
            provider::normalise(provider).ok_or_else(|| UsageError::UnknownProvider {
                provider: provider.chars().take(VALUE_CHARS_MAX).collect(),
            })?;
        Ok(Self {
            provider: canonical.into(),
            family: api.map(Family::new),
            early: None,
        })
    }

    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        if self.family.is_none() {
            let api = Api::detect(text).map_err(|error| UsageError::malformed(&error))?;
            self.family = api.map(Family::new);
        }
        match &mut self.family {
            Some(family) => family.read(text),
            // Every family says `error` the same way, so any can read it.
            None => self
                .early
                .get_or_insert_with(|| Family::new(Api::Chat))
                .read(text),
        }
    }

    fn end(&mut self) {
        if let Some(family) = &mut self.family {
            family.end();
        }
    }

    fn finish(self, broken: Vec<String>) -> Result<Normalised, UsageError> {
        let Some(family) = self.family else {
            return Err(
                match self.early.map(|early| early.conclude(&self.provider)) {
                    Some(Err(error @ UsageError::ProviderError { .. })) => error,
                    Some(_) => UsageError::UnknownShape,
                    None => UsageError::NoUsage {
                        served: Box::new(Served::default()),
                    },
                },
            );
        };
        let Reading {
            served,
            bill,
            raw_usage,
            finish,
        } = family.conclude(&self.provider)?;
        let mut unknown_fields = bill.unknown;
        unknown_fields.extend(broken);
        Ok(Normalised {
            provider: self.provider,
            model_served: served.model,
            service_tier: served.service_tier,
            region: served.region,
            response_id: served.response_id,
            pools: bill.pools.into_sorted(),
            provider_cost_usd: bill.provider_cost_usd,
            upstream_cost_usd: bill.upstream_cost_usd,
            own_key: bill.own_key,
            raw_usage,
            unknown_fields,
            finish,
        })
    }
}

impl From<SseError> for UsageError {
    fn from(error: SseError) -> Self {
        match error {
            SseError::TooLarge { limit } => Self::EventTooLarge {
                limit: limit as u64,
            },
            SseError::NotUtf8 { offset } => Self::NotUtf8 { offset },
        }
    }
}
