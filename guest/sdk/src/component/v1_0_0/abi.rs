//! The contract's types as they lie in memory: the canonical ABI's layout, which is C's.
//!
//! One `repr(C)` type for each type of `wit/1.0.0`, in its order of fields and cases; pointers are
//! as wide as the machine's. Reading an argument is then a reference to it, and an answer is
//! written where the host reads it: nothing is copied into types of a binding and dropped again.
//! `tests/tests/contract.rs` compares every size and place with what the WIT says.
//!
//! It must not know what anything means.

use std::mem::MaybeUninit;

/// `string`: UTF-8 that the host has checked.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Text {
    /// The first byte.
    pub at: *const u8,
    /// Bytes.
    pub len: usize,
}

/// `list<T>`.
#[derive(Debug)]
#[repr(C)]
pub struct List<T> {
    /// The first item.
    pub at: *const T,
    /// Items.
    pub len: usize,
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<T> {}

impl<T> List<T> {
    /// No items.
    pub const EMPTY: Self = Self {
        at: std::ptr::dangling(),
        len: 0,
    };

    /// The items.
    ///
    /// # Safety
    /// They are there, and nothing changes them while the answer is used.
    #[inline]
    pub const unsafe fn items<'a>(self) -> &'a [T] {
        // The host gives an empty list whatever address it was given for no bytes.
        if self.len == 0 {
            return &[];
        }
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }
}

/// `option<T>`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Maybe<T: Copy> {
    is_some: u8,
    value: MaybeUninit<T>,
}

impl<T: Copy> Maybe<T> {
    /// Nothing.
    pub const NONE: Self = Self {
        is_some: 0,
        value: MaybeUninit::uninit(),
    };

    /// Something.
    #[inline]
    pub const fn some(value: T) -> Self {
        Self {
            is_some: 1,
            value: MaybeUninit::new(value),
        }
    }

    /// What is there, if anything.
    #[inline]
    pub const fn get(&self) -> Option<&T> {
        if self.is_some == 0 {
            None
        } else {
            // SAFETY: whoever says that a value is there has written it.
            Some(unsafe { self.value.assume_init_ref() })
        }
    }
}

impl<T: Copy> From<Option<T>> for Maybe<T> {
    #[inline]
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::NONE, Self::some)
    }
}

/// `decimal`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Decimal {
    /// `bool`.
    pub negative: u8,
    /// The upper word of the coefficient.
    pub coefficient_high: u32,
    /// The lower two.
    pub coefficient_low: u64,
    /// Decimal places.
    pub scale: u8,
}

/// `attribute`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Attribute {
    pub name: Text,
    pub value: Text,
}

/// `meter`: the number of its case, and the name of the last.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Meter {
    pub case: u8,
    pub other: MaybeUninit<Text>,
}

/// `pool`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Pool {
    pub meter: Meter,
    pub quantity: Decimal,
    pub attributes: Maybe<List<Attribute>>,
}

/// `caller`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Caller {
    pub deployment: u8,
    pub key_source: u8,
    pub plan: Maybe<Text>,
    pub org: Maybe<Text>,
    pub project: Maybe<Text>,
    pub user: Maybe<Text>,
    pub agent: Maybe<Text>,
    pub other: Maybe<List<Attribute>>,
}

/// `facts`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Facts {
    pub caller: Caller,
    pub occurred_at_ms: i64,
    pub month_to_date_usd: Decimal,
}

/// `usage-event`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct UsageEvent {
    pub provider: Text,
    pub model_asked: Maybe<Text>,
    pub model_served: Maybe<Text>,
    pub service_tier: Maybe<Text>,
    pub region: Maybe<Text>,
    pub feature: Maybe<Text>,
    pub pools: List<Pool>,
    pub provider_cost_usd: Maybe<Decimal>,
}

/// `rate-request`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RateRequest {
    pub event: UsageEvent,
    pub facts: Facts,
}

/// `batch-request`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct BatchRequest {
    pub event: UsageEvent,
    pub caller: u32,
    pub occurred_at_ms: i64,
    pub month_to_date_usd: Decimal,
}

