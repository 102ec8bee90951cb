//! What pricing at the edge costs: the real Envoy with one worker, between callers and a provider
//! that answers at once, with no filter, one that does nothing, and ours in two ways.
//!
//! All of them run at once and take turns, so that whatever else the machine does meets all alike.
//! Latency is measured one call at a time, CPU and throughput with as many as keep the worker busy.

use super::table::Table;
use crate::api::Admin;
use crate::guests;
use crate::process;
use crate::proxy::{self, Proxy};
use crate::server::{self, Server, Setup};
use crate::step;
use crate::{envoy, step::note};
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const ADMIN_KEY: &str = "bench-admin-key-0123456789";
/// As many as keep one worker busy.
const BUSY: usize = 16;

/// What stands between caller and provider.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    /// The router alone.
    Nothing,
    /// A filter that does nothing.
    PassThrough,
    /// Ours, under leases.
    Leases,
    /// Ours, with a hold and a report for each call: what a billing service costs that is asked.
    EachCall,
}

impl Between {
    const ALL: [Self; 4] = [
        Self::Nothing,
        Self::PassThrough,
        Self::Leases,
        Self::EachCall,
    ];

    /// In the names of its figures.
    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "bare",
            Self::PassThrough => "noop",
            Self::Leases => "filter",
            Self::EachCall => "hop",
        }
    }
}

/// A way to call.
#[derive(Clone, Copy)]
struct Calls {
    kind: &'static str,
    connections: usize,
}

/// What a load saw, and what it cost the proxy.
#[derive(Clone, Copy)]
struct Seen {
    per_s: u64,
    p50_ns: u64,
    p99_ns: u64,
    events: u64,
    cpu_ns: u64,
}

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
    })?;
    let admin = Admin::new(host.client().with_key(ADMIN_KEY));
    let key = admin.create_customer("bench", "10000000")?;
    let provider = Provider::start(&ends)?;
    let book = STANDARD.encode(server::canonical_book(binary)?);
    let mut proxies = Vec::new();
    for between in Between::ALL {
        let folder = temporary.path().join(between.name());
        std::fs::create_dir(&folder)?;
        let (port, admin_port) = (server::address(0)?.port(), server::address(0)?.port());
        let config = json!({
            "admin": { "address": socket(admin_port) },
            "static_resources": {
                "listeners": [listener(port, filter_of(between, root, &book))],
                "clusters": [
                    cluster("openai", provider.port),
                    cluster("farebox", host.address.port()),
                ],
            },
        });
        let proxy = Proxy::start(&proxy::Setup {
            root,
            folder: &folder,
            config: &config.to_string(),
            admin_port,
            workers: 1,
        })?;
        proxies.push((between, proxy, port));
    }
    let load = Load {
        ends: &ends,
        seconds: if quick { 2 } else { 5 },
        key: &key,
    };
    for (_, _, port) in &proxies {
        // Leases grow to what calls take, and everything is compiled and cached.
        load.run(*port, "stream", BUSY)?;
    }
    let rounds = if quick { 1 } else { 5 };
    for kind in ["whole", "stream"] {
        let alone = rounds_of(
            &load,
            &proxies,
            Calls {
                kind,
                connections: 1,
            },
            rounds,
        )?;
        let busy = rounds_of(
            &load,
            &proxies,
            Calls {
                kind,
                connections: BUSY,
            },
            rounds,
        )?;
        add(table, kind, &alone, &busy);
    }
    let resident = |index: usize| -> Result<u64> {
        let (_, proxy, _) = proxies.get(index).context("no such proxy")?;
        process::resident_kib(proxy.id())
    };
    let memory = resident(2)?.saturating_sub(resident(0)?);
    table.add("edge_filter_memory_kib", memory);
    for (_, proxy, _) in proxies {
        proxy.stop()?;
    }
    host.stop()
}

/// Rounds in which all take turns; of each the median round, by CPU.
fn rounds_of(
    load: &Load<'_>,
    proxies: &[(Between, Proxy, u16)],
    calls: Calls,
    rounds: usize,
) -> Result<Vec<Seen>> {
    let mut seen: Vec<Vec<Seen>> = proxies.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((_, proxy, port), seen) in proxies.iter().zip(&mut seen) {
            let before = process::cpu_us(proxy.id())?;
            let figures = load.run(*port, calls.kind, calls.connections)?;
            let cpu_us = process::cpu_us(proxy.id())?.saturating_sub(before);
            let get = |name: &str| {
                let found = figures.get(name).and_then(Value::as_u64);
                found.with_context(|| format!("the load does not say `{name}`"))
            };
            seen.push(Seen {
                per_s: get("per_s")?,
                p50_ns: get("p50_ns")?,
                p99_ns: get("p99_ns")?,
                events: get("events")?,
                cpu_ns: cpu_us
                    .saturating_mul(1_000)
                    .checked_div(get("calls")?)
                    .context("no call was made")?,
            });
        }
    }
    let median = |mut all: Vec<Seen>| {
        all.sort_by_key(|seen| seen.cpu_ns);
        all.get(all.len() / 2).copied().context("no round")
    };
    seen.into_iter().map(median).collect()
}

