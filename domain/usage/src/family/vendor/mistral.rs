//! Mistral: audio by the second, beside the tokens.
//!
//! `prompt_audio_seconds` is an empty object where there was no audio. The same object is the usage
//! of Mistral's transcriptions.
//!
//! Source: Mistral AI, "Chat completion" and "Audio transcriptions" API reference (November 2026).

use super::super::Bill;
use crate::error::UsageError;
use crate::fields::Fields;
use crate::source::{Source, row};
use farebox_pricing::meter::Meter;
use rust_decimal::Decimal;

pub(in crate::family) const SOURCES: &[Source] = &[
    row("mistral", "chat", "usage.prompt_audio_seconds", "second"),
    row(
        "mistral",
        "transcriptions",
        "usage.prompt_audio_seconds",
        "second",
    ),
    row("mistral", "transcriptions", "usage.prompt_tokens", "input"),
    row(
        "mistral",
        "transcriptions",
        "usage.completion_tokens",
        "output",
    ),
    row(
        "mistral",
        "transcriptions",
        "usage.total_tokens",
        "checks the sum",
    ),
];

pub(super) fn read(usage: &mut Fields, bill: &mut Bill) -> Result<(), UsageError> {
    if let Some(none) = usage.object_if("prompt_audio_seconds")? {
        return if none.is_empty() {
            Ok(())
        } else {
            Err(UsageError::WrongType {
                path: usage.path_of("prompt_audio_seconds"),
                expected: "a number of seconds",
            })
        };
    }
    match usage.quantity("prompt_audio_seconds")? {
        Some(seconds) if seconds > Decimal::ZERO => {
            bill.pools.add(Meter::Second, seconds, Vec::new())
        }
        _ => Ok(()),
    }
}
