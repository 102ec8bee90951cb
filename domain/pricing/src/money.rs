//! Credits: the integer money of the ledger, and the one place where US dollars become credits.
//!
//! Prices are exact decimals in USD until the very end. A charge is rounded **once**, at its
//! total, by a [`Rounding`] that the receipt records.

use crate::exact::ArithmeticError;
use rust_decimal::Decimal;

/// Nano-credits in one credit.
pub const NANOS_PER_CREDIT: i64 = 1_000_000_000;

/// An amount of credits in nano-credits (10⁻⁹ credit) that is never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(i64);

impl Nanos {
    /// No credits.
    pub const ZERO: Self = Self(0);
    /// The largest amount the ledger can hold.
    pub const MAX: Self = Self(i64::MAX);

    /// `None` when `nanos` is negative.
    pub const fn new(nanos: i64) -> Option<Self> {
        if nanos < 0 { None } else { Some(Self(nanos)) }
    }

    /// The amount as an integer of nano-credits, never negative.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether the amount is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` when it passes [`Nanos::MAX`].
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` when `other` is larger.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Self::new(rest),
            None => None,
        }
    }

    /// The same amount in whole credits, exactly (nine decimal places).
    pub fn credits(self) -> Decimal {
        Decimal::from_i128_with_scale(i128::from(self.0), 9).normalize()
    }

    /// An amount of credits with at most nine decimal places.
    ///
    /// # Errors
    /// `Inexact` when it has more places, `OutOfRange` when it is negative or too large.
    pub fn from_credits(credits: Decimal) -> Result<Self, ArithmeticError> {
        let credits = credits.normalize();
        let missing = 9_u32
            .checked_sub(credits.scale())
            .ok_or(ArithmeticError::Inexact)?;
        let factor = 10_i128
            .checked_pow(missing)
            .ok_or(ArithmeticError::OutOfRange)?;
        credits
            .mantissa()
            .checked_mul(factor)
            .and_then(|nanos| i64::try_from(nanos).ok())
            .and_then(Self::new)
            .ok_or(ArithmeticError::OutOfRange)
    }
}

/// How the total of a charge becomes whole nano-credits. Recorded in every receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// Any part of a nano-credit counts as one: the operator never loses to rounding. The default.
    #[default]
    AwayFromZero,
    /// To the nearest nano-credit, a tie to the even one (banker's rounding).
    HalfEven,
    /// The part of a nano-credit is dropped.
    TowardZero,
}

impl Rounding {
    /// The name used in books, receipts and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwayFromZero => "away-from-zero",
            Self::HalfEven => "half-even",
            Self::TowardZero => "toward-zero",
        }
    }

    /// The mode with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::AwayFromZero, Self::HalfEven, Self::TowardZero]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

/// What one credit of a commodity is worth, in USD. Fixed when the commodity is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peg(Decimal);

impl Peg {
    /// One credit is USD 0.10.
    pub const DEFAULT: Self = Self(Decimal::from_parts(1, 0, 0, false, 1));

    /// A peg above zero, at most 1,000,000 USD, with at most nine decimal places.
    pub fn new(usd_per_credit: Decimal) -> Option<Self> {
        let usd = usd_per_credit.normalize();
        (usd > Decimal::ZERO && usd <= Decimal::from(1_000_000) && usd.scale() <= 9)
            .then_some(Self(usd))
    }

    /// USD for one credit.
    pub const fn usd_per_credit(self) -> Decimal {
        self.0
    }

    /// `usd ÷ peg` in nano-credits: the single rounding of a charge.
    ///
    /// The quotient is computed on integers, so the digits that decide the rounding are all seen.
    ///
    /// # Errors
    /// `OutOfRange` when `usd` is negative or the result passes [`Nanos::MAX`].
    pub fn to_nanos(self, usd: Decimal, rounding: Rounding) -> Result<Nanos, ArithmeticError> {
        let usd = usd.normalize();
        if usd.is_zero() {
            return Ok(Nanos::ZERO);
        }
        if usd.is_sign_negative() {
            return Err(ArithmeticError::OutOfRange);
        }
        // usd = u / 10^su, peg = p / 10^sp, so nanos = (u × 10^(9+sp)) / (p × 10^su).
        let places = 9_u32
            .checked_add(self.0.scale())
            .ok_or(ArithmeticError::OutOfRange)?;
        let shift = i64::from(places)
            .checked_sub(i64::from(usd.scale()))
            .ok_or(ArithmeticError::OutOfRange)?;
        let power = u32::try_from(shift.unsigned_abs())
            .ok()
            .and_then(|digits| 10_i128.checked_pow(digits))
            .ok_or(ArithmeticError::OutOfRange)?;
        let (numerator, denominator) = if shift >= 0 {
            (usd.mantissa().checked_mul(power), Some(self.0.mantissa()))
        } else {
            (Some(usd.mantissa()), self.0.mantissa().checked_mul(power))
        };
        // A denominator past 127 bits is larger than any 96-bit numerator ...
        let (Some(numerator), Some(denominator)) = (numerator, denominator) else {
            return if shift >= 0 {
                Err(ArithmeticError::OutOfRange)
            } else {
                Ok(rounding.of_a_trace())
            };
        };
        rounding.divide(numerator, denominator)
    }
}

impl Rounding {
    /// ... so the quotient is above zero and far below one half.
    const fn of_a_trace(self) -> Nanos {
        match self {
            Self::AwayFromZero => Nanos(1),
            Self::HalfEven | Self::TowardZero => Nanos::ZERO,
        }
    }

    fn divide(self, numerator: i128, denominator: i128) -> Result<Nanos, ArithmeticError> {
        let out_of_range = ArithmeticError::OutOfRange;
        let quotient = numerator.checked_div(denominator).ok_or(out_of_range)?;
        let rest = numerator.checked_rem(denominator).ok_or(out_of_range)?;
        let up = match self {
            Self::TowardZero => false,
            Self::AwayFromZero => rest > 0,
            Self::HalfEven => match rest.cmp(&denominator.saturating_sub(rest)) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Equal => quotient.checked_rem(2) == Some(1),
            },
        };
        quotient
            .checked_add(i128::from(up))
            .and_then(|nanos| i64::try_from(nanos).ok())
            .and_then(Nanos::new)
            .ok_or(out_of_range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    fn d(text: &str) -> Decimal {
        Decimal::from_str(text).unwrap()
    }

    fn nanos(usd: &str, peg: &str, rounding: Rounding) -> Result<i64, ArithmeticError> {
        Peg::new(d(peg))
            .unwrap()
            .to_nanos(d(usd), rounding)
            .map(Nanos::get)
    }

    #[test]
    fn a_dollar_is_ten_credits_at_the_default_peg() {
        assert_eq!(
            nanos("1", "0.10", Rounding::AwayFromZero),
            Ok(10 * NANOS_PER_CREDIT)
        );
    }

    #[test]
    fn each_mode_rounds_the_total_as_named() {
        // 0.00000000015 USD is 1.5 nano-credits at the default peg, 0.00000000025 is 2.5.
        for (mode, expected) in [
            (Rounding::AwayFromZero, [2, 3]),
            (Rounding::HalfEven, [2, 2]),
            (Rounding::TowardZero, [1, 2]),
        ] {
            assert_eq!(
                nanos("0.00000000015", "0.1", mode),
                Ok(expected[0]),
                "{mode:?}"
            );
            assert_eq!(
                nanos("0.00000000025", "0.1", mode),
                Ok(expected[1]),
                "{mode:?}"
            );
        }
    }

    #[test]
    fn the_smallest_decimal_is_one_nano_credit_away_from_zero_at_any_peg() {
        for peg in ["0.000000001", "0.1", "3", "1000000"] {
            let smallest = "0.0000000000000000000000000001";
            assert_eq!(nanos(smallest, peg, Rounding::AwayFromZero), Ok(1), "{peg}");
            assert_eq!(nanos(smallest, peg, Rounding::HalfEven), Ok(0), "{peg}");
        }
    }

    #[test]
    fn too_many_dollars_are_an_error_never_a_wrap() {
        assert_eq!(
            nanos(
                "79228162514264337593543950335",
                "0.1",
                Rounding::AwayFromZero
            ),
            Err(ArithmeticError::OutOfRange)
        );
        assert_eq!(
            nanos("-1", "0.1", Rounding::AwayFromZero),
            Err(ArithmeticError::OutOfRange)
        );
    }
}
