//! What pricing at the edge costs: the real Envoy with one worker, between callers and a provider
//! that answers at once, with no filter, one that does nothing, and ours in two ways; and beside
//! them, where it can be installed, a gateway in Python that counts spend ([`litellm`]).
//!
//! All of them run at once and take turns, so that whatever else the machine does meets all alike.
//! Latency is measured one call at a time, CPU and throughput with as many as keep the worker busy.

use super::edge_config::{self, Between, Ports};
use super::edge_load::{Calls, Endpoint, Load, Provider, Seen};
use super::litellm::{self, Gateway};
use super::table::Table;
use crate::api::Admin;
use crate::envoy;
use crate::guests;
use crate::process;
use crate::proxy::{self, Proxy};
use crate::server::{self, Server, Setup};
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

const ADMIN_KEY: &str = "bench-admin-key-0123456789";
/// As many as keep one worker busy.
const BUSY: usize = 16;
const KINDS: [&str; 2] = ["whole", "stream"];

/// Measures and adds the figures.
///
/// # Errors
/// Envoy cannot be had, or anything does not start or answer.
pub fn measure(root: &Path, binary: &Path, quick: bool, table: &mut Table) -> Result<()> {
    envoy::install(root)?;
    let ends = super::example(root, "edge_bench")?;
    let filter = guests::path(root, "farebox_filter");
    table.add("filter_bytes", std::fs::metadata(&filter)?.len());
    let temporary = tempfile::tempdir()?;
    let host = Server::start(&Setup {
        binary,
        data_dir: &temporary.path().join("data"),
        listen: server::address(0)?,
        admin_key: ADMIN_KEY,
        deployment: "hosted",
        more: &[("FAREBOX_POLICY_FILTER", &filter.display().to_string())],
        apart: false,
    })?;
    let admin = Admin::new(host.client().with_key(ADMIN_KEY));
    let key = admin.create_customer("bench", "10000000")?;
    let provider = Provider::start(&ends)?;
    let book = STANDARD.encode(server::canonical_book(binary)?);
    let mut proxies = Vec::new();
    let mut endpoints = Vec::new();
    for between in Between::ALL {
        let folder = temporary.path().join(between.name());
        std::fs::create_dir(&folder)?;
        let ports = Ports {
            callers: server::address(0)?.port(),
            admin: server::address(0)?.port(),
            provider: provider.address.port(),
            host: host.address.port(),
        };
        let proxy = Proxy::start(&proxy::Setup {
            root,
            folder: &folder,
            config: &edge_config::envoy(between, ports, root, &book),
            admin_port: ports.admin,
            workers: 1,
            apart: false,
        })?;
        endpoints.push(Endpoint {
            name: between.name(),
            port: ports.callers,
            process: proxy.id(),
            key: key.clone(),
            calls: 0,
        });
        proxies.push(proxy);
    }
    let folder = temporary.path().join(litellm::NAME);
    // A peer, not a part: what it does wrong is said when the others are measured.
    let gateway = litellm::start(root, &folder, provider.address);
    let found = gateway.as_ref().ok().and_then(Option::as_ref);
    endpoints.extend(found.map(Gateway::endpoint));

    let load = Load {
        ends: &ends,
        seconds: if quick { 2 } else { 5 },
    };
    let (mut rows, called) = rows(&load, &mut endpoints, if quick { 1 } else { 5 });
    let endpoint = |name: &str| endpoints.iter().find(|endpoint| endpoint.name == name);
    let resident = |name: &str| -> Result<u64> {
        process::resident_kib(endpoint(name).context("no such endpoint")?.process)
    };
    let memory = resident("filter")?.saturating_sub(resident("bare")?);
    table.add("edge_filter_memory_kib", memory);
    let counted = gateway.and_then(|gateway| {
        let (Some(gateway), Some(endpoint)) = (gateway, endpoint(litellm::NAME)) else {
            return Ok(());
        };
        gateway.has_counted(endpoint.calls)?;
        table.add("edge_litellm_memory_kib", resident(litellm::NAME)?);
        Ok(())
    });
    if counted.is_err() {
        rows.retain(|row| row.name != litellm::NAME);
    }
    for kind in KINDS {
        add(table, kind, &rows);
    }
    for proxy in proxies {
        proxy.stop()?;
    }
    host.stop()?;
    called.and(counted)
}

