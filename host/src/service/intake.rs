//! How usage is reported: a provider's own answer (JSON or event stream), exclusive pools, or a
//! vouched provider cost. All three become one [`UsageEvent`].
//!
//! The HTTP API and `farebox rate` come through here, so that a call priced offline and the same
//! call charged by the server are the same event. Must not know HTTP, nor what anything costs.

use farebox_pricing::event::UsageEvent;
use farebox_pricing::exact::ArithmeticError;
use farebox_pricing::meter::{Meter, Pool, Quantity, QuantityError};
use farebox_pricing::provider;
use farebox_usage::{ANY_TIER, Finish, NumberError, RequestError, RequestFacts, UsageError};
use rust_decimal::Decimal;

/// Usage as somebody reports it. Exactly one of `response`, `sse`, `usage` and `provider_cost_usd`
/// is the source; a vouched `provider_cost_usd` may stand beside `usage` too.
#[derive(Clone, Debug, Default)]
pub struct Report<'a> {
    /// The provider's id, in any spelling the provider table knows.
    pub provider: &'a str,
    /// The family of the answer (see [`farebox_usage::Api::NAMES`]); absent: detected by shape.
    pub api: Option<&'a str>,
    /// The model asked for.
    pub model: Option<&'a str>,
    /// The request as recorded: `{model, stream, max_output, service_tier, body_bytes}`, JSON.
    pub request: Option<&'a [u8]>,
    /// The provider's JSON answer.
    pub response: Option<&'a [u8]>,
    /// The provider's event stream.
    pub sse: Option<&'a [u8]>,
    /// Headers of that answer, by name: some providers count there.
    pub headers: Vec<(&'a str, &'a str)>,
    /// Exclusive pools: a meter's name, and the source text of a JSON number.
    pub usage: Option<Vec<(&'a str, &'a str)>>,
    /// What the provider says the call cost, in USD: the source text of a number.
    pub provider_cost_usd: Option<&'a str>,
    /// The served tier, where the source does not say.
    pub service_tier: Option<&'a str>,
    /// Where it was served, where the source does not say.
    pub region: Option<&'a str>,
    /// What the call was for.
    pub feature: Option<&'a str>,
}

/// A report, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intake {
    /// What is rated.
    pub event: UsageEvent,
    /// The provider's id of the answer: the same call reported through two doors has it twice.
    pub response_id: Option<Box<str>>,
    /// The provider's usage object as JSON text; absent where none was given.
    pub raw_usage: Option<String>,
    /// Usage fields that were stated and not understood.
    pub unknown_fields: Vec<String>,
    /// Whether the usage is the provider's last word.
    pub finish: Finish,
}

