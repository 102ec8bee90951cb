//! Events and facts, written into the guest's memory as they are.
//!
//! wasmtime's own lowering looks the guest's memory up for each field and wants the contract's
//! types first; on the path of every event that was a fifth of the time. Here a record is made in
//! one piece, and what a text or list needs from the guest's allocator is asked for before anything
//! is written, because the memory may move meanwhile. A guest that frees nothing of what it is asked
//! ([`Arguments::OfTheCall`]) is asked for all of it at once: its allocator is a call for each text
//! otherwise. What is rare (attributes, meters by name, a
//! guest whose texts are not UTF-8) goes wasmtime's way.
//!
//! The implementations are unsafe because wasmtime takes their word for sizes and types: those are
//! of the generated bindings ([`super::place`]), by whose types every component was checked.

use super::super::contract::Arguments;
use super::place::{self, BATCH_REQUEST, CALLER, DECIMAL, EVENT, FACTS, POOL, REQUEST, put};
use super::room::{
    ATTRIBUTE_BYTES, POOL_BYTES, Room, bytes_of_caller, bytes_of_event, bytes_of_list,
    texts_of_caller, texts_of_event,
};
use super::{lower, wit};
use crate::service::policy::RateRequest;
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::meter::{Meter, Pool};
use rust_decimal::Decimal;
use std::mem::MaybeUninit;
use wasmtime::component::__internal::wasmtime_environ::component::StringEncoding;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext,
};
use wasmtime::component::{ComponentType, Lower};
use wasmtime::{Result, ValRaw, bail};

/// One event and its facts: the contract's `rate-request`.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What is asked.
    pub request: RateRequest<'a>,
    /// Whether the guest frees it.
    pub arguments: Arguments,
}

/// Callers, by the facts of the first event of each: the contract's `list<caller>`.
#[derive(Clone, Copy)]
pub struct Callers<'a> {
    /// In order.
    pub callers: &'a [&'a Facts],
    /// Whether the guest frees them.
    pub arguments: Arguments,
}

/// The events of a batch: the contract's `list<batch-request>`.
#[derive(Clone, Copy)]
pub struct Requests<'a> {
    /// In order.
    pub requests: &'a [RateRequest<'a>],
    /// How many events each caller has, in order.
    pub of_callers: &'a [usize],
    /// Whether the guest frees them.
    pub arguments: Arguments,
}

const REQUEST_BYTES: usize = <wit::RateRequest<'static> as ComponentType>::SIZE32;
const BATCH_REQUEST_BYTES: usize = <wit::BatchRequest<'static> as ComponentType>::SIZE32;
const CALLER_BYTES: usize = <wit::Caller<'static> as ComponentType>::SIZE32;

/// A type of the generated bindings that another type stands for.
macro_rules! stands_for {
    ($ours:ty, $theirs:ty) => {
        // SAFETY: all is said by the generated type.
        unsafe impl ComponentType for $ours {
            type Lower = <$theirs as ComponentType>::Lower;

            const ABI: CanonicalAbiInfo = <$theirs as ComponentType>::ABI;

            fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
                <$theirs as ComponentType>::typecheck(ty, types)
            }
        }
    };
}

stands_for!(Request<'_>, wit::RateRequest<'static>);
stands_for!(Callers<'_>, [wit::Caller<'static>]);
stands_for!(Requests<'_>, [wit::BatchRequest<'static>]);

// SAFETY: writes the record that the type stands for, into memory.
unsafe impl Lower for Request<'_> {
    fn linear_lower_to_flat<T>(
        &self,
        _: &mut LowerContext<'_, T>,
        _: InterfaceType,
        _: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        // It has more fields than a function may have parameters.
        bail!("a request is passed in memory")
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        let (event, facts) = self.request;
        let types = Types::of_request(cx, ty);
        let bytes = bytes_of_caller(facts).saturating_add(bytes_of_event(event));
        let mut room = Room::of(cx, self.arguments, bytes)?;
        let caller = ReservedCaller::of(cx, &mut room, facts)?;
        let event = ReservedEvent::of(cx, &mut room, types, event)?;
        let memory = cx.as_slice_mut();
        let mut record = [0; REQUEST_BYTES];
        event.write(memory, &mut record, REQUEST.event);
        let at = REQUEST.facts;
        caller.write(memory, &mut record, at.saturating_add(FACTS.caller));
        put_time(&mut record, at.saturating_add(FACTS.occurred_at_ms), facts);
        put_decimal(
            &mut record,
            at.saturating_add(FACTS.month_to_date_usd),
            facts.month_to_date_usd,
        );
        put(memory, offset, record);
        Ok(())
    }
}

