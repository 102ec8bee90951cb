//! What is answered: plain types → the host's words, where the host reads them.
//!
//! Texts are copied into the memory of the call, so that the plain values are dropped in the call
//! they belong to and each call pays for itself. Total: every plain value has a form.

use super::abi;
use super::memory::CallMemory;
use farebox_pricing::answer::{Line, LineKind, Quote, RateReason, Rating, Reason, Refusal};
use farebox_pricing::card::{RateCardEntry, RateCardPage, RateCardRate};
use farebox_pricing::load::{ConfigError, Description};
use farebox_pricing::meter::{Attribute, Meter};
use rust_decimal::Decimal;
use std::mem::MaybeUninit;

/// An answer or a refusal.
pub type Answer<T> = abi::Outcome<T, abi::Refusal>;

pub fn rating(memory: &mut CallMemory, answer: Result<Rating, Refusal>) -> Answer<abi::Rating> {
    let rating = match answer {
        Ok(rating) => rating,
        Err(refused) => return refusal(memory, &refused),
    };
    let (model, lines) = lines(memory, &rating.lines);
    Answer::ok(abi::Rating {
        model,
        lines,
        total_usd: decimal(rating.total_usd),
    })
}

pub fn quote(memory: &mut CallMemory, answer: Result<Quote, Refusal>) -> Answer<abi::Quote> {
    let quote = match answer {
        Ok(quote) => quote,
        Err(refused) => return refusal(memory, &refused),
    };
    let (model, lines) = lines(memory, &quote.lines);
    Answer::ok(abi::Quote {
        model,
        lines,
        total_usd: decimal(quote.total_usd),
        max_output_tokens: quote.max_output_tokens.into(),
    })
}

#[cold]
fn refusal<T: Copy>(memory: &mut CallMemory, refusal: &Refusal) -> Answer<T> {
    let (case, first, second) = match refusal {
        Refusal::UnknownModel { provider, model } => (0, provider, Some(model)),
        Refusal::NotPriced { model, meter } => (1, model, Some(meter)),
        Refusal::NotAllowed { rule } => (2, rule, None),
        Refusal::OutOfRange { what } => (3, what, None),
    };
    Answer::err(abi::Refusal {
        case,
        first: memory.text(first),
        second: second.map_or(MaybeUninit::uninit(), |second| {
            MaybeUninit::new(memory.text(second))
        }),
    })
}

pub fn config_error(memory: &mut CallMemory, error: &ConfigError) -> abi::ConfigError {
    let (case, of) = match error {
        ConfigError::Malformed { what } => (0, memory.text(what)),
        ConfigError::UnsupportedVersion { version } => {
            let of = abi::ConfigErrorOf { version: *version };
            return abi::ConfigError { case: 1, of };
        }
        ConfigError::Unusable { what } => (2, memory.text(what)),
    };
    let of = abi::ConfigErrorOf { what: of };
    abi::ConfigError { case, of }
}

pub fn description(memory: &mut CallMemory, description: &Description) -> abi::Description {
    abi::Description {
        name: memory.text(&description.name),
        version: memory.text(&description.version),
        summary: memory.text(&description.summary),
        book_name: text(memory, description.book_name.as_deref()),
        book_as_of: text(memory, description.book_as_of.as_deref()),
    }
}

pub fn rate_card_page(
    memory: &mut CallMemory,
    answer: Result<RateCardPage, Refusal>,
) -> Answer<abi::RateCardPage> {
    let page = match answer {
        Ok(page) => page,
        Err(refused) => return refusal(memory, &refused),
    };
    Answer::ok(abi::RateCardPage {
        entries: list(memory, &page.entries, rate_card_entry),
        next: text(memory, page.next.as_deref()),
    })
}

fn rate_card_entry(memory: &mut CallMemory, entry: &RateCardEntry) -> abi::RateCardEntry {
    abi::RateCardEntry {
        provider: memory.text(&entry.provider),
        model: memory.text(&entry.model),
        rates: list(memory, &entry.rates, rate_card_rate),
    }
}

fn rate_card_rate(memory: &mut CallMemory, rate: &RateCardRate) -> abi::RateCardRate {
    abi::RateCardRate {
        meter: meter(memory, &rate.meter),
        attributes: attributes(memory, &rate.attributes),
        service_tier: text(memory, rate.service_tier.as_deref()),
        region: text(memory, rate.region.as_deref()),
        context_above: rate.context_above.into(),
        unit_price_usd: decimal(rate.unit_price_usd),
        market_usd: decimal(rate.market_usd),
    }
}

/// Lines, and the model that each of them is about that names none.
#[inline]
fn lines(memory: &mut CallMemory, lines: &[Line]) -> (abi::Maybe<abi::Text>, abi::List<abi::Line>) {
    // The model of the first line that has one: nearly always every line's.
    let model = lines.iter().find_map(|line| match &line.reason {
        Reason::Rate(rate) => Some(&*rate.model),
        _ => None,
    });
    let listed = list(memory, lines, |memory, own| line(memory, own, model));
    (text(memory, model), listed)
}

