//! The workspace as cargo describes it: where it is, and which of its packages are guests.

use crate::environment;
use crate::step;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A package that becomes a component.
pub struct Guest {
    /// The package's name.
    pub package: String,
    /// The name of its library, and so of its artefact.
    pub library: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
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

/// The guests: every package of the workspace that builds a `cdylib`.
///
/// # Errors
/// Cargo cannot read the workspace.
pub fn guests(root: &Path) -> Result<Vec<Guest>> {
    let text = step::output(environment::cargo().current_dir(root).args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    let metadata: Metadata =
        serde_json::from_str(&text).context("cargo metadata gave something unexpected")?;
    Ok(metadata.packages.into_iter().filter_map(guest).collect())
}

fn guest(package: Package) -> Option<Guest> {
    let is_module = |target: &Target| target.crate_types.iter().any(|kind| kind == "cdylib");
    let library = package.targets.into_iter().find(is_module)?;
    Some(Guest {
        package: package.name,
        library: library.name,
    })
}
