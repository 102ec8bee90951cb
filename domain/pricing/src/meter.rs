//! Meters and pools: what is counted, and how much of it.
//!
//! Pools are **exclusive**: a token stands in exactly one. `cache_read` tokens are not also
//! `input`, `reasoning` tokens are not also `output`. Absent is not zero.

use crate::exact;
use rust_decimal::Decimal;

/// What is counted. The name is the same in books, usage objects, lines and the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    missing_docs,
    reason = "each is described by its name and in the WIT contract"
)]
pub enum Meter {
    Input,
    CacheRead,
    CacheWrite5m,
    CacheWrite1h,
    Output,
    Reasoning,
    InputAudio,
    OutputAudio,
    InputImage,
    OutputImage,
    InputVideo,
    Request,
    Search,
    ToolCall,
    Second,
    Character,
    Page,
    Image,
    /// A meter this version has no name for: `[a-z][a-z0-9_]{0,63}`.
    Other(Box<str>),
}

impl Meter {
    /// Every named meter, in canonical order.
    pub const NAMED: [Self; 18] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::Output,
        Self::Reasoning,
        Self::InputAudio,
        Self::OutputAudio,
        Self::InputImage,
        Self::OutputImage,
        Self::InputVideo,
        Self::Request,
        Self::Search,
        Self::ToolCall,
        Self::Second,
        Self::Character,
        Self::Page,
        Self::Image,
    ];

    /// The name in snake case.
    pub fn name(&self) -> &str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::InputAudio => "input_audio",
            Self::OutputAudio => "output_audio",
            Self::InputImage => "input_image",
            Self::OutputImage => "output_image",
            Self::InputVideo => "input_video",
            Self::Request => "request",
            Self::Search => "search",
            Self::ToolCall => "tool_call",
            Self::Second => "second",
            Self::Character => "character",
            Self::Page => "page",
            Self::Image => "image",
            Self::Other(name) => name,
        }
    }

    /// The meter with this name: a named one, or [`Meter::Other`] for any other well-formed name.
    pub fn from_name(name: &str) -> Option<Self> {
        if let Some(named) = Self::NAMED.iter().find(|meter| meter.name() == name) {
            return Some(named.clone());
        }
        let mut bytes = name.bytes();
        let well_formed = name.len() <= 64
            && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        well_formed.then(|| Self::Other(name.into()))
    }

    /// Whether this is `other`: as `==`, in fewer steps for the named.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && match (self, other) {
                (Self::Other(a), Self::Other(b)) => a == b,
                _ => true,
            }
    }

    /// Whether the meter counts tokens or other things that only exist whole.
    /// Seconds and meters without a name of their own may be fractional.
    pub const fn is_whole(&self) -> bool {
        !matches!(self, Self::Second | Self::Other(_))
    }

    /// Whether the meter counts tokens of the prompt: their sum decides the context tier.
    pub const fn is_prompt_tokens(&self) -> bool {
        matches!(
            self,
            Self::Input
                | Self::CacheRead
                | Self::CacheWrite5m
                | Self::CacheWrite1h
                | Self::InputAudio
                | Self::InputImage
                | Self::InputVideo
        )
    }

    /// Whether the meter counts tokens, of the prompt or of the answer: prices of these are
    /// written per million.
    pub const fn is_tokens(&self) -> bool {
        self.is_prompt_tokens()
            || matches!(
                self,
                Self::Output | Self::Reasoning | Self::OutputAudio | Self::OutputImage
            )
    }
}

/// Why a quantity is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Below zero.
    #[error("a quantity cannot be negative")]
    Negative,
    /// Above [`Quantity::MAX`].
    #[error("a quantity cannot be above 10^15")]
    TooLarge,
    /// More than nine decimal places.
    #[error("a quantity cannot have more than nine decimal places")]
    TooFine,
    /// A fraction of something that only exists whole.
    #[error("this meter counts whole units")]
    Fractional,
}

/// How much was used: at least 0, at most 10^15, with at most nine decimal places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(Decimal);

impl Quantity {
    /// Nothing used. Not the same as an absent pool.
    pub const ZERO: Self = Self(Decimal::ZERO);
    /// One unit.
    pub const ONE: Self = Self(Decimal::ONE);
    /// The largest quantity, 10^15. Far above any real usage, far below any overflow.
    pub const MAX: Self = Self(Decimal::from_parts(0xA4C6_8000, 0x0003_8D7E, 0, false, 0));

    const MAX_WHOLE: u64 = 1_000_000_000_000_000;

