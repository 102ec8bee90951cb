//! Amounts as people write them: decimal text, read digit by digit and never through a float.
//!
//! A TOML or JSON number is taken from its source text, so `1e-7`, `0.0000001` and `"0.0000001"`
//! are the same amount. What a 96-bit decimal cannot hold exactly is an error, not a rounding.

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;

/// Why a text is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a decimal number in plain or exponent notation.
    #[error("`{0}` is not a decimal number")]
    NotANumber(String),
    /// More digits than 96 bits and 28 decimal places hold.
    #[error("`{0}` has more digits than an exact amount can hold (28 decimal places)")]
    TooManyDigits(String),
}

/// An exact decimal amount. Its unit is said by the field it stands in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(Decimal);

impl Amount {
    /// The amount with trailing zeros removed.
    pub fn new(value: Decimal) -> Self {
        Self(value.normalize())
    }

    /// The amount as a decimal.
    pub const fn get(self) -> Decimal {
        self.0
    }

    /// Reads `text` exactly: an optional sign, digits with an optional point, an optional exponent.
    /// Underscores between digits are allowed, as in TOML.
    ///
    /// # Errors
    /// See [`AmountError`].
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let not_a_number = || AmountError::NotANumber(text.chars().take(64).collect());
        let too_many = || AmountError::TooManyDigits(text.chars().take(64).collect());
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if !is_digits(digits) || digits.contains('_') {
                    return Err(not_a_number());
                }
                (mantissa, exponent.parse::<i32>().map_err(|_| too_many())?)
            }
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if !is_digits(whole) || (digits.contains('.') && !is_digits(fraction)) {
            return Err(not_a_number());
        }
        let mut coefficient: i128 = 0;
        let mut scale = exponent.checked_neg().ok_or_else(too_many)?;
        let mut zeros: u32 = 0;
        for (place, digit) in whole
            .bytes()
            .map(|b| (0, b))
            .chain(fraction.bytes().map(|b| (1, b)))
            .filter(|(_, b)| *b != b'_')
        {
            scale = scale.checked_add(place).ok_or_else(too_many)?;
            if digit == b'0' {
                // Zeros count only once a later digit needs them: `0.10` is not three digits.
                zeros = zeros.checked_add(1).ok_or_else(too_many)?;
                continue;
            }
            let shift = if coefficient == 0 { 0 } else { zeros };
            coefficient = shifted(coefficient, shift.checked_add(1).ok_or_else(too_many)?)
                .and_then(|c| c.checked_add(i128::from(digit.saturating_sub(b'0'))))
                .ok_or_else(too_many)?;
            zeros = 0;
        }
        if coefficient == 0 {
            return Ok(Self(Decimal::ZERO));
        }
        let zeros = i32::try_from(zeros).map_err(|_| too_many())?;
        let scale = scale.checked_sub(zeros).ok_or_else(too_many)?;
        let (coefficient, scale) = match u32::try_from(scale) {
            Ok(scale) => (Some(coefficient), scale),
            Err(_) => (shifted(coefficient, scale.unsigned_abs()), 0),
        };
        let coefficient = coefficient.ok_or_else(too_many)?;
        let signed = if negative {
            coefficient.checked_neg().ok_or_else(too_many)?
        } else {
            coefficient
        };
        Decimal::try_from_i128_with_scale(signed, scale)
            .map(Self::new)
            .map_err(|_| too_many())
    }
}

/// Digits, with underscores only between them.
fn is_digits(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && !text.starts_with('_')
        && !text.ends_with('_')
}

/// `coefficient × 10^places`.
fn shifted(coefficient: i128, places: u32) -> Option<i128> {
    10_i128
        .checked_pow(places)
        .and_then(|power| coefficient.checked_mul(power))
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;
        impl de::Visitor<'_> for AmountVisitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal amount, such as \"0.15\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                Amount::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(AmountVisitor)
    }
}

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        false
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An exact decimal amount. Write it as a string (\"0.15\"); a number is read from its digits, never as a float.",
            "type": ["string", "number"],
            "pattern": r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_of_a_number_is_the_same_amount() {
        for (text, plain) in [
            ("0.15", "0.15"),
            ("0.150", "0.15"),
            ("15e-2", "0.15"),
            ("1.5E-1", "0.15"),
            ("1.5e-07", "0.00000015"),
            ("1_000", "1000"),
            ("1000", "1000"),
            ("1e3", "1000"),
            ("10.0", "10"),
            ("100.5", "100.5"),
            ("-0", "0"),
            ("-2.5", "-2.5"),
            ("0e-999", "0"),
            ("2.384185791015625e-08", "0.00000002384185791015625"),
            (
                "0.0000000000000000000000000001",
                "0.0000000000000000000000000001",
            ),
            (
                "79228162514264337593543950335",
                "79228162514264337593543950335",
            ),
        ] {
            assert_eq!(Amount::parse(text).unwrap().to_string(), plain, "{text}");
        }
    }

    #[test]
    fn what_is_not_exact_or_not_a_number_is_refused() {
        for text in [
            "", ".", "1.", ".5", "abc", "nan", "inf", "0x10", "1,5", "1e", "1e+-5", "_1", "1__",
            "--1", "1 ", "٣",
        ] {
            assert_eq!(
                Amount::parse(text),
                Err(AmountError::NotANumber(text.into())),
                "{text}"
            );
        }
        for text in [
            "1e-29",
            "1e99999999",
            "79228162514264337593543950336",
            "0.12345678901234567890123456789",
            "1234567890123456789012345678901234567890",
        ] {
            assert_eq!(
                Amount::parse(text),
                Err(AmountError::TooManyDigits(text.into())),
                "{text}"
            );
        }
    }
}
