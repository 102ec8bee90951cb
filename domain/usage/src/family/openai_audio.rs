//! OpenAI speech and transcriptions, and every provider that answers like them.
//!
//! Usage says itself whether it counts tokens or seconds. The models before that state none: their
//! verbose answer has the `duration` of the audio, in seconds, and nothing else says how much it
//! was; it is rounded to the microsecond, because it is a float with its noise. Mistral's transcriptions answer with the usage of a chat. Speech is audio itself unless it
//! is asked for as events, of which the last has the usage; its output is audio.
//!
//! Source: OpenAI API reference, "Create speech", "Create transcription", "The transcription object
//! (verbose JSON)" and their stream events (November 2026).

use super::openai_tokens::{Names, read};
use super::{Bill, Reader, Reading, Told, Word, keep, parse};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) const SOURCES: &[Source] = &[
    row("*", "speech", "usage.input_tokens", "input"),
    row("*", "speech", "usage.output_tokens", "output_audio"),
    row("*", "speech", "usage.total_tokens", "checks the sum"),
    row("*", "transcriptions", "usage.input_tokens", "input"),
    row(
        "*",
        "transcriptions",
        "usage.input_token_details.audio_tokens",
        "input_audio",
    ),
    row(
        "*",
        "transcriptions",
        "usage.input_token_details.text_tokens",
        "what the other parts leave",
    ),
    row("*", "transcriptions", "usage.output_tokens", "output"),
    row(
        "*",
        "transcriptions",
        "usage.total_tokens",
        "checks the sum",
    ),
    row("*", "transcriptions", "usage.seconds", "second"),
    row(
        "*",
        "transcriptions",
        "duration",
        "second, where no usage is stated",
    ),
];

/// What the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToAudio,
    ToText,
}

const CHAT_NAMES: Names = Names {
    input: "prompt_tokens",
    input_details: "prompt_tokens_details",
    output: "completion_tokens",
    output_details: "completion_tokens_details",
    output_meter: Meter::Output,
};

const fn names(output_meter: Meter) -> Names {
    Names {
        input: "input_tokens",
        input_details: "input_token_details",
        output: "output_tokens",
        output_details: "output_token_details",
        output_meter,
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Audio {
    direction: Direction,
    told: Told,
    usage: Option<String>,
    duration: Option<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    r#type: Option<Word>,
    model: Option<Word>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    duration: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Audio {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            told: Told::default(),
            usage: None,
            duration: None,
        }
    }

    fn read_usage(&self, raw: &str, vendor: &str, bill: &mut Bill) -> Result<bool, UsageError> {
        let mut fields = Fields::parse("usage", raw)?;
        let kind = fields.text("type")?;
        if kind.as_deref() == Some("duration") {
            let seconds = fields.quantity("seconds")?;
            if let Some(seconds) = seconds {
                bill.pools.add(Meter::Second, seconds, Vec::new())?;
            }
            fields.leftovers(&mut bill.unrecognised);
            return Ok(seconds.is_some());
        }
        if fields.has(CHAT_NAMES.input) {
            return read(fields, &CHAT_NAMES, vendor, bill);
        }
        let output = match self.direction {
            Direction::ToAudio => Meter::OutputAudio,
            Direction::ToText => Meter::Output,
        };
        read(fields, &names(output), vendor, bill)
    }
}

impl Reader for Audio {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let body: Body<'_> = parse(text)?;
        self.told.model(body.model);
        self.told.failure(body.error);
        self.told.ended |= body
            .r#type
            .is_some_and(|Word(kind)| kind.ends_with(".done"));
        keep(&mut self.duration, body.duration)?;
        keep(&mut self.usage, body.usage)
    }

    fn end(&mut self) {
        self.told.ended = true;
    }

    fn conclude(mut self: Box<Self>, vendor: &str) -> Result<Reading, UsageError> {
        let mut bill = Bill::default();
        if let Some(raw) = self.usage.take() {
            if !self.read_usage(&raw, vendor, &mut bill)? {
                return Err(self.told.no_usage());
            }
            return Ok(self.told.reading(bill, raw));
        }
        let Some(duration) = self.duration.take() else {
            return Err(self.told.no_usage());
        };
        let raw = format!(r#"{{"duration":{duration}}}"#);
        let mut fields = Fields::parse("", &raw)?;
        match fields.measured("duration")? {
            Some(seconds) => bill.pools.add(Meter::Second, seconds, Vec::new())?,
            None => return Err(self.told.no_usage()),
        }
        Ok(self.told.reading(bill, raw))
    }
}
