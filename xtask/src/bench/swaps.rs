//! What a change of prices, and a hostile policy, cost the calls beside them: the real binary under
//! the load of the HTTP part, with and without.

use super::http::{self, Load};
use super::table::Table;
use crate::api::{Admin, text};
use crate::client::Client;
use crate::guests;
use crate::server::{self, Server, Setup};
use crate::step;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

const ADMIN_KEY: &str = "bench-admin-key-0123456789";
const ORGS: usize = 16;
const CONNECTIONS: usize = 64;
/// Connections of the org whose policy never ends by itself.
const BESIDE: usize = 4;
const SWAPS: usize = 1_000;

/// Measures and adds the figures.
///
/// # Errors
/// The server does not start, a release is not admitted, or a call or a swap fails.
pub fn measure(root: &Path, binary: &Path, quick: bool, table: &mut Table) -> Result<()> {
    let client = super::example(root, "http_bench")?;
    let temporary = tempfile::tempdir()?;
    let files = Files {
        binary,
        folder: temporary.path(),
    };
    let data_dir = temporary.path().join("data");
    let server = Server::start(&Setup {
        binary,
        data_dir: &data_dir,
        listen: server::address(0)?,
        admin_key: ADMIN_KEY,
        deployment: "hosted",
        // A breaker would spare the server most of what is measured here.
        more: &[("FAREBOX_BREAKER_FAULTS", "0")],
        apart: false,
    })?;
    let api = server.client().with_key(ADMIN_KEY);
    let admin = Admin::new(api.clone());
    let mut keys = Vec::new();
    for number in 0..ORGS {
        keys.push(admin.create_customer(&format!("bench-{number}"), "1000000")?);
    }
    let load = Load {
        client: &client,
        address: server.address,
        seconds: if quick { 3 } else { 15 },
        connections: CONNECTIONS,
        keys: &keys,
    };

    let swapped = files.standard("swapped")?;
    let begun = Instant::now();
    let other = push(&api, &swapped)?;
    table.add(
        "admit_over_http_ms",
        u64::try_from(begun.elapsed().as_millis())?,
    );
    let still = load.run()?;
    let (during, swaps) = with_swaps(&load, &api, &other)?;
    table.add(
        "swaps",
        u64::try_from(swaps.rollbacks_us.len())?.saturating_mul(2),
    );
    for (name, figure) in [("hold", "http_hold_p99_us"), ("usage", "http_usage_p99_us")] {
        let (before, now) = (figure_of(&still, figure)?, figure_of(&during, figure)?);
        let percent = now.saturating_mul(100).checked_div(before).unwrap_or(0);
        table.add(&format!("{name}_p99_in_swaps_percent"), percent);
    }
    let mut rollbacks = swaps.rollbacks_us;
    rollbacks.sort_unstable();
    table.add("rollback_p50_us", http::percentile(&rollbacks, 50));
    table.add("rollback_p99_us", http::percentile(&rollbacks, 99));

    // One more org: first its calls are like all others, then its policy never ends by itself.
    let org = admin.create_org("beside", None)?;
    admin.grant(&org, "1000000")?;
    let beside_keys = [admin.create_key(&org)?];
    let beside = Load {
        connections: BESIDE,
        keys: &beside_keys,
        ..load
    };
    let honest = load.run_beside(&beside)?;
    let endless = push(&api, &files.endless(root)?)?;
    let own = json!({ "release_id": endless, "expected": "none", "org_id": org });
    api.post("/v1/admin/bindings/activate", None, &own)?.ok()?;
    let hostile = load.run_beside(&beside)?;
    for (name, figure) in [("hold", "http_hold_p99_us"), ("usage", "http_usage_p99_us")] {
        let (before, now) = (figure_of(&honest, figure)?, figure_of(&hostile, figure)?);
        let percent = now.saturating_mul(100).checked_div(before).unwrap_or(0);
        table.add(&format!("{name}_p99_beside_endless_percent"), percent);
    }
    let faults = api.get("/v1/admin/policy-faults")?.ok()?;
    let faults = faults.pointer("/0/total").and_then(Value::as_u64);
    table.add(
        "endless_loops_stopped",
        faults.context("no loop was stopped")?,
    );
    server.stop()
}

