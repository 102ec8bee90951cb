//! Measures the ledger in process: hold + capture pairs, durable, with every row the product
//! writes (receipt, raw usage, chain, lots, idempotency keys, response ids, client address).
//!
//! Prints one flat JSON object of whole numbers, the unit last in a field's name.
//!
//! `ledger_bench [--quick] [--events N] [--only NAME] [--keep]`: `--quick` measures briefly,
//! `--events` fills the ledger to that many events before the last measurement (default
//! 5,000,000), `--only` picks one of `many`, `bare`, `one`, `serial`, `again`, `filled`, `--keep` leaves the data
//! directories behind (under `target/ledger-bench`), so that other commands can be run on them.

mod again;
mod bare;
mod load;
mod machine;
mod release;
mod writes;

use farebox::store::directory::DataDirectory;
use farebox::store::verify::{Evidence, verify};
use load::{CONCURRENT, micros, quantile};
use machine::{memory_peak_kib, writer_cpu, written};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use writes::Bench;

type Failure = Box<dyn Error + Send + Sync>;

struct Options {
    time: Duration,
    serial: u64,
    events: u64,
    again: u64,
    only: Option<String>,
    keep: bool,
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        time: Duration::from_secs(12),
        serial: 3_000,
        events: 5_000_000,
        again: 1_000_000,
        only: None,
        keep: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => {
                options.time = Duration::from_secs(3);
                options.serial = 500;
                options.events = 0;
                options.again = 100_000;
            }
            "--events" => options.events = arguments.next().ok_or("--events N")?.parse()?,
            "--keep" => options.keep = true,
            "--only" => options.only = arguments.next(),
            other => return Err(format!("unknown argument `{other}`").into()),
        }
    }
    Ok(options)
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut figures: Vec<(&str, u64)> = Vec::new();
    let base = std::env::current_dir()?.join("target/ledger-bench");
    for name in ["many", "bare", "one", "serial", "again", "filled"] {
        if !options.wants(name) || (name == "filled" && options.events == 0) {
            continue;
        }
        let folder = base.join(format!("{name}-{}", std::process::id()));
        let measured = runtime.block_on(measure(name, &folder, &options));
        if !options.keep {
            std::fs::remove_dir_all(&folder)?;
        }
        figures.extend(measured?);
    }
    let fields: Vec<String> = figures
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    println!("{{{}}}", fields.join(","));
    Ok(())
}

async fn measure(
    name: &str,
    folder: &Path,
    options: &Options,
) -> Result<Vec<(&'static str, u64)>, Failure> {
    if name == "bare" {
        eprintln!("ledger: {name}");
        return bare::measure(folder, options.time);
    }
    let bench = Arc::new(Bench::open(folder)?);
    let wallets = if name == "many" || name == "again" || name == "filled" {
        1_000
    } else {
        1
    };
    let orgs = Arc::new(bench.orgs(wallets).await?);
    eprintln!("ledger: {name}");
    let figures = match name {
        "many" => {
            let (before, cpu_before) = (written(), writer_cpu());
            let mut load = bench
                .load(&orgs, CONCURRENT, options.time, u64::MAX)
                .await?;
            let bytes = written().saturating_sub(before);
            let cpu = writer_cpu().saturating_sub(cpu_before);
            vec![
                ("pairs_per_s", load.pairs_per_s()),
                ("hold_p50_us", quantile(&mut load.holds, 500)),
                ("hold_p99_us", quantile(&mut load.holds, 990)),
                ("capture_p50_us", quantile(&mut load.captures, 500)),
                ("capture_p99_us", quantile(&mut load.captures, 990)),
                ("bytes_per_pair", bytes.checked_div(load.pairs).unwrap_or(0)),
                (
                    "writer_cpu_ns_per_pair",
                    cpu.checked_div(load.pairs).unwrap_or(0),
                ),
            ]
        }
        "one" => {
            let load = bench
                .load(&orgs, CONCURRENT, options.time, u64::MAX)
                .await?;
            vec![("pairs_one_wallet_per_s", load.pairs_per_s())]
        }
        "serial" => {
            let limit = Duration::from_secs(120);
            let load = bench.load(&orgs, 1, limit, options.serial).await?;
            let mut pairs: Vec<u64> = load
                .holds
                .iter()
                .zip(&load.captures)
                .map(|(hold, capture)| hold.saturating_add(*capture))
                .collect();
            let mut operations = load.holds;
            operations.extend(load.captures);
            vec![
                ("op_serial_p50_us", quantile(&mut operations, 500)),
                ("pair_serial_p50_us", quantile(&mut pairs, 500)),
            ]
        }
        "again" => return again::measure(bench, &orgs, folder, options.again).await,
        _ => return filled(bench, &orgs, folder, options).await,
    };
    Ok(figures)
}

/// What changes in a ledger that holds millions of events.
async fn filled(
    bench: Arc<Bench>,
    orgs: &Arc<Vec<farebox_ledger::ids::OrgId>>,
    folder: &Path,
    options: &Options,
) -> Result<Vec<(&'static str, u64)>, Failure> {
    let filled = bench.fill(orgs, options.events).await?;
    bench.store.close();
    drop(bench);
    let begun = Instant::now();
    let bench = Arc::new(Bench::open(folder)?);
    let opened = micros(begun) / 1_000;
    let cpu_before = writer_cpu();
    let load = bench.load(orgs, CONCURRENT, options.time, u64::MAX).await?;
    let cpu = writer_cpu().saturating_sub(cpu_before);
    bench.store.close();
    drop(bench);
    let size = std::fs::metadata(folder.join("ledger.db"))?.len();
    let peak = memory_peak_kib();
    machine::forget_memory_peak();
    let begun = Instant::now();
    let report = verify(&DataDirectory::new(folder), Evidence::default())?;
    let verified_ms = micros(begun) / 1_000;
    if let Some(finding) = report.findings.first() {
        return Err(format!("the ledger is broken: {finding}").into());
    }
    let events_per_s = report.usage_events.saturating_mul(1_000);
    Ok(vec![
        (
            "verify_events_per_s",
            events_per_s.checked_div(verified_ms).unwrap_or(0),
        ),
        ("verify_ms", verified_ms),
        ("verify_memory_peak_kib", memory_peak_kib()),
        ("pairs_at_5m_events_per_s", load.pairs_per_s()),
        (
            "writer_cpu_at_5m_ns_per_pair",
            cpu.checked_div(load.pairs).unwrap_or(0),
        ),
        (
            "writer_cpu_first_million_ns_per_pair",
            filled.first_writer_cpu_ns,
        ),
        (
            "writer_cpu_last_million_ns_per_pair",
            filled.last_writer_cpu_ns,
        ),
        ("reopen_at_5m_events_ms", opened),
        ("database_at_5m_events_bytes", size),
        ("memory_peak_kib", peak),
    ])
}
