//! Tools that come from PyPI, in a virtual environment of pinned versions below `target`.

use crate::step::{self, note};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes `folder/venv` with what `requirements` lists by hash, or finds it as it was made for the
/// same list. `price` says what the first time costs.
///
/// # Errors
/// There is no Python with `venv`, or a package cannot be had.
pub fn install(folder: &Path, requirements: &Path, price: &str) -> Result<()> {
    let wanted = std::fs::read_to_string(requirements)
        .with_context(|| format!("no `{}`", requirements.display()))?;
    let installed = folder.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        note("as it was");
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    note(&format!("python3 -m venv, pip install: {price}"));
    step::output(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder.join("venv")),
    )
    .context("no Python with `venv`: on Debian `apt-get install python3-venv` as root")?;
    step::output(
        Command::new(python(folder))
            .args(["-m", "pip", "install", "--quiet", "--require-hashes"])
            .args([
                "--disable-pip-version-check",
                "--only-binary=:all:",
                "--requirement",
            ])
            .arg(requirements),
    )?;
    std::fs::write(&installed, wanted)?;
    Ok(())
}

/// The interpreter of `folder/venv`.
pub fn python(folder: &Path) -> PathBuf {
    folder.join("venv/bin/python")
}
