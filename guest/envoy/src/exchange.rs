//! One call through the proxy, from its request to its price.
//!
//! The callbacks say what passes, in whatever pieces, and are told what to do with it. Nothing here
//! names a proxy, so all of it runs in ordinary tests. Memory is bounded: of a stream one event is
//! kept, of a body at most what the settings declare. Must not know how a price is written.

mod reading;
mod running;

use crate::digest::{self, Digest, Headers};
use crate::host::Asked;
use crate::lease::Vouched;
use crate::path::Named;
use crate::release::{Bound, Price, Prices, Unpriced};
use crate::settings::{Settings, Upstream};
use crate::watch::Watch;
use farebox_sdk::pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_sdk::pricing::failure::{Ending, Outcome};
use farebox_sdk::pricing::money::{Peg, Rounding};
use farebox_usage::{
    ANY_TIER, Api, Normalised, Normaliser, RequestFacts, UsageError, is_about_usage,
};
pub use reading::Reading;
use reading::Unread;
use rust_decimal::Decimal;
use std::rc::Rc;

/// What is to be done with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It passes and is not read.
    Pass,
    /// It is held back until it is whole, so that its price can stand in its headers.
    Hold,
    /// It passes as it comes, and is read meanwhile.
    Flow {
        /// It is a stream of server-sent events, which may end with a comment.
        comment: bool,
    },
}

/// The beginning of an answer.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// The content type, in lower case.
    pub content_type: String,
    /// Whether the body is compressed.
    pub encoded: bool,
    /// The length of the body in bytes, where it is stated.
    pub content_length: Option<usize>,
    /// The headers by name, among them those in which some providers count.
    pub headers: Headers,
}

/// What is told of a call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its price, or why there is none here.
    pub price: Result<Price, Unpriced>,
    /// The time it was priced at, in milliseconds since the Unix epoch.
    pub occurred_at_ms: i64,
}

/// A call that is over.
#[derive(Debug)]
pub struct Over {
    /// What is told of it.
    pub told: Told,
    /// What its answer said.
    pub reading: Reading,
    /// The provider's HTTP status.
    pub status: u16,
    /// What its caller has got, in bytes of text, where it was cut off.
    pub cut_off_bytes: Option<u64>,
}

/// One call.
pub struct Exchange {
    release: Rc<dyn Prices>,
    settings: Rc<Settings>,
    occurred_at_ms: i64,
    asked: Asked,
    /// The path names the model, so what the body says of it is nobody's word.
    is_named: bool,
    /// The family that the path names.
    api: Option<Api>,
    stream: bool,
    /// Who serves it, or, before that is known, who does so at the highest price.
    serving: Box<str>,
    /// What the host vouches for, where the call runs under a lease.
    vouched: Option<Vouched>,
    /// How much text is covered by what the call was quoted, in bytes, whoever serves it.
    covered_bytes: u64,
    watch: Option<Watch>,
    /// What its caller has got of the answer, in bytes of text.
    passed_bytes: u64,
    answer: Option<Answer>,
}

/// An answer of who serves.
struct Answer {
    status: u16,
    body: Body,
}

/// What is read of an answer's body.
enum Body {
    /// Event by event.
    Events(Box<Events>),
    /// As one JSON text, with the headers in which some providers count.
    Whole(Vec<u8>, Headers),
    /// Not at all.
    Unread(Unpriced),
}

/// A stream, as far as it was read.
struct Events {
    events: Normaliser,
    read: Result<(), UsageError>,
    digest: Option<Digest>,
    headers: Headers,
    /// How many of its events stated usage.
    stated: u64,
}

impl Exchange {
    /// A call that begins at this time, in milliseconds since the Unix epoch, to this path.
    pub fn new(
        release: Rc<dyn Prices>,
        settings: Rc<Settings>,
        path: &str,
        occurred_at_ms: i64,
    ) -> Self {
        let named = Named::by(path);
        let (is_named, api) = (named.is_some(), named.as_ref().and_then(|named| named.api));
        Self {
            release,
            settings,
            occurred_at_ms,
            asked: Asked {
                model: named.as_ref().and_then(|named| named.model.clone()),
                read: RequestFacts::default(),
            },
            is_named,
            api,
            stream: path.to_ascii_lowercase().contains("stream"),
            serving: "".into(),
            vouched: None,
            covered_bytes: 0,
            watch: None,
            passed_bytes: 0,
            answer: None,
        }
    }

