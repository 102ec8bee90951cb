//! An answer that was read: what it said of its usage, by which the call is priced, and what of it
//! says the same, which the host is told. The second is made when it is asked for, because the
//! caller waits for the first alone.

use crate::digest::{self, Digest, Headers};
use crate::host::usage::Said;
use crate::release::Unpriced;
use crate::settings::Upstream;
use farebox_usage::{Normalised, UsageError, normalise_answer};

/// An answer that was read.
#[derive(Debug)]
pub struct Reading(Read);

#[derive(Debug)]
enum Read {
    /// Events of a stream, of which those were kept that say something.
    Events {
        whole: Result<Normalised, UsageError>,
        digest: Digest,
        headers: Headers,
    },
    /// One JSON text.
    Body {
        whole: Result<Normalised, UsageError>,
        bytes: Vec<u8>,
        headers: Headers,
    },
    /// Nothing.
    Unread(Unpriced),
}

/// Why an answer says nothing of its usage.
#[derive(Clone, Copy)]
pub(super) enum Unread<'a> {
    /// It was read.
    Answer(&'a UsageError),
    /// It was not.
    Body(&'a Unpriced),
}

impl From<Unread<'_>> for Unpriced {
    fn from(unread: Unread<'_>) -> Self {
        match unread {
            Unread::Answer(_) => Self::Unreadable,
            Unread::Body(why) => why.clone(),
        }
    }
}

impl Reading {
    /// What was not read, and why.
    pub(super) const fn none(why: Unpriced) -> Self {
        Self(Read::Unread(why))
    }

    /// A stream that was read event by event.
    pub(super) const fn of_events(
        whole: Result<Normalised, UsageError>,
        digest: Digest,
        headers: Headers,
    ) -> Self {
        Self(Read::Events {
            whole,
            digest,
            headers,
        })
    }

    /// Reads a JSON body with the headers in which some providers count.
    pub(super) fn of_body(upstream: &Upstream, bytes: Vec<u8>, headers: Headers) -> Self {
        let whole = normalise_answer(
            &upstream.provider,
            upstream.api_name(),
            digest::by_name(&headers),
            &bytes,
        );
        Self(Read::Body {
            whole,
            bytes,
            headers,
        })
    }

    /// What the answer states.
    pub(super) const fn usage(&self) -> Result<&Normalised, Unread<'_>> {
        match &self.0 {
            Read::Events { whole, .. } | Read::Body { whole, .. } => match whole {
                Ok(whole) => Ok(whole),
                Err(error) => Err(Unread::Answer(error)),
            },
            Read::Unread(why) => Err(Unread::Body(why)),
        }
    }

    /// How that is said again, of the answer of this upstream.
    pub fn said(self, upstream: &Upstream) -> Said {
        let (provider, api) = (&upstream.provider, upstream.api_name());
        match self.0 {
            Read::Events {
                whole,
                digest,
                headers,
            } => match (digest.faithful(provider, api, &headers, &whole), whole) {
                (Some(kept), _) => Said::Stream(kept, headers),
                (None, Ok(whole)) => Said::of(&whole).unwrap_or_else(Said::nothing),
                (None, Err(_)) => Said::nothing(),
            },
            Read::Body {
                whole,
                bytes,
                headers,
            } => match String::from_utf8(bytes) {
                Ok(body) => match digest::body(provider, api, &headers, &body, &whole) {
                    Some(kept) => Said::Response(kept, headers),
                    None => Said::Content(body, headers),
                },
                Err(_) => Said::nothing(),
            },
            Read::Unread(_) => Said::nothing(),
        }
    }
}
