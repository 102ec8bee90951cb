//! What a change of prices costs the calls beside it: the real binary under the load of the HTTP
//! part, with and without.

use super::http::{self, Load};
use super::table::Table;
use crate::api::{Admin, text};
use crate::client::Client;
use crate::server::{self, Build, Server, Setup};
use crate::step;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

const ADMIN_KEY: &str = "bench-admin-key-0123456789";
const ORGS: usize = 16;
const CONNECTIONS: usize = 64;
const SWAPS: usize = 1_000;

/// Measures and adds the figures.
///
/// # Errors
/// The server does not start, a release is not admitted, or a call or a swap fails.
pub fn measure(root: &Path, binary: &Path, quick: bool, table: &mut Table) -> Result<()> {
    let client = server::built(
        root,
        Build::Release,
        &["--example", "http_bench"],
        "http_bench",
    )?;
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
        more: &[],
    })?;
    let api = server.client().with_key(ADMIN_KEY);
    let admin = Admin::new(api.clone());
    let mut keys = Vec::new();
    for number in 0..ORGS {
        let org = admin.create_org(&format!("bench-{number}"), None)?;
        admin.grant(&org, "1000000")?;
        keys.push(admin.create_key(&org)?);
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
        self.build(name, &book(name))
    }

    fn build(&self, name: &str, book: &str) -> Result<PathBuf> {
        let text = self.folder.join(name).with_extension("toml");
        std::fs::write(&text, book)?;
        let file = text.with_extension("wasm");
        let mut command = Command::new(self.binary);
        command.args(["policy", "build", "--book"]);
        command.arg(&text).arg("-o").arg(&file);
        step::output(&mut command)?;
        Ok(file)
    }
}

fn book(name: &str) -> String {
    let mut text = format!("name = \"{name}\"\nas_of = \"2026-11-21\"\n");
    for model in ["gpt-4o-mini", "gpt-4o-mini-2024-07-18"] {
        text.push_str(&format!(
            "[[models]]\nprovider = \"openai\"\nmodel = \"{model}\"\n\
             per_million = {{ input = \"0.15\", cache_read = \"0.075\", output = \"0.6\" }}\n"
        ));
    }
    text
}
