//! What is old: prices that nobody has looked at for long, and models whose last price has ended.

use farebox_pricing::book::Book;
use std::fmt;

/// Something that is old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// The book's prices are of a day long ago.
    Book {
        /// That day.
        as_of: Box<str>,
        /// How many days ago.
        days: i64,
    },
    /// No price of the model holds any more.
    Ended {
        /// Canonical provider id.
        provider: Box<str>,
        /// The model.
        model: Box<str>,
    },
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Book { as_of, days } => write!(f, "the prices are of {as_of}, {days} days ago"),
            Self::Ended { provider, model } => {
                write!(f, "model `{provider}/{model}`: its last price has ended")
            }
        }
    }
}

/// What of `book` is old at `at_ms`, in milliseconds since the Unix epoch: prices of more than
/// `days_max` days ago, and models of which no price holds any more nor will again.
pub fn stale(book: &Book, at_ms: i64, days_max: i64) -> Vec<Stale> {
    let mut found = Vec::new();
    let day = book.as_of.parse::<jiff::civil::Date>().ok();
    let day = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
    if let Some(day) = day {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        let age = at_ms.saturating_sub(day.timestamp().as_millisecond());
        let days = age.div_euclid(DAY_MS);
        if days > days_max {
            found.push(Stale::Book {
                as_of: book.as_of.clone(),
                days,
            });
        }
    }
    for model in &book.models {
        let ended = |to: Option<i64>| to.is_some_and(|to| to <= at_ms);
        if model.periods.iter().all(|period| ended(period.valid_to_ms)) {
            found.push(Stale::Ended {
                provider: model.provider.clone(),
                model: (*model.name).into(),
            });
        }
    }
    found
}
