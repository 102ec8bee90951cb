//! `cargo xtask fuzz`: every fuzz target of `fuzz/`, a minute each.
//!
//! cargo-fuzz is not used: it wants a nightly compiler for its sanitizers, which have nothing to
//! watch here (the domain has no unsafe code), and would have to be installed first. Without one,
//! all it does is to build with the flags in [`build`], which every stable compiler knows, and to
//! start the binary; `cargo fuzz run` still works by hand. libFuzzer itself comes with the crate
//! `libfuzzer-sys`, which compiles it with the machine's C++ compiler.
//!
//! What is looked for are panics, overflows, endless loops and broken promises (`fuzz/src`). A found
//! input is written into `tests/cases/fuzz`, where an ordinary test runs it from then on.

mod build;

use crate::guests;
use crate::step::{self, note, step};
use crate::toolchain;
use anyhow::{Context, Result, bail};
use build::Group;
use serde::Deserialize;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Longer inputs are not tried: what a parser gets wrong it gets wrong in a few lines.
const INPUT_BYTES_MAX: u32 = 16 << 10;
/// One input that takes this long is a finding.
const TIMEOUT_SECONDS: u32 = 20;
/// How much of a log is shown of a target that found something.
const LOG_LINES_SHOWN: usize = 40;

/// What a run is asked for.
pub struct Wanted<'a> {
    /// Only targets whose names contain this.
    pub only: Option<&'a str>,
    /// How long each target runs.
    pub seconds: u32,
    /// How many targets run at once.
    pub jobs: Option<usize>,
    /// Where the wasm target comes from: the host carries a policy.
    pub guest_toolchain: toolchain::Wanted,
}

#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Binary>,
}

/// A binary, as the manifest of `fuzz/` lists it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Binary {
    name: String,
    #[serde(default)]
    required_features: Vec<String>,
}

impl Binary {
    /// The others are tools.
    fn is_target(&self) -> bool {
        self.requires("libfuzzer")
    }

    /// Whether it reads with the host, so that the engine is a part of it, and the guests.
    fn is_of_host(&self) -> bool {
        self.requires("wasm")
    }

    fn requires(&self, feature: &str) -> bool {
        self.required_features.iter().any(|name| name == feature)
    }
}

/// Where a run keeps what is not committed.
struct Folders {
    root: PathBuf,
    /// What the ordinary builds share.
    target: PathBuf,
    /// What only fuzzing needs.
    built: PathBuf,
}

/// Runs the targets that are wanted.
///
/// # Errors
/// A target does not build, or found an input that breaks a promise.
pub fn run(root: &Path, wanted: &Wanted<'_>) -> Result<()> {
    let targets = targets(root, wanted.only)?;
    let base = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder));
    let folders = Folders {
        root: root.to_owned(),
        built: base.join("fuzz"),
        target: base,
    };
    let (of_host, of_domain): (Vec<_>, Vec<_>) = targets.iter().partition(|bin| bin.is_of_host());
    if !of_host.is_empty() {
        guests::build(root, wanted.guest_toolchain).map(drop)?;
    }
    step("seeds", || build::seeds(&folders, !of_host.is_empty()))?;
    let mut binaries = Vec::new();
    for (what, group, targets) in [
        ("fuzz targets of the domain", Group::Domain, of_domain),
        ("fuzz targets of the host", Group::Host, of_host),
    ] {
        if !targets.is_empty() {
            let built = step(what, || build::targets(&folders, group, &targets))?;
            let of = |bin: &&Binary| (bin.name.clone(), built.join(&bin.name));
            binaries.extend(targets.iter().map(of));
        }
    }
    let jobs = wanted
        .jobs
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get));
    step::header(&format!(
        "{} targets, {} s each",
        binaries.len(),
        wanted.seconds
    ));
    let failed = run_all(&folders, &binaries, wanted.seconds, jobs)?;
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} found an input: it is in tests/cases/fuzz, and a test fails with it until it is handled",
        failed.join(", ")
    )
}