    /// Reads the body of a request to this cluster.
    ///
    /// # Errors
    /// It cannot be read, or nobody serves it. Its length is known all the same.
    pub fn request(&mut self, cluster: &str, body: &[u8]) -> Result<(), Unpriced> {
        let settings = Rc::clone(&self.settings);
        let serving = settings.serving(cluster);
        let (first, _) = serving.first().ok_or(Unpriced::Unreadable)?;
        self.serving = (*first).into();
        // Members of a group answer alike, so they are asked alike.
        let api = serving.iter().find_map(|(_, upstream)| upstream.api);
        let read = RequestFacts::from_body_of(api.or(self.api), body).map_err(|_| {
            self.asked.read.body_bytes = body.len() as u64;
            Unpriced::Unreadable
        })?;
        self.stream |= read.stream;
        let asked = &mut self.asked;
        if !self.is_named {
            asked.model = read.model.clone();
        }
        asked.read = read;
        Ok(())
    }

    /// The most that the call can cost in USD, whichever upstream serves it, by what is known of it
    /// now.
    ///
    /// # Errors
    /// There is no such bound.
    pub fn quote(&mut self, cluster: &str) -> Result<Decimal, Unpriced> {
        let settings = Rc::clone(&self.settings);
        let serving = settings.serving(cluster);
        if serving.is_empty() {
            return Err(Unpriced::Unreadable);
        }
        let mut most_usd = Decimal::MIN;
        self.covered_bytes = 0;
        let mut covered_bytes = u64::MAX;
        for (name, upstream) in serving {
            // One that has no price has no bound, and nothing may run that one of them might serve.
            let Bound { usd, text_bytes } = self.bound(upstream).inspect_err(|_| {
                self.serving = name.into();
            })?;
            covered_bytes = covered_bytes.min(text_bytes);
            if usd > most_usd {
                most_usd = usd;
                self.serving = name.into();
            }
        }
        self.covered_bytes = covered_bytes;
        Ok(most_usd)
    }

    fn bound(&self, upstream: &Upstream) -> Result<Bound, Unpriced> {
        let read = &self.asked.read;
        let request = QuoteRequest {
            provider: upstream.provider.clone(),
            model: self.asked.of(upstream).model,
            service_tier: read.service_tier.clone(),
            region: upstream.region.clone(),
            feature: None,
            body_bytes: read.body_bytes,
            max_output_tokens: read.max_output_tokens,
            declared: Vec::new(),
            provider_cost_max_usd: None,
        };
        self.release.quote(&request, &self.facts(upstream))
    }

    /// The same, and what is put aside for it: nano-credits, rounded up.
    ///
    /// # Errors
    /// There is no such bound.
    pub fn worst(&mut self, cluster: &str) -> Result<(Decimal, i64), Unpriced> {
        let usd = self.quote(cluster)?;
        let worst = self.peg().to_nanos(usd, Rounding::AwayFromZero);
        let worst = worst.map_err(|_| Unpriced::Unreadable)?;
        Ok((usd, worst.get()))
    }

    /// From now on the call is priced by this release.
    pub fn sell_by(&mut self, release: Rc<dyn Prices>) {
        self.release = release;
    }

    /// The book that prices the call, by its digest; empty where it is not here.
    pub fn book(&self) -> &str {
        self.release.book()
    }

    /// From now on the call is priced by what the host vouches for, and by the host's clock.
    pub fn vouch(&mut self, vouched: &Vouched) {
        self.forget_vouched();
        self.occurred_at_ms = self.occurred_at_ms.saturating_add(vouched.ahead_ms);
        self.vouched = Some(vouched.clone());
    }

    /// The call is held by itself after all: what it is priced by is known to the host alone.
    pub fn forget_vouched(&mut self) {
        if let Some(vouched) = self.vouched.take() {
            self.occurred_at_ms = self.occurred_at_ms.saturating_sub(vouched.ahead_ms);
        }
    }

    /// The time whose prices are taken, in milliseconds since the Unix epoch.
    pub const fn occurred_at_ms(&self) -> i64 {
        self.occurred_at_ms
    }

    /// Whose the call is, where the host vouches for it.
    pub fn org(&self) -> Option<&str> {
        self.vouched.as_ref().map(|vouched| &*vouched.org)
    }

    fn peg(&self) -> Peg {
        self.vouched
            .as_ref()
            .map_or(self.settings.peg, |vouched| vouched.peg)
    }

    /// Whether each upstream that may serve a call to this cluster serves the model.
    pub fn is_offered(&self, cluster: &str) -> bool {
        let model = self.asked.model.as_deref();
        let mut serving = self.settings.serving(cluster).into_iter();
        serving.all(|(_, upstream)| match model {
            Some(model) => upstream.own_name(model).is_some(),
            None => upstream.models.is_empty(),
        })
    }

    /// The model that the caller asks for.
    pub fn model(&self) -> Option<&str> {
        self.asked.model.as_deref()
    }

