//! What is answered: plain types → binding types. Total: every plain value has a form.

use super::wit;
use farebox_sdk::pricing::answer::{Line, LineKind, Quote, RateReason, Rating, Reason, Refusal};
use farebox_sdk::pricing::card::{RateCardEntry, RateCardPage, RateCardRate};
use farebox_sdk::pricing::load::Description;
use farebox_sdk::pricing::meter::{Attribute, Meter};
use rust_decimal::Decimal;
use std::sync::Arc;

pub fn rating(rating: Rating) -> wit::Rating {
    let model = model_of(&rating.lines);
    wit::Rating {
        lines: lines(rating.lines, model.as_deref()),
        model: model.map(|model| (*model).to_owned()),
        total_usd: decimal(rating.total_usd),
    }
}

pub fn quote(quote: Quote) -> wit::Quote {
    let model = model_of(&quote.lines);
    wit::Quote {
        lines: lines(quote.lines, model.as_deref()),
        model: model.map(|model| (*model).to_owned()),
        total_usd: decimal(quote.total_usd),
        max_output_tokens: quote.max_output_tokens,
    }
}

pub fn refusal(refusal: Refusal) -> wit::Refusal {
    match refusal {
        Refusal::UnknownModel { provider, model } => {
            wit::Refusal::UnknownModel(wit::UnknownModel {
                provider: provider.into(),
                model: model.into(),
            })
        }
        Refusal::NotPriced { model, meter } => wit::Refusal::NotPriced(wit::NotPriced {
            model: model.into(),
            meter: meter.into(),
        }),
        Refusal::NotAllowed { rule } => wit::Refusal::NotAllowed(rule.into()),
        Refusal::OutOfRange { what } => wit::Refusal::OutOfRange(what.into()),
    }
}

pub fn description(description: Description) -> wit::Description {
    wit::Description {
        name: description.name.into(),
        version: description.version.into(),
        summary: description.summary.into(),
        book_name: text(description.book_name),
        book_as_of: text(description.book_as_of),
    }
}

pub fn rate_card_page(page: RateCardPage) -> wit::RateCardPage {
    wit::RateCardPage {
        entries: page.entries.into_iter().map(rate_card_entry).collect(),
        next: text(page.next),
    }
}

fn rate_card_entry(entry: RateCardEntry) -> wit::RateCardEntry {
    wit::RateCardEntry {
        provider: entry.provider.into(),
        model: entry.model.into(),
        rates: entry.rates.into_iter().map(rate_card_rate).collect(),
    }
}

fn rate_card_rate(rate: RateCardRate) -> wit::RateCardRate {
    wit::RateCardRate {
        meter: meter(rate.meter),
        attributes: attributes(rate.attributes),
        service_tier: text(rate.service_tier),
        region: text(rate.region),
        context_above: rate.context_above,
        unit_price_usd: decimal(rate.unit_price_usd),
        market_usd: decimal(rate.market_usd),
    }
}

/// The model of the first line that has one: the answer's, and nearly always every line's.
fn model_of(lines: &[Line]) -> Option<Arc<str>> {
    lines.iter().find_map(|line| match &line.reason {
        Reason::Rate(rate) => Some(Arc::clone(&rate.model)),
        _ => None,
    })
}

fn lines(lines: Vec<Line>, model: Option<&str>) -> Vec<wit::Line> {
    lines.into_iter().map(|own| line(own, model)).collect()
}

fn line(line: Line, model: Option<&str>) -> wit::Line {
    wit::Line {
        kind: match line.kind {
            LineKind::Usage => wit::LineKind::Usage,
            LineKind::ProviderCost => wit::LineKind::ProviderCost,
            LineKind::Markup => wit::LineKind::Markup,
            LineKind::PlatformFee => wit::LineKind::PlatformFee,
            LineKind::Minimum => wit::LineKind::Minimum,
            LineKind::Discount => wit::LineKind::Discount,
        },
        meter: line.meter.map(meter),
        quantity: decimal(line.quantity),
        unit_price_usd: decimal(line.unit_price_usd),
        amount_usd: decimal(line.amount_usd),
        reason: reason(line.reason, model),
    }
}

fn reason(reason: Reason, model_of_answer: Option<&str>) -> wit::Reason {
    match reason {
        Reason::Rate(RateReason {
            model,
            service_tier,
            context_above,
            fallback,
            conditions,
        }) => wit::Reason::Rate(wit::RateReason {
            model: differs(&model, model_of_answer).then(|| (*model).to_owned()),
            service_tier: text(service_tier),
            context_above,
            fallback: text(fallback),
            conditions: attributes(conditions),
        }),
        Reason::ProviderCost => wit::Reason::ProviderCost,
        Reason::Markup { rule } => wit::Reason::Markup(rule.into()),
        Reason::PlatformFeeFixed => wit::Reason::PlatformFeeFixed,
        Reason::PlatformFeeShare => wit::Reason::PlatformFeeShare,
        Reason::Minimum { rule } => wit::Reason::Minimum(rule.into()),
        Reason::Discount { rule } => wit::Reason::Discount(rule.into()),
        Reason::Custom { code, parameters } => wit::Reason::Custom(wit::CustomReason {
            code: code.into(),
            parameters: attributes(parameters),
        }),
    }
}

/// Whether a line has to say its model. The lines of the standard policy share one text, so that
/// most are told equal by where it lies.
fn differs(model: &str, model_of_answer: Option<&str>) -> bool {
    !model_of_answer.is_some_and(|other| std::ptr::eq(model, other) || *model == *other)
}

fn meter(meter: Meter) -> wit::Meter {
    match meter {
        Meter::Input => wit::Meter::Input,
        Meter::CacheRead => wit::Meter::CacheRead,
        Meter::CacheWrite5m => wit::Meter::CacheWrite5m,
        Meter::CacheWrite1h => wit::Meter::CacheWrite1h,
        Meter::Output => wit::Meter::Output,
        Meter::Reasoning => wit::Meter::Reasoning,
        Meter::InputAudio => wit::Meter::InputAudio,
        Meter::OutputAudio => wit::Meter::OutputAudio,
        Meter::InputImage => wit::Meter::InputImage,
        Meter::OutputImage => wit::Meter::OutputImage,
        Meter::InputVideo => wit::Meter::InputVideo,
        Meter::Request => wit::Meter::Request,
        Meter::Search => wit::Meter::Search,
        Meter::ToolCall => wit::Meter::ToolCall,
        Meter::Second => wit::Meter::Second,
        Meter::Character => wit::Meter::Character,
        Meter::Page => wit::Meter::Page,
        Meter::Image => wit::Meter::Image,
        Meter::Other(name) => wit::Meter::Other(name.into()),
    }
}

fn attributes(attributes: Vec<Attribute>) -> Vec<wit::Attribute> {
    attributes
        .into_iter()
        .map(|attribute| wit::Attribute {
            name: attribute.name.into(),
            value: attribute.value.into(),
        })
        .collect()
}

fn decimal(decimal: Decimal) -> wit::Decimal {
    let parts = decimal.unpack();
    wit::Decimal {
        // Zero has no sign across the border.
        negative: parts.negative && !decimal.is_zero(),
        coefficient_high: parts.hi,
        coefficient_low: u64::from(parts.mid) << 32 | u64::from(parts.lo),
        #[expect(clippy::cast_possible_truncation, reason = "a scale is at most 28")]
        scale: parts.scale as u8,
    }
}

fn text(text: Option<Box<str>>) -> Option<String> {
    text.map(str::into_string)
}
