//! The past rated again: a backtest of a filled ledger with the shipped book, under the standard
//! policy and, of a part of it, under scripted ones; reading included, on all cores.

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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The scripted policies, by what their figures are called, where they are built.
const SCRIPTED: [(&str, &str); 2] = [
    ("backtest_js_charges_per_s", "happy_hour"),
    ("backtest_python_charges_per_s", "surge"),
];
/// How much of the load scripted policies rate again: a hundredth as fast, they would take minutes
/// over all of it.
const SCRIPTED_MS: i64 = 500;

/// Fills a ledger with so many charges and rates them again.
pub async fn measure(
    bench: Arc<Bench>,
    orgs: &Arc<Vec<OrgId>>,
    folder: &Path,
    charges: u64,
) -> Result<Vec<(&'static str, u64)>, Failure> {
    let hours = Duration::from_secs(3_600);
    let begun_ms = bench.now_ms();
    bench.load(orgs, CONCURRENT, hours, charges).await?;
    bench.store.close();
    drop(bench);
    let bench = Bench::open(folder)?;
    let past = Past {
        store: Arc::clone(&bench.store) as _,
        book: shipped::default_book()
            .map_err(|errors| format!("{errors:?}"))?
            .canonical,
        cache: folder.join("cache"),
    };
    forget_memory_peak();
    let cpu = cpu_ns();
    let (rated, took_us) = past.again(shipped::STANDARD_COMPONENT, i64::MAX)?;
    let cpu = cpu_ns().saturating_sub(cpu);
    if rated != charges {
        return Err(format!("{rated} charges of {charges} have a price").into());
    }
    let each = |sum: u64, count: u64| sum.checked_div(count).unwrap_or_default();
    let per_s = |rated: u64, took_us: u64| each(rated.saturating_mul(1_000_000), took_us);
    let mut figures = vec![
        ("backtest_charges_per_s", per_s(rated, took_us)),
        ("backtest_cpu_ns_per_charge", each(cpu, charges)),
        ("backtest_memory_peak_kib", memory_peak_kib()),
    ];
    for (figure, guest) in SCRIPTED {
        let Ok(component) = std::fs::read(format!("target/guests/{guest}.wasm")) else {
            eprintln!("    left out: {guest} is not built");
            continue;
        };
        let until_ms = begun_ms.saturating_add(SCRIPTED_MS);
        let (rated, took_us) = past.again(&component, until_ms)?;
        if rated == 0 {
            return Err(format!("{guest} priced no charge").into());
        }
        figures.push((figure, per_s(rated, took_us)));
    }
    Ok(figures)
}

/// A ledger that was filled.
struct Past {
    store: SharedStore,
    book: Vec<u8>,
    cache: PathBuf,
}

impl Past {
    /// Rates what was posted before `until_ms` under a policy with the shipped book: how many charges
    /// have a price, and how many microseconds that took.
    fn again(&self, component: &[u8], until_ms: i64) -> Result<(u64, u64), Failure> {
        let engine = Engine::new(self.cache.clone())?;
        let class = LimitClass::of(component);
        let release = engine.load_release(component, self.book.clone(), class, Trust::Trusted)?;
        let engine: SharedEngine = Arc::new(engine);
        let question = Question {
            release,
            posted_ms: i64::MIN..until_ms,
            priced_by: None,
        };
        let begun = Instant::now();
        let report = run(&self.store, &engine, || {}, &question, &Control::default())?;
        Ok((report.total.charges, micros(begun)))
    }
}
