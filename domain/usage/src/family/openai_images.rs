//! OpenAI images, generated or edited, and every provider that answers like it.
//!
//! The models that count tokens state usage, whose output is image tokens unless its details say
//! otherwise. The older ones state none: they are billed by the image, at the size and quality of
//! the answer, where it says them. In a stream, the `completed` event of each image has the usage.
//!
//! Source: OpenAI API reference, "Create image" and "Image streaming events" (November 2026); xAI
//! docs, "Cost tracking", for images whose usage is a cost alone.

use super::openai_tokens::{Names, read};
use super::{Bill, Reader, Reading, Told, Word, keep, parse};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::source::{Source, row};
use farebox_pricing::meter::{Attribute, Meter};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

const NAMES: Names = Names {
    input: "input_tokens",
    input_details: "input_tokens_details",
    output: "output_tokens",
    output_details: "output_tokens_details",
    output_meter: Meter::OutputImage,
};

pub(super) const SOURCES: &[Source] = &[
    row("*", "images", "usage.input_tokens", "input"),
    row(
        "*",
        "images",
        "usage.input_tokens_details.text_tokens",
        "what the other parts leave",
    ),
    row(
        "*",
        "images",
        "usage.input_tokens_details.image_tokens",
        "input_image",
    ),
    row(
        "*",
        "images",
        "usage.input_tokens_details.cached_tokens",
        "cache_read",
    ),
    row("*", "images", "usage.output_tokens", "output_image"),
    row(
        "*",
        "images",
        "usage.output_tokens_details.image_tokens",
        "output_image",
    ),
    row(
        "*",
        "images",
        "usage.output_tokens_details.text_tokens",
        "what the other parts leave",
    ),
    row("*", "images", "usage.total_tokens", "checks the sum"),
    row(
        "*",
        "images",
        "data[]",
        "image{quality=,size=}, where no tokens are stated",
    ),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Images {
    told: Told,
    usage: Option<String>,
    images: u64,
    quality: Option<Box<str>>,
    size: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Body<'a> {
    r#type: Option<Word>,
    model: Option<Word>,
    data: Option<Vec<IgnoredAny>>,
    quality: Option<Word>,
    size: Option<Word>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Reader for Images {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let body: Body<'_> = parse(text)?;
        self.told.model(body.model);
        self.told.failure(body.error);
        let kind = body.r#type.as_ref().map_or("", |Word(kind)| kind);
        if kind.ends_with(".partial_image") {
            return Ok(());
        }
        let finished = if kind.ends_with(".completed") {
            self.told.ended = true;
            1
        } else {
            body.data.map_or(0, |data| data.len() as u64)
        };
        self.images = self.images.saturating_add(finished);
        if let Some(Word(quality)) = body.quality {
            self.quality = Some(quality);
        }
        if let Some(Word(size)) = body.size {
            self.size = Some(size);
        }
        keep(&mut self.usage, body.usage)
    }

    fn end(&mut self) {
        self.told.ended = true;
    }

    fn conclude(self: Box<Self>, vendor: &str) -> Result<Reading, UsageError> {
        let mut bill = Bill::default();
        if let Some(raw) = &self.usage {
            let fields = Fields::parse("usage", raw)?;
            read(fields, &NAMES, vendor, &mut bill)?;
        }
        if bill.pools.is_empty() {
            if self.images == 0 {
                return Err(self.told.no_usage());
            }
            let attributes = self.attributes();
            bill.pools
                .detail_with(Meter::Image, self.images, attributes)?;
        }
        let raw = self
            .usage
            .unwrap_or_else(|| format!(r#"{{"images":{}}}"#, self.images));
        Ok(self.told.reading(bill, raw))
    }
}

impl Images {
    fn attributes(&self) -> Vec<Attribute> {
        [("quality", &self.quality), ("size", &self.size)]
            .into_iter()
            .filter_map(|(name, value)| {
                Some(Attribute {
                    name: name.into(),
                    value: value.clone()?,
                })
            })
            .collect()
    }
}
