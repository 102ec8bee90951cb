//! Exact decimal arithmetic: [`rust_decimal`] with every lost digit turned into an error.
//!
//! `Decimal`'s checked operations are *not* exact: a product whose scale passes 28 is rounded, and
//! a sum of far scales drops digits, both silently. The result's scale betrays it: an exact
//! product has the sum of the scales, an exact sum the larger of them. Everything in this
//! crate that adds, subtracts or multiplies money goes through these functions.

//!
//! Nearly all money fits 64 bits, and rating is the hot path of the product, so each operation
//! first tries plain integers and gives the same decimal, scale included, as the long way.

use rust_decimal::Decimal;
use std::cmp::Ordering;

/// Why an exact operation has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArithmeticError {
    /// The true result needs more than 28 decimal places or 96 bits: digits would be lost.
    #[error("the exact result needs more digits than a 96-bit decimal holds")]
    Inexact,
    /// The result is outside the range of the type.
    #[error("the result is out of range")]
    OutOfRange,
}

/// `a × b`, exactly.
#[inline]
pub fn mul(a: Decimal, b: Decimal) -> Result<Decimal, ArithmeticError> {
    match mul_small(a, b) {
        Some(product) => Ok(product),
        None => mul_long(a, b),
    }
}

/// `a + b`, exactly.
#[inline]
pub fn add(a: Decimal, b: Decimal) -> Result<Decimal, ArithmeticError> {
    match add_small(a, b) {
        Some(sum) => Ok(sum),
        None => add_long(a, b),
    }
}

/// `a - b`, exactly.
pub fn sub(a: Decimal, b: Decimal) -> Result<Decimal, ArithmeticError> {
    let mut minus_b = b;
    minus_b.set_sign_negative(b.is_sign_positive());
    add(a, minus_b)
}

/// How `a` compares to `b`. The same as [`Decimal::cmp`].
#[inline]
pub fn cmp(a: Decimal, b: Decimal) -> Ordering {
    cmp_small(a, b).unwrap_or_else(|| a.cmp(&b))
}

/// The digits of `a`, its decimal point and sign left out, when they are below 2^64.
#[inline]
pub(crate) const fn digits_of_64_bits(a: Decimal) -> Option<u64> {
    let parts = a.unpack();
    if parts.hi != 0 {
        return None;
    }
    Some((parts.mid as u64) << 32 | parts.lo as u64)
}

/// 10 to the power of `exponent`, when that is below 2^64.
#[inline]
pub(crate) fn power_of_ten(exponent: u32) -> Option<u64> {
    POWERS_OF_TEN.get(exponent as usize).copied()
}

/// Whether `a` is below zero.
#[inline]
pub const fn is_negative(a: Decimal) -> bool {
    a.is_sign_negative() && !a.is_zero()
}

/// The exact sum of `amounts`; zero for none.
pub fn sum(amounts: impl IntoIterator<Item = Decimal>) -> Result<Decimal, ArithmeticError> {
    amounts.into_iter().try_fold(Decimal::ZERO, add)
}

/// The digits of `a` and its sign, when the digits fit 64 bits.
#[inline]
fn small(a: Decimal) -> Option<(u64, bool)> {
    Some((digits_of_64_bits(a)?, a.is_sign_negative()))
}

#[inline]
const fn from_small(digits: u64, negative: bool, scale: u32) -> Decimal {
    // Two halves of a 64-bit word.
    let (low, high) = (digits as u32, (digits >> 32) as u32);
    Decimal::from_parts(low, high, 0, negative, scale)
}

/// `a × b` when it certainly fits 64 bits: cheaper than finding out by multiplying, where the
/// machine has no wide multiplication.
#[inline]
const fn mul_u64(a: u64, b: u64) -> Option<u64> {
    if a.leading_zeros().saturating_add(b.leading_zeros()) >= 64 {
        Some(a.wrapping_mul(b))
    } else {
        None
    }
}

#[inline]
fn mul_small(a: Decimal, b: Decimal) -> Option<Decimal> {
    let scale = a.scale().checked_add(b.scale())?;
    let ((a, a_negative), (b, b_negative)) = (small(a)?, small(b)?);
    let digits = mul_u64(a, b)?;
    if digits == 0 {
        return Some(Decimal::ZERO);
    }
    (scale <= Decimal::MAX_SCALE).then(|| from_small(digits, a_negative != b_negative, scale))
}

#[inline]
fn add_small(a: Decimal, b: Decimal) -> Option<Decimal> {
    let ((a_digits, a_negative), (b_digits, b_negative)) = (small(a)?, small(b)?);
    if a_digits == 0 {
        return Some(b);
    }
    if b_digits == 0 {
        return Some(a);
    }
    let (a_digits, b_digits, scale) = aligned(a_digits, a.scale(), b_digits, b.scale())?;
    let sum = signed(a_digits, a_negative)?.checked_add(signed(b_digits, b_negative)?)?;
    Some(from_small(sum.unsigned_abs(), sum < 0, scale))
}

#[inline]
fn cmp_small(a: Decimal, b: Decimal) -> Option<Ordering> {
    let ((a_digits, a_negative), (b_digits, b_negative)) = (small(a)?, small(b)?);
    let (a_digits, b_digits, _) = aligned(a_digits, a.scale(), b_digits, b.scale())?;
    Some(signed(a_digits, a_negative)?.cmp(&signed(b_digits, b_negative)?))
}

