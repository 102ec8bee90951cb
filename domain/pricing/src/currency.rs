//! What a credit is worth, in whatever currency, and what that is in USD on a given day.
//!
//! Prices are in USD throughout; only the last step, from a charge to credits, asks what a credit
//! is worth. Where it is pegged to another currency, a table of dated exchange rates says what the
//! peg is in USD at the time of a call. A receipt keeps the peg that it was made with, so a later
//! rate changes no charge. Must not know where a table comes from.

use crate::exact;
use crate::money::Peg;
use rust_decimal::Decimal;
use std::fmt;

/// A currency, by its ISO 4217 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// United States dollars: what prices are written in.
    pub const USD: Self = Self(*b"USD");

    /// The currency with this code: three capital letters.
    pub fn from_code(code: &str) -> Option<Self> {
        let code: [u8; 3] = code.as_bytes().try_into().ok()?;
        code.iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(code))
    }

    /// Its code.
    pub fn code(&self) -> &str {
        // Capital letters are UTF-8.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What one unit of a currency is worth from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeRate {
    /// Milliseconds since the Unix epoch; absent: since ever.
    pub from_ms: Option<i64>,
    /// USD for one unit of the currency.
    pub usd: Decimal,
}

/// What one credit is worth, at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pegs {
    currency: Currency,
    per_credit: Decimal,
    /// In USD since ever, before the first of the others.
    first: Peg,
    /// From when on, sorted; each later than the one before.
    later: Vec<(i64, Peg)>,
}

/// Why a table of exchange rates says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PegsError {
    /// Nothing holds before the first date.
    #[error("the first rate has no `from`: it holds for everything before the second")]
    NoFirst,
    /// A rate begins no later than the one before it.
    #[error("rate {0} begins no later than the one before it")]
    NotSorted(usize),
    /// A peg is not one.
    #[error(
        "at rate {number}, a credit is worth {usd} USD: it must be above 0, at most 1000000, with \
         at most nine decimal places; write the rate with fewer digits"
    )]
    NotAPeg {
        /// Which rate, from 1.
        number: usize,
        /// What a credit would be worth.
        usd: Box<str>,
    },
}

impl Pegs {
    /// A credit that is always worth this much in USD.
    pub const fn usd(peg: Peg) -> Self {
        Self {
            currency: Currency::USD,
            per_credit: peg.usd_per_credit(),
            first: peg,
            later: Vec::new(),
        }
    }

    /// A credit that is worth `per_credit` of `currency`, which `rates` bring to USD: the first
    /// since ever, each other from its moment on.
    ///
    /// # Errors
    /// See [`PegsError`].
    pub fn new(
        currency: Currency,
        per_credit: Decimal,
        rates: &[ExchangeRate],
    ) -> Result<Self, PegsError> {
        let peg = |number: usize, rate: &ExchangeRate| {
            let usd = exact::mul(per_credit, rate.usd).ok();
            usd.and_then(Peg::new).ok_or_else(|| PegsError::NotAPeg {
                number,
                usd: usd.map_or_else(|| "?".into(), |usd| usd.to_string().into()),
            })
        };
        let (first, rest) = rates.split_first().ok_or(PegsError::NoFirst)?;
        if first.from_ms.is_some() {
            return Err(PegsError::NoFirst);
        }
        let mut later: Vec<(i64, Peg)> = Vec::with_capacity(rest.len());
        for (number, rate) in (2_usize..).zip(rest) {
            let before = later.last().map(|(from_ms, _)| *from_ms);
            let from_ms = rate.from_ms.filter(|from| before.is_none_or(|b| b < *from));
            let from_ms = from_ms.ok_or(PegsError::NotSorted(number))?;
            later.push((from_ms, peg(number, rate)?));
        }
        Ok(Self {
            currency,
            per_credit,
            first: peg(1, first)?,
            later,
        })
    }

    /// The currency that a credit is pegged to.
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// How much of it one credit is worth, always.
    pub const fn per_credit(&self) -> Decimal {
        self.per_credit
    }

    /// What one credit is worth in USD at a moment, in milliseconds since the Unix epoch.
    pub fn at(&self, at_ms: i64) -> Peg {
        let begun = self.later.iter().rev().find(|(from, _)| *from <= at_ms);
        begun.map_or(self.first, |(_, peg)| *peg)
    }

    /// Every peg, in order of time.
    pub fn all(&self) -> impl Iterator<Item = Peg> + '_ {
        std::iter::once(self.first).chain(self.later.iter().map(|(_, peg)| *peg))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Rounding;

    fn rate(from_ms: Option<i64>, usd: &str) -> ExchangeRate {
        ExchangeRate {
            from_ms,
            usd: usd.parse().unwrap(),
        }
    }

    fn euro(rates: &[ExchangeRate]) -> Result<Pegs, PegsError> {
        let euro = Currency::from_code("EUR").unwrap();
        Pegs::new(euro, "0.10".parse().unwrap(), rates)
    }

    #[test]
    fn a_rate_holds_from_its_first_moment_on() {
        let pegs = euro(&[
            rate(None, "1.08"),
            rate(Some(1000), "1.0834"),
            rate(Some(2000), "1.2"),
        ])
        .unwrap();
        let usd = |at_ms| pegs.at(at_ms).usd_per_credit().to_string();
        assert_eq!(usd(i64::MIN), "0.108");
        assert_eq!(usd(999), "0.108");
        assert_eq!(usd(1000), "0.10834");
        assert_eq!(usd(1999), "0.10834");
        assert_eq!(usd(2000), "0.12");
        // USD 0.54 are five credits on the first day and four and a half on the last.
        let credits = |at_ms| {
            let usd = "0.54".parse().unwrap();
            let nanos = pegs.at(at_ms).to_nanos(usd, Rounding::AwayFromZero);
            nanos.unwrap().credits().to_string()
        };
        assert_eq!((credits(0), credits(2000)), ("5".into(), "4.5".into()));
    }

    #[test]
    fn a_table_that_leaves_a_moment_open_is_refused() {
        assert_eq!(euro(&[]), Err(PegsError::NoFirst));
        assert_eq!(euro(&[rate(Some(1), "1.1")]), Err(PegsError::NoFirst));
        let twice = [
            rate(None, "1.1"),
            rate(Some(5), "1.2"),
            rate(Some(5), "1.3"),
        ];
        assert_eq!(euro(&twice), Err(PegsError::NotSorted(3)));
        let undated = [rate(None, "1.1"), rate(None, "1.2")];
        assert_eq!(euro(&undated), Err(PegsError::NotSorted(2)));
    }

    #[test]
    fn a_peg_that_cannot_be_written_is_refused_not_rounded() {
        for usd in ["0", "-1", "1.123456789", "100000000"] {
            let error = euro(&[rate(None, usd)]).unwrap_err();
            assert!(
                matches!(error, PegsError::NotAPeg { number: 1, .. }),
                "{usd}"
            );
        }
        assert!(euro(&[rate(None, "1.12345678")]).is_ok());
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!(Currency::from_code("EUR").unwrap().to_string(), "EUR");
        for code in ["eur", "EURO", "E1R", "", "€"] {
            assert_eq!(Currency::from_code(code), None, "{code}");
        }
    }
}
