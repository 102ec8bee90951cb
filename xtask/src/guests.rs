//! Builds every guest into `target/guests/<library name>.wasm`: as a component, or as the module of
//! a filter.
//!
//! A guest is a package of the workspace that builds a `cdylib`; nothing else is listed anywhere.
//! What it becomes its manifest says (`package.metadata.farebox.guest`).
//! Cargo knows what changed, so it is always asked; a component is written only when its bytes
//! differ, so that whoever watches the file sees a change only where there is one.

use crate::step::{self, note, step};
use crate::toolchain::{self, TARGET, Toolchain, Wanted};
use crate::workspace::{self, Guest, Kind};
use anyhow::{Context, Result};
use farebox_stamp::StampError;
use std::path::{Path, PathBuf};
use std::process::Command;
use wit_component::ComponentEncoder;

/// Rating is a dozen small functions deep. In a sandbox each call also settles the fuel, so putting
/// more of them into their callers saves a fifth of the fuel, for a tenth more bytes.
const INLINING: &str = "-Cllvm-args=-inline-threshold=1000";

/// Builds the guests and returns the toolchain that did.
///
/// # Errors
/// No toolchain for wasm, a guest that does not compile, or a module that is no component.
pub fn build(root: &Path, wanted: Wanted) -> Result<Toolchain> {
    let folder = build_folder(root);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("could not make `{}`", folder.display()))?;
    let toolchain = step("wasm target", || {
        let found = toolchain::find(wanted, &folder.join("toolchain"))?;
        note(match found {
            Toolchain::Installed => "the active toolchain has it",
            Toolchain::Debian { .. } => "Debian's compiler, with its standard library from source",
        });
        Ok(found)
    })?;
    step("guests", || {
        for kind in Kind::ALL {
            step::run(&mut cargo(root, &toolchain, "build", kind)?)?;
        }
        for guest in workspace::guests(root)? {
            place(root, &toolchain, &guest)?;
        }
        Ok(())
    })?;
    Ok(toolchain)
}

/// `cargo <subcommand>` over all guests of a kind: own target folder, and flags that keep this machine's
/// paths out of the artefact.
///
/// # Errors
/// Cargo cannot read the workspace.
pub fn cargo(root: &Path, toolchain: &Toolchain, subcommand: &str, kind: Kind) -> Result<Command> {
    let mut flags = vec![format!("--remap-path-prefix={}=/farebox", root.display())];
    if kind == Kind::Component {
        flags.push(INLINING.to_owned());
    }
    if let Some(home) = cargo_home() {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    let mut command = toolchain.cargo(subcommand);
    command
        .current_dir(root)
        .args(["--profile", profile(kind), "--target-dir"])
        .arg(build_folder(root).join(toolchain.folder()))
        // Once set, it also keeps the `build.rustflags` of a user's own config away.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    if kind == Kind::Filter {
        command.args(toolchain.small());
    }
    let guests = workspace::guests(root)?;
    for guest in guests.iter().filter(|guest| guest.kind == kind) {
        command.args(["--package", &guest.package]);
    }
    Ok(command)
}

/// The profile of the workspace's manifest.
const fn profile(kind: Kind) -> &'static str {
    match kind {
        Kind::Component => "guest",
        Kind::Filter => "filter",
    }
}

fn build_folder(root: &Path) -> PathBuf {
    root.join("target/guest-build")
}

fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// Where the artefact of a guest's library lies once it is built.
pub fn path(root: &Path, library: &str) -> PathBuf {
    root.join("target/guests")
        .join(library)
        .with_extension("wasm")
}

/// Puts a built guest where it is looked for.
fn place(root: &Path, toolchain: &Toolchain, guest: &Guest) -> Result<()> {
    let library = &guest.library;
    let module_path = build_folder(root)
        .join(toolchain.folder())
        .join(TARGET)
        .join(profile(guest.kind))
        .join(library)
        .with_extension("wasm");
    let module = std::fs::read(&module_path)
        .with_context(|| format!("could not read `{}`", module_path.display()))?;
    let artefact = match guest.kind {
        Kind::Component => ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(|encoder| encoder.encode())
            .with_context(|| format!("guest `{library}` cannot become a component"))?,
        Kind::Filter => stamped(library, module)?,
    };
    let path = path(root, library);
    std::fs::create_dir_all(root.join("target/guests"))?;
    let size = artefact.len().div_ceil(1024);
    if std::fs::read(&path).is_ok_and(|old| old == artefact) {
        note(&format!("{library}: {size} KiB, unchanged"));
        return Ok(());
    }
    write_whole(&path, &artefact)?;
    note(&format!("{library}: {size} KiB"));
    Ok(())
}

/// A filter says which build of it runs, by the digest that is put into it here.
fn stamped(library: &str, mut module: Vec<u8>) -> Result<Vec<u8>> {
    match farebox_stamp::put(&mut module) {
        // One that asks no host has no place for it.
        Ok(_) | Err(StampError::NoPlace) => Ok(module),
        Err(error) => {
            Err(error).with_context(|| format!("filter `{library}` cannot carry its digest"))
        }
    }
}

/// Writes beside, then renames: a host that starts meanwhile never reads half a component.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("wasm.new");
    std::fs::write(&beside, bytes)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("could not write `{}`", path.display()))
}