fn targets(root: &Path, only: Option<&str>) -> Result<Vec<Binary>> {
    let text = fs::read_to_string(root.join("fuzz/Cargo.toml"))
        .context("could not read fuzz/Cargo.toml")?;
    let mut manifest: Manifest =
        toml_edit::de::from_str(&text).context("could not read fuzz/Cargo.toml")?;
    manifest.bin.retain(Binary::is_target);
    let all: Vec<String> = manifest.bin.iter().map(|bin| bin.name.clone()).collect();
    let wanted = |bin: &Binary| only.is_none_or(|only| bin.name.contains(only));
    let targets: Vec<_> = manifest.bin.into_iter().filter(wanted).collect();
    if targets.is_empty() {
        bail!(
            "no fuzz target has `{}` in its name; there are {}",
            only.unwrap_or_default(),
            all.join(", ")
        );
    }
    Ok(targets)
}

/// Runs every target, `jobs` at a time, and gives the names of those that found something.
fn run_all(
    folders: &Folders,
    binaries: &[(String, PathBuf)],
    seconds: u32,
    jobs: usize,
) -> Result<Vec<String>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<String>> {
        let mut failed = Vec::new();
        while let Some((name, binary)) = binaries.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !run_one(folders, binary, name, seconds)? {
                failed.push(name.clone());
            }
        }
        Ok(failed)
    };
    let mut failed = Vec::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(outcome) => failed.extend(outcome?),
                Err(_) => bail!("a worker ended early"),
            }
        }
        Ok(())
    })?;
    Ok(failed)
}

/// Runs one target; `false` when it found an input.
fn run_one(folders: &Folders, binary: &Path, name: &str, seconds: u32) -> Result<bool> {
    let found = folders.root.join("tests/cases/fuzz").join(name);
    let corpus = folders.built.join("corpus").join(name);
    let log = folders.built.join("logs").join(format!("{name}.log"));
    let seeds = folders.built.join("seeds").join(name);
    for folder in [&found, &corpus, &folders.built.join("logs")] {
        fs::create_dir_all(folder)?;
    }
    let dictionary = folders.built.join("seeds/words.dict");
    let status = Command::new(binary)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-timeout={TIMEOUT_SECONDS}"))
        .arg("-print_final_stats=1")
        .arg(format!("-dict={}", dictionary.display()))
        .arg(format!("-artifact_prefix={}/", found.display()))
        // New inputs go to the first folder; the others are only read.
        .args([&corpus, &seeds, &found])
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?)
        .status()
        .with_context(|| format!("could not start the fuzz target `{name}`"))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    // Only a folder with something in it is worth keeping.
    let _kept = fs::remove_dir(&found);
    if status.success() {
        note(&format!("{name}: {}", summary(&text)));
        return Ok(true);
    }
    note(&format!("{name}: FOUND an input ({})", log.display()));
    let lines: Vec<&str> = text.lines().collect();
    for line in lines
        .iter()
        .skip(lines.len().saturating_sub(LOG_LINES_SHOWN))
    {
        note(&format!("  {line}"));
    }
    Ok(false)
}

/// How much was tried, out of libFuzzer's log.
fn summary(log: &str) -> String {
    let stat = |name: &str| {
        let line = log.lines().rev().find(|line| line.contains(name));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or("?")
    };
    let coverage = log
        .lines()
        .rev()
        .find_map(|line| line.split_once(" cov: ")?.1.split(' ').next())
        .unwrap_or("?");
    format!(
        "{} inputs, {} a second, {coverage} edges, slowest {} s, {} MB at most",
        stat("stat::number_of_executed_units:"),
        stat("stat::average_exec_per_sec:"),
        stat("stat::slowest_unit_time_sec:"),
        stat("stat::peak_rss_mb:"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_summed_up_in_a_line() {
        let log = "#2\tINITED cov: 11 ft: 12 corp: 1/1b\n\
                   #900\tDONE   cov: 423 ft: 977 corp: 88/2kb lim: 4096 exec/s: 450 rss: 60Mb\n\
                   stat::number_of_executed_units: 900\n\
                   stat::average_exec_per_sec:     450\n\
                   stat::slowest_unit_time_sec:    0\n\
                   stat::peak_rss_mb:              61\n";
        assert_eq!(
            summary(log),
            "900 inputs, 450 a second, 423 edges, slowest 0 s, 61 MB at most"
        );
    }

    #[test]
    fn a_name_that_no_target_has_is_answered_with_all_there_are() {
        let root = crate::workspace::root().expect("the checkout is here");
        let error = targets(&root, Some("no such target"))
            .err()
            .expect("there is none");
        assert!(error.to_string().contains("usage_stream"), "{error}");
        let one = targets(&root, Some("usage_stream")).expect("there is one");
        assert_eq!(one.len(), 1);
    }
}