    /// Who serves the call, or, before that is known, who does so at the highest price; and what it
    /// is asked for.
    pub fn serving(&self) -> Option<(&Upstream, Asked)> {
        let upstream = self.settings.upstreams.get(&self.serving)?;
        Some((upstream, self.asked.of(upstream)))
    }

    /// The answer begins, from this upstream: the one that served, which another may have been
    /// asked before.
    pub fn answer(&mut self, name: &str, head: Head) -> Way {
        let settings = Rc::clone(&self.settings);
        let Some(upstream) = settings.upstreams.get(name) else {
            return Way::Pass;
        };
        self.serving = name.into();
        let (body, way) = self.body(upstream, &head);
        self.answer = Some(Answer {
            status: head.status,
            body,
        });
        way
    }

    fn body(&self, upstream: &Upstream, head: &Head) -> (Body, Way) {
        let is = |kinds: &[&str]| kinds.iter().any(|kind| head.content_type.starts_with(kind));
        let comment = is(&["text/event-stream"]);
        let flow = Way::Flow { comment };
        let headers = head.headers.iter();
        let headers = headers.filter(|(name, _)| is_about_usage(name));
        let headers: Headers = headers.cloned().collect();
        if head.encoded {
            return (Body::Unread(Unpriced::Encoded), flow);
        }
        if comment || is(&EVENTS) {
            let api = upstream.api_name();
            let max = self.settings.read_bytes_max;
            return match Normaliser::with_limit(&upstream.provider, api, max) {
                Ok(mut events) => {
                    let read = digest::by_name(&headers)
                        .try_for_each(|(name, value)| events.header(name, value));
                    let events = Box::new(Events {
                        read,
                        digest: self.settings.host.is_some().then(Digest::default),
                        events,
                        headers,
                        stated: 0,
                    });
                    (Body::Events(events), flow)
                }
                Err(_) => (Body::Unread(Unpriced::Unreadable), flow),
            };
        }
        if !is(&["application/json"]) {
            return (Body::Unread(Unpriced::Ended(Outcome::NoUsage)), flow);
        }
        let small = match head.content_length {
            Some(bytes) => bytes <= self.settings.held_bytes_max,
            // A list that comes as a stream must not be held back.
            None => !self.stream,
        };
        let way = if small { Way::Hold } else { flow };
        (Body::Whole(Vec::new(), headers), way)
    }

    /// Takes the next bytes of the answer.
    pub fn chunk(&mut self, bytes: &[u8]) {
        let Some(answer) = &mut self.answer else {
            return;
        };
        match &mut answer.body {
            Body::Events(stream) => {
                let Events {
                    events,
                    read,
                    digest,
                    stated,
                    ..
                } = &mut **stream;
                if read.is_ok() {
                    *read = events.feed_seen(bytes, |event| {
                        if let Some(digest) = digest
                            && digest.take(event)
                        {
                            *stated = stated.saturating_add(1);
                        }
                    });
                }
            }
            Body::Whole(body, _) => {
                if body.len().saturating_add(bytes.len()) > self.settings.read_bytes_max {
                    answer.body = Body::Unread(Unpriced::Unreadable);
                } else {
                    body.extend_from_slice(bytes);
                }
            }
            Body::Unread(_) => {}
        }
    }

    /// The call is over: by its own end, or because its caller went away or the answer broke off.
    /// `None` where nothing was to be read, and when asked again.
    pub fn end(&mut self, aborted: bool, failed: bool) -> Option<Over> {
        let settings = Rc::clone(&self.settings);
        let upstream = settings.upstreams.get(&self.serving)?;
        let Answer { status, body } = self.answer.take()?;
        let ending = Ending {
            aborted,
            failed: failed || status >= 400,
            ..Ending::default()
        };
        let reading = read(upstream, body);
        let event = self.event(upstream, reading.usage(), ending);
        let price = event.and_then(|event| {
            let facts = self.facts(upstream);
            self.release.rate(&event, &facts, self.peg())
        });
        let told = Told {
            price,
            occurred_at_ms: self.occurred_at_ms,
        };
        Some(Over {
            told,
            reading,
            status,
            cut_off_bytes: None,
        })
    }

