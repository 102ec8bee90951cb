//! The past rated again: a backtest of a filled ledger under the standard policy and the shipped
//! book, reading included, on all cores.

use super::Failure;
use super::load::{CONCURRENT, micros};
use super::machine::{cpu_ns, forget_memory_peak, memory_peak_kib};
use super::writes::Bench;
use farebox::app::shipped;
use farebox::engine::Engine;
use farebox::engine::limits::{LimitClass, Trust};
use farebox::service::backtest::{Question, run};
use farebox::service::ledger::SharedStore;
use farebox::service::policy::SharedEngine;
use farebox::service::rerate::Control;
use farebox_ledger::ids::OrgId;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Fills a ledger with so many charges and rates them again.
pub async fn measure(
    bench: Arc<Bench>,
    orgs: &Arc<Vec<OrgId>>,
    folder: &Path,
    charges: u64,
) -> Result<Vec<(&'static str, u64)>, Failure> {
    let hours = Duration::from_secs(3_600);
    bench.load(orgs, CONCURRENT, hours, charges).await?;
    bench.store.close();
    drop(bench);
    let bench = Bench::open(folder)?;
    let store: SharedStore = Arc::clone(&bench.store) as _;
    let book = shipped::default_book().map_err(|errors| format!("{errors:?}"))?;
    let engine = Engine::new(folder.join("cache"))?;
    let component = shipped::STANDARD_COMPONENT;
    let class = LimitClass::Native;
    let release = engine.load_release(component, book.canonical, class, Trust::Trusted)?;
    let engine: SharedEngine = Arc::new(engine);
    let question = Question {
        release,
        posted_ms: i64::MIN..i64::MAX,
        priced_by: None,
    };
    forget_memory_peak();
    let (begun, cpu) = (Instant::now(), cpu_ns());
    let report = run(&store, &engine, || {}, &question, &Control::default())?;
    let took_us = micros(begun).max(1);
    let cpu = cpu_ns().saturating_sub(cpu);
    if report.total.charges != charges {
        return Err(format!("{} charges of {charges} have a price", report.total.charges).into());
    }
    let per_s = charges.saturating_mul(1_000_000).checked_div(took_us);
    Ok(vec![
        ("backtest_charges_per_s", per_s.unwrap_or_default()),
        (
            "backtest_cpu_ns_per_charge",
            cpu.checked_div(charges).unwrap_or_default(),
        ),
        ("backtest_memory_peak_kib", memory_peak_kib()),
    ])
}
