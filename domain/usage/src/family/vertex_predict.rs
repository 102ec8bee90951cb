//! Vertex predict: embeddings, images, and the models before Gemini.
//!
//! Each embedding states the tokens of its text. Beside them, `metadata` states the billable
//! characters: the same text counted another way, billed only where no tokens are stated. The
//! models before Gemini state both counts under `tokenMetadata`. A generated image has no usage at
//! all and is billed as one image. Gemini and Claude on Vertex answer as at home, under
//! `generate_content` and `messages`.
//!
//! Source: Google Cloud, "Text embeddings API", "Generate images with Imagen" and "PaLM API: text"
//! (November 2026).

use super::{Bill, Reader, Reading, Told, Word, parse};
use crate::USAGE_BYTES_MAX;
use crate::error::UsageError;
use crate::fields::{Fields, too_large};
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

pub(super) const SOURCES: &[Source] = &[
    row(
        "vertex_ai",
        "predict",
        "predictions[].embeddings.statistics.token_count",
        "input",
    ),
    row(
        "vertex_ai",
        "predict",
        "metadata.tokenMetadata.inputTokenCount.totalTokens",
        "input",
    ),
    row(
        "vertex_ai",
        "predict",
        "metadata.tokenMetadata.outputTokenCount.totalTokens",
        "output",
    ),
    row(
        "vertex_ai",
        "predict",
        "metadata.tokenMetadata.inputTokenCount.totalBillableCharacters",
        "the tokens, counted another way",
    ),
    row(
        "vertex_ai",
        "predict",
        "metadata.tokenMetadata.outputTokenCount.totalBillableCharacters",
        "the tokens, counted another way",
    ),
    row(
        "vertex_ai",
        "predict",
        "metadata.billableCharacterCount",
        "character, where no tokens are stated",
    ),
    row(
        "vertex_ai",
        "predict",
        "predictions[].bytesBase64Encoded",
        "image",
    ),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Predict {
    told: Told,
    statistics: Vec<String>,
    statistics_bytes: usize,
    metadata: Option<String>,
    images: u64,
}

#[derive(Deserialize)]
struct Body<'a> {
    model: Option<Word>,
    #[serde(borrow)]
    predictions: Option<Vec<Prediction<'a>>>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Prediction<'a> {
    #[serde(borrow)]
    embeddings: Option<Embeddings<'a>>,
    #[serde(rename = "bytesBase64Encoded")]
    bytes: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    #[serde(borrow)]
    statistics: Option<&'a RawValue>,
}

impl Reader for Predict {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let body: Body<'_> = parse(text)?;
        self.told.model(body.model);
        self.told.failure(body.error);
        for prediction in body.predictions.unwrap_or_default() {
            if prediction.bytes.is_some() {
                self.images = self.images.saturating_add(1);
            }
            if let Some(raw) = prediction.embeddings.and_then(|e| e.statistics) {
                self.statistics_bytes = self.statistics_bytes.saturating_add(raw.get().len());
                if self.statistics_bytes > USAGE_BYTES_MAX {
                    return Err(too_large());
                }
                self.statistics.push(raw.get().to_owned());
            }
        }
        super::keep(&mut self.metadata, body.metadata)
    }

    fn end(&mut self) {
        self.told.ended = true;
    }

    fn conclude(mut self: Box<Self>, _vendor: &str) -> Result<Reading, UsageError> {
        let mut bill = Bill::default();
        for (index, raw) in self.statistics.iter().enumerate() {
            let path = format!("predictions[{index}].embeddings.statistics");
            let mut statistics = Fields::parse(&path, raw)?;
            if let Some(tokens) = statistics.count("token_count")? {
                bill.pools.stated(Meter::Input, tokens)?;
            }
            statistics.flag("truncated")?;
            statistics.leftovers(&mut bill.unrecognised);
        }
        if let Some(raw) = &self.metadata {
            read_metadata(Fields::parse("metadata", raw)?, &mut bill)?;
        }
        bill.pools.detail(Meter::Image, self.images)?;
        if bill.pools.is_empty() {
            return Err(self.told.no_usage());
        }
        let raw = format!(
            r#"{{"statistics":[{}],"metadata":{},"images":{}}}"#,
            self.statistics.join(","),
            self.metadata.take().unwrap_or_else(|| "null".to_owned()),
            self.images
        );
        Ok(self.told.reading(bill, raw))
    }
}

fn read_metadata(mut metadata: Fields, bill: &mut Bill) -> Result<(), UsageError> {
    if let Some(mut counts) = metadata.object("tokenMetadata")? {
        for (key, meter) in [
            ("inputTokenCount", Meter::Input),
            ("outputTokenCount", Meter::Output),
        ] {
            let Some(mut count) = counts.object(key)? else {
                continue;
            };
            if let Some(tokens) = count.count("totalTokens")? {
                bill.pools.stated(meter, tokens)?;
            }
            count.count("totalBillableCharacters")?;
            count.leftovers(&mut bill.unrecognised);
        }
        counts.leftovers(&mut bill.unrecognised);
    }
    if let Some(characters) = metadata.count("billableCharacterCount")?
        && bill.pools.is_empty()
    {
        bill.pools.detail(Meter::Character, characters)?;
    }
    metadata.leftovers(&mut bill.unrecognised);
    Ok(())
}
