//! Exact decimal arithmetic: [`rust_decimal`] with every lost digit turned into an error.
//!
//! `Decimal`'s checked operations are *not* exact: a product whose scale passes 28 is rounded, and
//! a sum of far scales drops digits, both silently. The result's scale betrays it: an exact
//! product has the sum of the scales, an exact sum the larger of them. Everything in this
//! crate that adds, subtracts or multiplies money goes through these functions.

use rust_decimal::Decimal;

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
pub fn mul(a: Decimal, b: Decimal) -> Result<Decimal, ArithmeticError> {
    if a.is_zero() || b.is_zero() {
        return Ok(Decimal::ZERO);
    }
    if let Some(product) = mul_as_written(a, b)? {
        return Ok(product);
    }
    // Trailing zeros may be all that did not fit.
    mul_as_written(a.normalize(), b.normalize())?.ok_or(ArithmeticError::Inexact)
}

/// `a + b`, exactly.
pub fn add(a: Decimal, b: Decimal) -> Result<Decimal, ArithmeticError> {
    if let Some(sum) = add_as_written(a, b)? {
        return Ok(sum);
    }
    add_as_written(a.normalize(), b.normalize())?.ok_or(ArithmeticError::Inexact)
}

/// `a - b`, exactly.
pub fn sub(a: Decimal, b: Decimal) -> Result<Decimal, ArithmeticError> {
    let mut minus_b = b;
    minus_b.set_sign_negative(b.is_sign_positive());
    add(a, minus_b)
}

/// The exact sum of `amounts`; zero for none.
pub fn sum(amounts: impl IntoIterator<Item = Decimal>) -> Result<Decimal, ArithmeticError> {
    amounts.into_iter().try_fold(Decimal::ZERO, add)
}

fn mul_as_written(a: Decimal, b: Decimal) -> Result<Option<Decimal>, ArithmeticError> {
    let exact_scale = a.scale().checked_add(b.scale());
    let product = a.checked_mul(b).ok_or(ArithmeticError::OutOfRange)?;
    Ok((Some(product.scale()) == exact_scale).then_some(product))
}

fn add_as_written(a: Decimal, b: Decimal) -> Result<Option<Decimal>, ArithmeticError> {
    if a.is_zero() {
        return Ok(Some(b));
    }
    if b.is_zero() {
        return Ok(Some(a));
    }
    let sum = a.checked_add(b).ok_or(ArithmeticError::OutOfRange)?;
    Ok((sum.scale() == a.scale().max(b.scale())).then_some(sum))
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
