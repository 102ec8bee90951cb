//! The contract's types as the domain's. What has the contract's types but is none of its values
//! (a scale of 200, unsorted attributes) is [`Malformed`].

use super::super::instance::Malformed;
use super::wit;
use farebox_pricing::answer::{Line, LineKind, Quote, RateReason, Reason, Refusal};
use farebox_pricing::card::{RateCardEntry, RateCardPage, RateCardRate};
use farebox_pricing::load::{ConfigError, Description};
use farebox_pricing::meter::{Attribute, Meter};
use rust_decimal::Decimal;
use std::sync::Arc;

/// An answer or a refusal.
pub fn answer<W, T>(
    answer: Result<W, wit::Refusal>,
    lift: impl FnOnce(W) -> Result<T, Malformed>,
) -> Result<Result<T, Refusal>, Malformed> {
    match answer {
        Ok(answer) => lift(answer).map(Ok),
        Err(refused) => Ok(Err(refusal(refused))),
    }
}

pub fn decimal(decimal: wit::Decimal) -> Result<Decimal, Malformed> {
    let wit::Decimal {
        negative,
        coefficient_high,
        coefficient_low,
        scale,
    } = decimal;
    if scale > 28 {
        return Err(Malformed::Scale(scale));
    }
    if negative && coefficient_high == 0 && coefficient_low == 0 {
        return Err(Malformed::MinusZero);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of a 64-bit integer"
    )]
    let (low, middle) = (coefficient_low as u32, (coefficient_low >> 32) as u32);
    Ok(Decimal::from_parts(
        low,
        middle,
        coefficient_high,
        negative,
        u32::from(scale),
    ))
}

fn attributes(attributes: Vec<wit::AttributeResult>) -> Result<Vec<Attribute>, Malformed> {
    if !attributes.is_sorted_by(|a, b| a.name < b.name) {
        return Err(Malformed::Attributes);
    }
    Ok(attributes
        .into_iter()
        .map(|attribute| Attribute {
            name: attribute.name.into(),
            value: attribute.value.into(),
        })
        .collect())
}

fn meter(meter: wit::MeterResult) -> Result<Meter, Malformed> {
    Ok(match meter {
        wit::MeterResult::Input => Meter::Input,
        wit::MeterResult::CacheRead => Meter::CacheRead,
        wit::MeterResult::CacheWrite5m => Meter::CacheWrite5m,
        wit::MeterResult::CacheWrite1h => Meter::CacheWrite1h,
        wit::MeterResult::Output => Meter::Output,
        wit::MeterResult::Reasoning => Meter::Reasoning,
        wit::MeterResult::InputAudio => Meter::InputAudio,
        wit::MeterResult::OutputAudio => Meter::OutputAudio,
        wit::MeterResult::InputImage => Meter::InputImage,
        wit::MeterResult::OutputImage => Meter::OutputImage,
        wit::MeterResult::InputVideo => Meter::InputVideo,
        wit::MeterResult::Request => Meter::Request,
        wit::MeterResult::Search => Meter::Search,
        wit::MeterResult::ToolCall => Meter::ToolCall,
        wit::MeterResult::Second => Meter::Second,
        wit::MeterResult::Character => Meter::Character,
        wit::MeterResult::Page => Meter::Page,
        wit::MeterResult::Image => Meter::Image,
        wit::MeterResult::Other(name) => return other_meter(&name),
    })
}

/// A known meter under `other` would be a second name for it.
pub fn other_meter(name: &str) -> Result<Meter, Malformed> {
    match Meter::from_name(name) {
        Some(other @ Meter::Other(_)) => Ok(other),
        _ => Err(Malformed::Meter(name.chars().take(64).collect())),
    }
}

fn reason(reason: wit::Reason, model: Option<&Arc<str>>) -> Result<Reason, Malformed> {
    Ok(match reason {
        wit::Reason::Rate(rate) => Reason::Rate(RateReason {
            model: match rate.model {
                Some(own) => own.into(),
                None => model.cloned().ok_or(Malformed::NoModel)?,
            },
            service_tier: rate.service_tier.map(Into::into),
            context_above: rate.context_above,
            fallback: rate.fallback.map(Into::into),
            conditions: attributes(rate.conditions)?,
        }),
        wit::Reason::ProviderCost => Reason::ProviderCost,
        wit::Reason::Markup(rule) => Reason::Markup { rule: rule.into() },
        wit::Reason::PlatformFeeFixed => Reason::PlatformFeeFixed,
        wit::Reason::PlatformFeeShare => Reason::PlatformFeeShare,
        wit::Reason::Minimum(rule) => Reason::Minimum { rule: rule.into() },
        wit::Reason::Discount(rule) => Reason::Discount { rule: rule.into() },
        wit::Reason::Custom(custom) => Reason::Custom {
            code: custom.code.into(),
            parameters: attributes(custom.parameters)?,
        },
    })
}

