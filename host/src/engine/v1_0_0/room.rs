//! Where what a call is asked is put in a guest's memory: in one block where the guest frees nothing of
//! it, else wherever its allocator says, text by text. How much it takes is counted beforehand; what was
//! counted too low costs a call of the allocator more, and nothing else. Must not know what the bytes say.

use super::super::contract::Arguments;
use super::wit;
use farebox_pricing::event::{Facts, UsageEvent};
use std::ops::Range;
use wasmtime::Result;
use wasmtime::component::__internal::LowerContext;
use wasmtime::component::ComponentType;

/// Bytes of a pool.
pub const POOL_BYTES: usize = <wit::Pool<'static> as ComponentType>::SIZE32;
/// Bytes of an attribute: two texts' addresses and lengths.
pub const ATTRIBUTE_BYTES: usize = <wit::AttributeParam<'static> as ComponentType>::SIZE32;

/// What the guest gave for all that one argument says, where it is the call's.
pub struct Room(Option<Range<usize>>);

impl Room {
    /// Nothing is aligned to more.
    const ALIGN: u32 = 8;

    /// Asks the guest for so many bytes at once, where it frees none of them.
    ///
    /// # Errors
    /// The guest failed, or has no room.
    pub fn of<T>(cx: &mut LowerContext<'_, T>, arguments: Arguments, bytes: usize) -> Result<Self> {
        Ok(Self(match arguments {
            Arguments::Owned => None,
            Arguments::OfTheCall => {
                let begin = cx.realloc(0, 0, Self::ALIGN, bytes)?;
                Some(begin..begin.saturating_add(bytes))
            }
        }))
    }

    /// The address of so many bytes, of the room that is left, or of the guest's allocator.
    ///
    /// # Errors
    /// The guest failed, or has no room.
    pub fn take<T>(
        &mut self,
        cx: &mut LowerContext<'_, T>,
        align: u32,
        bytes: usize,
    ) -> Result<u32> {
        if let Some(left) = &mut self.0 {
            let at = left.start.next_multiple_of(align as usize);
            let end = at.saturating_add(bytes);
            if end <= left.end {
                left.start = end;
                return Ok(u32::try_from(at)?);
            }
        }
        Ok(u32::try_from(cx.realloc(0, 0, align, bytes)?)?)
    }
}

/// Bytes that a list takes, wherever it begins.
pub const fn bytes_of_list(item_bytes: usize, len: usize) -> usize {
    let bytes = len.saturating_mul(item_bytes);
    bytes.saturating_add(Room::ALIGN as usize)
}

/// The texts of a caller, in the contract's order.
pub fn texts_of_caller(facts: &Facts) -> [Option<&str>; 5] {
    let texts = [
        &facts.plan,
        &facts.org,
        &facts.project,
        &facts.user,
        &facts.agent,
    ];
    texts.map(|text| text.as_deref())
}

/// The texts of an event behind its provider, in the contract's order.
pub fn texts_of_event(event: &UsageEvent) -> [Option<&str>; 5] {
    let texts = [
        &event.model_asked,
        &event.model_served,
        &event.service_tier,
        &event.region,
        &event.feature,
    ];
    texts.map(|text| text.as_deref())
}

fn bytes_of_texts(texts: [Option<&str>; 5]) -> usize {
    let bytes = texts.map(|text| text.map_or(0, str::len));
    bytes.into_iter().fold(0, usize::saturating_add)
}

/// Bytes that the texts and lists of a caller take.
pub fn bytes_of_caller(facts: &Facts) -> usize {
    let other = facts.other.iter();
    let other = other.map(|other| other.name.len().saturating_add(other.value.len()));
    other
        .fold(
            bytes_of_texts(texts_of_caller(facts)),
            usize::saturating_add,
        )
        .saturating_add(bytes_of_list(ATTRIBUTE_BYTES, facts.other.len()))
}

/// Bytes that the texts and lists of an event take.
pub fn bytes_of_event(event: &UsageEvent) -> usize {
    bytes_of_texts(texts_of_event(event))
        .saturating_add(event.provider.len())
        .saturating_add(bytes_of_list(POOL_BYTES, event.pools.len()))
}
