//! Builds the targets with what libFuzzer needs to see.
//!
//! It sees what was compiled with counters. The domain's targets are compiled with everything that
//! they use: that takes a minute. The host's would take wasmtime and its compiler along, for longer
//! than all the rest takes. So of these only the crates of the workspace have counters, whose
//! promises are looked at; what they use is what the ordinary tests use, compiled once for both.

use super::{Binary, Folders};
use crate::environment;
use crate::step;
use anyhow::{Context, Result};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

/// What cargo-fuzz compiles with: counters on every edge, and the values of comparisons.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// Which part of Farebox targets read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Its parsers, of which nothing knows the engine.
    Domain,
    /// The host and its engine.
    Host,
}

/// Has the inputs written that the targets start from, by the build that the tests use.
pub(super) fn seeds(folders: &Folders, of_host: bool) -> Result<()> {
    let mut cargo = environment::cargo();
    cargo.current_dir(&folders.root).arg("build");
    if of_host {
        // The features of the whole workspace, as in the tests' build.
        cargo.arg("--workspace");
    } else {
        cargo.args(["-p", "farebox-fuzz", "--no-default-features"]);
    }
    step::run(cargo.args(["--bin", "fuzz-seeds"]))?;
    let binary = folders.target.join("debug/fuzz-seeds");
    step::run(Command::new(binary).arg(folders.built.join("seeds")))
}

/// Builds the targets of a group, and says where their binaries are.
pub(super) fn targets(folders: &Folders, group: Group, targets: &[&Binary]) -> Result<PathBuf> {
    let mut cargo = environment::cargo();
    cargo.current_dir(&folders.root).arg("build");
    let built = match group {
        Group::Domain => {
            let host = host_triple()?;
            cargo
                .args(["-p", "farebox-fuzz", "--no-default-features"])
                .args(["--features", "libfuzzer"])
                // With a target of its own, build scripts and macros are compiled without the flags.
                .args(["--target", &host])
                .arg("--target-dir")
                .arg(&folders.built)
                .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
            folders.built.join(host).join("debug")
        }
        Group::Host => {
            cargo
                .arg("--workspace")
                .args(["--features", "farebox-fuzz/libfuzzer,farebox-fuzz/wasm"])
                .env("RUSTC_WORKSPACE_WRAPPER", wrapper(folders)?);
            folders.target.join("debug")
        }
    };
    for target in targets {
        cargo.args(["--bin", &target.name]);
    }
    step::run(&mut cargo).context(
        "fuzzing needs a C++ compiler for libFuzzer: on Debian, `apt-get install -y g++`",
    )?;
    Ok(built)
}

/// What stands between cargo and the compiler for crates of the workspace alone.
///
/// cargo compiles anew when the wrapper has another name, not when it does something else.
fn wrapper(folders: &Folders) -> Result<PathBuf> {
    let text = wrapper_text();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let name = format!("rustc-with-counters-{:016x}", hasher.finish());
    let path = folders.built.join(name);
    fs::create_dir_all(&folders.built)?;
    fs::write(&path, text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Build scripts and macros run while the rest is compiled, where nobody counts.
fn wrapper_text() -> String {
    format!(
        "#!/bin/sh\n\
         case \" $* \" in\n\
         *' build_script_'* | *' proc-macro '* | *' ___ '*) exec \"$@\" ;;\n\
         *) exec \"$@\" {} ;;\n\
         esac\n",
        FLAGS.join(" ")
    )
}

/// What this machine's compiler compiles for by itself.
fn host_triple() -> Result<String> {
    let version = step::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}
