//! One line of `farebox rate`'s input. Fields it does not know are passed over, because recorded
//! lines carry notes of their own (`source`); the HTTP API refuses them.

use crate::service::failures::Ending;
use crate::service::intake::{self, Intake, IntakeError, Report};
use crate::wire::{AmountText, PoolsText};
use farebox_pricing::meter::Attribute;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A call as it was recorded, in any of three forms.
#[derive(Debug, Deserialize)]
struct Recorded<'a> {
    #[serde(borrow)]
    provider: Cow<'a, str>,
    #[serde(borrow)]
    api: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    sse: Option<Cow<'a, str>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    usage: Option<PoolsText>,
    provider_cost_usd: Option<AmountText>,
    #[serde(borrow)]
    service_tier: Option<Cow<'a, str>>,
    #[serde(borrow)]
    region: Option<Cow<'a, str>>,
    #[serde(borrow)]
    feature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    occurred_at: Option<Cow<'a, str>>,
    #[serde(default)]
    facts: BTreeMap<String, String>,
    status: Option<u16>,
    #[serde(default)]
    aborted: bool,
    cut_off_bytes: Option<u64>,
}

/// A line, understood.
#[derive(Debug)]
pub struct Call {
    /// What was used.
    pub intake: Intake,
    /// When, in milliseconds since the Unix epoch; absent: now.
    pub occurred_at_ms: Option<i64>,
    /// Further facts, as a host would vouch for them: `used:NAME` of an allowance, `known_at`.
    pub facts: Vec<Attribute>,
}

/// Why a line cannot be priced at all.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not a JSON object with these fields.
    #[error("the line is not a recorded call: {reason}")]
    Malformed {
        /// What the JSON reader says, with the column where it has one.
        reason: String,
    },
    /// Not a time.
    #[error("`occurred_at` is `{text}`: give a time such as 2026-11-21T09:30:00Z")]
    Time {
        /// As given, cut to 64 characters.
        text: String,
    },
    /// The call cannot be understood.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

/// Understands one line.
///
/// # Errors
/// See [`LineError`].
pub fn read(line: &[u8]) -> Result<Call, LineError> {
    let line = Line::parse(line)?;
    let intake = line.with_report(intake::read)?;
    Ok(Call {
        intake,
        occurred_at_ms: line.occurred_at_ms()?,
        facts: line.facts(),
    })
}

/// A line as it is written.
#[derive(Debug)]
pub struct Line<'a>(Recorded<'a>);

impl<'a> Line<'a> {
    /// Reads the fields of one line.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(line: &'a [u8]) -> Result<Self, LineError> {
        // A list would be taken for the fields in their order.
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err(LineError::Malformed {
                reason: "expected a JSON object".to_owned(),
            });
        }
        let recorded = serde_json::from_slice(line);
        recorded.map(Self).map_err(|error| LineError::Malformed {
            reason: error.to_string(),
        })
    }

    /// Hands the report of the call to `read`.
    pub fn with_report<T>(&self, read: impl FnOnce(&Report<'_>) -> T) -> T {
        let recorded = &self.0;
        read(&Report {
            provider: &recorded.provider,
            api: recorded.api.as_deref(),
            model: recorded.model.as_deref(),
            request: recorded.request.map(|request| request.get().as_bytes()),
            response: recorded.response.map(|response| response.get().as_bytes()),
            sse: recorded.sse.as_deref().map(str::as_bytes),
            headers: recorded
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
            usage: recorded.usage.as_ref().map(|usage| usage.iter().collect()),
            provider_cost_usd: recorded.provider_cost_usd.as_ref().map(AmountText::as_str),
            service_tier: recorded.service_tier.as_deref(),
            region: recorded.region.as_deref(),
            feature: recorded.feature.as_deref(),
        })
    }

    /// When the call ran, in milliseconds since the Unix epoch; absent: now.
    ///
    /// # Errors
    /// `Time`.
    pub fn occurred_at_ms(&self) -> Result<Option<i64>, LineError> {
        self.0.occurred_at.as_deref().map(time).transpose()
    }

    /// Further facts, as a host would vouch for them.
    pub fn facts(&self) -> Vec<Attribute> {
        let facts = self.0.facts.iter();
        facts
            .map(|(name, value)| Attribute {
                name: name.as_str().into(),
                value: value.as_str().into(),
            })
            .collect()
    }

    /// How the call ended, as far as the line says so apart from the answer.
    pub const fn ending(&self) -> Ending {
        Ending {
            cut_off_bytes: self.0.cut_off_bytes,
            aborted: self.0.aborted,
            status: self.0.status,
        }
    }
}

fn time(text: &str) -> Result<i64, LineError> {
    text.parse::<Timestamp>()
        .map(Timestamp::as_millisecond)
        .map_err(|_| LineError::Time {
            text: text.chars().take(64).collect(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_no_call_though_its_fields_are_in_order() {
        let fields = r#"["openai",null,"gpt",null,null,null,{"input":1},null,null,null,null,null]"#;
        let error = read(fields.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the line is not a recorded call: expected a JSON object"
        );
    }
}
