//! The real binary from outside: how long it takes to start, what memory it holds, and how many
//! hold + usage pairs a second it serves to a client on the same cores.

use super::table::Table;
use crate::api::Admin;
use crate::server::{self, Build, Server, Setup};
use crate::step;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

const ADMIN_KEY: &str = "bench-admin-key-0123456789";
const ORGS: usize = 16;
const CONNECTIONS: usize = 64;
/// What the kernel counts a process's CPU time in, on every Linux that Rust runs on.
const TICK_US: u64 = 10_000;

/// Measures and adds the figures.
///
/// # Errors
/// The server does not start, or a call fails.
pub fn measure(root: &Path, binary: &Path, quick: bool, table: &mut Table) -> Result<()> {
    let client = server::built(
        root,
        Build::Release,
        &["--example", "http_bench"],
        "http_bench",
    )?;
    let temporary = tempfile::tempdir()?;
    let data_dir = temporary.path().join("data");
    let setup = Setup {
        binary,
        data_dir: &data_dir,
        listen: server::address(0)?,
        admin_key: ADMIN_KEY,
        deployment: "hosted",
    };
    let cold = Server::start(&setup)?;
    table.add("start_cold_ms", millis(&cold)?);
    cold.stop()?;
    let server = Server::start(&setup)?;
    table.add("start_warm_ms", millis(&server)?);
    table.add("resident_idle_kib", server.resident_kib()?);

    let admin = Admin::new(server.client().with_key(ADMIN_KEY));
    let mut keys = Vec::new();
    for number in 0..ORGS {
        let org = admin.create_org(&format!("bench-{number}"), None)?;
        admin.grant(&org, "1000000")?;
        keys.push(admin.create_key(&org)?);
    }
    let seconds = if quick { 3 } else { 15 };
    let before = cpu_ticks(&server)?;
    let output = step::output(
        Command::new(client)
            .arg(server.address.to_string())
            .arg(seconds.to_string())
            .arg(CONNECTIONS.to_string())
            .args(&keys)
            .stderr(Stdio::inherit()),
    )?;
    let after = cpu_ticks(&server)?;
    let figures: serde_json::Map<String, Value> = serde_json::from_str(&output)?;
    let mut pairs = 0;
    for (name, value) in &figures {
        let value = value.as_u64().context("a figure that is no whole number")?;
        match name.as_str() {
            "http_pairs" => pairs = value,
            _ => table.add(name, value),
        }
    }
    let busy_us = after.saturating_sub(before).saturating_mul(TICK_US);
    if let Some(each) = busy_us.checked_div(pairs) {
        table.add("http_server_cpu_us_per_pair", each);
    }
    table.add("resident_loaded_kib", server.resident_kib()?);
    server.stop()
}

fn millis(server: &Server) -> Result<u64> {
    Ok(u64::try_from(server.ready_after.as_millis())?)
}

/// User and system time of the server so far.
fn cpu_ticks(server: &Server) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.id()))?;
    // The name of the program stands in parentheses and may hold spaces.
    let (_, after_name) = stat.rsplit_once(") ").context("an odd /proc/…/stat")?;
    let fields = after_name.split(' ').skip(11).take(2);
    fields.map(|field| Ok(field.parse::<u64>()?)).sum()
}