    /// What is rated, if the call ended well.
    fn event(
        &self,
        upstream: &Upstream,
        usage: Result<&Normalised, &Unread>,
        ending: Ending,
    ) -> Result<UsageEvent, Unpriced> {
        let (ending, event) = match usage {
            Ok(answer) => {
                let partial = answer.finish == farebox_usage::Finish::Partial;
                let failed = ending.failed || answer.finish == farebox_usage::Finish::Failed;
                let asked = self.asked.of(upstream);
                let event = answer.to_event(asked.model.as_deref(), None);
                let event = event.map_err(|_| Unpriced::Unreadable)?;
                (
                    Ending {
                        partial,
                        failed,
                        ..ending
                    },
                    Some(event),
                )
            }
            Err(Unread::Answer(UsageError::NoUsage { .. })) => (
                Ending {
                    unstated: true,
                    ..ending
                },
                None,
            ),
            Err(Unread::Answer(UsageError::ProviderError { .. })) => (
                Ending {
                    failed: true,
                    ..ending
                },
                None,
            ),
            Err(unread) => {
                let outcome = Outcome::of(ending, None);
                return Err(outcome.map_or_else(|| unread.into(), Unpriced::Ended));
            }
        };
        if let Some(outcome) = Outcome::of(ending, event.as_ref()) {
            return Err(Unpriced::Ended(outcome));
        }
        let mut event = event.ok_or(Unpriced::Ended(Outcome::NoUsage))?;
        event.service_tier = event.service_tier.filter(|tier| **tier != *ANY_TIER);
        event.region = event.region.or_else(|| upstream.region.clone());
        Ok(event)
    }

    fn facts(&self, upstream: &Upstream) -> Facts {
        let mut facts = Facts::new(
            self.settings.deployment,
            upstream.key_source,
            self.occurred_at_ms,
        );
        if let Some(vouched) = &self.vouched {
            facts.org = Some(vouched.org.clone());
            facts.plan = vouched.plan.clone();
            facts.month_to_date_usd = vouched.month_to_date_usd;
        }
        facts
    }
}

/// Content types of streams that are no server-sent events.
const EVENTS: [&str; 3] = [
    "application/vnd.amazon.eventstream",
    "application/x-ndjson",
    "application/jsonl",
];

/// Reads what there is of the body.
fn read(upstream: &Upstream, body: Body) -> Reading {
    match body {
        Body::Events(stream) => {
            let Events {
                events,
                read,
                digest,
                headers,
                ..
            } = *stream;
            let mut digest = digest.unwrap_or_default();
            let answer = read.and_then(|()| {
                events.end(|event| {
                    digest.take(event);
                })
            });
            Reading::of_events(answer, digest, headers)
        }
        Body::Whole(bytes, headers) => Reading::of_body(upstream, bytes, headers),
        Body::Unread(why) => Reading::none(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farebox_sdk::pricing::failure::Request;
    use farebox_sdk::pricing::meter::Pool;

    struct Unasked;

    impl Prices for Unasked {
        fn book(&self) -> &str {
            ""
        }

        fn rate(&self, _: &UsageEvent, _: &Facts, _: Peg) -> Result<Price, Unpriced> {
            Err(Unpriced::Fault)
        }

        fn quote(&self, _: &QuoteRequest, _: &Facts) -> Result<Bound, Unpriced> {
            Err(Unpriced::Fault)
        }

        fn streamed(&self, _: &UsageEvent, _: Request) -> Result<Vec<Pool>, Unpriced> {
            Err(Unpriced::Fault)
        }
    }

    fn asked(path: &str, body: &str) -> Asked {
        let settings = r#"{"deployment": "hosted", "upstreams": {"a": {"provider": "x"}}}"#;
        let settings = Rc::new(Settings::read(settings.as_bytes()).unwrap());
        let mut exchange = Exchange::new(Rc::new(Unasked), settings, path, 0);
        drop(exchange.request("a", body.as_bytes()));
        exchange.asked.clone()
    }

    /// Else a caller is held for one model and served by another.
    #[test]
    fn the_paths_word_is_not_the_bodys_to_change() {
        let path = "/model/anthropic.claude-opus-4/converse";
        let asked_for = asked(path, r#"{"model": "nova-micro", "max_tokens": 1}"#);
        assert_eq!(asked_for.model.as_deref(), Some("anthropic.claude-opus-4"));
        assert_eq!(
            asked_for.read.max_output_tokens, None,
            "Converse reads no such field"
        );
        let body = r#"{"max_tokens": 1, "inferenceConfig": {"maxTokens": 4096}}"#;
        assert_eq!(asked(path, body).read.max_output_tokens, Some(4096));
        let body = r#"{"model": "models/gemini-embedding-001"}"#;
        let asked_for = asked("/v1beta/models/gemini-embedding-001:embedContent", body);
        assert_eq!(asked_for.model.as_deref(), Some("gemini-embedding-001"));
        let asked_for = asked("/model/nova%zz/converse", r#"{"model": "nova-micro"}"#);
        assert_eq!(asked_for.model, None);
        let asked_for = asked("/v1/chat/completions", r#"{"model": "gpt-4o"}"#);
        assert_eq!(asked_for.model.as_deref(), Some("gpt-4o"));
    }
}
