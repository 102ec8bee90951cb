//! `cargo xtask test`: all that must hold before a change lands, in the order in which it is
//! cheapest to fail. What the README shows comes last: the demo, and a call through the gateway.

use crate::demo;
use crate::environment;
use crate::envoy;
use crate::gateway;
use crate::guests;
use crate::languages;
use crate::licences;
use crate::lint;
use crate::step::{self, step};
use crate::toolchain::{Toolchain, Wanted};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Instant;

/// Runs every check, then every test.
///
/// # Errors
/// The first step that fails.
pub fn run(root: &Path, wanted: Wanted) -> Result<()> {
    let toolchain = guests::build(root, wanted)?;
    step("format", || lint::format(root))?;
    step("licences and sources", || licences::check(root))?;
    step("clippy, wasm", || lint::guests(root, &toolchain))?;
    step("clippy, host", || lint::host(root))?;
    let mut left_out = languages::build(root)?;
    left_out.extend(envoy::for_tests(root));
    if toolchain != Toolchain::Installed {
        step::note("left out: a new project in Rust needs a toolchain that has the wasm target");
        left_out.push("with_the_wasm_target");
    }
    step::header("tests");
    tests(root, &left_out)?;
    demo::run(root, wanted, true)?;
    if left_out.contains(&envoy::WORD) {
        return Ok(());
    }
    gateway::run(root, wanted, true)
}

/// What `cargo test` builds and runs. Left to itself it would also build every example, each a program
/// that links the whole host; they run in the bench, and clippy has read them.
const SELECTIONS: [&str; 2] = ["--tests", "--doc"];

/// `cargo test`, shown as it runs, with one line of totals at the end.
///
/// A test that needs tools which are not here has their name in its own, and is left out.
fn tests(root: &Path, left_out: &[&str]) -> Result<()> {
    let begun = Instant::now();
    let mut totals = Totals::default();
    let mut failed = Vec::new();
    for selection in SELECTIONS {
        let status = run_selected(root, selection, left_out, &mut totals)?;
        if !status.success() {
            failed.push(format!("`cargo test {selection}` ended with {status}"));
        }
    }
    println!(
        "{} passed, {} failed, {} ignored in {} suites; {}",
        totals.passed,
        totals.failed,
        totals.ignored,
        totals.suites,
        step::seconds(begun.elapsed())
    );
    if !failed.is_empty() {
        bail!(failed.join(", "));
    }
    Ok(())
}

fn run_selected(
    root: &Path,
    selection: &str,
    left_out: &[&str],
    totals: &mut Totals,
) -> Result<ExitStatus> {
    let mut child = environment::cargo()
        .current_dir(root)
        .args(["test", "--workspace", "--no-fail-fast", selection, "--"])
        .args(left_out.iter().flat_map(|tools| ["--skip", tools]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start cargo test")?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.context("cargo test wrote something that is not UTF-8")?;
            totals.add(&line);
            println!("{line}");
        }
    }
    Ok(child.wait()?)
}

/// The sum of the `test result:` lines of many test binaries.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    suites: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Totals {
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        self.suites = self.suites.saturating_add(1);
        for part in counts.split("; ") {
            let Some((number, word)) = part.split_once(' ') else {
                continue;
            };
            let total = match word {
                "passed" => &mut self.passed,
                "failed" => &mut self.failed,
                "ignored" => &mut self.ignored,
                _ => continue,
            };
            *total = total.saturating_add(number.parse().unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn totals_are_the_sum_over_suites() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 0.00s",
            "test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; \
             finished in 1.23s",
        ] {
            totals.add(line);
        }
        let expect = Totals {
            suites: 2,
            passed: 13,
            failed: 2,
            ignored: 1,
        };
        assert_eq!(totals, expect);
    }
}
