//! Replays every recorded call through quote → hold → usage, many at a time, and shows for each
//! kind of call what it cost, why, and what is left.

use super::recorded::{self, Recorded};
use super::show;
use crate::api::{Admin, Customer, text};
use crate::server::Server;
use crate::step::{self, note};
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Callers at once. Each waits for the disk, so more of them share one commit.
const CALLERS: usize = 16;
const CREDITS: &str = "20000";

/// What the scenes after the replay go on with.
pub struct Replayed {
    /// The org whose calls they were.
    pub org: String,
    /// A key of that org.
    pub key: String,
    /// One of the charges.
    pub a_charge: String,
}

/// What happened to one call.
struct Called {
    index: usize,
    /// The answer to the usage report.
    outcome: Result<Value, String>,
}

/// Of a hundred recorded calls, as many have a price at least.
const CHARGED_PERCENT_MIN: usize = 97;

/// Runs the replay.
///
/// # Errors
/// A call that fails in any way but a typed refusal to price it; more of those than are expected.
pub fn run(root: &Path, server: &Server, admin: &Admin) -> Result<Replayed> {
    let calls = recorded::read(root)?;
    let org = admin.create_org("Ada's Agents", None)?;
    admin.grant(&org, CREDITS)?;
    let key = admin.create_key(&org)?;
    let customer = Customer::new(server.client().with_key(&key));
    let begun = Instant::now();
    let mut called = replay(&customer, &calls)?;
    let took = begun.elapsed();
    called.sort_by_key(|call| call.index);

    let mut kinds: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let mut refused: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (call, done) in calls.iter().zip(&called) {
        match &done.outcome {
            Ok(answer) => kinds.entry(&call.kind).or_default().push(answer),
            Err(reason) => refused.entry(&call.kind).or_default().push(reason),
        }
    }
    let charged: usize = kinds.values().map(Vec::len).sum();
    for (kind, answers) in &kinds {
        show::kind(kind, answers)?;
    }
    for (kind, reasons) in &refused {
        for reason in reasons {
            note(&format!("{kind}: not charged: {reason}"));
        }
    }
    note(&format!(
        "{charged} of {} calls charged in {} ({} HTTP calls)",
        calls.len(),
        step::seconds(took),
        calls.len().saturating_mul(3)
    ));
    let expected = calls.len().saturating_mul(CHARGED_PERCENT_MIN) / 100;
    if charged < expected {
        bail!("only {charged} calls were charged, less than {CHARGED_PERCENT_MIN} of a hundred");
    }
    show::wallet(&customer.wallet()?)?;
    let a_charge = called
        .iter()
        .find_map(|call| call.outcome.as_ref().ok())
        .context("not one call was charged")?;
    Ok(Replayed {
        a_charge: text(a_charge, "/charge_id")?,
        org,
        key,
    })
}

fn replay(customer: &Customer, calls: &[Recorded]) -> Result<Vec<Called>> {
    let progress = progress(calls.len())?;
    let next = AtomicUsize::new(0);
    let caller = || {
        let mut called = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(call) = calls.get(index) else {
                return Ok(called);
            };
            let outcome = one(customer, index, call).with_context(|| call.kind.clone())?;
            called.push(Called { index, outcome });
            progress.inc(1);
        }
    };
    let all: Result<Vec<Vec<Called>>> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(caller)).collect();
        let finished = callers.into_iter().map(|caller| match caller.join() {
            Ok(called) => called,
            Err(_) => bail!("a caller panicked"),
        });
        finished.collect()
    });
    progress.finish_and_clear();
    Ok(all?.into_iter().flatten().collect())
}

/// One call as a gateway makes it. The inner error is a typed refusal to price it.
fn one(customer: &Customer, index: usize, call: &Recorded) -> Result<Result<Value, String>> {
    let quote = customer.quote(&call.before)?;
    if quote.status == 422 {
        return Ok(Err(show::problem(&quote.body)));
    }
    quote.ok()?;
    let held = customer
        .hold(&format!("demo-hold-{index}"), &call.before)?
        .ok()?;
    let mut after = call.after.clone();
    after.insert("hold_id".into(), text(&held, "/id")?.into());
    let usage = customer
        .usage(&format!("demo-usage-{index}"), &after)?
        .ok()?;
    if usage.pointer("/charge_id").is_none() {
        return Ok(Err(format!("recorded unpriced: {usage}")));
    }
    Ok(Ok(usage))
}

fn progress(calls: usize) -> Result<ProgressBar> {
    let bar = ProgressBar::new(u64::try_from(calls)?);
    // Nothing is drawn where standard error is no terminal.
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(
        "    {bar:40.cyan} {pos}/{len} calls, {per_sec}",
    )?);
    bar.enable_steady_tick(Duration::from_millis(100));
    Ok(bar)
}
