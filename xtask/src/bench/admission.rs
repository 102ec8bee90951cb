//! What it takes to have a custom policy admitted by a running server, from the push to its answer,
//! and what that costs the calls beside it.

use super::http::{self, Load};
use super::table::Table;
use crate::api::Admin;
use crate::guests;
use crate::server::{self, Server, Setup};
use crate::step::note;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const ADMIN_KEY: &str = "bench-admin-key-0123456789";
const CONNECTIONS: usize = 8;

/// What its figures begin with, the guest's file, and the folder of its example.
const POLICIES: [(&str, &str, &str); 3] = [
    ("rust", "farebox_committed_spend", "committed-spend"),
    ("js", "happy_hour", "happy-hour"),
    ("python", "surge", "surge"),
];

/// Measures and adds the figures.
///
/// # Errors
/// The server does not start, a policy is not admitted, or a call fails.
pub fn measure(root: &Path, binary: &Path, quick: bool, table: &mut Table) -> Result<()> {
    let client = super::example(root, "http_bench")?;
    let temporary = tempfile::tempdir()?;
    let server = Server::start(&Setup {
        binary,
        data_dir: &temporary.path().join("data"),
        listen: server::address(0)?,
        admin_key: ADMIN_KEY,
        deployment: "hosted",
        more: &[],
        apart: false,
    })?;
    let admin = Admin::new(server.client().with_key(ADMIN_KEY));
    let keys = [admin.create_customer("bench", "1000000")?];
    let load = Load {
        client: &client,
        address: server.address,
        seconds: if quick { 3 } else { 15 },
        connections: CONNECTIONS,
        keys: &keys,
    };
    let still = load.run()?;
    for (name, guest, example) in POLICIES {
        let component = guests::path(root, guest);
        if !component.is_file() {
            note(&format!("left out: {guest} is not built"));
            continue;
        }
        let book = root.join("guest/examples").join(example).join("book.toml");
        let begun = Instant::now();
        let pushed = push(binary, &server, &component, &book)?;
        // Compiled languages are through before a load has begun.
        let beside = match name {
            "rust" => None,
            _ => Some(load.run()?),
        };
        finished(pushed)?;
        let took_ms = u64::try_from(begun.elapsed().as_millis())?;
        table.add(&format!("push_{name}_ms"), took_ms);
        let took_longer = took_ms > load.seconds.saturating_mul(1_000);
        if let Some(beside) = beside.filter(|_| took_longer) {
            let percent = beyond(&still, &beside)?;
            table.add(&format!("hold_p99_beside_push_{name}_percent"), percent);
        }
    }
    server.stop()
}

fn push(binary: &Path, server: &Server, component: &Path, book: &Path) -> Result<Child> {
    Command::new(binary)
        .args(["policy", "push"])
        .arg(component)
        .arg("--book")
        .arg(book)
        .env("FAREBOX_URL", format!("http://{}", server.address))
        .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{}`", binary.display()))
}

fn finished(pushed: Child) -> Result<()> {
    let output = pushed.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "a policy is not admitted: {said}");
    Ok(())
}

fn beyond(still: &http::Figures, beside: &http::Figures) -> Result<u64> {
    let of = |figures: &http::Figures| {
        let found = figures.get("http_hold_p99_us").and_then(Value::as_u64);
        found.context("the load does not say how long holds took")
    };
    let percent = of(beside)?.saturating_mul(100).checked_div(of(still)?);
    Ok(percent.unwrap_or_default())
}