/// Lists are parameters of their own: address and length.
macro_rules! lower_list {
    ($ours:ty) => {
        // SAFETY: writes the list that the type stands for, and its address and length.
        unsafe impl Lower for $ours {
            fn linear_lower_to_flat<T>(
                &self,
                cx: &mut LowerContext<'_, T>,
                ty: InterfaceType,
                dst: &mut MaybeUninit<Self::Lower>,
            ) -> Result<()> {
                let (at, len) = self.write(cx, ty)?;
                dst.write([ValRaw::i64(i64::from(at)), ValRaw::i64(i64::from(len))]);
                Ok(())
            }

            fn linear_lower_to_memory<T>(
                &self,
                cx: &mut LowerContext<'_, T>,
                ty: InterfaceType,
                offset: usize,
            ) -> Result<()> {
                let (at, len) = self.write(cx, ty)?;
                put_pair(cx.as_slice_mut(), offset, (at, len));
                Ok(())
            }
        }
    };
}

lower_list!(Callers<'_>);
lower_list!(Requests<'_>);

impl Callers<'_> {
    fn write<T>(self, cx: &mut LowerContext<'_, T>, _: InterfaceType) -> Result<(u32, u32)> {
        let texts = self.callers.iter().map(|facts| bytes_of_caller(facts));
        let bytes = bytes_of_list(CALLER_BYTES, self.callers.len());
        let bytes = texts.fold(bytes, usize::saturating_add);
        let mut room = Room::of(cx, self.arguments, bytes)?;
        let list = reserve_list(cx, &mut room, CALLER_BYTES, 4, self.callers.len())?;
        let mut offset = list.0 as usize;
        for facts in self.callers {
            let caller = ReservedCaller::of(cx, &mut room, facts)?;
            let memory = cx.as_slice_mut();
            let mut record = [0; CALLER_BYTES];
            caller.write(memory, &mut record, 0);
            put(memory, offset, record);
            offset = offset.saturating_add(CALLER_BYTES);
        }
        Ok(list)
    }
}

impl Requests<'_> {
    fn write<T>(self, cx: &mut LowerContext<'_, T>, ty: InterfaceType) -> Result<(u32, u32)> {
        let types = Types::of_batch(cx, ty);
        let events = self.requests.iter().map(|(event, _)| bytes_of_event(event));
        let bytes = bytes_of_list(BATCH_REQUEST_BYTES, self.requests.len());
        let bytes = events.fold(bytes, usize::saturating_add);
        let mut room = Room::of(cx, self.arguments, bytes)?;
        let list = reserve_list(cx, &mut room, BATCH_REQUEST_BYTES, 8, self.requests.len())?;
        let mut offset = list.0 as usize;
        let callers = (0_u32..).zip(self.of_callers);
        let callers = callers.flat_map(|(caller, events)| std::iter::repeat_n(caller, *events));
        for ((event, facts), caller) in self.requests.iter().zip(callers) {
            let event = ReservedEvent::of(cx, &mut room, types, event)?;
            let memory = cx.as_slice_mut();
            let mut record = [0; BATCH_REQUEST_BYTES];
            event.write(memory, &mut record, BATCH_REQUEST.event);
            put(&mut record, BATCH_REQUEST.caller, caller.to_le_bytes());
            put_time(&mut record, BATCH_REQUEST.occurred_at_ms, facts);
            let month_to_date_usd = facts.month_to_date_usd;
            put_decimal(
                &mut record,
                BATCH_REQUEST.month_to_date_usd,
                month_to_date_usd,
            );
            put(memory, offset, record);
            offset = offset.saturating_add(BATCH_REQUEST_BYTES);
        }
        Ok(list)
    }
}

/// What wasmtime's way of lowering pools wants to know.
#[derive(Clone, Copy)]
struct Types {
    event: InterfaceType,
}

impl Types {
    fn of_request<T>(cx: &LowerContext<'_, T>, ty: InterfaceType) -> Self {
        Self {
            event: field(cx, ty, 0),
        }
    }

    fn of_batch<T>(cx: &LowerContext<'_, T>, ty: InterfaceType) -> Self {
        let request = match ty {
            InterfaceType::List(list) => cx.types[list].element,
            other => other,
        };
        Self::of_request(cx, request)
    }

    fn pools<T>(self, cx: &LowerContext<'_, T>) -> InterfaceType {
        field(cx, self.event, 6)
    }
}

/// The type of a field of a record. What is no record was refused when the component was checked.
fn field<T>(cx: &LowerContext<'_, T>, ty: InterfaceType, number: usize) -> InterfaceType {
    match ty {
        InterfaceType::Record(record) => {
            let fields = &cx.types[record].fields;
            fields.get(number).map_or(ty, |field| field.ty)
        }
        other => other,
    }
}

/// Bytes that the guest gave for a text.
#[derive(Clone, Copy)]
struct ReservedText<'a> {
    pair: (u32, u32),
    /// What still has to be copied there.
    text: &'a str,
}

