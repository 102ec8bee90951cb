//! What is asked: the host's words in place → plain types, validated.
//!
//! The plain types own their texts, and here they only seem to: each is the text where the host
//! put it. They are never dropped, which is what [`ManuallyDrop`] says, so nobody gives back what
//! is not theirs; [`super::memory`] does, at the end of the call.
//!
//! Every function is unsafe for the same reason: the request is one that the host wrote for this
//! call, and what is returned is not used after it.

use super::abi;
use super::memory::CallMemory;
use farebox_pricing::answer::Refusal;
use farebox_pricing::card::RateCardRequest;
use farebox_pricing::event::{Deployment, Facts, KeySource, QuoteRequest, UsageEvent};
use farebox_pricing::meter::{Attribute, Meter, Pool, Quantity};
use rust_decimal::Decimal;
use std::mem::ManuallyDrop;
use std::ptr;

/// What the host asks for is never dropped.
type Asked<T> = Result<ManuallyDrop<T>, Refusal>;

pub unsafe fn quote_request(
    memory: &mut CallMemory,
    request: &abi::QuoteRequest,
) -> Asked<(QuoteRequest, Facts)> {
    // What may be refused comes first: a text that was taken must not be dropped on the way out.
    let provider_cost_max_usd = decimal_if_any(&request.provider_cost_max_usd)?;
    // SAFETY: as the caller promises.
    unsafe {
        let declared = pools(memory, request.declared)?;
        let plain = QuoteRequest {
            provider: text(request.provider),
            model: maybe(&request.model),
            service_tier: maybe(&request.service_tier),
            region: maybe(&request.region),
            feature: maybe(&request.feature),
            body_bytes: request.body_bytes,
            max_output_tokens: request.max_output_tokens.get().copied(),
            declared: ManuallyDrop::into_inner(declared),
            provider_cost_max_usd,
        };
        let plain = ManuallyDrop::new(plain);
        let facts = facts(memory, &request.facts)?;
        Ok(both(plain, facts))
    }
}

pub unsafe fn rate_card_request(
    memory: &mut CallMemory,
    request: &abi::RateCardRequest,
) -> Asked<(RateCardRequest, Facts)> {
    // SAFETY: as the caller promises.
    unsafe {
        let plain = ManuallyDrop::new(RateCardRequest {
            provider: maybe(&request.provider),
            model_prefix: maybe(&request.model_prefix),
            after: maybe(&request.after),
            limit: request.limit,
        });
        let facts = facts(memory, &request.facts)?;
        Ok(both(plain, facts))
    }
}

#[inline]
pub unsafe fn event(memory: &mut CallMemory, event: &abi::UsageEvent) -> Asked<UsageEvent> {
    let provider_cost_usd = decimal_if_any(&event.provider_cost_usd)?;
    // SAFETY: as the caller promises.
    unsafe {
        let pools = pools(memory, event.pools)?;
        Ok(ManuallyDrop::new(UsageEvent {
            provider: text(event.provider),
            model_asked: maybe(&event.model_asked),
            model_served: maybe(&event.model_served),
            service_tier: maybe(&event.service_tier),
            region: maybe(&event.region),
            feature: maybe(&event.feature),
            pools: ManuallyDrop::into_inner(pools),
            provider_cost_usd,
        }))
    }
}

#[inline]
pub unsafe fn facts(memory: &mut CallMemory, facts: &abi::Facts) -> Asked<Facts> {
    let month_to_date_usd = decimal(facts.month_to_date_usd)?;
    // SAFETY: as the caller promises.
    let mut plain = unsafe { caller(memory, &facts.caller)? };
    plain.occurred_at_ms = facts.occurred_at_ms;
    plain.month_to_date_usd = month_to_date_usd;
    Ok(plain)
}

/// The facts of a caller at no time in particular.
pub unsafe fn caller(memory: &mut CallMemory, caller: &abi::Caller) -> Asked<Facts> {
    // SAFETY: as the caller promises.
    unsafe {
        let other = match caller.other.get() {
            Some(other) => attributes(memory, *other)?,
            None => ManuallyDrop::new(Vec::new()),
        };
        Ok(ManuallyDrop::new(Facts {
            deployment: match caller.deployment {
                0 => Deployment::Hosted,
                _ => Deployment::SelfHosted,
            },
            key_source: match caller.key_source {
                0 => KeySource::Managed,
                _ => KeySource::Own,
            },
            occurred_at_ms: 0,
            plan: maybe(&caller.plan),
            org: maybe(&caller.org),
            project: maybe(&caller.project),
            user: maybe(&caller.user),
            agent: maybe(&caller.agent),
            month_to_date_usd: Decimal::ZERO,
            other: ManuallyDrop::into_inner(other),
        }))
    }
}

/// The facts of a request: those of its caller, brought to its time.
#[inline]
pub fn facts_of<'f>(
    request: &abi::BatchRequest,
    callers: &'f mut [ManuallyDrop<Facts>],
) -> Result<&'f Facts, Refusal> {
    let month_to_date_usd = decimal(request.month_to_date_usd)?;
    let facts = usize::try_from(request.caller)
        .ok()
        .and_then(|number| callers.get_mut(number))
        .ok_or_else(|| out_of_range("the caller of a request"))?;
    facts.occurred_at_ms = request.occurred_at_ms;
    facts.month_to_date_usd = month_to_date_usd;
    Ok(facts)
}

