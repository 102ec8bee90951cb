//! `cargo xtask bench`: every figure the README quotes, measured in one run on one machine.
//!
//! What is measured in process comes from examples of the host package, built for release; each
//! prints flat JSON objects of whole numbers, the unit last in a field's name. What is measured
//! from outside (start, memory, HTTP) is measured on the real binary, and Postgres beside it.

mod http;
mod postgres;
mod table;

use crate::guests;
use crate::server::{self, Build};
use crate::step::{self, note, step};
use crate::toolchain::Wanted;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::path::Path;
use std::process::{Command, Stdio};
use table::Table;

/// Measures everything and prints the table on standard output. `quick` shortens each
/// measurement; its figures are for a look, not for quoting.
///
/// # Errors
/// Something does not build or does not run. A missed target is shown, and is no error.
pub fn run(root: &Path, wanted: Wanted, quick: bool) -> Result<()> {
    guests::build(root, wanted)?;
    let (binary, engine, ledger) = step("release build", || {
        Ok((
            server::build(root, Build::Release)?,
            example(root, "engine_bench")?,
            example(root, "ledger_bench")?,
        ))
    })?;
    let mut table = Table::default();
    step("policy engine", || {
        in_process(root, &engine, quick, &mut table)
    })?;
    step("ledger", || in_process(root, &ledger, quick, &mut table))?;
    step("server: start, memory, HTTP", || {
        http::measure(root, &binary, quick, &mut table)
    })?;
    step("Postgres", || {
        match postgres::measure(if quick { 3 } else { 15 }) {
            Ok(debits) => {
                table.add("postgres_one_wallet_per_s", debits.one_wallet);
                table.add("postgres_thousand_wallets_per_s", debits.thousand_wallets);
            }
            // Postgres is a peer, not a part: without it the rest still counts.
            Err(error) => note(&format!("left out: {error:#}")),
        }
        Ok(())
    })?;
    table.compare();
    print!("{}", machine());
    print!("{table}");
    Ok(())
}

fn example(root: &Path, name: &str) -> Result<std::path::PathBuf> {
    server::built(root, Build::Release, &["--example", name], name)
}

/// Runs an example; its progress goes to standard error as it comes.
fn in_process(root: &Path, example: &Path, quick: bool, table: &mut Table) -> Result<()> {
    let mut command = Command::new(example);
    command.current_dir(root).stderr(Stdio::inherit());
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
