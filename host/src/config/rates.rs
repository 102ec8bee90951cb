//! The file that says what a credit is worth in another currency than USD.
//!
//! ```toml
//! currency = "EUR"
//! per_credit = "0.10"
//! [[rates]]               # what holds before the first date
//! usd = "1.0834"
//! [[rates]]
//! from = "2026-12-01"     # midnight UTC, or a time
//! usd = "1.0912"
//! ```

use super::ConfigError;
use farebox_pricing::currency::{Currency, ExchangeRate, Pegs};
use rust_decimal::Decimal;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatesText {
    currency: String,
    per_credit: String,
    #[serde(default)]
    rates: Vec<RateText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateText {
    from: Option<String>,
    usd: String,
}

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum RatesError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    /// It is not TOML, or has a key that does not exist.
    #[error("it is not valid")]
    Malformed(#[from] Box<toml_edit::de::Error>),
    /// The currency is none.
    #[error("`currency` is `{0}`: give the three capital letters of ISO 4217, such as `EUR`")]
    Currency(String),
    /// An amount is none.
    #[error("`{0}` is no amount: write a decimal in quotes, such as \"1.0834\"")]
    Amount(String),
    /// A moment is none.
    #[error("`{0}` is no date (2026-11-21) and no time (2026-11-21T09:30:00Z)")]
    Moment(String),
    /// The table leaves something open.
    #[error(transparent)]
    Pegs(#[from] farebox_pricing::currency::PegsError),
}

/// What a credit is worth, as `path` says.
///
/// # Errors
/// [`ConfigError::Rates`]; [`ConfigError::PegOverflows`].
pub fn credit_rates(path: &Path) -> Result<Pegs, ConfigError> {
    let pegs = read(path).map_err(|source| ConfigError::Rates {
        path: PathBuf::from(path),
        source: Box::new(source),
    })?;
    for peg in pegs.all() {
        super::fits(peg)?;
    }
    Ok(pegs)
}

fn read(path: &Path) -> Result<Pegs, RatesError> {
    let text = std::fs::read_to_string(path)?;
    let text: RatesText = toml_edit::de::from_str(&text).map_err(Box::new)?;
    let currency =
        Currency::from_code(&text.currency).ok_or(RatesError::Currency(text.currency))?;
    let rates = text.rates.iter().map(|rate| {
        Ok(ExchangeRate {
            from_ms: rate.from.as_deref().map(moment).transpose()?,
            usd: amount(&rate.usd)?,
        })
    });
    let rates = rates.collect::<Result<Vec<_>, RatesError>>()?;
    Ok(Pegs::new(currency, amount(&text.per_credit)?, &rates)?)
}

fn amount(text: &str) -> Result<Decimal, RatesError> {
    Decimal::from_str_exact(text).map_err(|_| RatesError::Amount(text.to_owned()))
}

/// Milliseconds since the Unix epoch.
fn moment(text: &str) -> Result<i64, RatesError> {
    farebox_book::moment(text).ok_or_else(|| RatesError::Moment(text.to_owned()))
}
