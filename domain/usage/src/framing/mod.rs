//! How a stream is cut into events, told by its first byte.
//!
//! Server-sent events begin with a field's name, JSON with a bracket, AWS event streams with the
//! high byte of a length that never reaches 16 MiB. Callers need not say which: the same provider
//! answers as events, as a list, or with one JSON body where it refuses. Must not know what events
//! mean.

mod aws;
mod json;
mod sse;

use crate::error::UsageError;
use aws::AwsReader;
use json::JsonReader;
pub use sse::{SseError, SseEvent, SseReader};

/// More leading blanks than anybody sends.
const BLANKS_MAX: usize = 1024;

/// The reader of a stream whose framing may still be unknown.
#[derive(Debug)]
pub(crate) struct Framing {
    limit: usize,
    blanks: Vec<u8>,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Undecided,
    Sse(SseReader),
    Json(JsonReader),
    Aws(AwsReader),
}

impl Framing {
    /// A reader that buffers at most `limit` bytes of one event.
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            blanks: Vec::new(),
            reader: Reader::Undecided,
        }
    }

    /// Takes the next bytes and gives out the data of the events that they complete.
    pub(crate) fn feed(
        &mut self,
        chunk: &[u8],
        on_event: &mut impl FnMut(&str),
    ) -> Result<(), UsageError> {
        if !matches!(self.reader, Reader::Undecided) {
            return self.reader.feed(chunk, on_event);
        }
        let is_blank = |byte: &u8| b" \t\r\n\xEF\xBB\xBF".contains(byte);
        let blank = chunk.iter().position(|byte| !is_blank(byte));
        let blanks = self
            .blanks
            .len()
            .saturating_add(blank.unwrap_or(chunk.len()));
        let first = blank.and_then(|at| chunk.get(at)).copied();
        match first {
            // The same decision wherever the network cuts.
            _ if blanks > BLANKS_MAX => self.decide(b':', chunk, on_event),
            Some(first) => self.decide(first, chunk, on_event),
            None => {
                self.blanks.extend_from_slice(chunk);
                Ok(())
            }
        }
    }

    fn decide(
        &mut self,
        first: u8,
        chunk: &[u8],
        on_event: &mut impl FnMut(&str),
    ) -> Result<(), UsageError> {
        self.reader = match first {
            b'{' | b'[' => Reader::Json(JsonReader::new(self.limit)),
            0 => Reader::Aws(AwsReader::new(self.limit)),
            _ => Reader::Sse(SseReader::new(self.limit)),
        };
        let blanks = std::mem::take(&mut self.blanks);
        self.reader.feed(&blanks, on_event)?;
        self.reader.feed(chunk, on_event)
    }

    /// The stream has ended: gives out an event that was cut off.
    pub(crate) fn finish(self, on_event: &mut impl FnMut(&str)) -> Result<(), UsageError> {
        match self.reader {
            Reader::Undecided => Ok(()),
            Reader::Sse(reader) => Ok(reader.finish(|event| on_event(event.data))?),
            Reader::Json(reader) => reader.finish(on_event),
            Reader::Aws(reader) => reader.finish(),
        }
    }
}

impl Reader {
    fn feed(&mut self, chunk: &[u8], on_event: &mut impl FnMut(&str)) -> Result<(), UsageError> {
        match self {
            Self::Undecided => Ok(()),
            Self::Sse(reader) => Ok(reader.feed(chunk, |event| on_event(event.data))?),
            Self::Json(reader) => reader.feed(chunk, on_event),
            Self::Aws(reader) => reader.feed(chunk, on_event),
        }
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
