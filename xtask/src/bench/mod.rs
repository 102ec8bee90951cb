//! `cargo xtask bench`: every figure the README quotes, measured in one run on one machine.
//!
//! What is measured in process comes from examples of the host package, built for release; each
//! prints flat JSON objects of whole numbers, the unit last in a field's name. What is measured
//! from outside (start, memory, HTTP) is measured on the real binary, and Postgres beside it.

mod admission;
mod book;
mod disk;
mod edge;
mod edge_config;
mod edge_figures;
mod edge_load;
mod figures;
mod http;
mod litellm;
mod postgres;
mod swaps;
mod table;

use crate::guests;
use crate::languages;
use crate::server::{self, Build};
use crate::step::{self, note, step};
use crate::toolchain::Wanted;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use table::Table;

/// How many events the ledger holds before it is measured as a filled one.
const FILLED_EVENTS: u64 = 5_000_000;
/// What is left free on the disk beside that ledger.
const DISK_RESERVE_BYTES: u64 = 2 << 30;

/// Measures everything and prints the table on standard output. `quick` shortens each
/// measurement; its figures are for a look, not for quoting. `only`: what the names of the measured
/// parts contain.
///
/// # Errors
/// Something does not build, or a part does not run; the table then holds what the other parts
/// measured. A missed aim is shown, and is no error.
pub fn run(root: &Path, wanted: Wanted, only: &str, quick: bool) -> Result<()> {
    guests::build(root, wanted)?;
    languages::build(root)?;
    let (binary, engine, ledger) = step("release build", || {
        Ok((
            server::build(root, Build::Release)?,
            example(root, "engine_bench")?,
            example(root, "ledger_bench")?,
        ))
    })?;
    let begun = Instant::now();
    let mut run = Run {
        only,
        table: Table::default(),
        failed: Vec::new(),
    };
    run.part("policy engine", |table| {
        in_process(root, &engine, &[], quick, table)
    });
    run.part("price book: import", |table| {
        book::measure(root, &binary, table)
    });
    run.part("disk", |table| {
        table.add(
            "durable_write_us",
            disk::durable_write_us(&root.join("target"))?,
        );
        Ok(())
    });
    for load in ["many", "bare", "one", "serial", "again", "filled"] {
        run.part(&format!("ledger: {load}"), |table| {
            if load == "filled" && !has_room(root, quick, table)? {
                return Ok(());
            }
            in_process(root, &ledger, &["--only", load], quick, table)
        });
    }
    run.part("server: start, memory, HTTP", |table| {
        http::measure(root, &binary, quick, table)
    });
    run.part("server: swaps of releases, hostile policies", |table| {
        swaps::measure(root, &binary, quick, table)
    });
    run.part("server: admission of custom policies", |table| {
        admission::measure(root, &binary, quick, table)
    });
    run.part("Envoy: with the filter, and without", |table| {
        edge::measure(root, &binary, quick, table)
    });
    run.part("Postgres", |table| {
        if !postgres::is_installed() {
            // Postgres is a peer, not a part: without it the rest still counts.
            note("left out: no Postgres on this machine (Debian's `postgresql` has it)");
            return Ok(());
        }
        let debits = postgres::measure(root, if quick { 3 } else { 15 })?;
        table.add("postgres_one_wallet_per_s", debits.one_wallet);
        table.add("postgres_thousand_wallets_per_s", debits.thousand_wallets);
        Ok(())
    });
    run.table.compare();
    run.table.add("bench_s", begun.elapsed().as_secs());
    print!("{}", machine());
    print!("{}", run.table);
    if !run.failed.is_empty() {
        bail!("not measured: {}", run.failed.join(", "));
    }
    Ok(())
}

/// What is measured so far, and what could not be.
struct Run<'a> {
    only: &'a str,
    table: Table,
    failed: Vec<String>,
}

impl Run<'_> {
    /// One part. The others are measured though it fails.
    fn part(&mut self, name: &str, measure: impl FnOnce(&mut Table) -> Result<()>) {
        if !name.contains(self.only) {
            return;
        }
        let table = &mut self.table;
        if let Err(error) = step(name, || measure(table)) {
            step::failed(&error);
            self.failed.push(name.to_owned());
        }
    }
}

/// Whether the filled ledger is measured: not in a quick run, nor where it would fill the disk.
fn has_room(root: &Path, quick: bool, table: &Table) -> Result<bool> {
    if quick {
        note("left out of a quick run");
        return Ok(false);
    }
    // What is written goes to the log first, so the file is at most half of it.
    let per_pair = table.get("bytes_per_pair").unwrap_or(8_192).div_ceil(2);
    let needed = per_pair.saturating_mul(FILLED_EVENTS);
    let free = disk::free_bytes(&root.join("target"))?;
    let has_room = free >= needed.saturating_add(DISK_RESERVE_BYTES);
    if !has_room {
        note(&format!(
            "left out: it needs {} GiB of free disk",
            needed >> 30
        ));
    }
    Ok(has_room)
}

fn example(root: &Path, name: &str) -> Result<std::path::PathBuf> {
    server::built(root, Build::Release, &["--example", name], name)
}

/// Runs an example; its progress goes to standard error as it comes.
fn in_process(
    root: &Path,
    example: &Path,
    arguments: &[&str],
    quick: bool,
    table: &mut Table,
) -> Result<()> {
    let mut command = Command::new(example);
    command.current_dir(root).stderr(Stdio::inherit());
    command.args(arguments);
    if quick {
        command.arg("--quick");
    }
    let output = step::output(&mut command)?;
    for line in output.lines() {
        let fields: Map<String, Value> = serde_json::from_str(line)
            .with_context(|| format!("`{line}` is not a flat JSON object"))?;
        for (name, value) in &fields {
            if let Some(number) = value.as_u64() {
                table.add(name, number);
            }
        }
    }
    Ok(())
}

/// What it was measured on: figures without that mean nothing.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown CPU", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    format!("{cores} × {model}\n\n")
}
