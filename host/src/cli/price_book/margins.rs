//! `farebox price-book margins`: what each public name of a book leaves, before any traffic.

use super::load;
use crate::cli::failure::{self, Failure};
use crate::clock::SystemClock;
use crate::config::DeploymentOption;
use crate::service::time::Clock as _;
use crate::wire::plain;
use clap::Args;
use farebox_book::exposure::{Exposure, Leg, Margin, exposures};
use farebox_book::{Format, parse};
use farebox_pricing::canonical::BookView;
use farebox_pricing::event::{Facts, KeySource};
use rust_decimal::Decimal;
use std::io::Write;
use std::path::PathBuf;

/// Show the worst and the best margin of every public name over its fallback chain.
///
/// Every meter of every upstream is priced under the book's own terms, as a call asked by the
/// public name would be now, in the standard service tier and without a region; other tiers are not
/// looked at. Where a model prices large prompts otherwise, calls on both sides of the threshold
/// are priced too. Ends with 1 when a margin is below `--at-least`, or when an upstream
/// would be refused.
#[derive(Debug, Args)]
pub struct Margins {
    /// The book, TOML or JSON by its file name.
    file: PathBuf,
    /// The least margin, as a share of the price: `0.1` for a tenth.
    #[arg(long, value_name = "SHARE")]
    at_least: Option<Decimal>,
    /// The customer's plan.
    #[arg(long)]
    plan: Option<Box<str>>,
    /// The customer, where the book has a contract.
    #[arg(long)]
    org: Option<Box<str>>,
    /// Where it runs.
    #[arg(long, value_enum, default_value = "hosted")]
    deployment: DeploymentOption,
    /// Every meter of every upstream, not only the ends.
    #[arg(long)]
    all: bool,
}

impl Margins {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let compiled = load(&self.file)?;
        let format = Format::of_file_name(&self.file.to_string_lossy());
        // What compiles can be read.
        let text = parse(&failure::read_text(&self.file)?, format)
            .map_err(|_| Failure::Found("the book changed while it was read".to_owned()))?;
        let book = BookView::open(compiled.canonical)
            .map_err(|error| Failure::unavailable("cannot open the compiled book", error))?;
        let now_ms = SystemClock::new().now_ms();
        let mut facts = Facts::new(self.deployment.into(), KeySource::Managed, now_ms);
        facts.plan.clone_from(&self.plan);
        facts.org.clone_from(&self.org);
        let all = exposures(&text, &book, &facts);
        if all.is_empty() {
            writeln!(out, "the book has no public names (`routes`)")?;
        }
        let least = match self.at_least {
            Some(share) => Some(
                Margin::at_least(share)
                    .ok_or_else(|| Failure::Usage(format!("`{share}` is no share of a price")))?,
            ),
            None => None,
        };
        let mut wrong = Vec::new();
        for exposure in &all {
            self.print(exposure, out)?;
            wrong.extend(findings(exposure, least));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::Found(wrong.join("\n")))
    }

    fn print(&self, exposure: &Exposure, out: &mut dyn Write) -> Result<(), Failure> {
        writeln!(out, "{}", exposure.name)?;
        if self.all {
            for leg in &exposure.legs {
                line("", leg, out)?;
            }
            return Ok(());
        }
        for (word, leg) in [("worst", exposure.worst()), ("best", exposure.best())] {
            if let Some(leg) = leg {
                line(word, leg, out)?;
            }
        }
        Ok(())
    }
}

fn line(word: &str, leg: &Leg, out: &mut dyn Write) -> Result<(), Failure> {
    let margin = leg
        .margin
        .map_or_else(|| "given away".to_owned(), |margin| margin.to_string());
    let meter = leg.meter.name();
    let per = match (leg.units, leg.beside) {
        (1, _) => "each".to_owned(),
        (1_000_000, None) => "a million".to_owned(),
        (1_000_000, Some(tokens)) => format!("a million beside {tokens} of input"),
        (units, _) => format!("{units} of them"),
    };
    Ok(writeln!(
        out,
        "  {word:<5}  {margin:>10}  {meter:<16} {}: sells ${} {per}, costs ${}",
        leg.upstream,
        plain(leg.price_usd),
        plain(leg.cost_usd),
    )?)
}

fn findings(exposure: &Exposure, least: Option<Margin>) -> Vec<String> {
    let name = &exposure.name;
    let refused = exposure.refused.iter();
    let mut found: Vec<_> = refused
        .map(|(upstream, refusal)| format!("`{name}` by `{upstream}` would be refused: {refusal}"))
        .collect();
    if let (Some(least), Some(worst)) = (least, exposure.worst())
        && worst.margin.is_none_or(|margin| margin < least)
    {
        found.push(format!("`{name}` is below {least} at `{}`", worst.upstream));
    }
    found
}