    /// A quantity of any meter.
    ///
    /// # Errors
    /// See [`QuantityError`].
    #[inline]
    pub fn new(quantity: Decimal) -> Result<Self, QuantityError> {
        // Nearly all are whole, small and of any sign but minus: nothing to compare digit by digit.
        let parts = quantity.unpack();
        let digits = u64::from(parts.mid) << 32 | u64::from(parts.lo);
        if parts.scale == 0 && parts.hi == 0 && !parts.negative && digits <= Self::MAX_WHOLE {
            return Ok(Self(quantity));
        }
        Self::of_any_form(quantity)
    }

    #[cold]
    fn of_any_form(quantity: Decimal) -> Result<Self, QuantityError> {
        if quantity.is_sign_negative() && !quantity.is_zero() {
            return Err(QuantityError::Negative);
        }
        if exact::cmp(quantity, Self::MAX.0).is_gt() {
            return Err(QuantityError::TooLarge);
        }
        let quantity = if quantity.scale() == 0 {
            quantity
        } else {
            quantity.normalize()
        };
        if quantity.scale() > 9 {
            return Err(QuantityError::TooFine);
        }
        Ok(Self(quantity))
    }

    /// A quantity of `meter`: whole where the meter counts whole units.
    ///
    /// # Errors
    /// See [`QuantityError`].
    #[inline]
    pub fn of(meter: &Meter, quantity: Decimal) -> Result<Self, QuantityError> {
        let quantity = Self::new(quantity)?;
        if meter.is_whole() && quantity.0.scale() != 0 {
            return Err(QuantityError::Fractional);
        }
        Ok(quantity)
    }

    /// The quantity, where it is a whole number.
    pub const fn whole(self) -> Option<u64> {
        let parts = self.0.unpack();
        if parts.scale != 0 {
            return None;
        }
        // No quantity is negative or above 10^15.
        Some((parts.mid as u64) << 32 | parts.lo as u64)
    }

    /// The quantity as a decimal.
    pub const fn get(self) -> Decimal {
        self.0
    }

    /// Whether nothing was used.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl From<u32> for Quantity {
    fn from(quantity: u32) -> Self {
        Self(Decimal::from(quantity))
    }
}

/// A named property of a pool, such as `size=1024x1024` of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attribute {
    /// The property.
    pub name: Box<str>,
    /// Its value.
    pub value: Box<str>,
}

/// A quantity of one meter, with the properties that may decide its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What was counted.
    pub meter: Meter,
    /// How much, exclusive of every other pool.
    pub quantity: Quantity,
    /// Sorted by name; a name stands once.
    pub attributes: Vec<Attribute>,
}

impl Pool {
    /// A pool without attributes.
    pub const fn new(meter: Meter, quantity: Quantity) -> Self {
        Self {
            meter,
            quantity,
            attributes: Vec::new(),
        }
    }

    /// Puts it among pools that stand in canonical order, by meter and attributes. They are few, and
    /// most come in that order.
    pub fn put_among(self, pools: &mut Vec<Self>) {
        let mut before = pools.iter();
        let before = before
            .rposition(|pool| (&pool.meter, &pool.attributes) <= (&self.meter, &self.attributes));
        let at = before.map_or(0, |last| last.saturating_add(1));
        pools.insert(at, self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_is_ten_to_the_fifteenth() {
        assert_eq!(
            Quantity::MAX.get(),
            Decimal::from(1_000_000_000_000_000_u64)
        );
    }

    #[test]
    fn every_named_meter_is_found_by_its_name() {
        for meter in Meter::NAMED {
            assert_eq!(Meter::from_name(meter.name()), Some(meter));
        }
        assert_eq!(
            Meter::from_name("judge_run"),
            Some(Meter::Other("judge_run".into()))
        );
        for bad in ["", "Input", "9lives", "a-b", "ünit"] {
            assert_eq!(Meter::from_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn quantities_are_whole_where_the_meter_is() {
        let half = Decimal::new(5, 1);
        assert_eq!(
            Quantity::of(&Meter::Input, half),
            Err(QuantityError::Fractional)
        );
        assert!(Quantity::of(&Meter::Second, half).is_ok());
        assert_eq!(
            Quantity::new(Decimal::NEGATIVE_ONE),
            Err(QuantityError::Negative)
        );
        assert_eq!(
            Quantity::new(Decimal::from(1_u64 << 63)),
            Err(QuantityError::TooLarge)
        );
    }
}
