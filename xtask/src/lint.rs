//! Formatting and clippy, for the host and for wasm.
//!
//! A machine without rustfmt or clippy is asked for them through rustup. Where that cannot be
//! had, the check is left out in one clear line rather than in silence: the tests still run.

use crate::environment;
use crate::guests;
use crate::step::{self, note};
use crate::toolchain::{Toolchain, apt_install};
use crate::workspace::Kind;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// Debian's own front end: it looks for its `clippy-driver` beside itself.
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";
const NO_WARNINGS: [&str; 3] = ["--", "--deny", "warnings"];

/// `cargo fmt --check`.
///
/// # Errors
/// A file is not formatted.
pub fn format(root: &Path) -> Result<()> {
    if !has_component("fmt", "rustfmt") {
        return Ok(());
    }
    step::run(
        environment::cargo()
            .current_dir(root)
            .args(["fmt", "--all", "--check"]),
    )
}

/// Clippy over everything that runs on this machine, tests included.
///
/// # Errors
/// Any warning.
pub fn host(root: &Path) -> Result<()> {
    if !has_component("clippy", "clippy") {
        return Ok(());
    }
    let mut clippy = environment::cargo();
    clippy
        .current_dir(root)
        .args(["clippy", "--workspace", "--all-targets"]);
    step::run(clippy.args(NO_WARNINGS))
}

/// Clippy over the guests, as they are compiled for wasm.
///
/// # Errors
/// Any warning.
pub fn guests(root: &Path, toolchain: &Toolchain) -> Result<()> {
    let mut kinds = Kind::ALL.into_iter();
    kinds.try_for_each(|kind| guests_of(root, toolchain, kind))
}

fn guests_of(root: &Path, toolchain: &Toolchain, kind: Kind) -> Result<()> {
    let mut clippy = match toolchain {
        Toolchain::Installed if has_component("clippy", "clippy") => {
            guests::cargo(root, toolchain, "clippy", kind)?
        }
        Toolchain::Installed => return Ok(()),
        Toolchain::Debian { .. } => {
            let missing = !Path::new(DEBIAN_CLIPPY).is_file();
            if missing && let Err(error) = apt_install(&["rust-web-clippy"]) {
                note(&format!(
                    "left out: clippy for wasm needs `rust-web-clippy`: {error}"
                ));
                return Ok(());
            }
            through(
                DEBIAN_CLIPPY,
                guests::cargo(root, toolchain, "clippy", kind)?,
            )
        }
    };
    step::run(clippy.args(NO_WARNINGS))
}

/// The same command, started as `program` instead of `cargo`.
fn through(program: &str, cargo: Command) -> Command {
    let mut command = Command::new(program);
    command.args(cargo.get_args());
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(folder) = cargo.get_current_dir() {
        command.current_dir(folder);
    }
    command
}

fn has_component(subcommand: &str, component: &str) -> bool {
    let works = || step::output(environment::cargo().args([subcommand, "--version"])).is_ok();
    if works() {
        return true;
    }
    note(&format!("rustup component add {component}"));
    let added = step::output(Command::new("rustup").args(["component", "add", component]));
    let there = added.is_ok() && works();
    if !there {
        note(&format!(
            "left out: {component} is not installed (`rustup component add {component}`)"
        ));
    }
    there
}
