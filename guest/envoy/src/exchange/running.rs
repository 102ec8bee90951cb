//! What a stream has come to while it runs, against what is put aside for it.
//!
//! What would be charged if it were cut off here is what it is cut off by: the host prices the
//! report of a cut by the same rule, from the same facts. Text counts when the caller has got it;
//! usage that the provider stated counts as it stands.

use super::{Answer, Body, Exchange, Over, Told, Unread, read};
use crate::release::{Price, Unpriced};
use crate::settings::Upstream;
use crate::watch::{Seen, Watch};
use farebox_sdk::pricing::event::UsageEvent;
use farebox_sdk::pricing::failure::Request;
use farebox_usage::{ANY_TIER, Api, Normalised, Progress, Served, UsageError};
use std::rc::Rc;

impl Exchange {
    /// So many nano-credits are put aside for the call: its stream is watched.
    pub fn watch(&mut self, limit: i64) {
        self.watch = Some(Watch::new(limit, self.covered_bytes));
    }

    /// Whether the answer is a stream that may be cut off.
    pub const fn is_watched(&self) -> bool {
        self.watch.is_some()
            && matches!(
                self.answer,
                Some(Answer {
                    body: Body::Events(_),
                    ..
                })
            )
    }

    /// What may be spent on it, in nano-credits.
    pub fn allowed(&self) -> Option<i64> {
        self.watch.map(|watch| watch.limit())
    }

    /// So many nano-credits may be spent on it in all.
    pub const fn allow(&mut self, limit: i64) {
        if let Some(watch) = &mut self.watch {
            watch.allow(limit);
        }
    }

    /// By how many nano-credits the stream has passed what may be spent on it. Never of one whose
    /// provider has said its last word: there is nothing left to cut.
    pub fn short(&mut self) -> Option<i64> {
        let mut watch = self.watch?;
        let Some(Answer {
            body: Body::Events(stream),
            ..
        }) = &self.answer
        else {
            return None;
        };
        let upstream = self.settings.upstreams.get(&self.serving)?;
        let Progress { text_bytes, ended } = stream.events.progress();
        let seen = Seen {
            text_bytes,
            stated: stream.stated,
        };
        if ended || stream.read.is_err() || !watch.is_due(seen) {
            return None;
        }
        let event = self.so_far(upstream, stream.events.so_far().as_ref());
        let price = |text_bytes| {
            let event = event.as_ref()?;
            let price = self.accrued(upstream, event, text_bytes).ok()?;
            Some(price.credits.get())
        };
        let short = watch.look(seen, price);
        self.watch = Some(watch);
        short
    }

    /// All that was read of the answer goes to its caller.
    pub fn pass_on(&mut self) {
        if let Some(Answer {
            body: Body::Events(stream),
            ..
        }) = &self.answer
        {
            self.passed_bytes = stream.events.progress().text_bytes;
        }
    }

    /// In which family's words the answer is.
    pub fn api(&self) -> Option<Api> {
        match &self.answer {
            Some(Answer {
                body: Body::Events(stream),
                ..
            }) => {
                let upstream = self.settings.upstreams.get(&self.serving)?;
                upstream.api.or(stream.events.api())
            }
            _ => None,
        }
    }

    /// The stream is cut off: what its caller has got is charged, and what its provider has stated.
    pub fn cut_off(&mut self) -> Option<Over> {
        let settings = Rc::clone(&self.settings);
        let upstream = settings.upstreams.get(&self.serving)?;
        let Answer { status, body } = self.answer.take()?;
        let reading = read(upstream, body);
        let whole = match reading.usage() {
            Ok(whole) => Ok(whole),
            Err(Unread::Answer(error)) => Err(error),
            Err(Unread::Body(_)) => return None,
        };
        let event = self.so_far(upstream, whole);
        let price = match event {
            Some(event) => self.accrued(upstream, &event, self.passed_bytes),
            None => Err(Unpriced::Unreadable),
        };
        let told = Told {
            price,
            occurred_at_ms: self.occurred_at_ms,
        };
        Some(Over {
            told,
            reading,
            status,
            cut_off_bytes: Some(self.passed_bytes),
        })
    }

    /// What was stated so far, as the host reads it.
    fn so_far(
        &self,
        upstream: &Upstream,
        stated: Result<&Normalised, &UsageError>,
    ) -> Option<UsageEvent> {
        let asked = self.asked.of(upstream);
        let mut event = match stated {
            Ok(stated) => stated.to_event(asked.model.as_deref(), None).ok()?,
            Err(UsageError::NoUsage { served } | UsageError::ProviderError { served, .. }) => {
                let Served {
                    model,
                    service_tier,
                    region,
                    ..
                } = (**served).clone();
                UsageEvent {
                    provider: upstream.provider.clone(),
                    model_asked: asked.model,
                    model_served: model,
                    service_tier,
                    region,
                    feature: None,
                    pools: Vec::new(),
                    provider_cost_usd: None,
                }
            }
            Err(_) => return None,
        };
        event.service_tier = event.service_tier.filter(|tier| **tier != *ANY_TIER);
        event.region = event.region.or_else(|| upstream.region.clone());
        Some(event)
    }

    /// What that costs with so many bytes of text.
    fn accrued(
        &self,
        upstream: &Upstream,
        event: &UsageEvent,
        text_bytes: u64,
    ) -> Result<Price, Unpriced> {
        let request = Request {
            body_bytes: self.asked.read.body_bytes,
            max_output_tokens: self.asked.read.max_output_tokens,
            streamed_bytes: text_bytes,
        };
        let mut event = event.clone();
        event.pools = self.release.streamed(&event, request)?;
        self.release.rate(&event, &self.facts(upstream), self.peg())
    }
}