fn add(table: &mut Table, kind: &str, alone: &[Seen], busy: &[Seen]) {
    let [bare, noop, filter, hop] = alone else {
        return;
    };
    let [bare_busy, noop_busy, filter_busy, hop_busy] = busy else {
        return;
    };
    for (name, alone, busy) in [
        ("bare", bare, bare_busy),
        ("noop", noop, noop_busy),
        ("filter", filter, filter_busy),
        ("hop", hop, hop_busy),
    ] {
        table.add(&format!("edge_{kind}_{name}_p50_us"), alone.p50_ns / 1_000);
        table.add(&format!("edge_{kind}_{name}_p99_us"), alone.p99_ns / 1_000);
        table.add(&format!("edge_{kind}_{name}_per_s"), busy.per_s);
        table.add(&format!("edge_{kind}_{name}_cpu_us"), busy.cpu_ns / 1_000);
    }
    let added_ns = filter.p50_ns.saturating_sub(bare.p50_ns);
    table.add(&format!("edge_{kind}_added_p50_us"), added_ns / 1_000);
    let added_ns = filter_busy.cpu_ns.saturating_sub(bare_busy.cpu_ns);
    table.add(&format!("edge_{kind}_added_cpu_us"), added_ns / 1_000);
    if kind == "stream" {
        let per_event = added_ns.checked_div(filter_busy.events).unwrap_or(0);
        table.add("edge_stream_added_cpu_per_event_ns", per_event);
    }
    let percent = filter_busy.per_s.saturating_mul(100);
    let percent = percent.checked_div(bare_busy.per_s).unwrap_or(0);
    table.add(&format!("edge_{kind}_throughput_percent"), percent);
}

/// A load on one of the proxies.
struct Load<'a> {
    ends: &'a Path,
    seconds: u64,
    key: &'a str,
}

impl Load<'_> {
    fn run(&self, port: u16, kind: &str, connections: usize) -> Result<Map<String, Value>> {
        let mut command = Command::new(self.ends);
        command
            .arg("load")
            .arg(SocketAddr::from(([127, 0, 0, 1], port)).to_string())
            .arg(self.seconds.to_string())
            .arg(connections.to_string())
            .args([kind, self.key])
            .stderr(Stdio::inherit());
        Ok(serde_json::from_str(&step::output(&mut command)?)?)
    }
}

/// The provider. It ends when this is dropped, because its standard input does.
struct Provider {
    child: Child,
    port: u16,
}

impl Provider {
    fn start(ends: &Path) -> Result<Self> {
        let address = server::address(0)?;
        let child = Command::new(ends)
            .args(["serve", &address.to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start `{}`", ends.display()))?;
        note(&format!("a provider listens on {address}"));
        Ok(Self {
            child,
            port: address.port(),
        })
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

fn socket(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

fn cluster(name: &str, port: u16) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(port) } }] }],
        },
    })
}

fn listener(port: u16, filter: Option<Value>) -> Value {
    let router = json!({
        "name": "router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        },
    });
    let filters: Vec<Value> = filter.into_iter().chain([router]).collect();
    json!({
        "name": "callers",
        "address": socket(port),
        "per_connection_buffer_limit_bytes": 2_097_152,
        "filter_chains": [{ "filters": [{
            "name": "http",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network\
                          .http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "bench",
                "http_filters": filters,
                "route_config": { "virtual_hosts": [{
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{
                        "match": { "prefix": "/" },
                        "route": { "cluster": "openai", "timeout": "0s" },
                    }],
                }]},
            },
        }]}],
    })
}

fn filter_of(between: Between, root: &Path, book: &str) -> Option<Value> {
    let (library, book) = match between {
        Between::Nothing => return None,
        Between::PassThrough => ("farebox_pass_through", ""),
        Between::Leases | Between::EachCall => ("farebox_filter", book),
    };
    let settings = json!({
        "deployment": "hosted",
        "host": { "cluster": "farebox", "leases": between == Between::Leases },
        "upstreams": { "openai": {
            "provider": "openai",
            "key": { "header": "authorization", "value": "Bearer sk-bench" },
        }},
    });
    Some(json!({
        "name": "farebox",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "farebox",
                "failure_policy": "FAIL_RELOAD",
                "allow_on_headers_stop_iteration": true,
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": settings.to_string(),
                },
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": guests::path(root, library) } },
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.BytesValue",
                        "value": book,
                    },
                },
            },
        },
    }))
}
