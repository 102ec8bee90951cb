//! What is known before a call, from the request body as it will be sent, or from a record of it.
//!
//! A limit on output is per choice; a request for several choices can use all of them, so the
//! limit given out is the product. Must not know prices or what a quote does with this.

use crate::api::Api;
use crate::number::parse_exact;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;
use serde_json::Number;

/// A request, as far as its price depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The model asked for; absent where the URL names it (Gemini).
    pub model: Option<Box<str>>,
    /// Whether the answer is asked for as a stream; where the URL says it (Gemini), `false`.
    pub stream: bool,
    /// The most output tokens (reasoning included) that all choices together may use.
    pub max_output_tokens: Option<u64>,
    /// How many answers are asked for.
    pub choices: u64,
    /// The service tier asked for.
    pub service_tier: Option<Box<str>>,
    /// Bytes of the body: an upper bound of its text tokens.
    pub body_bytes: u64,
}

/// Why a request cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not a JSON object, or a field of another type than documented.
    #[error("the request is not the json of a known api (line {line}, column {column})")]
    Malformed {
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
    },
    /// Not a whole number between 0 and 10^15.
    #[error("`{field}` is `{value}`: not a whole number from 0 to 10^15")]
    Count {
        /// The field.
        field: &'static str,
        /// Its JSON text, cut to 64 characters.
        value: String,
    },
}

/// A record of a request: `{model, stream, max_output, service_tier, body_bytes}`.
#[derive(Deserialize)]
struct Recorded {
    model: Option<Box<str>>,
    stream: Option<bool>,
    max_output: Option<Number>,
    service_tier: Option<Box<str>>,
    body_bytes: Option<Number>,
}

/// The fields of every family's request body that matter here.
#[derive(Deserialize)]
struct Body {
    model: Option<Box<str>>,
    stream: Option<bool>,
    service_tier: Option<Box<str>>,
    #[serde(rename = "serviceTier")]
    service_tier_camel: Option<Box<str>>,
    max_tokens: Option<Number>,
    max_completion_tokens: Option<Number>,
    max_output_tokens: Option<Number>,
    n: Option<Number>,
    thinking: Option<Thinking>,
    #[serde(rename = "generationConfig", alias = "generation_config")]
    generation_config: Option<GenerationConfig>,
    #[serde(rename = "inferenceConfig")]
    inference_config: Option<InferenceConfig>,
}

#[derive(Deserialize)]
struct Thinking {
    budget_tokens: Option<Number>,
}

#[derive(Deserialize)]
struct GenerationConfig {
    #[serde(rename = "maxOutputTokens", alias = "max_output_tokens")]
    max_output_tokens: Option<Number>,
    #[serde(rename = "candidateCount", alias = "candidate_count")]
    candidate_count: Option<Number>,
}

#[derive(Deserialize)]
struct InferenceConfig {
    #[serde(rename = "maxTokens")]
    max_tokens: Option<Number>,
    max_new_tokens: Option<Number>,
}

/// The fields that limit a family's output. What another family would read is no limit there: its
/// provider passes over it.
const fn limits_of(api: Api) -> &'static [&'static str] {
    match api {
        Api::Chat => &["max_tokens", "max_completion_tokens"],
        Api::Responses => &["max_output_tokens"],
        Api::Messages | Api::Cohere => &["max_tokens"],
        Api::GenerateContent => &["maxOutputTokens"],
        Api::Converse => &["inferenceConfig.maxTokens"],
        // The body is that of the model's maker.
        Api::Invoke => &[
            "max_tokens",
            "inferenceConfig.maxTokens",
            "inferenceConfig.max_new_tokens",
        ],
        _ => &[],
    }
}

impl RequestFacts {
    /// Reads a request body of any family.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn from_body(body: &[u8]) -> Result<Self, RequestError> {
        Self::from_body_of(None, body)
    }

    /// Reads a request body of this family: only its own fields limit the output. Without a family,
    /// those of all do.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn from_body_of(api: Option<Api>, body: &[u8]) -> Result<Self, RequestError> {
        let parsed: Body = parse(body)?;
        let config = parsed.generation_config.unwrap_or(GenerationConfig {
            max_output_tokens: None,
            candidate_count: None,
        });
        let inference = parsed.inference_config.unwrap_or(InferenceConfig {
            max_tokens: None,
            max_new_tokens: None,
        });
        let limits = [
            ("max_tokens", parsed.max_tokens),
            ("max_completion_tokens", parsed.max_completion_tokens),
            ("max_output_tokens", parsed.max_output_tokens),
            ("maxOutputTokens", config.max_output_tokens),
            ("inferenceConfig.maxTokens", inference.max_tokens),
            ("inferenceConfig.max_new_tokens", inference.max_new_tokens),
        ];
        let mut limit = None;
        for (field, number) in limits {
            let given = count(field, number)?;
            if api.is_none_or(|api| limits_of(api).contains(&field)) {
                limit = limit.max(given);
            }
        }
        // With interleaved thinking, the budget may be above the limit.
        let budget = match parsed.thinking {
            Some(thinking) => count("thinking.budget_tokens", thinking.budget_tokens)?,
            None => None,
        };
        let choices = count("n", parsed.n)?
            .max(count("candidateCount", config.candidate_count)?)
            .unwrap_or(1)
            .max(1);
        Ok(Self {
            model: parsed.model,
            stream: parsed.stream.unwrap_or(false),
            max_output_tokens: limit
                .map(|limit| limit.max(budget.unwrap_or(0)).saturating_mul(choices)),
            choices,
            service_tier: parsed.service_tier.or(parsed.service_tier_camel),
            body_bytes: body.len() as u64,
        })
    }

    /// Reads a record of a request: `{model, stream, max_output, service_tier, body_bytes}`.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn from_recorded(record: &[u8]) -> Result<Self, RequestError> {
        let recorded: Recorded = parse(record)?;
        Ok(Self {
            model: recorded.model,
            stream: recorded.stream.unwrap_or(false),
            max_output_tokens: count("max_output", recorded.max_output)?,
            choices: 1,
            service_tier: recorded.service_tier,
            body_bytes: count("body_bytes", recorded.body_bytes)?.unwrap_or(0),
        })
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, RequestError> {
    serde_json::from_slice(json).map_err(|error| RequestError::Malformed {
        line: error.line() as u64,
        column: error.column() as u64,
    })
}

