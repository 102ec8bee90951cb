//! An answer that was read: what it said of its usage, by which the call is priced, and what of it
//! says the same, which the host is told. The second is made when it is asked for, because the
//! caller waits for the first alone.

use crate::digest::{self, Digest, Headers};
use crate::host::usage::Said;
use crate::release::Unpriced;
use crate::settings::Upstream;
use farebox_usage::{Answer, Normalised, UsageError};

/// An answer that was read.
#[derive(Debug)]
pub struct Reading {
    usage: Result<Normalised, Unread>,
    read: Option<Read>,
}

#[derive(Debug)]
struct Read {
    answer: Result<Answer, UsageError>,
    headers: Headers,
    text: Text,
}

#[derive(Debug)]
enum Text {
    /// Of a stream, the events that say something.
    Stream(Digest),
    /// One JSON text.
    Body(Vec<u8>),
}

/// Why an answer says nothing of its usage.
#[derive(Debug)]
pub(super) enum Unread {
    /// It was read.
    Answer(UsageError),
    /// It was not.
    Body(Unpriced),
}

impl From<&Unread> for Unpriced {
    fn from(unread: &Unread) -> Self {
        match unread {
            Unread::Answer(_) => Self::Unreadable,
            Unread::Body(why) => why.clone(),
        }
    }
}

impl Reading {
    /// What was not read, and why.
    pub(super) const fn none(why: Unpriced) -> Self {
        Self {
            usage: Err(Unread::Body(why)),
            read: None,
        }
    }

    /// A stream that was read event by event.
    pub(super) fn of_events(
        answer: Result<Answer, UsageError>,
        digest: Digest,
        headers: Headers,
    ) -> Self {
        Self::of(answer, headers, Text::Stream(digest))
    }

    /// Reads a JSON body with the headers in which some providers count.
    pub(super) fn of_body(upstream: &Upstream, bytes: Vec<u8>, headers: Headers) -> Self {
        let (provider, api) = (&upstream.provider, upstream.api_name());
        let answer = Answer::of_body(provider, api, digest::by_name(&headers), &bytes);
        Self::of(answer, headers, Text::Body(bytes))
    }

    fn of(answer: Result<Answer, UsageError>, headers: Headers, text: Text) -> Self {
        let usage = answer.clone().and_then(Answer::normalise);
        Self {
            usage: usage.map_err(Unread::Answer),
            read: Some(Read {
                answer,
                headers,
                text,
            }),
        }
    }

    /// What the answer states.
    pub(super) const fn usage(&self) -> Result<&Normalised, &Unread> {
        self.usage.as_ref()
    }

    /// How that is said again, of the answer of this upstream.
    pub fn said(self, upstream: &Upstream) -> Said {
        let Some(Read {
            answer,
            headers,
            text,
        }) = self.read
        else {
            return Said::nothing();
        };
        let (provider, api) = (&upstream.provider, upstream.api_name());
        match text {
            Text::Stream(digest) => match digest.faithful(provider, api, &headers, &answer) {
                Some(kept) => Said::Stream(kept, headers),
                None => {
                    let usage = self.usage.as_ref().ok();
                    usage.and_then(Said::of).unwrap_or_else(Said::nothing)
                }
            },
            Text::Body(bytes) => match String::from_utf8(bytes) {
                Ok(body) => match digest::body(provider, api, &headers, &body, &answer) {
                    Some(kept) => Said::Response(kept, headers),
                    None => Said::Content(body, headers),
                },
                Err(_) => Said::nothing(),
            },
        }
    }
}
