//! The front door: a body, a recorded stream, or a live stream in chunks, to [`Normalised`].
//!
//! The live reader keeps one event, the last usage text and a few names, so its memory does not
//! grow with the answer. An event that is not JSON is reported and passed over: whether the usage
//! is whole is decided by the provider's own end marks, not by every event before them.

use crate::api::Api;
use crate::error::{UsageError, VALUE_CHARS_MAX};
use crate::family::{Reader, Reading, reader};
use crate::framing::Framing;
use crate::headers::Headers;
use crate::normalised::{Normalised, Stated, Unrecognised};
use crate::{EVENT_BYTES_MAX, normalised::Served};
use farebox_pricing::provider;
use serde_json::value::RawValue;

/// At most this many broken events are listed.
const BROKEN_EVENTS_MAX: usize = 8;

/// How far a live stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of text that were streamed, in UTF-8: of the answer, its reasoning where that is shown,
    /// and the arguments of its tools. Zero where answers are not streamed as text.
    pub text_bytes: u64,
    /// The provider said that the answer is over: at most its usage follows.
    pub ended: bool,
}

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
    normalise_answer(provider, api, [], body)
}

/// Normalises a JSON body that came with headers: Bedrock's InvokeModel counts there what its body
/// does not. Headers are taken by their names in any case, and those that say nothing about usage
/// are passed over, so all of them can be given.
///
/// ```
/// let headers = [("x-amzn-bedrock-input-token-count", "25"), ("x-amzn-bedrock-output-token-count", "7")];
/// let normalised = farebox_usage::normalise_answer("bedrock", Some("invoke"), headers, b"{\"text\": \"\"}")?;
/// assert_eq!(normalised.pools.len(), 2);
/// # Ok::<(), farebox_usage::UsageError>(())
/// ```
///
/// # Errors
/// See [`UsageError`].
pub fn normalise_answer<'h>(
    provider: &str,
    api: Option<&str>,
    headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    body: &[u8],
) -> Result<Normalised, UsageError> {
    Answer::of_body(provider, api, headers, body)?.normalise()
}

/// Normalises a whole recorded stream: server-sent events, JSON objects one after the other (a line
/// each, or in a list), or an AWS event stream. Its first byte tells which.
///
/// # Errors
/// See [`UsageError`].
pub fn normalise_sse(
    provider: &str,
    api: Option<&str>,
    stream: &[u8],
) -> Result<Normalised, UsageError> {
    Answer::of_stream(provider, api, [], stream)?.normalise()
}

/// Normalises a live stream, framed as [`normalise_sse`] says.
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
    framing: Framing,
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
            framing: Framing::new(event_bytes_max),
            events: Events {
                answer: Answer::new(provider, api)?,
                count: 0,
                failed: None,
            },
        })
    }

    /// Takes a header of the answer, by its name in any case (see [`normalise_answer`]).
    ///
    /// # Errors
    /// [`UsageError::Quantity`], if a count is none.
    pub fn header(&mut self, name: &str, value: &str) -> Result<(), UsageError> {
        self.events.answer.headers.take(name, value)
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// See [`UsageError`]. After an error, every further call gives an error.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), UsageError> {
        self.feed_seen(chunk, |_| {})
    }

    /// As [`Normaliser::feed`]; whoever looks on sees the JSON text of each event that the bytes
    /// complete, whatever the framing.
    ///
    /// # Errors
    /// As [`Normaliser::feed`].
    pub fn feed_seen(
        &mut self,
        chunk: &[u8],
        mut seen: impl FnMut(&str),
    ) -> Result<(), UsageError> {
        let events = &mut self.events;
        let framed = self.framing.feed(chunk, &mut |event| {
            seen(event);
            events.take(event);
        });
        // An event that was read before the bytes that cannot be framed comes first.
        match &self.events.failed {
            Some(error) => Err(error.clone()),
            None => framed,
        }
    }

    /// The family of the answer, once it is known.
    pub const fn api(&self) -> Option<Api> {
        self.events.answer.api
    }

    /// How far the stream has come.
    pub fn progress(&self) -> Progress {
        let family = self.events.answer.family.as_ref();
        family.map_or_else(Progress::default, |family| family.progress())
    }

    /// What has been stated so far, as [`Normaliser::finish`] would say it if the stream ended after
    /// the last whole event; headers aside, and nothing of families that are not streamed as text.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn so_far(&self) -> Result<Normalised, UsageError> {
        if let Some(error) = &self.events.failed {
            return Err(error.clone());
        }
        let answer = &self.events.answer;
        let family = answer.family.as_ref();
        let family = family.filter(|family| family.is_streamed_as_text());
        let so_far = Answer {
            provider: answer.provider.clone(),
            api: answer.api,
            family: family.cloned(),
            early: None,
            headers: Headers::default(),
            broken: Vec::new(),
        };
        so_far.normalise()
    }

    /// The stream has ended, by itself or by a cut ([`crate::Finish`] tells which).
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn finish(self) -> Result<Normalised, UsageError> {
        self.end(|_| {})?.normalise()
    }

    /// As [`Normaliser::finish`], as far as the answer; an event that was cut off is shown to whoever
    /// looks on.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn end(mut self, mut seen: impl FnMut(&str)) -> Result<Answer, UsageError> {
        let events = &mut self.events;
        let framed = self.framing.finish(&mut |event| {
            seen(event);
            events.take(event);
        });
        match self.events.failed {
            Some(error) => Err(error),
            None => {
                framed?;
                Ok(self.events.answer)
            }
        }
    }
}