/// The digits of both at the larger of their scales, when they fit 64 bits.
#[inline]
fn aligned(a: u64, a_scale: u32, b: u64, b_scale: u32) -> Option<(u64, u64, u32)> {
    let at = |digits: u64, up: u32| mul_u64(digits, power_of_ten(up)?);
    Some(match a_scale.cmp(&b_scale) {
        Ordering::Equal => (a, b, a_scale),
        Ordering::Less => (at(a, b_scale.wrapping_sub(a_scale))?, b, b_scale),
        Ordering::Greater => (a, at(b, a_scale.wrapping_sub(b_scale))?, a_scale),
    })
}

#[inline]
fn signed(digits: u64, negative: bool) -> Option<i64> {
    let digits = i64::try_from(digits).ok()?;
    Some(if negative {
        digits.checked_neg()?
    } else {
        digits
    })
}

#[rustfmt::skip]
const POWERS_OF_TEN: [u64; 20] = [
    1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000,
    10_000_000_000, 100_000_000_000, 1_000_000_000_000, 10_000_000_000_000, 100_000_000_000_000,
    1_000_000_000_000_000, 10_000_000_000_000_000, 100_000_000_000_000_000,
    1_000_000_000_000_000_000, 10_000_000_000_000_000_000,
];

#[cold]
fn mul_long(a: Decimal, b: Decimal) -> Result<Decimal, ArithmeticError> {
    if a.is_zero() || b.is_zero() {
        return Ok(Decimal::ZERO);
    }
    if let Some(product) = mul_as_written(a, b)? {
        return Ok(product);
    }
    // Trailing zeros may be all that did not fit.
    mul_as_written(a.normalize(), b.normalize())?.ok_or(ArithmeticError::Inexact)
}

#[cold]
fn add_long(a: Decimal, b: Decimal) -> Result<Decimal, ArithmeticError> {
    if a.is_zero() {
        return Ok(b);
    }
    if b.is_zero() {
        return Ok(a);
    }
    if let Some(sum) = add_as_written(a, b)? {
        return Ok(sum);
    }
    add_as_written(a.normalize(), b.normalize())?.ok_or(ArithmeticError::Inexact)
}

fn mul_as_written(a: Decimal, b: Decimal) -> Result<Option<Decimal>, ArithmeticError> {
    let exact_scale = a.scale().checked_add(b.scale());
    let product = a.checked_mul(b).ok_or(ArithmeticError::OutOfRange)?;
    Ok((Some(product.scale()) == exact_scale).then_some(product))
}

fn add_as_written(a: Decimal, b: Decimal) -> Result<Option<Decimal>, ArithmeticError> {
    let sum = a.checked_add(b).ok_or(ArithmeticError::OutOfRange)?;
    Ok((sum.scale() == a.scale().max(b.scale())).then_some(sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::str::FromStr;

    fn d(text: &str) -> Decimal {
        Decimal::from_str(text).unwrap()
    }

    #[test]
    fn a_product_below_the_smallest_decimal_is_an_error_not_zero() {
        assert_eq!(
            mul(d("0.000000000000001"), d("0.00000000000001")),
            Err(ArithmeticError::Inexact)
        );
    }

    #[test]
    fn a_sum_of_far_scales_is_an_error_not_the_larger_term() {
        assert_eq!(
            add(
                d("10000000000000000000"),
                d("0.0000000000000000000000000001")
            ),
            Err(ArithmeticError::Inexact)
        );
    }

    #[test]
    fn trailing_zeros_are_not_digits() {
        let padded = d("1.50000000000000000000");
        assert_eq!(mul(padded, padded), Ok(d("2.25")));
    }

    #[test]
    fn a_product_past_96_bits_is_out_of_range() {
        assert_eq!(mul(Decimal::MAX, d("2")), Err(ArithmeticError::OutOfRange));
    }

    fn decimal() -> impl Strategy<Value = Decimal> {
        let digits = prop_oneof![
            -1000_i128..1000,
            any::<i64>().prop_map(i128::from),
            -(1_i128 << 95)..(1 << 95)
        ];
        (digits, 0_u32..29).prop_map(|(digits, scale)| Decimal::from_i128_with_scale(digits, scale))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn the_short_way_gives_what_the_long_way_gives(a in decimal(), b in decimal()) {
            let same = |short: Option<Decimal>, long: Result<Option<Decimal>, ArithmeticError>| {
                short.is_none_or(|short| long.unwrap().unwrap().serialize() == short.serialize())
            };
            if !a.is_zero() && !b.is_zero() {
                prop_assert!(same(mul_small(a, b), mul_as_written(a, b)));
                if a.checked_add(b) != Some(Decimal::ZERO) {
                    prop_assert!(same(add_small(a, b), add_as_written(a, b)));
                }
                prop_assert_eq!(sub(a, a), Ok(Decimal::ZERO));
            }
            prop_assert_eq!(cmp(a, b), a.cmp(&b));
        }

        #[test]
        fn amounts_are_in_range_as_decimals_say(a in decimal()) {
            let most = crate::answer::AMOUNT_MAX_USD;
            prop_assert_eq!(crate::answer::is_in_range(a), a.abs() <= most);
        }

        #[test]
        fn nothing_added_or_multiplied_is_nothing_at_any_scale(
            a in decimal(),
            scale in 0_u32..29,
            negative: bool,
        ) {
            let mut zero = Decimal::new(0, scale);
            zero.set_sign_negative(negative);
            for product in [mul(a, zero), mul(zero, a)] {
                prop_assert_eq!(product.unwrap().serialize(), Decimal::ZERO.serialize());
            }
            if !a.is_zero() {
                for sum in [add(a, zero), add(zero, a)] {
                    prop_assert_eq!(sum.unwrap().serialize(), a.serialize());
                }
            }
            prop_assert_eq!(cmp(a, zero), a.cmp(&zero));
        }
    }
}