#[inline]
unsafe fn pools(memory: &mut CallMemory, pools: abi::List<abi::Pool>) -> Asked<Vec<Pool>> {
    // SAFETY: as the caller promises; each item is written before the list is made.
    unsafe {
        list(memory, pools, |memory, pool| {
            let meter = meter(&pool.meter)?;
            let quantity = Quantity::of(&meter, decimal(pool.quantity)?)
                .map_err(|error| out_of_range(&error.to_string()))?;
            let attributes = match pool.attributes.get() {
                Some(own) => attributes(memory, *own)?,
                None => ManuallyDrop::new(Vec::new()),
            };
            Ok(Pool {
                meter: ManuallyDrop::into_inner(meter),
                quantity,
                attributes: ManuallyDrop::into_inner(attributes),
            })
        })
    }
}

unsafe fn attributes(
    memory: &mut CallMemory,
    attributes: abi::List<abi::Attribute>,
) -> Asked<Vec<Attribute>> {
    // SAFETY: as the caller promises.
    unsafe {
        list(memory, attributes, |_, attribute| {
            Ok(Attribute {
                name: text(attribute.name),
                value: text(attribute.value),
            })
        })
    }
}

/// A list of plain items in the memory of the call.
#[inline]
unsafe fn list<A, T>(
    memory: &mut CallMemory,
    items: abi::List<A>,
    mut plain: impl FnMut(&mut CallMemory, &A) -> Result<T, Refusal>,
) -> Asked<Vec<T>> {
    if items.len == 0 {
        return Ok(ManuallyDrop::new(Vec::new()));
    }
    let room = memory.room_for::<T>(items.len);
    if room.is_null() {
        return Err(out_of_range("a list larger than the memory"));
    }
    // SAFETY: as the caller promises.
    for (number, item) in unsafe { items.items() }.iter().enumerate() {
        let item = plain(memory, item)?;
        // SAFETY: there is room for as many items as are asked for.
        unsafe { room.add(number).write(item) };
    }
    // SAFETY: every item is written, and a list that is never dropped nor changed asks nothing of
    // the allocator.
    Ok(ManuallyDrop::new(unsafe {
        Vec::from_raw_parts(room, items.len, items.len)
    }))
}

#[inline]
unsafe fn meter(meter: &abi::Meter) -> Asked<Meter> {
    let plain = match meter.case {
        0 => Meter::Input,
        1 => Meter::CacheRead,
        2 => Meter::CacheWrite5m,
        3 => Meter::CacheWrite1h,
        4 => Meter::Output,
        5 => Meter::Reasoning,
        6 => Meter::InputAudio,
        7 => Meter::OutputAudio,
        8 => Meter::InputImage,
        9 => Meter::OutputImage,
        10 => Meter::InputVideo,
        11 => Meter::Request,
        12 => Meter::Search,
        13 => Meter::ToolCall,
        14 => Meter::Second,
        15 => Meter::Character,
        16 => Meter::Page,
        17 => Meter::Image,
        // SAFETY: the last case has a name; the rest is as the caller promises.
        _ => return unsafe { other_meter(text(meter.other.assume_init())) },
    };
    Ok(ManuallyDrop::new(plain))
}

/// A known meter under `other` is that meter.
#[cold]
fn other_meter(name: Box<str>) -> Asked<Meter> {
    let name = ManuallyDrop::new(name);
    match Meter::from_name(&name) {
        Some(Meter::Other(_)) => Ok(ManuallyDrop::new(Meter::Other(ManuallyDrop::into_inner(
            name,
        )))),
        Some(known) => Ok(ManuallyDrop::new(known)),
        None => Err(out_of_range("the name of a meter")),
    }
}

fn decimal_if_any(maybe: &abi::Maybe<abi::Decimal>) -> Result<Option<Decimal>, Refusal> {
    maybe.get().map(|own| decimal(*own)).transpose()
}

/// The decimal of a coefficient and a scale, where there is one: the scale is at most 28.
#[inline]
fn decimal(decimal: abi::Decimal) -> Result<Decimal, Refusal> {
    if decimal.scale > 28 {
        return Err(out_of_range("a decimal of more than 28 places"));
    }
    // Three 32-bit words of the coefficient.
    #[expect(clippy::cast_possible_truncation, reason = "each takes one word")]
    let (low, middle) = (
        decimal.coefficient_low as u32,
        (decimal.coefficient_low >> 32) as u32,
    );
    Ok(Decimal::from_parts(
        low,
        middle,
        decimal.coefficient_high,
        decimal.negative != 0,
        u32::from(decimal.scale),
    ))
}

#[inline]
unsafe fn maybe(text: &abi::Maybe<abi::Text>) -> Option<Box<str>> {
    // SAFETY: as the caller promises.
    text.get().map(|own| unsafe { self::text(*own) })
}

/// A text where it lies.
#[inline]
unsafe fn text(text: abi::Text) -> Box<str> {
    if text.len == 0 {
        return Box::default();
    }
    let bytes = ptr::slice_from_raw_parts_mut(text.at.cast_mut(), text.len);
    // SAFETY: the host checked that it is UTF-8, wrote it for this call, and never looks at it
    // again, so it is ours alone; what it is put into is never dropped.
    unsafe { Box::from_raw(bytes as *mut str) }
}

fn both<A, B>(a: ManuallyDrop<A>, b: ManuallyDrop<B>) -> ManuallyDrop<(A, B)> {
    ManuallyDrop::new((ManuallyDrop::into_inner(a), ManuallyDrop::into_inner(b)))
}

#[cold]
fn out_of_range(what: &str) -> Refusal {
    Refusal::OutOfRange { what: what.into() }
}
