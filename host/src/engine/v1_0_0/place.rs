//! Where the fields of the contract's records lie in a guest's memory, as constants.
//!
//! Sizes and alignments are those of the generated bindings, which wasmtime checks against every
//! component; only the order of the fields is written here, and it is the contract's.

use super::wit;
use wasmtime::component::__internal::CanonicalAbiInfo;
use wasmtime::component::ComponentType;

/// A text or a list: an address and a length.
pub const PAIR_BYTES: usize = CanonicalAbiInfo::POINTER_PAIR.size32 as usize;

/// The beginning of the value of an `option`, whose first byte says whether there is one.
pub const fn some<T: ComponentType>() -> usize {
    T::ALIGN32 as usize
}

/// The place of the next field, of type `T`; moves `end` behind it.
const fn next<T: ComponentType + ?Sized>(end: &mut usize) -> usize {
    let at = end.next_multiple_of(T::ALIGN32 as usize);
    *end = at.saturating_add(T::SIZE32);
    at
}

type Text<'a> = &'a str;
type MaybeText<'a> = Option<&'a str>;

macro_rules! places {
    ($(#[$doc:meta])* $name:ident: $places:ident = $($field:ident: $ty:ty),+ $(,)?) => {
        $(#[$doc])*
        #[allow(dead_code, reason = "every field has its place, also those that wasmtime lowers")]
        pub struct $places {
            $(pub $field: usize,)+
            /// Bytes before padding.
            pub end: usize,
        }

        $(#[$doc])*
        pub const $name: $places = {
            let mut end = 0;
            $places {
                $($field: next::<$ty>(&mut end),)+
                end,
            }
        };
    };
}

places! {
    /// `decimal`
    DECIMAL: DecimalPlaces = negative: bool, high: u32, low: u64, scale: u8
}
places! {
    /// `pool`
    POOL: PoolPlaces =
        meter: wit::MeterParam<'static>,
        quantity: wit::Decimal,
        attributes: Option<&'static [wit::AttributeParam<'static>]>,
}
places! {
    /// `caller`
    CALLER: CallerPlaces =
        deployment: wit::Deployment,
        key_source: wit::KeySource,
        plan: MaybeText<'static>,
        org: MaybeText<'static>,
        project: MaybeText<'static>,
        user: MaybeText<'static>,
        agent: MaybeText<'static>,
        other: Option<&'static [wit::AttributeParam<'static>]>,
}
places! {
    /// `facts`
    FACTS: FactsPlaces =
        caller: wit::Caller<'static>,
        occurred_at_ms: i64,
        month_to_date_usd: wit::Decimal,
}
places! {
    /// `usage-event`
    EVENT: EventPlaces =
        provider: Text<'static>,
        model_asked: MaybeText<'static>,
        model_served: MaybeText<'static>,
        service_tier: MaybeText<'static>,
        region: MaybeText<'static>,
        feature: MaybeText<'static>,
        pools: &'static [wit::Pool<'static>],
        provider_cost_usd: Option<wit::Decimal>,
}
places! {
    /// `rate-request`
    REQUEST: RequestPlaces = event: wit::UsageEvent<'static>, facts: wit::Facts<'static>
}
places! {
    /// `batch-request`
    BATCH_REQUEST: BatchRequestPlaces =
        event: wit::UsageEvent<'static>,
        caller: u32,
        occurred_at_ms: i64,
        month_to_date_usd: wit::Decimal,
}
places! {
    /// `rating`
    RATING: RatingPlaces =
        model: Option<String>,
        lines: Vec<wit::Line>,
        total_usd: wit::Decimal,
}
places! {
    /// `line`
    LINE: LinePlaces =
        kind: wit::LineKind,
        meter: Option<wit::MeterResult>,
        quantity: wit::Decimal,
        unit_price_usd: wit::Decimal,
        amount_usd: wit::Decimal,
        reason: wit::Reason,
}
places! {
    /// `rate-reason`
    RATE_REASON: RateReasonPlaces =
        model: Option<String>,
        service_tier: Option<String>,
        context_above: Option<u64>,
        fallback: Option<String>,
        conditions: Vec<wit::AttributeResult>,
}

// A record is as long as its fields, up to its alignment: a field that the contract has and this
// file has not does not compile.
macro_rules! whole {
    ($($place:ident => $ty:ty),+ $(,)?) => {
        $(const _: () = assert!(
            $place.end.next_multiple_of(<$ty as ComponentType>::ALIGN32 as usize)
                == <$ty as ComponentType>::SIZE32
        );)+
    };
}
whole! {
    DECIMAL => wit::Decimal,
    POOL => wit::Pool<'static>,
    CALLER => wit::Caller<'static>,
    FACTS => wit::Facts<'static>,
    EVENT => wit::UsageEvent<'static>,
    REQUEST => wit::RateRequest<'static>,
    BATCH_REQUEST => wit::BatchRequest<'static>,
    RATING => wit::Rating,
    LINE => wit::Line,
    RATE_REASON => wit::RateReason,
}

/// Writes a word at its place. Places are constants within the record, so nothing is ever left out.
pub fn put<const N: usize>(record: &mut [u8], at: usize, word: [u8; N]) {
    let place = record.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
    debug_assert!(place.is_some(), "{at} is no place in the record");
    if let Some(place) = place {
        *place = word;
    }
}

/// Reads the word at its place, as [`put`].
pub fn word<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    let place = record.get(at..).and_then(<[u8]>::first_chunk);
    debug_assert!(place.is_some(), "{at} is no place in the record");
    place.copied().unwrap_or([0; N])
}

/// Some bytes of a record: a field.
pub fn part(record: &[u8], at: usize) -> &[u8] {
    record.get(at..).unwrap_or_default()
}