/// What one endpoint did with calls of one kind.
struct Row {
    kind: &'static str,
    name: &'static str,
    alone: Seen,
    busy: Seen,
}

/// All rows, but of those whose calls failed.
fn rows(load: &Load<'_>, endpoints: &mut [Endpoint], rounds: usize) -> (Vec<Row>, Result<()>) {
    let mut rows = Vec::new();
    let mut outcome = Ok(());
    let busy = Calls {
        kind: "stream",
        connections: BUSY,
    };
    // Leases grow to what calls take, and everything is compiled and cached.
    for warmed in load.rounds(endpoints, busy, 1) {
        outcome = outcome.and(warmed.map(drop));
    }
    for kind in KINDS {
        let mut seen = |connections| {
            let calls = Calls { kind, connections };
            load.rounds(endpoints, calls, rounds)
        };
        let (alone, busy) = (seen(1), seen(BUSY));
        for ((endpoint, alone), busy) in endpoints.iter().zip(alone).zip(busy) {
            match alone.and_then(|alone| Ok((alone, busy?))) {
                Ok((alone, busy)) => rows.push(Row {
                    kind,
                    name: endpoint.name,
                    alone,
                    busy,
                }),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
    }
    (rows, outcome)
}

fn add(table: &mut Table, kind: &str, rows: &[Row]) {
    for row in rows.iter().filter(|row| row.kind == kind) {
        let name = format!("edge_{kind}_{}", row.name);
        table.add(&format!("{name}_p50_us"), row.alone.p50_ns / 1_000);
        table.add(&format!("{name}_p99_us"), row.alone.p99_ns / 1_000);
        table.add(&format!("{name}_per_s"), row.busy.per_s);
        table.add(&format!("{name}_cpu_us"), row.busy.cpu_ns / 1_000);
    }
    let of = |name: &str| {
        let mut rows = rows.iter();
        rows.find(|row| row.kind == kind && row.name == name)
    };
    let (Some(bare), Some(filter)) = (of("bare"), of("filter")) else {
        return;
    };
    let added_ns = filter.alone.p50_ns.saturating_sub(bare.alone.p50_ns);
    table.add(&format!("edge_{kind}_added_p50_us"), added_ns / 1_000);
    let added_ns = filter.busy.cpu_ns.saturating_sub(bare.busy.cpu_ns);
    table.add(&format!("edge_{kind}_added_cpu_us"), added_ns / 1_000);
    if kind == "stream" {
        let per_event = added_ns.checked_div(filter.busy.events).unwrap_or(0);
        table.add("edge_stream_added_cpu_per_event_ns", per_event);
    }
    let percent = filter.busy.per_s.saturating_mul(100);
    let percent = percent.checked_div(bare.busy.per_s).unwrap_or(0);
    table.add(&format!("edge_{kind}_throughput_percent"), percent);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_of_every_endpoint_has_a_row() {
        let seen = Seen {
            per_s: 2_000,
            p50_ns: 500_000,
            p99_ns: 900_000,
            events: 201,
            cpu_ns: 400_000,
        };
        let names = Between::ALL.map(Between::name);
        let mut rows = Vec::new();
        for kind in KINDS {
            for name in names.into_iter().chain([litellm::NAME]) {
                let (alone, busy) = (seen, seen);
                rows.push(Row {
                    kind,
                    name,
                    alone,
                    busy,
                });
            }
        }
        let mut table = Table::default();
        for kind in KINDS {
            add(&mut table, kind, &rows);
        }
        table.compare();
        let text = table.to_string();
        assert!(text.contains("LiteLLM"), "{text}");
        assert!(!text.contains("edge_"), "a figure without a label: {text}");
    }
}
