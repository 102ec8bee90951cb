//! Ollama's own chat, generate and embed: counts at the top of the last object.
//!
//! A stream is one JSON object a line, of which the last says `done` and has the counts. A prompt
//! that Ollama did not evaluate, because its cache still held it, has no `prompt_eval_count`: absent
//! is not zero. Times are in nanoseconds, and nobody bills them. The OpenAI-compatible endpoint of
//! Ollama is a chat.
//!
//! Source: Ollama, "API reference: generate a chat completion" and "Usage" (November 2026).

use super::flat::Flat;
use super::{Bill, Reader, Reading, Told, Word, parse};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) const SOURCES: &[Source] = &[
    row("ollama", "ollama", "prompt_eval_count", "input"),
    row("ollama", "ollama", "eval_count", "output"),
    row(
        "ollama",
        "ollama",
        "total_duration",
        "a time, billed by nobody",
    ),
    row(
        "ollama",
        "ollama",
        "load_duration",
        "a time, billed by nobody",
    ),
    row(
        "ollama",
        "ollama",
        "prompt_eval_duration",
        "a time, billed by nobody",
    ),
    row(
        "ollama",
        "ollama",
        "eval_duration",
        "a time, billed by nobody",
    ),
];

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ollama {
    told: Told,
    counts: Flat,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    model: Option<Word>,
    done: Option<bool>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

fn is_usage(key: &str) -> bool {
    key.ends_with("_count") || key.ends_with("_duration")
}

impl Reader for Ollama {
    fn read(&mut self, text: &str) -> Result<(), UsageError> {
        let chunk: Chunk<'_> = parse(text)?;
        self.told.model(chunk.model);
        self.told.failure(chunk.error);
        self.told.ended |= chunk.done == Some(true);
        self.counts.overlay(text, is_usage)
    }

    fn end(&mut self) {
        self.told.ended = true;
    }

    fn conclude(self: Box<Self>, _vendor: &str) -> Result<Reading, UsageError> {
        let raw = self.counts.into_text();
        let mut counts = Fields::parse("", &raw)?;
        let mut bill = Bill::default();
        if let Some(input) = counts.count("prompt_eval_count")? {
            bill.pools.stated(Meter::Input, input)?;
        }
        if let Some(output) = counts.count("eval_count")? {
            bill.pools.stated(Meter::Output, output)?;
        }
        for time in ["total", "load", "prompt_eval", "eval"] {
            counts.quantity(&format!("{time}_duration"))?;
        }
        counts.leftovers(&mut bill.unrecognised);
        if bill.pools.is_empty() {
            return Err(self.told.no_usage());
        }
        Ok(self.told.reading(bill, raw))
    }
}
