//! `farebox policy`: build and inspect policies.

use super::failure::{self, Failure};
use super::price_book;
use crate::app::offline::Offline;
use crate::config;
use clap::Subcommand;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use wit_component::ComponentEncoder;

/// Commands on policies.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Make a component of a core wasm module, and check that it may be a policy.
    ///
    /// A Rust policy is built with `cargo build --target wasm32-unknown-unknown`; what comes out is
    /// a core module that carries its interface. JavaScript and Python tools make components
    /// themselves. The result is loaded with a price book as a trial before it is written.
    Build {
        /// The core module, or a component, which is only checked.
        file: PathBuf,
        /// Where the component is written.
        #[arg(short, long, value_name = "OUT")]
        output: PathBuf,
        /// The price book of the trial; absent: the shipped one.
        #[arg(long, value_name = "FILE")]
        price_book: Option<PathBuf>,
    },
    /// Show what a policy is: size, digest, contract, and what it says of itself.
    Inspect {
        /// The component.
        file: PathBuf,
        /// The price book it is loaded with; absent: the shipped one.
        #[arg(long, value_name = "FILE")]
        price_book: Option<PathBuf>,
    },
}

impl Policy {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Build {
                file,
                output,
                price_book,
            } => {
                let component = encode(file, failure::read(file)?)?;
                inspect(&component, price_book.as_deref(), out)?;
                failure::write(output, &component)?;
                Ok(writeln!(out, "wrote      {}", output.display())?)
            }
            Self::Inspect { file, price_book } => {
                inspect(&failure::read(file)?, price_book.as_deref(), out)
            }
        }
    }
}

/// A component stays what it is; a core module becomes one.
fn encode(file: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
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
                file.display()
            ))
        })
}

fn inspect(component: &[u8], book: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let canonical = book
        .map(price_book::load)
        .transpose()?
        .map(|book| book.canonical);
    let offline = Offline::open(
        Some(component.to_vec()),
        canonical,
        config::user_cache_dir(),
    )
    .map_err(|error| refused(&error))?;
    let release = offline.release();
    let policy = offline
        .engine()
        .describe(&release)
        .map_err(|error| refused(&error))?;
    writeln!(out, "policy     {} {}", policy.name, policy.version)?;
    writeln!(out, "           {}", policy.summary)?;
    writeln!(out, "contract   farebox:policy@1.0.0")?;
    writeln!(out, "size       {} bytes", component.len())?;
    writeln!(out, "component  {}", hex::encode(Sha256::digest(component)))?;
    writeln!(out, "book       {}", hex::encode(release.book.0))?;
    if let (Some(name), Some(as_of)) = (&policy.book_name, &policy.book_as_of) {
        writeln!(out, "           {name} (as of {as_of})")?;
    }
    Ok(())
}

fn refused(error: &dyn std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    Failure::Found(text)
}
