//! `farebox price-book`: import, check, compare and show price books.

mod diff;
mod import;
mod margins;
mod show;

use super::failure::{self, Failure};
use crate::app::shipped;
use crate::clock::SystemClock;
use crate::service::time::Clock;
use clap::Subcommand;
use farebox_book::check::{Severity, stale};
use farebox_book::{BookError, Compiled, Format, compile};
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
        /// The day against which the book's age is told, or a time. Absent: now.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// How many days old prices may be.
        #[arg(long, value_name = "DAYS", default_value_t = 90)]
        stale_after: i64,
    },
    /// Print the canonical book: the bytes that policies read, in the host and in a proxy.
    ///
    /// Equal books have equal bytes. Without a file: the shipped book.
    Compile {
        /// The book, TOML or JSON by its file name.
        file: Option<PathBuf>,
    },
    /// Show what changes from one price book to another, in percent for every price.
    Diff(diff::Diff),
    /// Show a price book, or what one model costs and which rule its name meets.
    Show(show::Show),
    Margins(margins::Margins),
    /// Print the JSON Schema of price books, for editors.
    Schema,
}

impl PriceBook {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Import(import) => import.run(out),
            Self::Check {
                file,
                strict,
                at,
                stale_after,
            } => check(file, *strict, moment(at.as_deref())?, *stale_after, out),
            Self::Compile { file } => Ok(out.write_all(&canonical(file.as_deref())?)?),
            Self::Diff(diff) => diff.run(out),
            Self::Margins(margins) => margins.run(out),
            Self::Show(show) => show.run(out),
            Self::Schema => {
                let schema = serde_json::to_string_pretty(&farebox_book::schema())
                    .map_err(std::io::Error::from)?;
                Ok(writeln!(out, "{schema}")?)
            }
        }
    }
}

/// Oddities of a book that are shown where it is only used.
const ODD_SHOWN: usize = 3;

/// Reads and compiles a book.
///
/// # Errors
/// [`Failure::Found`] with every error, each with line and column.
pub fn load(file: &Path) -> Result<Compiled, Failure> {
    let text = failure::read_text(file)?;
    let name = file.to_string_lossy();
    compile(&text, Format::of_file_name(&name)).map_err(|errors| refused(&name, &errors))
}

/// The same for a book that is to price: says on standard error what is odd in it.
///
/// # Errors
/// As [`load`].
pub fn load_to_price(file: &Path) -> Result<Compiled, Failure> {
    let compiled = load(file)?;
    let name = file.to_string_lossy();
    for odd in compiled.findings.iter().take(ODD_SHOWN) {
        super::warn(&format!("{name}: {odd}"));
    }
    let more = compiled.findings.len().saturating_sub(ODD_SHOWN);
    if more > 0 {
        super::warn(&format!(
            "{name}: {more} more (`farebox price-book check {name}`)"
        ));
    }
    Ok(compiled)
}

fn refused(name: &str, errors: &[BookError]) -> Failure {
    let listed: Vec<_> = errors
        .iter()
        .map(|error| format!("{name}: {error}"))
        .collect();
    Failure::Found(listed.join("\n"))
}

fn canonical(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    match file {
        Some(file) => Ok(load(file)?.canonical),
        None => shipped::default_book()
            .map(|book| book.canonical)
            .map_err(|errors| refused("the shipped book", &errors)),
    }
}

/// A moment as people write it: `YYYY-MM-DD` (midnight UTC) or an RFC 3339 time, in milliseconds
/// since the Unix epoch; absent: now.
fn moment(text: Option<&str>) -> Result<i64, Failure> {
    let Some(text) = text else {
        return Ok(SystemClock::new().now_ms());
    };
    farebox_book::moment(text).ok_or_else(|| {
        Failure::Usage(format!(
            "`{text}` is no date (2026-11-21) and no time (2026-11-21T09:30:00Z)"
        ))
    })
}

fn check(
    file: &Path,
    strict: bool,
    at_ms: i64,
    stale_after: i64,
    out: &mut dyn Write,
) -> Result<(), Failure> {
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
    for stale in stale(&compiled.book, at_ms, stale_after) {
        writeln!(out, "warning: {stale}")?;
        warnings = warnings.saturating_add(1);
    }
    let disputed = compiled.notes.iter().filter(|note| note.is_dispute);
    writeln!(
        out,
        "{} models, {warnings} warnings, {} disputed prices",
        compiled.book.models.len(),
        disputed.count()
    )?;
    if strict && warnings > 0 {
        return Err(Failure::Found(format!(
            "{warnings} warnings, and --strict was given"
        )));
    }
    Ok(())
}
