//! What is said to the host that keeps the ledger, and what its answers mean: a hold before a call,
//! and after it what was used ([`usage`]), until the host has heard it ([`report`]); what is kept
//! beside that in case it never does ([`record`]).
//!
//! The host's answer is the authority on money; the price of the edge goes along only to be
//! compared. Must not know proxies.

pub mod more;
pub mod record;
pub mod report;
pub mod usage;

use crate::identity;
use crate::lease::wire::nanos;
use crate::settings::Upstream;
use crate::telling;
use farebox_sdk::pricing::event::KeySource;
use farebox_usage::RequestFacts;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What a request asks for, as the host is told.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The model, of the body or of the path.
    pub model: Option<Box<str>>,
    /// What the body says, where it could be read.
    pub read: RequestFacts,
}

impl Asked {
    /// The same in the words of the upstream that is asked.
    #[must_use]
    pub fn of(&self, upstream: &Upstream) -> Self {
        let model = self.model.as_deref();
        Self {
            model: model.map(|model| upstream.own_name(model).unwrap_or(model).into()),
            read: self.read.clone(),
        }
    }

    /// The record of a request that the API takes.
    fn record(&self) -> RequestText<'_> {
        RequestText {
            model: self.model.as_deref(),
            stream: self.read.stream,
            max_output: self.read.max_output_tokens,
            service_tier: self.read.service_tier.as_deref(),
            body_bytes: self.read.body_bytes,
        }
    }
}

#[derive(Serialize)]
struct RequestText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    body_bytes: u64,
}

/// The body of `POST /v1/holds`.
pub fn hold(upstream: &Upstream, asked: &Asked) -> String {
    #[derive(Serialize)]
    struct Call<'a> {
        provider: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<&'a str>,
        body_bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_output_tokens: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        service_tier: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        region: Option<&'a str>,
        key_source: &'static str,
    }
    // How long it lives is the host's to say, which has a bound for it.
    #[derive(Serialize)]
    struct Hold<'a> {
        call: Call<'a>,
        filter: &'a str,
    }
    let call = Call {
        provider: &upstream.provider,
        model: asked.model.as_deref(),
        body_bytes: asked.read.body_bytes,
        max_output_tokens: asked.read.max_output_tokens,
        service_tier: asked.read.service_tier.as_deref(),
        region: upstream.region.as_deref(),
        key_source: word(upstream.key_source),
    };
    let filter = identity::filter();
    telling::to_json(&Hold { call, filter })
}

/// What the host says to a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The call may run.
    Held {
        /// The hold's id.
        id: Box<str>,
        /// Whose it is.
        org: Box<str>,
        /// SHA-256 of the book that prices the call, in hexadecimal.
        book: Box<str>,
        /// What it has, in nano-credits.
        nanos: Option<i64>,
    },
    /// It may not: the host's problem is for the caller.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// There is no answer.
    Away,
}

impl Held {
    /// Reads the answer; without a status there was none.
    pub fn read(status: Option<u16>, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Hold {
            id: Box<str>,
            org_id: Box<str>,
            release: ReleaseText,
            credits: Option<Box<str>>,
        }
        match status {
            Some(200 | 201) => match serde_json::from_slice(body) {
                Ok(Hold {
                    id,
                    org_id: org,
                    release,
                    credits,
                }) => Self::Held {
                    id,
                    org,
                    book: release.book,
                    nanos: credits.and_then(|credits| nanos(&credits)),
                },
                Err(_) => Self::Away,
            },
            Some(status @ 400..=499) => Self::Refused { status },
            // It says so itself, so it is there: nothing runs that it did not let run.
            Some(status @ 500..=599) if is_problem(body) => Self::Refused { status },
            _ => Self::Away,
        }
    }
}

/// The release that prices a call, as the host names it.
#[derive(Deserialize)]
struct ReleaseText {
    book: Box<str>,
}

const fn word(key_source: KeySource) -> &'static str {
    match key_source {
        KeySource::Managed => "managed",
        KeySource::Own => "own",
    }
}

/// Whether the host refuses whatever this filter asks: it does not know it.
pub fn is_filter_not_known(problem: &[u8]) -> bool {
    kind(problem).is_some_and(|kind| *kind == *"/problems/filter-not-known")
}

/// Whether this is the host's own word, and not that of a proxy in its place.
pub(crate) fn is_problem(body: &[u8]) -> bool {
    kind(body).is_some_and(|kind| kind.starts_with("/problems/"))
}

fn kind(body: &[u8]) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Problem {
        r#type: Box<str>,
    }
    let problem = serde_json::from_slice::<Problem>(body);
    problem.ok().map(|problem| problem.r#type)
}

/// A problem of the filter's own, in the host's form.
pub fn problem(kind: &str, title: &str, status: u16, detail: &str) -> String {
    json!({
        "type": format!("/problems/{kind}"),
        "title": title,
        "status": status,
        "detail": detail,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_the_hosts_word_alone() {
        let id = Held::Held {
            id: "hold_1".into(),
            org: "org_1".into(),
            book: "ab12".into(),
            nanos: Some(1_000_000_000),
        };
        for (status, body, expect) in [
            (
                Some(201),
                r#"{"id":"hold_1","credits":"1","org_id":"org_1","release":{"id":"rel_1","book":"ab12"}}"#,
                id,
            ),
            (
                Some(201),
                r#"{"id":"hold_1","org_id":"org_1","credits":"1"}"#,
                Held::Away,
            ),
            (Some(201), "{}", Held::Away),
            (Some(402), "{}", Held::Refused { status: 402 }),
            (Some(500), "{}", Held::Away),
            (Some(503), "no healthy upstream", Held::Away),
            (
                Some(507),
                r#"{"type":"/problems/storage-full"}"#,
                Held::Refused { status: 507 },
            ),
            (None, "", Held::Away),
        ] {
            assert_eq!(Held::read(status, body.as_bytes()), expect);
        }
    }
}