impl<'a> ReservedText<'a> {
    fn of<T>(cx: &mut LowerContext<'_, T>, room: &mut Room, text: &'a str) -> Result<Self> {
        if !matches!(cx.options().string_encoding, StringEncoding::Utf8) {
            return Self::in_other_words(cx, text);
        }
        let len = u32::try_from(text.len())?;
        let at = room.take(cx, 1, text.len())?;
        Ok(Self {
            pair: (at, len),
            text,
        })
    }

    #[cold]
    fn in_other_words<T>(cx: &mut LowerContext<'_, T>, text: &str) -> Result<Self> {
        let pair = lower_pair(cx, text, InterfaceType::String)?;
        Ok(Self { pair, text: "" })
    }

    fn each<T>(
        cx: &mut LowerContext<'_, T>,
        room: &mut Room,
        texts: [Option<&'a str>; 5],
    ) -> Result<[Option<Self>; 5]> {
        let mut reserved = [None; 5];
        for (reserved, text) in reserved.iter_mut().zip(texts) {
            *reserved = text.map(|text| Self::of(cx, room, text)).transpose()?;
        }
        Ok(reserved)
    }

    fn write(self, memory: &mut [u8], record: &mut [u8], at: usize) {
        let (place, _) = self.pair;
        let place = memory.get_mut(place as usize..);
        if let Some(place) = place.and_then(|rest| rest.get_mut(..self.text.len())) {
            place.copy_from_slice(self.text.as_bytes());
        }
        put_pair(record, at, self.pair);
    }

    fn write_maybe(text: Option<Self>, memory: &mut [u8], record: &mut [u8], at: usize) {
        if let Some(text) = text {
            put(record, at, [1]);
            let value = at.saturating_add(place::some::<&str>());
            text.write(memory, record, value);
        }
    }
}

/// The address and length of what wasmtime lowers itself.
fn lower_pair<T, V>(
    cx: &mut LowerContext<'_, T>,
    value: &V,
    ty: InterfaceType,
) -> Result<(u32, u32)>
where
    V: Lower<Lower = [ValRaw; 2]> + ?Sized,
{
    let mut pair = MaybeUninit::uninit();
    value.linear_lower_to_flat(cx, ty, &mut pair)?;
    // SAFETY: lowering that succeeded wrote all of it.
    let [at, len] = unsafe { pair.assume_init() };
    Ok((at.get_u32(), len.get_u32()))
}

/// A caller whose texts have their places.
struct ReservedCaller<'a> {
    facts: &'a Facts,
    texts: [Option<ReservedText<'a>>; 5],
    other: Option<(u32, u32)>,
}

impl<'a> ReservedCaller<'a> {
    fn of<T>(cx: &mut LowerContext<'_, T>, room: &mut Room, facts: &'a Facts) -> Result<Self> {
        let texts = ReservedText::each(cx, room, texts_of_caller(facts))?;
        let other = if facts.other.is_empty() {
            None
        } else {
            Some(reserve_attributes(cx, room, facts)?)
        };
        Ok(Self {
            facts,
            texts,
            other,
        })
    }

    fn write(self, memory: &mut [u8], record: &mut [u8], at: usize) {
        let deployment = match self.facts.deployment {
            Deployment::Hosted => 0,
            Deployment::SelfHosted => 1,
        };
        let key_source = match self.facts.key_source {
            KeySource::Managed => 0,
            KeySource::Own => 1,
        };
        put(record, at.saturating_add(CALLER.deployment), [deployment]);
        put(record, at.saturating_add(CALLER.key_source), [key_source]);
        let places = [
            CALLER.plan,
            CALLER.org,
            CALLER.project,
            CALLER.user,
            CALLER.agent,
        ];
        for (text, place) in self.texts.into_iter().zip(places) {
            ReservedText::write_maybe(text, memory, record, at.saturating_add(place));
        }
        if let Some(other) = self.other {
            put_maybe_pair(record, at.saturating_add(CALLER.other), other);
        }
    }
}

/// Two texts an attribute, each with a place of its own.
#[cold]
fn reserve_attributes<T>(
    cx: &mut LowerContext<'_, T>,
    room: &mut Room,
    facts: &Facts,
) -> Result<(u32, u32)> {
    let list = reserve_list(cx, room, ATTRIBUTE_BYTES, 4, facts.other.len())?;
    let mut offset = list.0 as usize;
    for attribute in &facts.other {
        let name = ReservedText::of(cx, room, &attribute.name)?;
        let value = ReservedText::of(cx, room, &attribute.value)?;
        let memory = cx.as_slice_mut();
        let mut record = [0; ATTRIBUTE_BYTES];
        name.write(memory, &mut record, 0);
        value.write(memory, &mut record, place::PAIR_BYTES);
        put(memory, offset, record);
        offset = offset.saturating_add(ATTRIBUTE_BYTES);
    }
    Ok(list)
}

/// An event whose texts and pools have their places.
struct ReservedEvent<'a> {
    event: &'a UsageEvent,
    provider: ReservedText<'a>,
    texts: [Option<ReservedText<'a>>; 5],
    pools: (u32, u32),
    /// Whether the pools still have to be written.
    are_plain: bool,
}

impl<'a> ReservedEvent<'a> {
    fn of<T>(
        cx: &mut LowerContext<'_, T>,
        room: &mut Room,
        types: Types,
        event: &'a UsageEvent,
    ) -> Result<Self> {
        let provider = ReservedText::of(cx, room, &event.provider)?;
        let texts = ReservedText::each(cx, room, texts_of_event(event))?;
        let are_plain = event.pools.iter().all(is_plain);
        let pools = if are_plain {
            reserve_list(cx, room, POOL_BYTES, 8, event.pools.len())?
        } else {
            lower_pools(cx, types, &event.pools)?
        };
        Ok(Self {
            event,
            provider,
            texts,
            pools,
            are_plain,
        })
    }