fn count(field: &'static str, number: Option<Number>) -> Result<Option<u64>, RequestError> {
    let Some(number) = number else {
        return Ok(None);
    };
    parse_exact(number.as_str())
        .ok()
        .filter(|n| n.is_integer() && *n <= Decimal::from(1_000_000_000_000_000_u64))
        .and_then(|n| n.to_u64())
        .map(Some)
        .ok_or_else(|| RequestError::Count {
            field,
            value: number.as_str().chars().take(64).collect(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(body: &str) -> RequestFacts {
        RequestFacts::from_body(body.as_bytes()).unwrap()
    }

    #[test]
    fn the_limit_is_found_under_every_name() {
        for body in [
            r#"{"max_tokens": 64}"#,
            r#"{"max_completion_tokens": 64.0}"#,
            r#"{"max_output_tokens": 6.4e1}"#,
            r#"{"generationConfig": {"maxOutputTokens": 64}}"#,
            r#"{"generation_config": {"max_output_tokens": 64}}"#,
            r#"{"inferenceConfig": {"maxTokens": 64}}"#,
            r#"{"inferenceConfig": {"max_new_tokens": 64}}"#,
            r#"{"max_tokens": 32, "n": 2}"#,
            r#"{"max_tokens": 8, "max_completion_tokens": 64}"#,
            r#"{"max_tokens": 16, "thinking": {"type": "enabled", "budget_tokens": 64}}"#,
            r#"{"generationConfig": {"maxOutputTokens": 16, "candidateCount": 4}}"#,
        ] {
            assert_eq!(facts(body).max_output_tokens, Some(64), "{body}");
        }
        assert_eq!(facts(r#"{"n": 3}"#).max_output_tokens, None);
        assert_eq!(facts(r#"{"n": 3}"#).choices, 3);
    }

    #[test]
    fn only_a_familys_own_fields_limit_it() {
        let body = br#"{"max_tokens": 1, "max_completion_tokens": 2, "max_output_tokens": 3, "generationConfig": {"maxOutputTokens": 4}, "inferenceConfig": {"maxTokens": 5}}"#;
        for (api, expect) in [
            (Api::Chat, Some(2)),
            (Api::Messages, Some(1)),
            (Api::Responses, Some(3)),
            (Api::GenerateContent, Some(4)),
            (Api::Converse, Some(5)),
            (Api::Predict, None),
        ] {
            let facts = RequestFacts::from_body_of(Some(api), body).unwrap();
            assert_eq!(facts.max_output_tokens, expect, "{api:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_read() {
        let body = r#"{"model": "gpt-4o", "stream": true, "service_tier": "flex", "messages": [{"content": "\ud83d"}]}"#;
        assert_eq!(
            facts(body),
            RequestFacts {
                model: Some("gpt-4o".into()),
                stream: true,
                max_output_tokens: None,
                choices: 1,
                service_tier: Some("flex".into()),
                body_bytes: body.len() as u64,
            }
        );
    }

    #[test]
    fn a_record_is_read() {
        let record = br#"{"model": "claude-sonnet-4-0", "stream": false, "max_output": 16000, "body_bytes": 307}"#;
        let facts = RequestFacts::from_recorded(record).unwrap();
        assert_eq!(facts.max_output_tokens, Some(16000));
        assert_eq!(facts.body_bytes, 307);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (body, value) in [
            (r#"{"max_tokens": -1}"#, "-1"),
            (r#"{"max_tokens": 1.5}"#, "1.5"),
            (
                r#"{"max_tokens": 9223372036854775808}"#,
                "9223372036854775808",
            ),
            (
                r#"{"max_tokens": 1e99999999999999999999}"#,
                "1e+99999999999999999999",
            ),
        ] {
            assert_eq!(
                RequestFacts::from_body(body.as_bytes()),
                Err(RequestError::Count {
                    field: "max_tokens",
                    value: value.to_owned()
                }),
            );
        }
        for body in [
            "",
            "[]",
            "7",
            r#"{"max_tokens": "64"}"#,
            r#"{"model": 7}"#,
            "{\"model\": \"\u{0}\"}",
        ] {
            assert!(
                matches!(
                    RequestFacts::from_body(body.as_bytes()),
                    Err(RequestError::Malformed { .. })
                ),
                "{body}"
            );
        }
    }
}
