//! `farebox price-book import`.

use crate::cli::failure::{self, Failure};
use crate::clock::SystemClock;
use crate::service::time::Clock;
use clap::{Args, ValueEnum};
use farebox_book::import::{self, Disagreement, ImportError, Imported, Lost, Quarantined};
use farebox_book::text::BookText;
use farebox_book::{Format, compile, parse, to_json, to_toml};
use rust_decimal::Decimal;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Make a price book of another project's price file.
#[derive(Debug, Args)]
pub struct Import {
    /// Whose file it is.
    #[arg(long, value_enum)]
    from: Source,
    /// The price file, as that project ships it (JSON).
    file: PathBuf,
    /// Where the book is written: TOML, or JSON by its file name.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// A book whose models and terms come first.
    #[arg(long, value_name = "BOOK")]
    over: Option<PathBuf>,
    /// The version of the source, kept in the book. Absent: taken from the file's name.
    #[arg(long, value_name = "VERSION")]
    source_version: Option<String>,
    /// The day the prices were current, YYYY-MM-DD. Absent: today (UTC).
    #[arg(long, value_name = "DAY")]
    as_of: Option<String>,
    /// The book in use: a model of which a price, of today or announced, jumps too far from it
    /// keeps its old prices, and a name that would mean a model with such prices its model.
    #[arg(long, value_name = "BOOK")]
    against: Option<PathBuf>,
    /// With `--against`: how far a price may jump, in percent, up or down.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "50",
        requires = "against"
    )]
    max_change: Decimal,
    /// With `--against`: a model or name whose new prices are accepted, as `provider/model`; `*`:
    /// all.
    #[arg(long, value_name = "MODEL", requires = "against")]
    accept: Vec<String>,
    /// List every entry that was not imported as it stands, not only how many.
    #[arg(long)]
    all: bool,
}

/// Whose price file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    /// LiteLLM's model_prices_and_context_window.json.
    Litellm,
    /// The genai-prices data as JSON.
    GenaiPrices,
}

impl Import {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let imported = self.read()?;
        writeln!(out, "{}", imported.report)?;
        if self.all {
            for left_out in &imported.report.left_out {
                writeln!(
                    out,
                    "{}: {}: {}",
                    left_out.entry, left_out.field, left_out.reason
                )?;
            }
        }
        let book = match &self.over {
            None => imported.book,
            Some(over) => {
                let merged = import::merge(self.parse_book(over)?, imported.book);
                writeln!(
                    out,
                    "merged under {}: {} models and {} names added, {} priced alike, {} prices differ",
                    over.display(),
                    merged.models_added,
                    merged.names_added,
                    merged.agreeing,
                    merged.disagreements.len(),
                )?;
                for Disagreement {
                    provider,
                    model,
                    meter,
                    used,
                    other,
                } in &merged.disagreements
                {
                    writeln!(
                        out,
                        "  {provider}/{model} {meter}: {used} is used, not {other}"
                    )?;
                }
                for Lost {
                    provider,
                    model,
                    valid_from,
                    what,
                } in &merged.lost
                {
                    let from = valid_from.as_deref().unwrap_or("the beginning");
                    writeln!(
                        out,
                        "  {provider}/{model}: the prices from {from} on lack {what}"
                    )?;
                }
                merged.book
            }
        };
        let (book, held) = match &self.against {
            None => (book, Vec::new()),
            Some(against) => self.hold_back(book, against)?,
        };
        for Quarantined {
            name,
            moved_to,
            jumps,
        } in &held
        {
            match moved_to {
                None => writeln!(out, "held back: {name} keeps its prices")?,
                Some(other) => writeln!(out, "held back: {name} does not become {other}")?,
            }
            for jump in jumps {
                writeln!(out, "  {jump}")?;
            }
        }
        let name = self.output.to_string_lossy();
        let text = match Format::of_file_name(&name) {
            Format::Toml => to_toml(&book, &[]),
            Format::Json => to_json(&book).map_err(std::io::Error::from)?,
        };
        // What is written must be a book: the importer's own output is checked like anyone's.
        let compiled = compile(&text, Format::of_file_name(&name)).map_err(|errors| {
            let listed: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Failure::Found(format!(
                "the imported book would be refused:\n{}",
                listed.join("\n")
            ))
        })?;
        failure::write(&self.output, text.as_bytes())?;
        let (models, findings) = (compiled.book.models.len(), compiled.findings.len());
        writeln!(
            out,
            "wrote {name}: {models} models, {findings} warnings (`farebox price-book check`)"
        )?;
        if !held.is_empty() {
            return Err(Failure::Found(format!(
                "{} models or names keep their old prices: look at them, and accept them by --accept",
                held.len()
            )));
        }
        Ok(())
    }

    fn hold_back(
        &self,
        book: BookText,
        against: &Path,
    ) -> Result<(BookText, Vec<Quarantined>), Failure> {
        let old = self.parse_book(against)?;
        let accepted = self.accept.iter().cloned().collect();
        let now_ms = SystemClock::new().now_ms();
        let held = import::quarantine(book, &old, self.max_change, &accepted, now_ms);
        held.map_err(|errors| {
            let listed: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Failure::Found(format!("a book would be refused:\n{}", listed.join("\n")))
        })
    }

    fn read(&self) -> Result<Imported, Failure> {
        let text = failure::read_text(&self.file)?;
        let version = self
            .source_version
            .clone()
            .unwrap_or_else(|| version_in(&self.file));
        let as_of = self.as_of.clone().unwrap_or_else(today);
        let imported = match self.from {
            Source::Litellm => import::litellm(&text, &version, &as_of),
            Source::GenaiPrices => import::genai_prices(&text, &version, &as_of),
        };
        imported.map_err(|error: ImportError| {
            Failure::Found(format!("{}: {error}", self.file.display()))
        })
    }

    fn parse_book(&self, path: &Path) -> Result<BookText, Failure> {
        let text = failure::read_text(path)?;
        let name = path.to_string_lossy();
        parse(&text, Format::of_file_name(&name)).map_err(|errors| {
            let listed: Vec<_> = errors
                .iter()
                .map(|error| format!("{name}: {error}"))
                .collect();
            Failure::Found(listed.join("\n"))
        })
    }
}

/// `1.106.2` of `litellm-1.106.2.json`; `unknown` where the name has no version.
fn version_in(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let version = stem.rsplit('-').next().unwrap_or_default();
    if version.starts_with(|first: char| first.is_ascii_digit()) {
        version.to_owned()
    } else {
        "unknown".to_owned()
    }
}

fn today() -> String {
    let now = jiff::Timestamp::from_millisecond(SystemClock::new().now_ms()).unwrap_or_default();
    now.strftime("%Y-%m-%d").to_string()
}
