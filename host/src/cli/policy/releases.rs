//! `farebox policy push`, `list`, `show`, `export` and `revoke`: the releases of a ledger.

use super::build;
use super::door::{Place, brief};
use crate::cli::failure::{self, Failure};
use crate::cli::remote::show;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

const PUSH_EXAMPLES: &str = "\
Examples:
  farebox policy push november.wasm
  farebox policy push --book book.toml
  farebox policy push november.wasm --data-dir farebox-data
  farebox policy push --book book.toml --filter target/guests/farebox_filter.wasm";

/// Push a release: it is checked, compiled and tried, and prices nothing until it is activated.
///
/// The same file twice is one release. Signatures of further keys and further filters are added to it.
#[derive(Debug, Args)]
#[command(after_help = PUSH_EXAMPLES)]
pub struct Push {
    #[command(flatten)]
    place: Place,
    /// The file that `farebox policy build` made. Without it: the standard policy with `--book`.
    #[arg(required_unless_present = "book")]
    file: Option<PathBuf>,
    /// A price book to put into the file first.
    #[arg(long, value_name = "FILE")]
    book: Option<PathBuf>,
    /// A filter that runs the same policy in a gateway, as `cargo xtask guests` makes it; may be given
    /// several times. Gateways with another filter are refused: see `edge_filters`.
    #[arg(long, value_name = "FILE")]
    filter: Vec<PathBuf>,
    /// Under which limits it runs, put into the component first: see `farebox policy build`.
    #[arg(long, value_enum)]
    limits: Option<build::LimitsOption>,
    /// Whether its instances may be kept between calls. Without it, only the standard policy is
    /// trusted. Fixed with the first push.
    #[arg(long, value_enum)]
    trust: Option<TrustOption>,
}

/// Whether a policy may keep its instance from one call to the next.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum TrustOption {
    /// The operator's own.
    Trusted,
    /// Somebody else's: nothing survives in it.
    Untrusted,
}

/// Show releases and take them out of a ledger.
#[derive(Debug, Subcommand)]
pub enum Releases {
    /// List every release, oldest first, and what it prices.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Show a release, or the text of its price book.
    Show {
        #[command(flatten)]
        place: Place,
        /// Its address, the beginning of it, or its name where only one has it.
        release: String,
        /// Print the price book as its author wrote it, comments and all.
        #[arg(long)]
        book: bool,
    },
    /// Write a release as the one file it was pushed as.
    Export {
        #[command(flatten)]
        place: Place,
        /// Its address, the beginning of it, or its name where only one has it.
        release: String,
        /// Where the file is written.
        #[arg(short, long, value_name = "OUT")]
        output: PathBuf,
    },
    /// End a release for all pricing, calls that are held under it included.
    ///
    /// What was held under it is charged under what is bound then. One that is bound to any scope
    /// is not revoked: activate another one first.
    Revoke {
        #[command(flatten)]
        place: Place,
        /// Its address, the beginning of it, or its name where only one has it.
        release: String,
        /// Why, for whoever reads the history.
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

impl Push {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let (file, book) = (self.file.as_deref(), self.book.as_deref());
        let package = build::package(file, book, self.limits, &self.filter)?;
        let query = match self.trust {
            None => "",
            Some(TrustOption::Trusted) => "?trust=trusted",
            Some(TrustOption::Untrusted) => "?trust=untrusted",
        };
        let door = self.place.open()?;
        let path = format!("/v1/admin/policies{query}");
        let answer = door.post_file(&path, "application/wasm", package.to_file())?;
        show::answer(&answer, self.place.json(), out)
    }
}

impl Releases {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::List { place } => {
                let answer = place.open()?.get("/v1/admin/policies", None)?;
                let fields = [
                    "id",
                    "name",
                    "class",
                    "trust",
                    "admitted_at",
                    "signed_by",
                    "bound_to",
                    "revoked",
                ];
                show::answer(&brief(answer, &fields, place.json()), place.json(), out)
            }
            Self::Show {
                place,
                release,
                book,
            } => {
                let door = place.open()?;
                let path = format!("/v1/admin/policies/{}", door.release(release)?);
                if *book {
                    let text = door.get_file(&format!("{path}/book"))?;
                    return Ok(out.write_all(&text)?);
                }
                let answer = door.get(&path, None)?;
                show::answer(&answer, place.json(), out)
            }
            Self::Export {
                place,
                release,
                output,
            } => {
                let door = place.open()?;
                let release = door.release(release)?;
                let file = door.get_file(&format!("/v1/admin/policies/{release}/file"))?;
                failure::write(output, &file)?;
                Ok(writeln!(out, "wrote {release} to {}", output.display())?)
            }
            Self::Revoke {
                place,
                release,
                why,
            } => {
                let door = place.open()?;
                let path = format!("/v1/admin/policies/{}/revoke", door.release(release)?);
                let answer = door.post(&path, &json!({ "why": why }))?;
                show::answer(&answer, place.json(), out)
            }
        }
    }
}
