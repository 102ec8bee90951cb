//! Nonsense checks: what a book may say, but surely does not mean.
//!
//! A price list is typed by hand somewhere, so a slip of three digits is a matter of time. These
//! bounds catch such slips and let every real price of the known sources pass. They look at a
//! plain book, so a book from bytes can be checked as well as one from text.

mod bounds;
mod stale;

use farebox_pricing::book::{Book, Model, RateTable};
use farebox_pricing::meter::Meter;
use rust_decimal::Decimal;
use std::fmt;

pub use stale::{Stale, stale};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The book is refused.
    Error,
    /// The book is usable; a person should look.
    Warning,
}

/// Where in a book a finding is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Canonical provider id.
    pub provider: Box<str>,
    /// The model.
    pub model: Box<str>,
    /// The service tier of the table; absent: standard.
    pub service_tier: Option<Box<str>>,
    /// The region of the table; absent: any.
    pub region: Option<Box<str>>,
    /// The context size of the table; absent: from zero.
    pub context_above: Option<u64>,
}

/// What is odd.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Oddity {
    /// A rate below zero.
    #[error("`{meter}` costs USD {usd}, below zero")]
    Negative {
        /// The meter.
        meter: Box<str>,
        /// Its rate.
        usd: Decimal,
    },
    /// One token for more than [`check`]'s bound.
    #[error("one `{meter}` costs USD {usd}: was a price per million meant?")]
    TooDear {
        /// The meter.
        meter: Box<str>,
        /// Its rate.
        usd: Decimal,
    },
    /// Reading from the cache costs more than not having one.
    #[error("cache reads (USD {cache_read}) cost more than input (USD {input})")]
    CacheReadAboveInput {
        /// The cache read rate.
        cache_read: Decimal,
        /// The input rate.
        input: Decimal,
    },
    /// Writing to the cache costs more than ten times the input.
    #[error("cache writes (USD {cache_write}) cost more than ten times input (USD {input})")]
    CacheWriteFarAboveInput {
        /// The cache write rate.
        cache_write: Decimal,
        /// The input rate.
        input: Decimal,
    },
    /// Output for less than a tenth of input, or for more than a hundred times.
    #[error("output (USD {output}) and input (USD {input}) are too far apart")]
    OutputRatio {
        /// The output rate.
        output: Decimal,
        /// The input rate.
        input: Decimal,
    },
    /// A model that answers in tokens (it has a token limit) has an input rate and no output rate.
    #[error("has a price for input and a limit of output tokens, but no price for output")]
    NoOutputPrice,
    /// A model in which every rate is zero.
    #[error("every price is zero: the model is given away")]
    Free,
    /// A model without a single rate.
    #[error("has no price at all")]
    NoPrice,
    /// Large prompts are cheaper than small ones.
    #[error("`{meter}` is cheaper for larger prompts (USD {above}) than for smaller (USD {below})")]
    ContextCheaper {
        /// The meter.
        meter: Box<str>,
        /// The rate of the smaller context.
        below: Decimal,
        /// The rate of the larger context.
        above: Decimal,
    },
    /// A tier that is sold as the cheaper one is dearer than the standard tier, or the other way
    /// round.
    #[error("`{meter}` costs USD {usd} in this tier and USD {standard} in the standard one")]
    TierContradicts {
        /// The meter.
        meter: Box<str>,
        /// The rate of the tier.
        usd: Decimal,
        /// The standard rate.
        standard: Decimal,
    },
    /// An alias that is another model's own name, which wins.
    #[error("alias `{alias}` never matches: it is another model's name")]
    AliasIsAName {
        /// The alias.
        alias: Box<str>,
    },
    /// An alias of two models.
    #[error("alias `{alias}` means another model too")]
    AliasTwice {
        /// The alias.
        alias: Box<str>,
    },
}

/// Something odd, how bad it is, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub place: Place,
    /// What is odd.
    pub oddity: Oddity,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        write!(f, "model `{}/{}`", place.provider, place.model)?;
        if let Some(tier) = &place.service_tier {
            write!(f, ", tier `{tier}`")?;
        }
        if let Some(region) = &place.region {
            write!(f, ", region `{region}`")?;
        }
        if let Some(above) = place.context_above {
            write!(f, ", above {above} tokens")?;
        }
        write!(f, ": {}", self.oddity)
    }
}

/// Everything odd in `book`, in its order. See the reference for the bounds.
pub fn check(book: &Book) -> Vec<Finding> {
    let mut findings = Vec::new();
    let names = bounds::Names::of(book);
    for model in &book.models {
        let place = |table: Option<&RateTable>| Place {
            provider: model.provider.clone(),
            model: (*model.name).into(),
            service_tier: table.and_then(|table| table.service_tier.clone()),
            region: table.and_then(|table| table.region.clone()),
            context_above: table.and_then(|table| table.context_above),
        };
        let mut note = |table: Option<&RateTable>, severity, oddity| {
            findings.push(Finding {
                severity,
                place: place(table),
                oddity,
            });
        };
        bounds::names(model, &names, &mut |severity, oddity| {
            note(None, severity, oddity)
        });
        bounds::whole(model, &mut |severity, oddity| note(None, severity, oddity));
        for period in &model.periods {
            for table in &period.tables {
                bounds::table(table, &period.tables, &mut |severity, oddity| {
                    note(Some(table), severity, oddity);
                });
            }
        }
    }
    findings
}

/// The rate of `meter` without attributes.
fn plain_rate(table: &RateTable, meter: &Meter) -> Option<Decimal> {
    let mut rates = table.rates.iter();
    rates
        .find(|rate| rate.meter == *meter && rate.attributes.is_empty())
        .map(|rate| rate.usd)
}

/// Whether any table of the model prices something.
fn has_rates(model: &Model) -> bool {
    let mut periods = model.periods.iter();
    periods.any(|period| period.tables.iter().any(|table| !table.rates.is_empty()))
}
