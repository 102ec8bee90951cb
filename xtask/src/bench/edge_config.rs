//! The configurations of the Envoys that are compared: one route to one provider, and between them
//! what is measured.

use crate::guests;
use serde_json::{Value, json};
use std::path::Path;

/// What stands between caller and provider.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Between {
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
    /// In the order of the table.
    pub const ALL: [Self; 4] = [
        Self::Nothing,
        Self::PassThrough,
        Self::Leases,
        Self::EachCall,
    ];

    /// In the names of its figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "bare",
            Self::PassThrough => "noop",
            Self::Leases => "filter",
            Self::EachCall => "hop",
        }
    }
}

/// The ports of one Envoy and of those whom it asks.
#[derive(Clone, Copy)]
pub struct Ports {
    /// Its callers'.
    pub callers: u16,
    /// Its operator's.
    pub admin: u16,
    /// The provider's.
    pub provider: u16,
    /// The host's.
    pub host: u16,
}

/// The configuration of an Envoy, in JSON. `book` is the price book in base64.
pub fn envoy(between: Between, ports: Ports, root: &Path, book: &str) -> String {
    json!({
        "admin": { "address": socket(ports.admin) },
        "static_resources": {
            "listeners": [listener(ports.callers, filter_of(between, root, book))],
            "clusters": [
                cluster("openai", ports.provider),
                cluster("farebox", ports.host),
            ],
        },
    })
    .to_string()
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
