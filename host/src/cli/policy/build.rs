//! `farebox policy build` and `inspect`: a release in one file, made and looked at without a server.

use super::super::failure::{self, Failure};
use super::super::price_book;
use crate::app::offline::Offline;
use crate::app::shipped;
use crate::config;
use crate::engine::package::Package;
use crate::service::policy::{LimitClass, PolicyEngine};
use clap::{Args, ValueEnum};
use farebox_book::Compiled;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use wit_component::ComponentEncoder;

const BUILD_EXAMPLES: &str = "\
Examples:
  farebox policy build --book book.toml -o november.wasm
  farebox policy build target/wasm32-unknown-unknown/release/mine.wasm --book book.toml -o mine.wasm";

/// Make one file of a policy and its price book, and check that it may be a release.
///
/// With `--book` the file carries the canonical book, and the text it was made from: it is all that
/// a release is, to be reviewed, kept in git, copied and pushed. Equal input makes equal bytes.
///
/// A Rust policy is built with `cargo build --target wasm32-unknown-unknown`; what comes out is a
/// core module that carries its interface, and becomes a component here. JavaScript and Python
/// tools make components themselves. The result is loaded with its book as a trial before it is
/// written.
#[derive(Debug, Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub struct Build {
    /// The policy: a core module, a component, or an earlier result, whose book is replaced.
    /// Without it: the standard policy.
    file: Option<PathBuf>,
    /// Where the result is written.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// The price book that goes into the file. Without it the file stays without one, and the trial
    /// is made with the shipped book.
    #[arg(long, value_name = "FILE")]
    book: Option<PathBuf>,
    /// A filter that runs the same policy in a gateway, as `cargo xtask guests` makes it; may be given
    /// several times. Its digest goes into the file, and changes no release.
    #[arg(long, value_name = "FILE")]
    filter: Vec<PathBuf>,
    /// Under which limits it runs. It stands in the component, so it is part of what a release is.
    /// Without it: what the component declares, else what its size says.
    #[arg(long, value_enum)]
    limits: Option<LimitsOption>,
}

/// How much a policy may use up.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LimitsOption {
    /// Compiled languages: Rust, C.
    Native,
    /// Languages that bring their interpreter: JavaScript, Python.
    Scripted,
}

impl From<LimitsOption> for LimitClass {
    fn from(option: LimitsOption) -> Self {
        match option {
            LimitsOption::Native => Self::Native,
            LimitsOption::Scripted => Self::Scripted,
        }
    }
}

/// Show what a policy is: size, digests, contract, its book, and what it says of itself.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The policy, with or without its book.
    file: PathBuf,
    /// The price book it is loaded with. Without it: the one it carries, else the shipped one.
    #[arg(long, value_name = "FILE")]
    book: Option<PathBuf>,
}

impl Build {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let (file, book) = (self.file.as_deref(), self.book.as_deref());
        let package = package(file, book, self.limits, &self.filter)?;
        let file = package.to_file();
        inspect(&package, None, file.len(), out)?;
        failure::write(&self.output, &file)?;
        Ok(writeln!(out, "wrote      {}", self.output.display())?)
    }
}

impl Inspect {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let file = failure::read(&self.file)?;
        let package = open(&self.file, &file)?;
        let book = self.book.as_deref().map(price_book::load).transpose()?;
        inspect(&package, book, file.len(), out)
    }
}

/// A policy (absent: the standard one) with a book.
pub(super) fn package(
    policy: Option<&Path>,
    book: Option<&Path>,
    limits: Option<LimitsOption>,
    filters: &[PathBuf],
) -> Result<Package, Failure> {
    let mut package = match policy {
        Some(path) => open(path, &encode(path, failure::read(path)?)?)?,
        None => Package {
            component: shipped::STANDARD_COMPONENT.to_vec(),
            ..Package::default()
        },
    };
    if let Some(path) = book {
        package.book = Some(price_book::load_to_price(path)?.canonical);
        package.book_source = Some(failure::read(path)?);
        // Who signed the file signed another book.
        package.signatures.clear();
    }
    if let Some(limits) = limits {
        package.declare(limits.into());
    }
    for path in filters {
        let added = package.add_filter(&failure::read(path)?);
        added.map_err(|error| Failure::Found(format!("{}: {error}", path.display())))?;
    }
    Ok(package)
}

pub(super) fn open(path: &Path, file: &[u8]) -> Result<Package, Failure> {
    Package::open(file).map_err(|error| Failure::Found(format!("{}: {error}", path.display())))
}

/// A component stays what it is; a core module becomes one.
fn encode(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if !bytes.starts_with(b"\0asm\x01\0\0\0") {
        return Ok(bytes);
    }
    ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| {
            Failure::Found(format!(
                "{} cannot become a component: {error:#}",
                path.display()
            ))
        })
}

fn inspect(
    package: &Package,
    book: Option<Compiled>,
    file_bytes: usize,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let other = book.map(|book| book.canonical);
    let is_whole = other.is_none();
    let book_is = match (&other, &package.book) {
        (Some(_), _) => "not in the file",
        (None, Some(_)) if package.book_source.is_some() => "in the file, with its text",
        (None, Some(_)) => "in the file",
        (None, None) => "not in the file: the shipped one",
    };
    let file = package.to_file();
    let offline = Offline::open(Some(&file), other, config::user_cache_dir())
        .map_err(|error| refused(&error))?;
    let release = offline.release();
    let policy = offline
        .engine()
        .describe(&release)
        .map_err(|error| refused(&error))?;
    writeln!(out, "policy     {} {}", policy.name, policy.version)?;
    writeln!(out, "           {}", policy.summary)?;
    if let Some(version) = package.contract().map_err(|error| refused(&error))? {
        writeln!(out, "contract   farebox:policy@{version}")?;
    }
    writeln!(out, "size       {file_bytes} bytes")?;
    let class = LimitClass::of(&package.component);
    writeln!(out, "limits     {}", class.name())?;
    let component = hex::encode(Sha256::digest(&package.component));
    writeln!(out, "component  {component}")?;
    writeln!(out, "book       {}", hex::encode(release.book.0))?;
    if let (Some(name), Some(as_of)) = (&policy.book_name, &policy.book_as_of) {
        writeln!(out, "           {name} (as of {as_of}), {book_is}")?;
    }
    writeln!(out, "release    {release}")?;
    if is_whole {
        for signed in &package.signatures {
            writeln!(out, "signed by  {}", signed.key)?;
        }
    }
    for filter in &package.filters {
        writeln!(out, "filter     {}", hex::encode(filter.0))?;
    }
    Ok(())
}

fn refused(error: &dyn std::error::Error) -> Failure {
    Failure::Found(failure::chain(error))
}