/// The events of a stream, on their way into the answer.
#[derive(Debug)]
struct Events {
    answer: Answer,
    count: u64,
    failed: Option<UsageError>,
}

impl Events {
    fn take(&mut self, event: &str) {
        let index = self.count;
        self.count = self.count.saturating_add(1);
        if self.failed.is_some() {
            return;
        }
        if event.trim() == "[DONE]" {
            self.answer.end();
            return;
        }
        match self.answer.read(event) {
            Ok(()) => {}
            Err(UsageError::Malformed { .. }) => {
                let broken = &mut self.answer.broken;
                if broken.len() < BROKEN_EVENTS_MAX {
                    broken.push(Unrecognised {
                        path: format!("events[{index}]"),
                        stated: Stated::BrokenEvent,
                    });
                }
            }
            Err(error) => self.failed = Some(error),
        }
    }
}

/// An answer as it was read: what it says is put together by [`Answer::normalise`]. Two that are equal
/// say the same, which is known without doing so.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    // Its family may be unknown to the end.
    provider: Box<str>,
    api: Option<Api>,
    family: Option<Box<dyn Reader>>,
    /// An error that came before the family was known.
    early: Option<Box<dyn Reader>>,
    headers: Headers,
    broken: Vec<Unrecognised>,
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
            api,
            family: api.map(reader),
            early: None,
            headers: Headers::default(),
            broken: Vec::new(),
        })
    }

    /// Reads a JSON body, as [`normalise_answer`] does.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn of_body<'h>(
        provider: &str,
        api: Option<&str>,
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
        body: &[u8],
    ) -> Result<Self, UsageError> {
        let mut reader = Self::new(provider, api)?;
        for (name, value) in headers {
            reader.headers.take(name, value)?;
        }
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
        Ok(reader)
    }

    /// Reads a whole stream, as [`normalise_sse`] does, that came with headers.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn of_stream<'h>(
        provider: &str,
        api: Option<&str>,
        headers: impl IntoIterator<Item = (&'h str, &'h str)>,
        stream: &[u8],
    ) -> Result<Self, UsageError> {
        let mut events = Normaliser::new(provider, api)?;
        for (name, value) in headers {
            events.header(name, value)?;
        }
        events.feed(stream)?;
        events.end(|_| {})
    }

    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        if self.family.is_none() {
            let api = Api::detect(text).map_err(|error| UsageError::malformed(&error))?;
            self.api = api;
            self.family = api.map(reader);
        }
        match &mut self.family {
            Some(family) => family.read(text),
            // Every family says `error` the same way, so any can read it.
            None => self
                .early
                .get_or_insert_with(|| reader(Api::Chat))
                .read(text),
        }
    }

    fn end(&mut self) {
        if let Some(family) = &mut self.family {
            family.end();
        }
    }

    /// What the body states, else what the headers do.
    fn conclude(&mut self) -> Result<Reading, UsageError> {
        let stated = match (self.family.take(), self.early.take()) {
            (Some(family), _) => family.conclude(&self.provider),
            (None, Some(early)) => match early.conclude(&self.provider) {
                Err(error @ UsageError::ProviderError { .. }) => Err(error),
                _ => Err(UsageError::UnknownShape),
            },
            (None, None) => Err(UsageError::NoUsage {
                served: Box::new(Served::default()),
            }),
        };
        match stated {
            Err(UsageError::NoUsage { served }) if self.headers.state_usage() => {
                self.headers.reading(*served)
            }
            Err(UsageError::UnknownShape) if self.headers.state_usage() => {
                self.headers.reading(Served::default())
            }
            stated => stated,
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn normalise(mut self) -> Result<Normalised, UsageError> {
        let Reading {
            mut served,
            bill,
            raw_usage,
            finish,
        } = self.conclude()?;
        self.headers.complete(&mut served);
        // A usage object of nothing but unknown fields states no usage. As an answer without pools it
        // would be rated, to nothing.
        if bill.pools.is_empty() && bill.provider_cost_usd.is_none() {
            return Err(UsageError::NoUsage {
                served: Box::new(served),
            });
        }
        let mut unrecognised = bill.unrecognised;
        unrecognised.extend(self.broken);
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
            unrecognised,
            finish,
        })
    }
}
