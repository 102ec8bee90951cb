//! `farebox price-book`: import, check and show price books.

mod import;
mod margins;

use super::failure::{self, Failure};
use crate::wire::plain;
use clap::Subcommand;
use farebox_book::check::Severity;
use farebox_book::{Compiled, Format, compile};
use farebox_pricing::book::{Model, Period, RateTable};
use farebox_pricing::provider;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Commands on price books.
#[derive(Debug, Subcommand)]
pub enum PriceBook {
    /// Make a price book of another project's price file.
    ///
    /// Prints what was imported, and by name and reason what was not. With `--over`, the models and
    /// terms of an existing book come first: they are believed where both know a price. Repeat the
    /// command with the result as `--over` to merge several sources.
    ///
    /// The imported book has no terms of sale of its own: calls on managed keys sell at cost, calls
    /// on own keys are refused, until you add them (docs/price-book.md).
    Import(import::Import),
    /// Check a price book: contradictions, absurd rates, anything that would be refused.
    ///
    /// Prints each finding with its place. Ends with 1 when the book would be refused, and with
    /// `--strict` also when there is anything a person should look at.
    Check {
        /// The book, TOML or JSON by its file name.
        file: PathBuf,
        /// Warnings count as errors.
        #[arg(long)]
        strict: bool,
    },
    /// Show a price book, or what one model costs.
    Show {
        /// The book, TOML or JSON by its file name.
        file: PathBuf,
        /// A model, as `provider/model`; absent: the book as a whole.
        model: Option<String>,
    },
    Margins(margins::Margins),
    /// Print the JSON Schema of price books, for editors.
    Schema,
}

impl PriceBook {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Import(import) => import.run(out),
            Self::Check { file, strict } => check(file, *strict, out),
            Self::Show { file, model: None } => show(&load(file)?, out),
            Self::Show {
                file,
                model: Some(model),
            } => show_model(&load(file)?, model, out),
            Self::Margins(margins) => margins.run(out),
            Self::Schema => {
                let schema = serde_json::to_string_pretty(&farebox_book::schema())
                    .map_err(std::io::Error::from)?;
                Ok(writeln!(out, "{schema}")?)
            }
        }
    }
}

/// Reads and compiles a book.
///
/// # Errors
/// [`Failure::Found`] with every error, each with line and column.
pub fn load(file: &Path) -> Result<Compiled, Failure> {
    let text = failure::read_text(file)?;
    let name = file.to_string_lossy();
    compile(&text, Format::of_file_name(&name)).map_err(|errors| {
        let listed: Vec<_> = errors
            .iter()
            .map(|error| format!("{name}: {error}"))
            .collect();
        Failure::Found(listed.join("\n"))
    })
}

fn check(file: &Path, strict: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let compiled = load(file)?;
    let mut warnings = 0_u64;
    for finding in &compiled.findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(out, "{word}: {finding}")?;
        warnings = warnings.saturating_add(1);
    }
    writeln!(
        out,
        "{} models, {warnings} warnings",
        compiled.book.models.len()
    )?;
    if strict && warnings > 0 {
        return Err(Failure::Found(format!(
            "{warnings} warnings, and --strict was given"
        )));
    }
    Ok(())
}

fn show(compiled: &Compiled, out: &mut dyn Write) -> Result<(), Failure> {
    let book = &compiled.book;
    writeln!(out, "{} (as of {})", book.name, book.as_of)?;
    writeln!(out, "digest     {}", hex::encode(compiled.digest))?;
    writeln!(out, "canonical  {} bytes", compiled.canonical.len())?;
    for source in &book.sources {
        writeln!(out, "source     {} {}", source.name, source.version)?;
    }
    writeln!(out, "rounding   {}", book.rounding.name())?;
    writeln!(out, "models     {}", book.models.len())?;
    if !book.plans.is_empty() {
        writeln!(out, "plans      {}", book.plans.join(", "))?;
    }
    for rule in &book.charge_rules {
        writeln!(out, "rule       {}: {:?}", rule.name, rule.charge)?;
    }
    for minimum in &book.minimums {
        writeln!(out, "minimum    {}: ${}", minimum.name, plain(minimum.usd))?;
    }
    Ok(())
}

fn show_model(compiled: &Compiled, model: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let (provider_id, name) = model.split_once('/').ok_or_else(|| {
        Failure::Usage(format!(
            "`{model}` is not a model: write provider/model, such as openai/gpt-4o"
        ))
    })?;
    let provider_id = provider::normalise(provider_id)
        .ok_or_else(|| Failure::Usage(format!("`{provider_id}` is not a provider id")))?;
    let view = farebox_pricing::canonical::BookView::open(compiled.canonical.clone())
        .map_err(|error| Failure::unavailable("cannot open the compiled book", error))?;
    let found = view
        .find(&provider_id, name)
        .map_err(|error| Failure::unavailable("cannot read the compiled book", error))?
        .ok_or_else(|| Failure::Found(format!("the book has no price for `{model}`")))?;
    print_model(found, out)
}

fn print_model(model: &Model, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{}/{}", model.provider, model.name)?;
    for (label, names) in [("alias", &model.aliases), ("prefix", &model.prefixes)] {
        for name in names {
            writeln!(out, "  {label} {name}")?;
        }
    }
    if let Some(tokens) = model.max_output_tokens {
        writeln!(out, "  at most {tokens} output tokens")?;
    }
    for period in &model.periods {
        print_period(period, out)?;
    }
    Ok(())
}

fn print_period(period: &Period, out: &mut dyn Write) -> Result<(), Failure> {
    if period.valid_from_ms.is_some() || period.valid_to_ms.is_some() {
        let from = period.valid_from_ms.map_or_else(|| "ever".to_owned(), day);
        let to = period
            .valid_to_ms
            .map_or_else(|| "further notice".to_owned(), day);
        writeln!(out, "  from {from} to {to}")?;
    }
    for table in &period.tables {
        print_table(table, out)?;
    }
    Ok(())
}

fn print_table(table: &RateTable, out: &mut dyn Write) -> Result<(), Failure> {
    let mut conditions = vec![
        table
            .service_tier
            .as_deref()
            .unwrap_or("standard")
            .to_owned(),
    ];
    conditions.extend(
        table
            .region
            .as_deref()
            .map(|region| format!("region {region}")),
    );
    conditions.extend(
        table
            .context_above
            .map(|above| format!("context above {above}")),
    );
    writeln!(out, "  {}", conditions.join(", "))?;
    for rate in &table.rates {
        let attributes: Vec<_> = rate
            .attributes
            .iter()
            .map(|a| format!(" {}={}", a.name, a.value))
            .collect();
        writeln!(
            out,
            "    {:<16} ${}{}",
            rate.meter.name(),
            plain(rate.usd),
            attributes.concat()
        )?;
    }
    Ok(())
}

fn day(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}