fn line(line: wit::Line, model: Option<&Arc<str>>) -> Result<Line, Malformed> {
    Ok(Line {
        kind: match line.kind {
            wit::LineKind::Usage => LineKind::Usage,
            wit::LineKind::ProviderCost => LineKind::ProviderCost,
            wit::LineKind::Markup => LineKind::Markup,
            wit::LineKind::PlatformFee => LineKind::PlatformFee,
            wit::LineKind::Minimum => LineKind::Minimum,
            wit::LineKind::Discount => LineKind::Discount,
        },
        meter: line.meter.map(meter).transpose()?,
        quantity: decimal(line.quantity)?,
        unit_price_usd: decimal(line.unit_price_usd)?,
        amount_usd: decimal(line.amount_usd)?,
        reason: reason(line.reason, model)?,
    })
}

/// Lines; those that name no model share the answer's.
fn lines(lines: Vec<wit::Line>, model: Option<String>) -> Result<Vec<Line>, Malformed> {
    let model: Option<Arc<str>> = model.map(Into::into);
    lines
        .into_iter()
        .map(|own| line(own, model.as_ref()))
        .collect()
}

/// The answer to `quote`.
pub fn quote(quote: wit::Quote) -> Result<Quote, Malformed> {
    Ok(Quote {
        lines: lines(quote.lines, quote.model)?,
        total_usd: decimal(quote.total_usd)?,
        max_output_tokens: quote.max_output_tokens,
    })
}

pub fn refusal(refusal: wit::Refusal) -> Refusal {
    match refusal {
        wit::Refusal::UnknownModel(unknown) => Refusal::UnknownModel {
            provider: unknown.provider.into(),
            model: unknown.model.into(),
        },
        wit::Refusal::NotPriced(missing) => Refusal::NotPriced {
            model: missing.model.into(),
            meter: missing.meter.into(),
        },
        wit::Refusal::NotAllowed(rule) => Refusal::NotAllowed { rule: rule.into() },
        wit::Refusal::OutOfRange(what) => Refusal::OutOfRange { what: what.into() },
    }
}

fn rate_card_rate(rate: wit::RateCardRate) -> Result<RateCardRate, Malformed> {
    Ok(RateCardRate {
        meter: meter(rate.meter)?,
        attributes: attributes(rate.attributes)?,
        service_tier: rate.service_tier.map(Into::into),
        region: rate.region.map(Into::into),
        context_above: rate.context_above,
        unit_price_usd: decimal(rate.unit_price_usd)?,
        market_usd: decimal(rate.market_usd)?,
    })
}

/// The answer to `rate-card`.
pub fn rate_card_page(page: wit::RateCardPage) -> Result<RateCardPage, Malformed> {
    let entries = page.entries.into_iter().map(|entry| {
        Ok(RateCardEntry {
            provider: entry.provider.into(),
            model: entry.model.into(),
            rates: entry
                .rates
                .into_iter()
                .map(rate_card_rate)
                .collect::<Result<_, _>>()?,
        })
    });
    Ok(RateCardPage {
        entries: entries.collect::<Result<_, _>>()?,
        next: page.next.map(Into::into),
    })
}

/// The answer to `describe`.
pub fn description(description: wit::Description) -> Description {
    Description {
        name: description.name.into(),
        version: description.version.into(),
        summary: description.summary.into(),
        book_name: description.book_name.map(Into::into),
        book_as_of: description.book_as_of.map(Into::into),
    }
}

/// Why a book is not taken.
pub fn config_error(error: wit::ConfigError) -> ConfigError {
    match error {
        wit::ConfigError::Malformed(what) => ConfigError::Malformed { what: what.into() },
        wit::ConfigError::UnsupportedVersion(version) => {
            ConfigError::UnsupportedVersion { version }
        }
        wit::ConfigError::Unusable(what) => ConfigError::Unusable { what: what.into() },
    }
}