#[inline]
fn line(memory: &mut CallMemory, line: &Line, model: Option<&str>) -> abi::Line {
    abi::Line {
        kind: match line.kind {
            LineKind::Usage => 0,
            LineKind::ProviderCost => 1,
            LineKind::Markup => 2,
            LineKind::PlatformFee => 3,
            LineKind::Minimum => 4,
            LineKind::Discount => 5,
        },
        meter: line.meter.as_ref().map(|own| meter(memory, own)).into(),
        quantity: decimal(line.quantity),
        unit_price_usd: decimal(line.unit_price_usd),
        amount_usd: decimal(line.amount_usd),
        reason: reason(memory, &line.reason, model),
    }
}

#[inline]
fn reason(memory: &mut CallMemory, reason: &Reason, model: Option<&str>) -> abi::Reason {
    let mut rule = |case, rule: &str| abi::Reason {
        case,
        of: abi::ReasonOf {
            rule: memory.text(rule),
        },
    };
    let bare = |case| abi::Reason {
        case,
        of: abi::ReasonOf { nothing: () },
    };
    match reason {
        Reason::Rate(rate) => abi::Reason {
            case: 0,
            of: abi::ReasonOf {
                rate: rate_reason(memory, rate, model),
            },
        },
        Reason::ProviderCost => bare(1),
        Reason::Markup { rule: name } => rule(2, name),
        Reason::PlatformFeeFixed => bare(3),
        Reason::PlatformFeeShare => bare(4),
        Reason::Minimum { rule: name } => rule(5, name),
        Reason::Discount { rule: name } => rule(6, name),
        Reason::Custom { code, parameters } => abi::Reason {
            case: 7,
            of: abi::ReasonOf {
                custom: abi::CustomReason {
                    code: memory.text(code),
                    parameters: attributes(memory, parameters),
                },
            },
        },
    }
}

#[inline]
fn rate_reason(memory: &mut CallMemory, rate: &RateReason, model: Option<&str>) -> abi::RateReason {
    let own = Some(&*rate.model).filter(|own| differs(own, model));
    abi::RateReason {
        model: text(memory, own),
        service_tier: text(memory, rate.service_tier.as_deref()),
        context_above: rate.context_above.into(),
        fallback: text(memory, rate.fallback.as_deref()),
        conditions: attributes(memory, &rate.conditions),
    }
}

/// Whether a line has to say its model. The lines of the standard policy share one text, so that
/// most are told equal by where it lies.
#[inline]
fn differs(model: &str, model_of_answer: Option<&str>) -> bool {
    !model_of_answer.is_some_and(|other| std::ptr::eq(model, other) || *model == *other)
}

#[inline]
fn meter(memory: &mut CallMemory, meter: &Meter) -> abi::Meter {
    let case = match meter {
        Meter::Input => 0,
        Meter::CacheRead => 1,
        Meter::CacheWrite5m => 2,
        Meter::CacheWrite1h => 3,
        Meter::Output => 4,
        Meter::Reasoning => 5,
        Meter::InputAudio => 6,
        Meter::OutputAudio => 7,
        Meter::InputImage => 8,
        Meter::OutputImage => 9,
        Meter::InputVideo => 10,
        Meter::Request => 11,
        Meter::Search => 12,
        Meter::ToolCall => 13,
        Meter::Second => 14,
        Meter::Character => 15,
        Meter::Page => 16,
        Meter::Image => 17,
        Meter::Other(name) => {
            return abi::Meter {
                case: 18,
                other: MaybeUninit::new(memory.text(name)),
            };
        }
    };
    abi::Meter {
        case,
        other: MaybeUninit::uninit(),
    }
}

fn attributes(memory: &mut CallMemory, attributes: &[Attribute]) -> abi::List<abi::Attribute> {
    list(memory, attributes, |memory, attribute| abi::Attribute {
        name: memory.text(&attribute.name),
        value: memory.text(&attribute.value),
    })
}

/// A list in the memory of the call.
///
/// Without memory for it the module stops: an answer that is cut would be a wrong one.
#[inline]
pub fn list<P, A>(
    memory: &mut CallMemory,
    items: &[P],
    mut form: impl FnMut(&mut CallMemory, &P) -> A,
) -> abi::List<A> {
    if items.is_empty() {
        return abi::List::EMPTY;
    }
    let room = memory.room_for::<A>(items.len());
    if room.is_null() {
        std::process::abort();
    }
    for (number, item) in items.iter().enumerate() {
        let item = form(memory, item);
        // SAFETY: there is room for as many items as there are.
        unsafe { room.add(number).write(item) };
    }
    abi::List {
        at: room,
        len: items.len(),
    }
}

#[inline]
fn decimal(decimal: Decimal) -> abi::Decimal {
    let parts = decimal.unpack();
    abi::Decimal {
        // Zero has no sign across the border.
        negative: u8::from(parts.negative && !decimal.is_zero()),
        coefficient_high: parts.hi,
        coefficient_low: u64::from(parts.mid) << 32 | u64::from(parts.lo),
        #[expect(clippy::cast_possible_truncation, reason = "a scale is at most 28")]
        scale: parts.scale as u8,
    }
}

#[inline]
fn text(memory: &mut CallMemory, text: Option<&str>) -> abi::Maybe<abi::Text> {
    text.map(|text| memory.text(text)).into()
}
