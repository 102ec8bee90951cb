//! Mistral OCR: pages, and the pages that were annotated on top.
//!
//! Source: Mistral AI, "OCR" API reference and "Document AI: annotations" (November 2026).

use super::{Bill, Reader, Reading, Told, Word, keep, parse};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::pools::attribute;
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) const SOURCES: &[Source] = &[
    row("mistral", "ocr", "usage_info.pages_processed", "page"),
    row(
        "mistral",
        "ocr",
        "usage_info.pages_processed_annotation",
        "page{kind=annotation}",
    ),
    row(
        "mistral",
        "ocr",
        "usage_info.doc_size_bytes",
        "a size, billed by nobody",
    ),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ocr {
    told: Told,
    usage: Option<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    model: Option<Word>,
    #[serde(borrow)]
    usage_info: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Reader for Ocr {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let body: Body<'_> = parse(text)?;
        self.told.model(body.model);
        self.told.failure(body.error);
        keep(&mut self.usage, body.usage_info)
    }

    fn end(&mut self) {
        self.told.ended = true;
    }

    fn conclude(self: Box<Self>, _vendor: &str) -> Result<Reading, UsageError> {
        let Some(raw) = self.usage else {
            return Err(self.told.no_usage());
        };
        let mut bill = Bill::default();
        let mut usage = Fields::parse("usage_info", &raw)?;
        let pages = usage.count("pages_processed")?;
        let annotated = usage.count("pages_processed_annotation")?;
        usage.count("doc_size_bytes")?;
        usage.leftovers(&mut bill.unrecognised);
        if pages.is_none() && annotated.is_none() {
            return Err(self.told.no_usage());
        }
        if let Some(pages) = pages {
            bill.pools.stated(Meter::Page, pages)?;
        }
        bill.pools.detail_with(
            Meter::Page,
            annotated.unwrap_or(0),
            attribute("kind", "annotation"),
        )?;
        Ok(self.told.reading(bill, raw))
    }
}
