//! Groq: timings beside the counts, usage under a name of its own in streams, and compound systems
//! that consult several models.
//!
//! A compound answer's `usage_breakdown` lists the usage of each model; each is billed at its own
//! price, so an answer of two models cannot be one call of one model.
//!
//! Source: Groq, "API reference: chat" and "Compound: pricing" (November 2026).

use super::super::{Word, where_it_fits};
use crate::error::UsageError;
use crate::fields::Fields;
use crate::source::{Source, row};
use serde::Deserialize;
use serde_json::value::RawValue;

pub(in crate::family) const SOURCES: &[Source] = &[
    row(
        "groq",
        "chat",
        "x_groq.usage",
        "usage, where the chunk has none of its own",
    ),
    row(
        "groq",
        "chat",
        "usage.queue_time",
        "a time, billed by nobody",
    ),
    row(
        "groq",
        "chat",
        "usage.prompt_time",
        "a time, billed by nobody",
    ),
    row(
        "groq",
        "chat",
        "usage.completion_time",
        "a time, billed by nobody",
    ),
    row(
        "groq",
        "chat",
        "usage.total_time",
        "a time, billed by nobody",
    ),
];

pub(super) fn read(usage: &mut Fields) -> Result<(), UsageError> {
    for time in ["queue_time", "prompt_time", "completion_time", "total_time"] {
        usage.quantity(time)?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Breakdown {
    models: Vec<OfModel>,
}

#[derive(Deserialize)]
struct OfModel {
    model: Word,
}

/// Refuses an answer of several models.
pub(in crate::family) fn one_model(breakdown: Option<&RawValue>) -> Result<(), UsageError> {
    let Some(Breakdown { models }) = where_it_fits(breakdown) else {
        return Ok(());
    };
    let Some((first, rest)) = models.split_first() else {
        return Ok(());
    };
    if rest.iter().any(|of| of.model.0 != first.model.0) {
        return Err(UsageError::Unsupported {
            path: "usage_breakdown.models".to_owned(),
            reason: "several models answered, each at its own price",
        });
    }
    Ok(())
}
