//! Envoy itself, on ports of its own choice, with the filter in front of every upstream.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farebox_tests::{guests, repository};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a test says of its Envoy.
#[derive(Clone)]
pub struct Plan {
    /// The canonical book, or a [`list`] of some, or what stands in its place.
    pub book: Vec<u8>,
    /// The filter's settings, without the upstreams.
    pub settings: Value,
    /// The clusters that the filter knows, by name, with its settings for them.
    pub clusters: BTreeMap<String, Value>,
    /// Where all of them are.
    pub upstream: SocketAddr,
    /// How long a route waits for an answer: `0s` is for ever.
    pub timeout: &'static str,
    /// Where the host is, for those whose settings name its cluster [`HOST`].
    pub host: Vec<SocketAddr>,
}

/// A running Envoy. It ends with the test.
pub struct Envoy {
    process: Child,
    admin: SocketAddr,
    folder: TempDir,
    /// Where callers find it.
    pub address: SocketAddr,
}

/// The cluster of the host.
pub const HOST: &str = "farebox";
/// A cluster of which the filter knows nothing.
pub const UNKNOWN: &str = "unknown";

/// How long anything is waited for: far longer than it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until there is an answer. What there is in its place is said when it never comes.
pub fn until<T>(mut asked: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match asked() {
            Ok(answer) => return answer,
            Err(state) => assert!(begun.elapsed() < PATIENCE, "in vain: {state}"),
        }
        std::thread::yield_now();
    }
}

fn binary() -> PathBuf {
    let binary = repository("target/envoy/envoy");
    assert!(
        binary.is_file(),
        "no Envoy at `{}`: `cargo xtask envoy` installs it",
        binary.display()
    );
    binary
}

/// `name` says in which language the configuration is.
fn command(folder: &Path, name: &str, configuration: &str) -> Command {
    let config = folder.join(name);
    std::fs::write(&config, configuration).unwrap();
    let mut command = Command::new(binary());
    command
        .arg("--config-path")
        .arg(config)
        .arg("--admin-address-path")
        .arg(folder.join("admin"))
        .args(["--concurrency", "2", "--use-dynamic-base-id"])
        .args(["--log-level", "warning"])
        .args(["--file-flush-interval-msec", "100"])
        .stdin(Stdio::null());
    command
}

/// What Envoy says to a plan that it should not start with.
pub fn refused(plan: &Plan) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let configuration = configuration(folder.path(), plan).to_string();
    let mut command = command(folder.path(), "envoy.json", &configuration);
    command.output().unwrap()
}

impl Envoy {
    pub fn start(plan: &Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let configuration = configuration(folder.path(), plan).to_string();
        Self::run(folder, "envoy.json", &configuration)
    }

