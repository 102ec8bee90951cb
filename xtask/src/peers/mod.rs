//! `cargo xtask peers`: every call that two other price calculators can price, priced by all three.
//!
//! LiteLLM and genai-prices run in a virtual environment of pinned versions, each on its own price
//! file; Farebox runs as `farebox rate` on the book that its importer makes of the very same file.
//! So a difference is one of arithmetic and rules, not of the age of prices. Each is explained in
//! `tests/cases/peers/reviewed.json` or fails the command; where the peers agree with each other,
//! Farebox on the book that it ships has to agree too, and no explanation helps.

mod answers;
mod compare;
mod environment;
pub mod prices;
mod report;
mod reviewed;
mod speed;

use crate::guests;
use crate::server::{self, Build};
use crate::step::{note, step};
use crate::toolchain::Wanted;
use anyhow::{Result, bail};
use environment::Environment;
use std::path::Path;

/// The peers, by the names that `ask.py` and the importer know them by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// LiteLLM's cost calculator: binary floats.
    Litellm,
    /// genai-prices: decimals.
    GenaiPrices,
}

impl Peer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Litellm, Self::GenaiPrices];

    /// As `ask.py` and the calls' fields name it.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Litellm => "litellm",
            Self::GenaiPrices => "genai",
        }
    }

    /// As people and `price-book import --from` name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Litellm => "litellm",
            Self::GenaiPrices => "genai-prices",
        }
    }

    /// Its price file below `tests/data/prices`, without `.gz`.
    pub const fn prices(self) -> &'static str {
        match self {
            Self::Litellm => "litellm-1.106.2.json",
            Self::GenaiPrices => "genai-prices-0.2.3.json",
        }
    }
}

/// Compares, prints the tables, and, unless `prices_only`, measures the speed of all three. Prices
/// are the same in a development build.
///
/// # Errors
/// Something cannot be set up, a difference is not explained, an explanation explains nothing, or
/// Farebox differs where the peers agree.
pub fn run(root: &Path, wanted: Wanted, prices_only: bool) -> Result<()> {
    let environment = step("peers: virtual environment", || Environment::set_up(root))?;
    guests::build(root, wanted)?;
    let build = if prices_only {
        Build::Dev
    } else {
        Build::Release
    };
    let binary = step("build", || server::build(root, build))?;
    let books = step("price books", || books(&environment, &binary))?;
    let calls = step("calls", || environment.calls())?;
    let priced = step("prices", || {
        answers::all(&environment, &binary, &books, &calls)
    })?;
    let reviewed = reviewed::read(&root.join("tests/cases/peers/reviewed.json"))?;
    let compared = compare::all(&calls, &priced, &reviewed);
    print!("{}", report::tables(&compared, &reviewed));
    if !prices_only {
        let speeds = step("speed", || {
            speed::measure(root, &environment, &books, &calls, &priced)
        })?;
        print!("{}", report::speeds(&speeds));
    }
    let problems = compared.problems(&reviewed);
    if !problems.is_empty() {
        for problem in &problems {
            note(problem);
        }
        bail!(
            "{} findings about the comparison, listed above",
            problems.len()
        );
    }
    Ok(())
}

/// The book that the importer makes of each peer's file, in the order of [`Peer::ALL`].
fn books(environment: &Environment, binary: &Path) -> Result<Vec<std::path::PathBuf>> {
    Peer::ALL
        .iter()
        .map(|peer| {
            let book = environment.file(&format!("{}.toml", peer.name()));
            prices::import(binary, *peer, &environment.prices(*peer), &book)?;
            Ok(book)
        })
        .collect()
}
