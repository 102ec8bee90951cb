//! The workspace as cargo describes it: where it is, and which of its packages are guests.

use crate::environment;
use crate::step;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What `cargo metadata` says, as far as it is used here.
#[derive(Deserialize)]
pub struct Metadata {
    /// All packages; only the workspace's own with `--no-deps`.
    pub packages: Vec<Package>,
}

/// One package.
#[derive(Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

impl Package {
    /// The library name of a guest: a package of the workspace that builds a `cdylib`.
    pub fn guest_library(&self) -> Option<&str> {
        let is_guest = |target: &&Target| target.crate_types.iter().any(|kind| kind == "cdylib");
        let target = self.targets.iter().find(is_guest)?;
        Some(&target.name)
    }
}

/// The folder of the workspace's `Cargo.toml`.
///
/// # Errors
/// The folder this was compiled from is gone.
pub fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().context("xtask has no parent folder")?;
    let found = root.canonicalize();
    found.with_context(|| format!("the checkout has moved away from `{}`", root.display()))
}

/// The packages of the workspace.
///
/// # Errors
/// Cargo cannot read the workspace.
pub fn metadata(root: &Path) -> Result<Metadata> {
    let text = step::output(environment::cargo().current_dir(root).args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    serde_json::from_str(&text).context("cargo metadata gave something unexpected")
}