    /// The repository's example, each `${NAME}` with its value. Its ports and its record of calls
    /// are this Envoy's own. `changed` is what an operator may have made of it.
    pub fn example(values: &[(&str, &str)], changed: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let calls = folder.path().join("calls");
        let filter = guests::path(guests::FILTER);
        let own = [
            ("GATEWAY_PORT", "0"),
            ("ADMIN_PORT", "0"),
            ("ACCESS_LOG", calls.to_str().unwrap()),
            ("FAREBOX_FILTER", filter.to_str().unwrap()),
        ];
        let mut text = std::fs::read_to_string(repository("guest/envoy/envoy.yaml")).unwrap();
        for (name, value) in own.iter().chain(values) {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        Self::run(folder, "envoy.yaml", &changed(text))
    }

    /// One whose filter is in a file of its own that it watches: see [`Envoy::swap`].
    pub fn watching(plan: &Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        watched(folder.path(), plan);
        let mut configuration = configuration(folder.path(), plan);
        let listener = &mut configuration["static_resources"]["listeners"][0];
        let http = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
        http["http_filters"][0] = json!({
            "name": "farebox",
            "config_discovery": {
                "config_source": {"path_config_source": {"path": folder.path().join(WATCHED)}},
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            },
        });
        Self::run(folder, "envoy.json", &configuration.to_string())
    }

    /// Puts another file in the place of the one that it watches, and waits until it is taken.
    pub fn swap(&self, plan: &Plan) {
        let before = self.reloads();
        watched(self.folder.path(), plan);
        until(|| match self.reloads() {
            reloads if reloads == before => Err(self.log()),
            _ => Ok(()),
        });
    }

    fn reloads(&self) -> u64 {
        let line = self.ask("/stats?filter=extension_config_discovery.*config_reload$");
        let (_, count) = line.trim().split_once(": ").unwrap_or(("", "0"));
        count.parse().unwrap()
    }

    fn run(folder: TempDir, name: &str, configuration: &str) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = command(folder.path(), name, configuration);
        let mut process = command.stderr(log).spawn().unwrap();
        let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
        let admin = until(|| {
            if let Some(status) = process.try_wait().unwrap() {
                panic!("Envoy ended with {status}: {}", log());
            }
            let written = std::fs::read_to_string(folder.path().join("admin"));
            let written = written.ok().and_then(|text| text.parse().ok());
            written.ok_or_else(|| format!("Envoy has no address: {}", log()))
        });
        let mut envoy = Self {
            process,
            admin,
            folder,
            address: admin,
        };
        until(|| match envoy.ask("/ready").trim() {
            "LIVE" => Ok(()),
            state => Err(format!("Envoy is `{state}`: {}", envoy.log())),
        });
        let listeners: Value = serde_json::from_str(&envoy.ask("/listeners?format=json")).unwrap();
        let socket = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
        let port = u16::try_from(socket["port_value"].as_u64().unwrap()).unwrap();
        envoy.address = SocketAddr::from(([127, 0, 0, 1], port));
        envoy
    }

    fn ask(&self, path: &str) -> String {
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        let agent: ureq::Agent = agent.build().into();
        let answer = agent.get(format!("http://{}{path}", self.admin)).call();
        let mut answer = answer.unwrap_or_else(|error| panic!("{error}: {}", self.log()));
        answer.body_mut().read_to_string().unwrap()
    }

    /// What it wrote into its log.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Until the host has this many reports. It must want all of them.
    pub fn until_reported(&self, reports: u64) {
        until(|| {
            let unreported = self.counted("farebox.unreported");
            assert_eq!(unreported, 0, "{}", self.log());
            match self.counted("farebox.reported") {
                reported if reported >= reports => Ok(()),
                reported => Err(format!("{reported} of {reports} reports: {}", self.log())),
            }
        });
    }

    /// A counter of the filter, over all workers.
    pub fn counted(&self, name: &str) -> u64 {
        let line = self.ask(&format!("/stats?filter=^wasmcustom.{name}$"));
        let (_, count) = line.trim().split_once(": ").unwrap_or(("", "0"));
        count.parse().unwrap()
    }

    /// Has callers go elsewhere.
    pub fn drain(&self) {
        let agent = ureq::Agent::new_with_defaults();
        let drain = format!("http://{}/drain_listeners?graceful", self.admin);
        agent.post(drain).send_empty().unwrap();
    }

    /// Until no call runs and the host has all that it should have.
    pub fn until_idle(&self) {
        until(|| {
            let levels = self.ask("/stats?filter=^http.(http|gateway).downstream_rq_active$|^wasmcustom.farebox.(waiting|leasing)$");
            let is_zero = |line: &str| line.ends_with(": 0");
            if levels.lines().count() == 3 && levels.lines().all(is_zero) {
                Ok(())
            } else {
                Err(levels)
            }
        });
    }

    /// Kills it: it can neither say nor write anything any more. Its record of calls stays.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Where its record of calls is.
    pub fn calls(&self) -> PathBuf {
        self.folder.path().join("calls")
    }

    /// Until its record has so many calls. It writes them a moment after they are over.
    pub fn until_recorded(&self, calls: usize) {
        until(|| {
            let log = std::fs::read_to_string(self.calls()).unwrap_or_default();
            match log.lines().count() {
                lines if lines >= calls => Ok(()),
                lines => Err(format!("{lines} of {calls} calls in the record")),
            }
        });
    }