/// Why a report cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// No source at all.
    #[error("nothing to price: give one of `response`, `sse`, `usage` or `provider_cost_usd`")]
    NoSource,
    /// More than one source.
    #[error("`{first}` and `{second}` both say what was used: give one of them")]
    TwoSources {
        /// One source.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// The provider's id is not well formed.
    #[error("`{provider}` is not a provider id: lower-case letters, digits, `_`, `-` and `.`")]
    Provider {
        /// As given, cut to 64 characters.
        provider: String,
    },
    /// Pools were given without a model.
    #[error("`model` is missing: pools are priced by model")]
    NoModel,
    /// Pools were given, but none.
    #[error(
        "`usage` names no pool: give at least one, such as `input`, or `provider_cost_usd` beside it"
    )]
    NoPool,
    /// A pool's name is not well formed.
    #[error("`{meter}` is not the name of a pool: lower-case letters, digits and `_`")]
    Meter {
        /// As given, cut to 64 characters.
        meter: String,
    },
    /// A pool's quantity is refused.
    #[error("pool `{meter}` is `{value}`: {fault}")]
    Quantity {
        /// The pool.
        meter: String,
        /// As given, cut to 64 characters.
        value: String,
        /// What is wrong with it.
        fault: QuantityError,
    },
    /// A number has no exact decimal.
    #[error("`{field}` is `{value}`: {fault}")]
    Number {
        /// The field.
        field: String,
        /// As given, cut to 64 characters.
        value: String,
        /// What is wrong with it.
        fault: NumberError,
    },
    /// The vouched cost is below zero.
    #[error("`{field}` is `{value}`: a cost cannot be negative")]
    NegativeCost {
        /// The field.
        field: String,
        /// As given.
        value: String,
    },
    /// The recorded request cannot be read.
    #[error("the request cannot be read")]
    Request(#[from] RequestError),
    /// The provider's answer cannot be read.
    #[error("the provider's answer cannot be read")]
    Usage(#[from] UsageError),
    /// The costs an answer states cannot be added exactly.
    #[error("the answer's costs cannot be added exactly")]
    Cost(#[from] ArithmeticError),
}

/// Understands a report.
///
/// # Errors
/// See [`IntakeError`].
pub fn read(report: &Report<'_>) -> Result<Intake, IntakeError> {
    let provider = provider::normalise(report.provider).ok_or_else(|| IntakeError::Provider {
        provider: cut(report.provider),
    })?;
    let request = report
        .request
        .map(RequestFacts::from_recorded)
        .transpose()?;
    let model_asked = report.model.or_else(|| {
        request
            .as_ref()
            .and_then(|request| request.model.as_deref())
    });
    let vouched = report
        .provider_cost_usd
        .map(|text| cost("provider_cost_usd", text))
        .transpose()?;
    let mut intake = match only_source(report)? {
        Source::Response(body) => answered(
            farebox_usage::normalise_answer(
                &provider,
                report.api,
                report.headers.iter().copied(),
                body,
            )?,
            model_asked,
        )?,
        Source::Stream(stream) => answered(streamed(&provider, report, stream)?, model_asked)?,
        // Nothing used, stated without a cost, would be charged nothing: that is never meant.
        Source::Pools([]) if vouched.is_none() => return Err(IntakeError::NoPool),
        Source::Pools(pools) => stated(
            &provider,
            Some(model_asked.ok_or(IntakeError::NoModel)?),
            pools,
        )?,
        Source::Cost => stated(&provider, model_asked, &[])?,
    };
    let event = &mut intake.event;
    event.provider_cost_usd = vouched.or(event.provider_cost_usd);
    complete(event, report);
    Ok(intake)
}

fn streamed(
    provider: &str,
    report: &Report<'_>,
    stream: &[u8],
) -> Result<farebox_usage::Normalised, UsageError> {
    let mut events = farebox_usage::Normaliser::new(provider, report.api)?;
    for (name, value) in &report.headers {
        events.header(name, value)?;
    }
    events.feed(stream)?;
    events.finish()
}

/// Takes from the report what the answer does not say: tier, region and feature.
pub(super) fn complete(event: &mut UsageEvent, report: &Report<'_>) {
    event.service_tier = event
        .service_tier
        .take()
        .or_else(|| report.service_tier.map(Into::into))
        .filter(|tier| **tier != *ANY_TIER);
    event.region = event
        .region
        .take()
        .or_else(|| report.region.map(Into::into));
    event.feature = report.feature.map(Into::into);
}

enum Source<'r> {
    Response(&'r [u8]),
    Stream(&'r [u8]),
    Pools(&'r [(&'r str, &'r str)]),
    Cost,
}

fn only_source<'r>(report: &'r Report<'_>) -> Result<Source<'r>, IntakeError> {
    let mut sources = [
        report
            .response
            .map(|body| ("response", Source::Response(body))),
        report.sse.map(|stream| ("sse", Source::Stream(stream))),
        report
            .usage
            .as_deref()
            .map(|pools| ("usage", Source::Pools(pools))),
    ]
    .into_iter()
    .flatten();
    match (sources.next(), sources.next()) {
        (Some((first, _)), Some((second, _))) => Err(IntakeError::TwoSources { first, second }),
        (Some((first @ ("response" | "sse"), _)), None) if report.provider_cost_usd.is_some() => {
            // The provider's own answer may state its cost; a second word on it is one too many.
            Err(IntakeError::TwoSources {
                first,
                second: "provider_cost_usd",
            })
        }
        (Some((_, source)), None) => Ok(source),
        (None, _) if report.provider_cost_usd.is_some() => Ok(Source::Cost),
        (None, _) => Err(IntakeError::NoSource),
    }
}

fn answered(
    normalised: farebox_usage::Normalised,
    model_asked: Option<&str>,
) -> Result<Intake, IntakeError> {
    Ok(Intake {
        event: normalised.to_event(model_asked, None)?,
        response_id: normalised.response_id,
        raw_usage: Some(normalised.raw_usage),
        unknown_fields: normalised
            .unrecognised
            .into_iter()
            .map(|unrecognised| unrecognised.path)
            .collect(),
        finish: normalised.finish,
    })
}

fn stated(
    provider: &str,
    model: Option<&str>,
    pools: &[(&str, &str)],
) -> Result<Intake, IntakeError> {
    Ok(Intake {
        event: UsageEvent {
            provider: provider.into(),
            model_asked: model.map(Into::into),
            model_served: None,
            service_tier: None,
            region: None,
            feature: None,
            pools: self::pools(pools)?,
            provider_cost_usd: None,
        },
        response_id: None,
        raw_usage: None,
        unknown_fields: Vec::new(),
        finish: Finish::Complete,
    })
}

/// Pools by name, in canonical order. A name that stands twice is refused by the JSON reader.
///
/// # Errors
/// `Meter`, `Number` or `Quantity`.
pub fn pools(stated: &[(&str, &str)]) -> Result<Vec<Pool>, IntakeError> {
    let mut pools = stated
        .iter()
        .map(|(name, text)| {
            let meter =
                Meter::from_name(name).ok_or_else(|| IntakeError::Meter { meter: cut(name) })?;
            let quantity = number(name, text)?;
            let quantity =
                Quantity::of(&meter, quantity).map_err(|fault| IntakeError::Quantity {
                    meter: cut(name),
                    value: cut(text),
                    fault,
                })?;
            Ok(Pool::new(meter, quantity))
        })
        .collect::<Result<Vec<_>, IntakeError>>()?;
    pools.sort_by(|a, b| a.meter.cmp(&b.meter));
    Ok(pools)
}

/// A cost in USD that `field` states, exact and not negative.
///
/// # Errors
/// `Number` or `NegativeCost`.
pub fn cost(field: &str, text: &str) -> Result<Decimal, IntakeError> {
    let cost = number(field, text)?;
    if cost.is_sign_negative() && !cost.is_zero() {
        return Err(IntakeError::NegativeCost {
            field: cut(field),
            value: cut(text),
        });
    }
    Ok(cost)
}

fn number(field: &str, text: &str) -> Result<Decimal, IntakeError> {
    farebox_usage::parse_exact(text).map_err(|fault| IntakeError::Number {
        field: cut(field),
        value: cut(text),
        fault,
    })
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools_of(usage: Vec<(&'static str, &'static str)>) -> Result<Intake, IntakeError> {
        read(&Report {
            provider: "OpenAI",
            model: Some("gpt-4o"),
            usage: Some(usage),
            ..Report::default()
        })
    }

    #[test]
    fn pools_come_out_in_canonical_order() {
        let intake = pools_of(vec![("output", "2"), ("input", "1e1"), ("second", "0.5")]).unwrap();
        let stated: Vec<_> = intake
            .event
            .pools
            .iter()
            .map(|pool| format!("{} {}", pool.meter.name(), pool.quantity.get()))
            .collect();
        assert_eq!(stated, ["input 10", "output 2", "second 0.5"]);
        assert_eq!(&*intake.event.provider, "openai");
    }

    #[test]
    fn bad_quantities_name_the_pool_and_the_fault() {
        for (name, text, message) in [
            (
                "input",
                "-1",
                "pool `input` is `-1`: a quantity cannot be negative",
            ),
            (
                "input",
                "1.5",
                "pool `input` is `1.5`: this meter counts whole units",
            ),
            (
                "input",
                "9223372036854775808",
                "pool `input` is `9223372036854775808`: a quantity cannot be above 10^15",
            ),
            (
                "Input",
                "1",
                "`Input` is not the name of a pool: lower-case letters, digits and `_`",
            ),
            (
                "input",
                "1e999999999",
                "`input` is `1e999999999`: the number is out of range",
            ),
        ] {
            assert_eq!(
                pools_of(vec![(name, text)]).unwrap_err().to_string(),
                message
            );
        }
    }

    #[test]
    fn there_is_exactly_one_source() {
        let nothing = Report {
            provider: "apify",
            ..Report::default()
        };
        assert_eq!(read(&nothing), Err(IntakeError::NoSource));
        let two = Report {
            response: Some(b"{}"),
            sse: Some(b""),
            ..nothing.clone()
        };
        assert_eq!(
            read(&two),
            Err(IntakeError::TwoSources {
                first: "response",
                second: "sse"
            })
        );
        let cost = Report {
            provider_cost_usd: Some("0.042"),
            feature: Some("lead_enrichment"),
            ..nothing
        };
        let event = read(&cost).unwrap().event;
        assert_eq!(event.provider_cost_usd, Some(Decimal::new(42, 3)));
        assert_eq!(event.feature.as_deref(), Some("lead_enrichment"));
        assert!(event.pools.is_empty());
    }

    #[test]
    fn a_tier_that_leaves_the_choice_to_the_provider_is_no_tier() {
        let stated = |tier| {
            let report = Report {
                provider: "openai",
                model: Some("gpt-4o"),
                usage: Some(vec![("input", "1")]),
                service_tier: Some(tier),
                ..Report::default()
            };
            read(&report).unwrap().event.service_tier
        };
        assert_eq!(stated("auto"), None);
        assert_eq!(stated("priority").as_deref(), Some("priority"));
    }

    #[test]
    fn pools_that_name_none_are_refused() {
        assert_eq!(pools_of(vec![]), Err(IntakeError::NoPool));
    }

    #[test]
    fn a_vouched_cost_is_exact_and_not_negative() {
        let with = |text| {
            read(&Report {
                provider: "apify",
                provider_cost_usd: Some(text),
                ..Report::default()
            })
        };
        assert_eq!(
            with("-0.1"),
            Err(IntakeError::NegativeCost {
                field: "provider_cost_usd".to_owned(),
                value: "-0.1".to_owned()
            })
        );
        let forty_digits = "0.1234567890123456789012345678901234567890";
        assert!(matches!(
            with(forty_digits),
            Err(IntakeError::Number { .. })
        ));
    }

    #[test]
    fn what_an_answer_counts_in_its_headers_is_read() {
        let counted = [
            ("X-Amzn-Bedrock-Input-Token-Count", "25"),
            ("x-amzn-bedrock-output-token-count", "7"),
            ("x-amzn-requestid", "r-1"),
            ("date", "today"),
        ];
        for stream in [false, true] {
            let answer: &[u8] = br#"{"generations": []}"#;
            let intake = read(&Report {
                provider: "bedrock",
                api: Some("invoke"),
                model: Some("cohere.command-r-v1:0"),
                response: (!stream).then_some(answer),
                sse: stream.then_some(answer),
                headers: counted.to_vec(),
                ..Report::default()
            });
            let intake = intake.unwrap();
            assert_eq!(intake.event.pools.len(), 2);
            assert_eq!(intake.response_id.as_deref(), Some("r-1"));
        }
    }
}
