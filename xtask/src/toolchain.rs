//! Finds a compiler for `wasm32-unknown-unknown`, or installs one, or says what to install.
//!
//! In this order: the active toolchain has the target; rustup can add it; Debian's compiler builds
//! the standard library from its packaged sources. The last works where rustup has nowhere to
//! download from. Which one was used last is remembered beside the guests' build files, so that a
//! second run does not try to download again.

use crate::environment;
use crate::step::{self, note};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The target of every guest. No WASI: a policy imports nothing.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// How long rustup may take before another way is tried.
const RUSTUP_MAX: Duration = Duration::from_secs(120);
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Which compiler the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Wanted {
    /// The first that works.
    Auto,
    /// The active toolchain, with the target added by rustup where it lacks.
    Rustup,
    /// Debian's compiler, building the standard library from its packaged sources.
    Debian,
}

/// A compiler for guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The active toolchain has the target.
    Installed,
    /// Debian's `rustc` with `-Z build-std`, linking with `linker`.
    Debian {
        /// A wasm linker: `rust-lld` of the active toolchain, or lld's `wasm-ld`.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Its folder below the guests' build folder: files of two compilers are never mixed.
    pub fn folder(&self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Debian { .. } => "debian",
        }
    }

    /// `cargo <subcommand>` for the wasm target.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = environment::guest_cargo();
        command.arg(subcommand).args(["--target", TARGET]);
        if let Self::Debian { linker } = self {
            command
                .args(["-Z", "build-std=std,panic_abort"])
                .env("RUSTC", DEBIAN_RUSTC)
                // `build-std` is unstable; this lets a stable compiler use it.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
    }

    /// What makes a standard library that is built here small rather than fast: a filter has a limit,
    /// and Debian's compiler makes it larger.
    pub const fn small(&self) -> &'static [&'static str] {
        match self {
            Self::Installed => &[],
            Self::Debian { .. } => &["-Z", "build-std-features=optimize_for_size"],
        }
    }
}

/// Finds or installs a toolchain; `memory` is a file that remembers the choice.
///
/// # Errors
/// None is there and none can be installed: the message says what to install.
pub fn find(wanted: Wanted, memory: &Path) -> Result<Toolchain> {
    if wanted != Wanted::Debian {
        if installed() {
            return Ok(Toolchain::Installed);
        }
        let debian_last_time = std::fs::read_to_string(memory).is_ok_and(|last| last == "debian");
        let skip_rustup = wanted == Wanted::Auto && debian_last_time && debian_is_there();
        if !skip_rustup && rustup_adds_it() && installed() {
            return Ok(Toolchain::Installed);
        }
        if wanted == Wanted::Rustup {
            bail!("no {TARGET} target: run `rustup target add {TARGET}`");
        }
    }
    if !debian_is_there() {
        install_debian()?;
    }
    let toolchain = Toolchain::Debian { linker: linker()? };
    std::fs::write(memory, "debian")
        .with_context(|| format!("could not write `{}`", memory.display()))?;
    Ok(toolchain)
}

/// Whether the active compiler has a standard library for the target.
fn installed() -> bool {
    let printed =
        step::output(environment_rustc().args(["--print", "target-libdir", "--target", TARGET]));
    printed.is_ok_and(|folder| {
        let entries = std::fs::read_dir(folder.trim());
        entries.is_ok_and(|entries| {
            let mut names = entries.flatten().map(|entry| entry.file_name());
            names.any(|name| name.to_string_lossy().starts_with("libstd-"))
        })
    })
}

fn environment_rustc() -> Command {
    Command::new("rustc")
}

fn rustup_adds_it() -> bool {
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    note(&format!("rustup target add {TARGET}"));
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if begun.elapsed() < RUSTUP_MAX => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(None) | Err(_) => {
                // Either it is gone already, or it must go.
                drop(child.kill());
                drop(child.wait());
                return false;
            }
        }
    }
}

/// Whether Debian's compiler and the sources of its standard library are both there.
fn debian_is_there() -> bool {
    let sysroot = step::output(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]));
    sysroot.is_ok_and(|sysroot| {
        let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
        library.is_file()
    })
}

fn install_debian() -> Result<()> {
    let what_to_do = format!(
        "no compiler for {TARGET}: run `rustup target add {TARGET}`, or on Debian \
         `apt-get install {}` as root",
        DEBIAN_PACKAGES.join(" ")
    );
    let user = step::output(Command::new("id").arg("-u")).unwrap_or_default();
    if !Path::new("/etc/debian_version").is_file() || user.trim() != "0" {
        bail!(what_to_do);
    }
    apt_install(&DEBIAN_PACKAGES).context(what_to_do)
}

/// Installs Debian packages; only root on Debian gets this far.
///
/// # Errors
/// `apt-get` fails.
pub fn apt_install(packages: &[&str]) -> Result<()> {
    note(&format!("apt-get install {}", packages.join(" ")));
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .arg("--quiet=2");
        command
    };
    // A machine with one broken source of many can still have the packages.
    if let Err(error) = step::output(apt().arg("update")) {
        note(&format!("{error}"));
    }
    step::output(
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )?;
    Ok(())
}

fn linker() -> Result<PathBuf> {
    let sysroot =
        step::output(environment_rustc().args(["--print", "sysroot"])).unwrap_or_default();
    let verbose = step::output(environment_rustc().arg("-vV")).unwrap_or_default();
    let host = verbose
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap_or_default();
    let bundled = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    if bundled.is_file() {
        return Ok(bundled);
    }
    let packaged = PathBuf::from("/usr/bin/wasm-ld");
    if !packaged.is_file() {
        apt_install(&["lld"]).context("no wasm linker: install Debian's `lld`")?;
    }
    Ok(packaged)
}
