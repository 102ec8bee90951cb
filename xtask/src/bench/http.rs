//! The real binary from outside: how long it takes to start, what memory it holds, and how many
//! hold + usage pairs a second it serves to a client on the same cores.

use super::table::Table;
use crate::api::Admin;
use crate::process;
use crate::server::{self, Server, Setup};
use crate::step;
use anyhow::{Context, Result};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

const ADMIN_KEY: &str = "bench-admin-key-0123456789";
const ORGS: usize = 16;
const CONNECTIONS: usize = 64;

/// Measures and adds the figures.
///
/// # Errors
/// The server does not start, or a call fails.
pub fn measure(root: &Path, binary: &Path, quick: bool, table: &mut Table) -> Result<()> {
    let client = super::example(root, "http_bench")?;
    let temporary = tempfile::tempdir()?;
    let data_dir = temporary.path().join("data");
    let setup = Setup {
        binary,
        data_dir: &data_dir,
        listen: server::address(0)?,
        admin_key: ADMIN_KEY,
        deployment: "hosted",
        more: &[],
        apart: false,
    };
    let cold = Server::start(&setup)?;
    table.add("start_cold_ms", millis(&cold)?);
    cold.stop()?;
    let server = Server::start(&setup)?;
    table.add("start_warm_ms", millis(&server)?);
    table.add("resident_idle_kib", process::resident_kib(server.id())?);

    let admin = Admin::new(server.client().with_key(ADMIN_KEY));
    let mut keys = Vec::new();
    for number in 0..ORGS {
        keys.push(admin.create_customer(&format!("bench-{number}"), "1000000")?);
    }
    let seconds = if quick { 3 } else { 15 };
    let before = process::cpu_us(server.id())?;
    let load = Load {
        client: &client,
        address: server.address,
        seconds,
        connections: CONNECTIONS,
        keys: &keys,
    };
    let figures = load.run()?;
    let after = process::cpu_us(server.id())?;
    let mut pairs = 0;
    for (name, value) in &figures {
        let value = value.as_u64().context("a figure that is no whole number")?;
        match name.as_str() {
            "http_pairs" => pairs = value,
            _ => table.add(name, value),
        }
    }
    let busy_us = after.saturating_sub(before);
    if let Some(each) = busy_us.checked_div(pairs) {
        table.add("http_server_cpu_us_per_pair", each);
    }
    table.add("resident_loaded_kib", process::resident_kib(server.id())?);
    server.stop()
}

/// What a load prints.
pub type Figures = serde_json::Map<String, Value>;

/// Pairs of hold and usage report, one after the other on each connection.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// The program that makes it.
    pub client: &'a Path,
    /// Of the server.
    pub address: SocketAddr,
    /// For how long.
    pub seconds: u64,
    /// How many, shared out over the keys.
    pub connections: usize,
    /// Of one org each.
    pub keys: &'a [String],
}

impl Load<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(self.client);
        command
            .arg(self.address.to_string())
            .arg(self.seconds.to_string())
            .arg(self.connections.to_string())
            .args(self.keys)
            .stderr(Stdio::inherit());
        command
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// A call fails.
    pub fn run(&self) -> Result<Figures> {
        Ok(serde_json::from_str(&step::output(&mut self.command())?)?)
    }

    /// Runs it beside another one, whose figures nobody asks for.
    ///
    /// # Errors
    /// A call of either fails.
    pub fn run_beside(&self, other: &Self) -> Result<Figures> {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| other.run());
            let figures = self.run();
            other.join().ok().context("a load ended in a panic")??;
            figures
        })
    }
}

/// The value below which so many percent of them lie.
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let index = sorted.len().saturating_mul(percent).div_ceil(100);
    sorted
        .get(index.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

fn millis(server: &Server) -> Result<u64> {
    Ok(u64::try_from(server.ready_after.as_millis())?)
}
