//! One line of a batch's output file: an answer in an envelope.
//!
//! | provider | the answer | the error |
//! |---|---|---|
//! | OpenAI, Azure, Groq, Mistral, Together, Fireworks | `response.body` | `error`, or the body's |
//! | Anthropic | `result.message` | `result.error`, or a `result.type` other than `succeeded` |
//! | Gemini, Vertex | `response` | `error`, or a `status` that says something |
//! | Bedrock | `modelOutput` | `error` |
//!
//! The answer is told by its shape and read by its own family. It was served as a batch, whatever
//! tier it repeats; and an answer in a file is whole.
//!
//! Source: OpenAI, "Batch API" guide; Anthropic, "Batch processing" and "Retrieve message batch
//! results"; Google, "Batch mode" and "Batch predictions"; Amazon Bedrock, "View the results of a
//! batch inference job" (all November 2026).

use super::{Reader, Reading, Told, failure_kind, parse, reader};
use crate::api::Api;
use crate::error::UsageError;
use crate::source::{Source, row};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

pub(super) const SOURCES: &[Source] = &[
    row(
        "*",
        "batch",
        "response.body",
        "the answer, read by its own family; its tier is `batch`",
    ),
    row("anthropic", "batch", "result.message", "the same"),
    row("google", "batch", "response", "the same"),
    row("bedrock", "batch", "modelOutput", "the same"),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Batch {
    told: Told,
    answer: Option<Box<dyn Reader>>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<Outcome<'a>>,
    #[serde(borrow, rename = "modelOutput")]
    model_output: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    status_code: Option<IgnoredAny>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

impl<'a> Wrapped<'a> {
    /// The answer inside an HTTP response, or the answer itself.
    fn answer(self, response: &'a RawValue) -> Option<&'a RawValue> {
        if self.status_code.is_some() || self.body.is_some() {
            self.body
        } else {
            Some(response)
        }
    }
}

#[derive(Deserialize)]
struct Outcome<'a> {
    r#type: Option<super::Word>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Anthropic's error is an error body inside `error`.
#[derive(Deserialize)]
struct Nested<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Reader for Batch {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let line: Line<'_> = parse(text)?;
        if self.answer.is_some() {
            return Err(UsageError::Unsupported {
                path: "custom_id".to_owned(),
                reason: "each line of a batch is a call of its own",
            });
        }
        self.told.failure(line.error);
        let response = match line.response {
            Some(response) => parse::<Wrapped<'_>>(response.get())?.answer(response),
            None => None,
        };
        let outcome = line.result.and_then(|result| self.outcome(result));
        let answer = response.or(outcome).or(line.model_output);
        let Some(answer) = answer.filter(|answer| answer.get().starts_with('{')) else {
            self.status(line.status);
            return Ok(());
        };
        let api = Api::detect(answer.get()).map_err(|error| UsageError::malformed(&error))?;
        // A batch inside a batch would be read for ever; an error body is read by any family.
        let api = api.filter(|api| *api != Api::Batch).unwrap_or(Api::Chat);
        let mut inside = reader(api);
        inside.read(answer.get())?;
        inside.end();
        self.answer = Some(inside);
        Ok(())
    }

    fn conclude(self: Box<Self>, vendor: &str) -> Result<Reading, UsageError> {
        let Some(answer) = self.answer else {
            return Err(self.told.no_usage());
        };
        let mut reading = match answer.conclude(vendor) {
            Err(UsageError::NoUsage { served }) => {
                return Err(Told {
                    served: *served,
                    ..self.told
                }
                .no_usage());
            }
            concluded => concluded?,
        };
        reading.served.service_tier = Some("batch".into());
        Ok(reading)
    }
}

impl Batch {
    fn outcome<'a>(&mut self, result: Outcome<'a>) -> Option<&'a RawValue> {
        let kind = result.r#type.map(|super::Word(kind)| kind);
        if let Some(error) = result.error {
            let nested: Option<Nested<'_>> = super::where_it_fits(Some(error));
            let inner = nested.and_then(|nested| nested.error).unwrap_or(error);
            self.told.failure = Some(failure_kind(inner.get()));
        } else if let Some(kind) = kind
            && &*kind != "succeeded"
        {
            self.told.failure = Some(kind.into());
        }
        result.message
    }

    /// Vertex says what went wrong in a status that is empty otherwise. Its text may repeat content.
    fn status(&mut self, status: Option<&RawValue>) {
        if status.is_some_and(|status| !matches!(status.get(), "\"\"" | "{}")) {
            self.told.failure.get_or_insert_with(|| "failed".to_owned());
        }
    }
}
