//! The environment in which cargo is started again.
//!
//! `cargo xtask` is itself run by cargo, which sets many `CARGO_…` variables, and a developer may
//! have flags, wrappers and target directories of their own. What is right for the host (a linker,
//! a CPU, a coverage wrapper) breaks a wasm build, so a guest build starts from a cleaned
//! environment: where things are fetched from stays, how things are compiled goes.

use std::process::Command;

/// Variables that say where cargo and its registries are, not how to compile.
const KEPT_PREFIXES: [&str; 6] = [
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];
const KEPT: [&str; 2] = ["CARGO_HOME", "CARGO_BUILD_JOBS"];

/// A cargo command for the host: as the developer set it up, minus what the outer cargo added.
pub fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(set_by_outer_cargo) {
            command.env_remove(name);
        }
    }
    command
}

/// A cargo command for wasm: nothing of how the host is compiled reaches it.
pub fn guest_cargo() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(says_how_to_compile) {
            command.env_remove(name);
        }
    }
    // Put there by `cargo run` for the outer compiler's libraries.
    command.env_remove("LD_LIBRARY_PATH");
    command
}

fn set_by_outer_cargo(name: &str) -> bool {
    name == "CARGO"
        || name == "CARGO_PRIMARY_PACKAGE"
        || [
            "CARGO_MANIFEST_",
            "CARGO_PKG_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn says_how_to_compile(name: &str) -> bool {
    if name.starts_with("RUSTC") || name == "RUSTFLAGS" || name == "RUSTDOCFLAGS" {
        return true;
    }
    name.starts_with("CARGO")
        && !KEPT.contains(&name)
        && !KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_compiles_the_host_reaches_a_guest() {
        for name in [
            "RUSTFLAGS",
            "RUSTC",
            "RUSTC_WRAPPER",
            "CARGO",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_RUSTC_WRAPPER",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_INCREMENTAL",
            "CARGO_MANIFEST_DIR",
        ] {
            assert!(says_how_to_compile(name), "{name} leaks");
        }
    }

    #[test]
    fn where_things_are_fetched_from_stays() {
        for name in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
            "CARGO_HTTP_PROXY",
            "CARGO_BUILD_JOBS",
            "RUSTUP_TOOLCHAIN",
            "PATH",
        ] {
            assert!(!says_how_to_compile(name), "{name} is lost");
        }
    }
}
