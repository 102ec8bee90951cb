//! JSON numbers, read exactly from their source text.
//!
//! `12`, `12.0` and `1.2e1` are the same number, and none of them passes through a float on the
//! way. The text is bounded before anything is computed: an exponent of a billion costs nothing.
//! Must not know what the number counts.

use rust_decimal::Decimal;

/// Why a number's text has no exact decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not a number by JSON's grammar.
    #[error("not a number")]
    Malformed,
    /// 10^28 or more.
    #[error("the number is out of range")]
    TooLarge,
    /// More than 28 decimal places, or more digits than 96 bits hold.
    #[error("the number has too many digits")]
    TooFine,
}

/// The number that `text`, a JSON number, stands for, exactly.
///
/// # Errors
/// See [`NumberError`].
pub fn parse_exact(text: &str) -> Result<Decimal, NumberError> {
    // Nearly every number is a short count.
    if matches!(text.len(), 1..=18)
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'))
        && let Ok(count) = text.parse::<u64>()
    {
        return Ok(Decimal::from(count));
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return Err(NumberError::Malformed),
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || leading_zero || !all_digits(whole) || !all_digits(fraction) {
        return Err(NumberError::Malformed);
    }
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let dropped = digits.len().saturating_sub(significant.len());
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(Decimal::ZERO);
    }
    // value = significant × 10^power
    let power = exponent
        .saturating_sub(length(fraction.len()))
        .saturating_add(length(dropped));
    if power.saturating_add(length(significant.len())) > 28 {
        return Err(NumberError::TooLarge);
    }
    if significant.len() > 29 || power < -28 {
        return Err(NumberError::TooFine);
    }
    let unscaled: i128 = significant.parse().map_err(|_| NumberError::TooFine)?;
    let signed = if negative {
        unscaled.checked_neg()
    } else {
        Some(unscaled)
    };
    let (unscaled, scale) = if power >= 0 {
        let factor = u32::try_from(power)
            .ok()
            .and_then(|power| 10_i128.checked_pow(power));
        (signed.zip(factor).and_then(|(n, f)| n.checked_mul(f)), 0)
    } else {
        let scale = u32::try_from(power.unsigned_abs()).map_err(|_| NumberError::TooFine)?;
        (signed, scale)
    };
    let unscaled = unscaled.ok_or(NumberError::TooLarge)?;
    Decimal::try_from_i128_with_scale(unscaled, scale).map_err(|_| NumberError::TooFine)
}

fn parse_exponent(text: &str) -> Result<i64, NumberError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NumberError::Malformed);
    }
    // Beyond any number this crate accepts, so the exact size no longer matters.
    let size = digits.parse::<i64>().unwrap_or(i64::MAX);
    Ok(if negative {
        size.saturating_neg()
    } else {
        size
    })
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn the_same_number_however_it_is_written() {
        for text in [
            "12",
            "12.0",
            "1.2e1",
            "0.12E+2",
            "1200e-2",
            "12.000000000000000000000000000000000000",
        ] {
            assert_eq!(parse_exact(text), Ok(Decimal::from(12)), "{text}");
        }
        assert_eq!(
            parse_exact("5e-05"),
            Ok(Decimal::from_str("0.00005").unwrap())
        );
        assert_eq!(parse_exact("-1.5"), Ok(Decimal::from_str("-1.5").unwrap()));
        for zero in ["0", "-0", "0.000", "0e999999999999999999999", "0e-5"] {
            assert_eq!(parse_exact(zero), Ok(Decimal::ZERO), "{zero}");
        }
    }

    #[test]
    fn what_has_no_exact_decimal_is_refused_at_once() {
        use NumberError::{Malformed, TooFine, TooLarge};
        for (text, error) in [
            ("1e28", TooLarge),
            ("1e999999999999999999999", TooLarge),
            ("79228162514264337593543950336", TooLarge),
            ("1e-29", TooFine),
            ("1e-999999999999999999999", TooFine),
            ("0.12345678901234567890123456789", TooFine),
            ("", Malformed),
            ("-", Malformed),
            ("01", Malformed),
            ("1.", Malformed),
            (".5", Malformed),
            ("1e", Malformed),
            ("+1", Malformed),
            ("0x10", Malformed),
            ("NaN", Malformed),
            ("1_000", Malformed),
        ] {
            assert_eq!(parse_exact(text), Err(error), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_decimal_on_plain_numbers(unscaled in proptest::num::i64::ANY, scale in 0_u32..28) {
            let plain = Decimal::from_i128_with_scale(i128::from(unscaled), scale);
            proptest::prop_assert_eq!(parse_exact(&plain.to_string()), Ok(plain));
        }

        #[test]
        fn never_panics(text in "[-+0-9.eE]{0,40}") {
            let _ = parse_exact(&text);
        }
    }
}
