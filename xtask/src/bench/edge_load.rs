//! The two ends of what is measured in front of a provider: the provider, and a load of calls.
//!
//! Both are the example `edge_bench`, whoever stands between them: the figures are of one kind.

use crate::process;
use crate::server;
use crate::step::{self, note};
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Who is called, and stands before the provider.
pub struct Endpoint {
    /// In the names of its figures.
    pub name: &'static str,
    /// Where it listens.
    pub port: u16,
    /// Its process.
    pub process: u32,
    /// What it lets callers in by.
    pub key: String,
    /// How many calls it has answered.
    pub calls: u64,
}

/// A way to call.
#[derive(Clone, Copy)]
pub struct Calls {
    /// `whole` or `stream`.
    pub kind: &'static str,
    /// How many at once.
    pub connections: usize,
}

/// What a load saw, and what it cost whom it called.
#[derive(Clone, Copy)]
pub struct Seen {
    /// Calls in a second.
    pub per_s: u64,
    /// How long the call in the middle took.
    pub p50_ns: u64,
    /// How long one of a hundred took, or longer.
    pub p99_ns: u64,
    /// Events of a stream.
    pub events: u64,
    /// CPU for each call.
    pub cpu_ns: u64,
}

/// A load, to be run on one endpoint after the other.
pub struct Load<'a> {
    /// The example.
    pub ends: &'a Path,
    /// For how long.
    pub seconds: u64,
}

impl Load<'_> {
    /// Runs it on an endpoint to its end.
    ///
    /// # Errors
    /// A call is not answered with 200.
    pub fn run(&self, endpoint: &mut Endpoint, calls: Calls) -> Result<Seen> {
        let mut command = Command::new(self.ends);
        command
            .arg("load")
            .arg(SocketAddr::from(([127, 0, 0, 1], endpoint.port)).to_string())
            .arg(self.seconds.to_string())
            .arg(calls.connections.to_string())
            .args([calls.kind, &endpoint.key])
            .stderr(Stdio::inherit());
        let before = process::cpu_us(endpoint.process)?;
        let said = step::output(&mut command)
            .with_context(|| format!("a load on `{}` failed", endpoint.name))?;
        let cpu_us = process::cpu_us(endpoint.process)?.saturating_sub(before);
        let figures: Map<String, Value> = serde_json::from_str(&said)?;
        let get = |name: &str| {
            let found = figures.get(name).and_then(Value::as_u64);
            found.with_context(|| format!("the load does not say `{name}`"))
        };
        endpoint.calls = endpoint.calls.saturating_add(get("calls")?);
        Ok(Seen {
            per_s: get("per_s")?,
            p50_ns: get("p50_ns")?,
            p99_ns: get("p99_ns")?,
            events: get("events")?,
            cpu_ns: cpu_us
                .saturating_mul(1_000)
                .checked_div(get("calls")?)
                .context("no call was made")?,
        })
    }

    /// Rounds in which all take turns; of each the median round, by CPU. What fails on one endpoint
    /// is not asked of it again, and the others go on.
    pub fn rounds(
        &self,
        endpoints: &mut [Endpoint],
        calls: Calls,
        rounds: usize,
    ) -> Vec<Result<Seen>> {
        let mut seen: Vec<Result<Vec<Seen>>> = endpoints.iter().map(|_| Ok(Vec::new())).collect();
        for _ in 0..rounds {
            for (endpoint, seen) in endpoints.iter_mut().zip(&mut seen) {
                let Ok(before) = seen else { continue };
                match self.run(endpoint, calls) {
                    Ok(one) => before.push(one),
                    Err(error) => *seen = Err(error),
                }
            }
        }
        let median = |all: Result<Vec<Seen>>| {
            let mut all = all?;
            all.sort_by_key(|seen| seen.cpu_ns);
            all.get(all.len() / 2).copied().context("no round")
        };
        seen.into_iter().map(median).collect()
    }
}

/// The provider. It ends when this is dropped, because its standard input does.
pub struct Provider {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Provider {
    /// Starts it.
    ///
    /// # Errors
    /// There is no free port, or the example does not start.
    pub fn start(ends: &Path) -> Result<Self> {
        let address = server::address(0)?;
        let child = Command::new(ends)
            .args(["serve", &address.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start `{}`", ends.display()))?;
        note(&format!("a provider listens on {address}"));
        Ok(Self { child, address })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