    fn write(self, memory: &mut [u8], record: &mut [u8], at: usize) {
        let provider = at.saturating_add(EVENT.provider);
        self.provider.write(memory, record, provider);
        let places = [
            EVENT.model_asked,
            EVENT.model_served,
            EVENT.service_tier,
            EVENT.region,
            EVENT.feature,
        ];
        for (text, place) in self.texts.into_iter().zip(places) {
            ReservedText::write_maybe(text, memory, record, at.saturating_add(place));
        }
        put_pair(record, at.saturating_add(EVENT.pools), self.pools);
        if let Some(cost) = self.event.provider_cost_usd {
            let maybe = at.saturating_add(EVENT.provider_cost_usd);
            put(record, maybe, [1]);
            let value = maybe.saturating_add(place::some::<wit::Decimal>());
            put_decimal(record, value, cost);
        }
        if self.are_plain {
            let (first, _) = self.pools;
            let places = memory.get_mut(first as usize..).unwrap_or_default();
            let places = places.chunks_exact_mut(POOL_BYTES);
            for (place, pool) in places.zip(&self.event.pools) {
                let mut record = [0; POOL_BYTES];
                put(&mut record, POOL.meter, [case_of(&pool.meter)]);
                put_decimal(&mut record, POOL.quantity, pool.quantity.get());
                place.copy_from_slice(&record);
            }
        }
    }
}

/// Whether a pool has no text.
fn is_plain(pool: &Pool) -> bool {
    pool.attributes.is_empty() && !matches!(pool.meter, Meter::Other(_))
}

#[cold]
fn lower_pools<T>(
    cx: &mut LowerContext<'_, T>,
    types: Types,
    pools: &[Pool],
) -> Result<(u32, u32)> {
    let attributes = lower::pool_attributes(pools.iter());
    let pools = lower::pools(pools.iter(), &attributes);
    let ty = types.pools(cx);
    lower_pair(cx, pools.as_slice(), ty)
}

/// The number of a meter among the contract's.
const fn case_of(meter: &Meter) -> u8 {
    match meter {
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
        Meter::Other(_) => 18,
    }
}

/// Room for a list, and its address and length.
fn reserve_list<T>(
    cx: &mut LowerContext<'_, T>,
    room: &mut Room,
    item_bytes: usize,
    align: u32,
    len: usize,
) -> Result<(u32, u32)> {
    let Some(bytes) = len.checked_mul(item_bytes) else {
        bail!("a list is larger than any memory")
    };
    Ok((room.take(cx, align, bytes)?, u32::try_from(len)?))
}

fn put_pair(record: &mut [u8], at: usize, (address, len): (u32, u32)) {
    let pair = u64::from(len) << 32 | u64::from(address);
    put(record, at, pair.to_le_bytes());
}

fn put_maybe_pair(record: &mut [u8], at: usize, pair: (u32, u32)) {
    put(record, at, [1]);
    put_pair(record, at.saturating_add(place::some::<&str>()), pair);
}

fn put_time(record: &mut [u8], at: usize, facts: &Facts) {
    put(record, at, facts.occurred_at_ms.to_le_bytes());
}

fn put_decimal(record: &mut [u8], at: usize, decimal: Decimal) {
    let wit::Decimal {
        negative,
        coefficient_high,
        coefficient_low,
        scale,
    } = lower::decimal(decimal);
    let place = |field: usize| at.saturating_add(field);
    put(record, place(DECIMAL.negative), [u8::from(negative)]);
    put(record, place(DECIMAL.high), coefficient_high.to_le_bytes());
    put(record, place(DECIMAL.low), coefficient_low.to_le_bytes());
    put(record, place(DECIMAL.scale), [scale]);
}
