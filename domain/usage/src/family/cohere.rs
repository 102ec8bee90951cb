//! Cohere chat, embed, rerank and classify, versions 1 and 2.
//!
//! `billed_units` is what Cohere bills, and the only thing that is: `tokens` counts what the model
//! saw, with the provider's own preamble, and `cached_tokens` is part of that. Version 2 states both
//! under `usage`, version 1 and the other endpoints under `meta`; in a stream, the last event does.
//! Where no billed units are stated, the tokens are all there is.
//!
//! Source: Cohere API reference, "Chat", "Chat with streaming", "Embed", "Rerank" (versions 1 and 2)
//! and "How does Cohere's pricing work?" (November 2026).

use super::text::Text;
use super::{Bill, Progress, Reader, Reading, Told, Word, keep, parse, where_it_fits};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

pub(super) const SOURCES: &[Source] = &[
    row(
        "cohere",
        "cohere",
        "usage.billed_units.input_tokens",
        "input",
    ),
    row(
        "cohere",
        "cohere",
        "usage.billed_units.output_tokens",
        "output",
    ),
    row(
        "cohere",
        "cohere",
        "usage.tokens.input_tokens",
        "input, where nothing is billed",
    ),
    row(
        "cohere",
        "cohere",
        "usage.tokens.output_tokens",
        "output, where nothing is billed",
    ),
    row(
        "cohere",
        "cohere",
        "usage.cached_tokens",
        "part of the tokens, billed by nobody",
    ),
    row(
        "cohere",
        "cohere",
        "meta.billed_units.input_tokens",
        "input",
    ),
    row(
        "cohere",
        "cohere",
        "meta.billed_units.output_tokens",
        "output",
    ),
    row(
        "cohere",
        "cohere",
        "meta.billed_units.image_tokens",
        "input_image",
    ),
    row("cohere", "cohere", "meta.billed_units.images", "image"),
    row(
        "cohere",
        "cohere",
        "meta.billed_units.search_units",
        "search",
    ),
    row(
        "cohere",
        "cohere",
        "meta.billed_units.classifications",
        "classification",
    ),
    row(
        "cohere",
        "cohere",
        "meta.tokens.input_tokens",
        "input, where nothing is billed",
    ),
    row(
        "cohere",
        "cohere",
        "meta.tokens.output_tokens",
        "output, where nothing is billed",
    ),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cohere {
    told: Told,
    usage: Option<(&'static str, String)>,
}

#[derive(Deserialize)]
struct Event<'a> {
    r#type: Option<Word>,
    event_type: Option<Word>,
    id: Option<Word>,
    generation_id: Option<Word>,
    response_id: Option<Word>,
    model: Option<Word>,
    finish_reason: Option<IgnoredAny>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    text: Option<Text>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// The last event of a stream: version 2 has a `delta`, version 1 a `response`.
#[derive(Deserialize)]
struct Last<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    generation_id: Option<Word>,
}

impl Reader for Cohere {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let event: Event<'_> = parse(text)?;
        self.told.failure(event.error);
        self.told.model(event.model);
        let id = event.id.or(event.response_id).or(event.generation_id);
        self.told.response_id(id);
        let is_last = |kind: &Option<Word>, name| kind.as_ref().is_some_and(|k| &*k.0 == name);
        self.told.ended |= event.finish_reason.is_some()
            || is_last(&event.r#type, "message-end")
            || is_last(&event.event_type, "stream-end");
        // The text of a whole answer, or of version 1; version 2 has it in its deltas.
        self.told.text(event.text);
        self.told.text(where_it_fits(event.delta));
        let last: Option<Last<'_>> = where_it_fits(event.delta.or(event.response));
        let (mut usage, mut meta) = (event.usage, event.meta);
        if let Some(last) = last {
            usage = usage.or(last.usage);
            meta = meta.or(last.meta);
            self.told.response_id(last.generation_id);
        }
        for (path, raw) in [("usage", usage), ("meta", meta)] {
            let mut text = None;
            keep(&mut text, raw)?;
            if let Some(text) = text {
                self.usage = Some((path, text));
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        self.told.ended = true;
    }

    fn progress(&self) -> Progress {
        self.told.progress()
    }

    fn is_streamed_as_text(&self) -> bool {
        true
    }

    fn conclude(self: Box<Self>, _vendor: &str) -> Result<Reading, UsageError> {
        let Some((path, raw)) = self.usage else {
            return Err(self.told.no_usage());
        };
        let mut bill = Bill::default();
        read_units(Fields::parse(path, &raw)?, &mut bill)?;
        if bill.pools.is_empty() {
            return Err(self.told.no_usage());
        }
        Ok(self.told.reading(bill, raw))
    }
}

fn read_units(mut usage: Fields, bill: &mut Bill) -> Result<(), UsageError> {
    if let Some(mut units) = usage.object("billed_units")? {
        let pools = &mut bill.pools;
        if let Some(input) = units.count("input_tokens")? {
            pools.stated(Meter::Input, input)?;
        }
        if let Some(output) = units.count("output_tokens")? {
            pools.stated(Meter::Output, output)?;
        }
        for (key, meter) in [
            ("image_tokens", Meter::InputImage),
            ("images", Meter::Image),
            ("search_units", Meter::Search),
            ("classifications", Meter::Other("classification".into())),
        ] {
            pools.detail(meter, units.count(key)?.unwrap_or(0))?;
        }
        units.leftovers(&mut bill.unrecognised);
    }
    let nothing_billed = bill.pools.is_empty();
    if let Some(mut tokens) = usage.object("tokens")? {
        for (key, meter) in [
            ("input_tokens", Meter::Input),
            ("output_tokens", Meter::Output),
        ] {
            if let Some(count) = tokens.count(key)?
                && nothing_billed
            {
                bill.pools.stated(meter, count)?;
            }
        }
        tokens.leftovers(&mut bill.unrecognised);
    }
    usage.count("cached_tokens")?;
    usage.ignore(&["api_version", "warnings"]);
    usage.leftovers(&mut bill.unrecognised);
    Ok(())
}