/// `quote-request`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct QuoteRequest {
    pub provider: Text,
    pub model: Maybe<Text>,
    pub service_tier: Maybe<Text>,
    pub region: Maybe<Text>,
    pub feature: Maybe<Text>,
    pub body_bytes: u64,
    pub max_output_tokens: Maybe<u64>,
    pub declared: List<Pool>,
    pub provider_cost_max_usd: Maybe<Decimal>,
    pub facts: Facts,
}

/// `rate-card-request`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RateCardRequest {
    pub provider: Maybe<Text>,
    pub model_prefix: Maybe<Text>,
    pub after: Maybe<Text>,
    pub limit: u32,
    pub facts: Facts,
}

/// The arguments of a method that do not fit the machine's own parameters: the policy, then the
/// request.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Arguments<P, R> {
    pub policy: *const P,
    pub request: R,
}

/// `rate-reason`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RateReason {
    pub model: Maybe<Text>,
    pub service_tier: Maybe<Text>,
    pub context_above: Maybe<u64>,
    pub fallback: Maybe<Text>,
    pub conditions: List<Attribute>,
}

/// `custom-reason`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CustomReason {
    pub code: Text,
    pub parameters: List<Attribute>,
}

/// What the cases of `reason` carry.
#[derive(Clone, Copy)]
#[repr(C)]
pub union ReasonOf {
    pub rate: RateReason,
    pub rule: Text,
    pub custom: CustomReason,
    pub nothing: (),
}

/// `reason`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Reason {
    pub case: u8,
    pub of: ReasonOf,
}

/// `line`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Line {
    pub kind: u8,
    pub meter: Maybe<Meter>,
    pub quantity: Decimal,
    pub unit_price_usd: Decimal,
    pub amount_usd: Decimal,
    pub reason: Reason,
}

/// `rating`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Rating {
    pub model: Maybe<Text>,
    pub lines: List<Line>,
    pub total_usd: Decimal,
}

/// `quote`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Quote {
    pub model: Maybe<Text>,
    pub lines: List<Line>,
    pub total_usd: Decimal,
    pub max_output_tokens: Maybe<u64>,
}

/// `refusal`; a case with one text leaves the second unwritten.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Refusal {
    pub case: u8,
    pub first: Text,
    pub second: MaybeUninit<Text>,
}

/// `rate-card-rate`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RateCardRate {
    pub meter: Meter,
    pub attributes: List<Attribute>,
    pub service_tier: Maybe<Text>,
    pub region: Maybe<Text>,
    pub context_above: Maybe<u64>,
    pub unit_price_usd: Decimal,
    pub market_usd: Decimal,
}

/// `rate-card-entry`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RateCardEntry {
    pub provider: Text,
    pub model: Text,
    pub rates: List<RateCardRate>,
}

/// `rate-card-page`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RateCardPage {
    pub entries: List<RateCardEntry>,
    pub next: Maybe<Text>,
}

/// `description`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Description {
    pub name: Text,
    pub version: Text,
    pub summary: Text,
    pub book_name: Maybe<Text>,
    pub book_as_of: Maybe<Text>,
}

/// What the cases of `config-error` carry.
#[derive(Clone, Copy)]
#[repr(C)]
pub union ConfigErrorOf {
    pub what: Text,
    pub version: u32,
}

/// `config-error`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ConfigError {
    pub case: u8,
    pub of: ConfigErrorOf,
}

/// What the two cases of a `result` carry.
#[derive(Clone, Copy)]
#[repr(C)]
pub union OutcomeOf<T: Copy, E: Copy> {
    pub ok: T,
    pub err: E,
}

/// `result<T, E>`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Outcome<T: Copy, E: Copy> {
    pub is_err: u8,
    pub of: OutcomeOf<T, E>,
}

impl<T: Copy, E: Copy> Outcome<T, E> {
    /// An answer.
    #[inline]
    pub const fn ok(ok: T) -> Self {
        Self {
            is_err: 0,
            of: OutcomeOf { ok },
        }
    }

    /// No answer.
    #[inline]
    pub const fn err(err: E) -> Self {
        Self {
            is_err: 1,
            of: OutcomeOf { err },
        }
    }
}