/// What swaps took.
struct Swaps {
    rollbacks_us: Vec<u64>,
}

/// A load, while what is bound to everyone is swapped there and back as fast as one client can.
fn with_swaps(load: &Load<'_>, api: &Client, other: &str) -> Result<(http::Figures, Swaps)> {
    let bound = api.get("/v1/admin/bindings")?.ok()?;
    let first = text(&bound, "/items/0/release_id")?;
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| -> Result<Swaps> {
            let mut swaps = Swaps {
                rollbacks_us: Vec::new(),
            };
            while !ended.load(Ordering::Relaxed) && swaps.rollbacks_us.len() < SWAPS / 2 {
                let there = json!({ "release_id": other, "expected": first });
                api.post("/v1/admin/bindings/activate", None, &there)?
                    .ok()?;
                let back = json!({ "expected": other });
                let begun = Instant::now();
                api.post("/v1/admin/bindings/rollback", None, &back)?.ok()?;
                let took = begun.elapsed().as_micros();
                swaps.rollbacks_us.push(u64::try_from(took)?);
            }
            Ok(swaps)
        });
        let figures = load.run();
        ended.store(true, Ordering::Relaxed);
        let swaps = swapping
            .join()
            .ok()
            .context("the swaps ended in a panic")??;
        Ok((figures?, swaps))
    })
}

fn figure_of(figures: &http::Figures, name: &str) -> Result<u64> {
    let found = figures.get(name).and_then(Value::as_u64);
    found.with_context(|| format!("the load has no `{name}`"))
}

/// Pushes a file and returns its address.
fn push(api: &Client, file: &Path) -> Result<String> {
    let answer = api.post_file("/v1/admin/policies", &std::fs::read(file)?)?;
    text(&answer.ok()?, "/id")
}

/// Files of releases.
struct Files<'a> {
    binary: &'a Path,
    folder: &'a Path,
}

impl Files<'_> {
    /// The standard policy with a book of its own.
    fn standard(&self, name: &str) -> Result<PathBuf> {
        self.build(None, name, &book(name, &[]))
    }

    /// A policy that loops without end on a call of `gpt-4o-mini`. Its trial asks for other models of
    /// its book, so it is admitted.
    fn endless(&self, root: &Path) -> Result<PathBuf> {
        let others: Vec<String> = (0..40).map(|number| format!("m{number:02}")).collect();
        let policy = guests::path(root, "farebox_hostile");
        ensure!(policy.is_file(), "there is no `{}`", policy.display());
        self.build(
            Some(&policy),
            "spin_on_mini",
            &book("spin_on_mini", &others),
        )
    }

    fn build(&self, policy: Option<&Path>, name: &str, book: &str) -> Result<PathBuf> {
        let text = self.folder.join(name).with_extension("toml");
        std::fs::write(&text, book)?;
        let file = text.with_extension("wasm");
        let mut command = Command::new(self.binary);
        command.args(["policy", "build"]).args(policy);
        command.arg("--book").arg(&text).arg("-o").arg(&file);
        step::output(&mut command)?;
        Ok(file)
    }
}

fn book(name: &str, others: &[String]) -> String {
    let mut text = format!("name = \"{name}\"\nas_of = \"2026-11-21\"\n");
    let all = ["a", "gpt-4o-mini"].into_iter();
    for model in all.chain(others.iter().map(String::as_str)) {
        text.push_str(&format!(
            "[[models]]\nprovider = \"openai\"\nmodel = \"{model}\"\n\
             per_million = {{ input = \"0.15\", cache_read = \"0.075\", output = \"0.6\" }}\n"
        ));
    }
    text
}
