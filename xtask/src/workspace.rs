//! The workspace as cargo describes it: where it is, and which of its packages are guests.

use crate::environment;
use crate::step;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What a guest becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A component of the policy contract.
    #[default]
    Component,
    /// A proxy-wasm filter, which stays a module.
    Filter,
}

impl Kind {
    /// Both. They are built one after the other: in one build, a policy that is packed either way
    /// would have the exports of both.
    pub const ALL: [Self; 2] = [Self::Component, Self::Filter];
}

/// A package that becomes wasm.
pub struct Guest {
    /// What it becomes.
    pub kind: Kind,
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
    metadata: Option<Notes>,
}

/// `[package.metadata.farebox]`.
#[derive(Default, Deserialize)]
struct Notes {
    #[serde(default)]
    farebox: FareboxNotes,
}

#[derive(Default, Deserialize)]
struct FareboxNotes {
    #[serde(default)]
    guest: Kind,
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
        kind: package.metadata.unwrap_or_default().farebox.guest,
        package: package.name,
        library: library.name,
    })
}
