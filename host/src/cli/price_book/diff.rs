//! `farebox price-book diff`.

use super::{load, moment};
use crate::cli::failure::Failure;
use clap::Args;
use farebox_book::diff::{NameMove, PriceChange, diff};
use std::io::Write;
use std::path::PathBuf;

/// Show what changes from one price book to another, in percent for every price.
///
/// Books are compared as calls meet them from one moment on: announced prices are told with the
/// time from which they hold. Names that come to mean another model are told too. Ends with 0
/// whether they differ or not.
#[derive(Debug, Args)]
pub struct Diff {
    /// The book in use.
    before: PathBuf,
    /// The book that would replace it.
    after: PathBuf,
    /// The moment of the first call. Absent: now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Only models and names with a price that changes by more than this many percent.
    #[arg(long, value_name = "PERCENT")]
    beyond: Option<rust_decimal::Decimal>,
}

impl Diff {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let at_ms = moment(self.at.as_deref())?;
        let (before, after) = (load(&self.before)?, load(&self.after)?);
        let found = diff(&before.book, &after.book, at_ms);
        for (word, models) in [("added", &found.added), ("removed", &found.removed)] {
            for (provider, model) in models {
                writeln!(out, "{word}: {provider}/{model}")?;
            }
        }
        let is_beyond = |prices: &[PriceChange]| {
            let mut prices = prices.iter();
            self.beyond
                .is_none_or(|most| prices.any(|price| price.is_beyond(most)))
        };
        for name in found.moved.iter().filter(|name| is_beyond(&name.prices)) {
            let NameMove {
                provider,
                name,
                kind,
                from,
                to,
                prices,
            } = name;
            let to = to.as_deref().unwrap_or("nothing");
            let word = kind.word();
            writeln!(
                out,
                "{word} {provider}/{name}: {from} → {to}{}",
                span(prices)
            )?;
            for price in prices {
                writeln!(out, "  {price}")?;
            }
        }
        for change in found
            .changed
            .iter()
            .filter(|change| is_beyond(&change.prices))
        {
            writeln!(
                out,
                "{}/{}:{}",
                change.provider,
                change.model,
                span(&change.prices)
            )?;
            for price in &change.prices {
                writeln!(out, "  {price}")?;
            }
        }
        writeln!(
            out,
            "{} models added, {} removed, {} changed; {} names moved",
            found.added.len(),
            found.removed.len(),
            found.changed.len(),
            found.moved.len()
        )?;
        Ok(())
    }
}

/// The least and the most change, such as ` -20 % … +5 %`.
fn span(prices: &[PriceChange]) -> String {
    let percents = || prices.iter().filter_map(PriceChange::percent);
    let signed = |percent: rust_decimal::Decimal| {
        let sign = if percent.is_sign_positive() { "+" } else { "" };
        format!("{sign}{percent} %")
    };
    match (percents().min(), percents().max()) {
        (Some(least), Some(most)) if least == most => format!(" {}", signed(least)),
        (Some(least), Some(most)) => format!(" {} … {}", signed(least), signed(most)),
        _ => String::new(),
    }
}