    /// Ends it in good order, and gives out its record of calls, by path.
    pub fn record(mut self) -> BTreeMap<String, Value> {
        let agent = ureq::Agent::new_with_defaults();
        let quit = format!("http://{}/quitquitquit", self.admin);
        agent.post(quit).send_empty().unwrap();
        assert!(self.process.wait().unwrap().success());
        let log = std::fs::read_to_string(self.calls()).unwrap();
        let lines = log.lines().map(|line| {
            let call: Value = serde_json::from_str(line).unwrap();
            (call["path"].as_str().unwrap().to_owned(), call)
        });
        lines.collect()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The file that a watching Envoy takes its filter from.
const WATCHED: &str = "filter.json";

/// Written beside, then moved into its place: it is never seen half.
fn watched(folder: &Path, plan: &Plan) {
    let mut resource = filter(plan, &settings(plan));
    resource["@type"] = json!("type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig");
    let beside = folder.join("filter.json.new");
    let file = json!({"resources": [resource]});
    std::fs::write(&beside, file.to_string()).unwrap();
    std::fs::rename(beside, folder.join(WATCHED)).unwrap();
}

fn settings(plan: &Plan) -> Value {
    let mut settings = plan.settings.clone();
    settings["upstreams"] = json!(plan.clusters);
    settings
}

fn configuration(folder: &Path, plan: &Plan) -> Value {
    let settings = settings(plan);
    let names = plan.clusters.keys().map(String::as_str).chain([UNKNOWN]);
    let names: Vec<&str> = names.collect();
    let routes: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({
                "match": {"prefix": format!("/{name}/")},
                "route": {"cluster": name, "timeout": plan.timeout},
            })
        })
        .collect();
    let clusters: Vec<Value> = names
        .iter()
        .map(|name| cluster(name, &[plan.upstream]))
        .chain([cluster(HOST, &plan.host)])
        .collect();
    json!({
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {"address": socket("127.0.0.1:0".parse().unwrap())},
        "static_resources": {
            "clusters": clusters,
            "listeners": [{
                "name": "callers",
                "address": socket("127.0.0.1:0".parse().unwrap()),
                "filter_chains": [{"filters": [{
                    "name": "http",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                        "stat_prefix": "http",
                        "codec_type": "AUTO",
                        "access_log": [access_log(&folder.join("calls"))],
                        "route_config": {"virtual_hosts": [
                            {"name": "all", "domains": ["*"], "routes": routes}
                        ]},
                        "http_filters": [
                            filter(plan, &settings),
                            {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
                        ],
                    },
                }]}],
            }],
        },
    })
}

fn filter(plan: &Plan, settings: &Value) -> Value {
    let module = guests::path(guests::FILTER);
    json!({
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
                    "code": {"local": {"filename": module}},
                    "configuration": books(&plan.book),
                },
            },
        },
    })
}

/// Several canonical books, for a [`Plan`].
pub fn list(books: &[&[u8]]) -> Vec<u8> {
    let books: Vec<String> = books.iter().map(|book| STANDARD.encode(book)).collect();
    json!({"books": books}).to_string().into_bytes()
}

fn books(book: &[u8]) -> Value {
    match serde_json::from_slice::<Value>(book) {
        Ok(list) => json!({
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": list.to_string(),
        }),
        Err(_) => json!({
            "@type": "type.googleapis.com/google.protobuf.BytesValue",
            "value": STANDARD.encode(book),
        }),
    }
}

fn access_log(path: &Path) -> Value {
    json!({
        "name": "file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": {
                "path": "%REQ(:PATH)%",
                "details": "%RESPONSE_CODE_DETAILS%",
                "told": "%FILTER_STATE(wasm.farebox:PLAIN)%",
                "quote_usd": "%FILTER_STATE(wasm.farebox_quote_usd:PLAIN)%",
                "farebox_report": "%FILTER_STATE(wasm.farebox_report:PLAIN)%",
            }},
        },
    })
}

fn cluster(name: &str, addresses: &[SocketAddr]) -> Value {
    let endpoints = addresses.iter();
    let endpoints: Vec<Value> = endpoints
        .map(|address| json!({"endpoint": {"address": socket(*address)}}))
        .collect();
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": endpoints}],
        },
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
