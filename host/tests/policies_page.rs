//! docs/policies.md, run as a reader would: every command in order, by a shell, against the real
//! binary, while calls are charged. What the page shows is what comes out.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking; the lint's own exemption stops at its functions"
)]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

const PAGE: &str = include_str!("../../docs/policies.md");
const ADMIN_KEY: &str = "an-admin-key-of-your-own";

/// A fenced block: what stands after the fence, and its text.
struct Block {
    kind: &'static str,
    text: &'static str,
}

fn blocks() -> Vec<Block> {
    let fenced = PAGE.split("```").skip(1).step_by(2);
    fenced
        .map(|block| {
            let (kind, text) = block.split_once('\n').unwrap();
            Block { kind, text }
        })
        .collect()
}

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_farebox"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "error"])
            .args(["--price-book", "october.toml", "--data-dir", "farebox-data"])
            .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().strip_prefix("farebox listens on ");
        Self {
            url: url
                .unwrap_or_else(|| panic!("no server: `{line}`"))
                .to_owned(),
            child,
        }
    }

    /// Stops it as an operator would.
    fn stop(&mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request; its answer must be a success.
fn post(url: &str, path: &str, org: &str, body: &Value) -> Value {
    let mut answer = ureq::post(format!("{url}{path}"))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("content-type", "application/json")
        .header("farebox-org", org)
        .send(body.to_string())
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

/// An org whose calls are charged one after the other until it is told to stop.
struct Traffic {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Traffic {
    fn start(url: &str) -> Self {
        let nobody = "org_00000000000000000000000000000000";
        let org = post(url, "/v1/admin/orgs", nobody, &json!({"name": "acme"}));
        let org = org["id"].as_str().unwrap().to_owned();
        let grant = json!({"amount_credits": "100000", "source": "purchase"});
        post(url, &format!("/v1/admin/orgs/{org}/grants"), &org, &grant);
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, url) = (Arc::clone(&stop), url.to_owned());
        let thread = std::thread::spawn(move || {
            let mut prices: Vec<String> = Vec::new();
            let report = json!({"provider": "openai", "model": "gpt-4o-mini",
                "usage": {"input": 1_000, "output": 1_000}});
            while !stopped.load(Ordering::Relaxed) {
                let charged = post(&url, "/v1/usage", &org, &report);
                assert_eq!(charged["status"], "charged", "{charged}");
                let price = charged["price_usd"].as_str().unwrap();
                if prices.last().is_none_or(|last| last != price) {
                    prices.push(price.to_owned());
                }
            }
            prices
        });
        Self { stop, thread }
    }

    /// The prices of the same call, in the order in which they changed.
    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn shell(folder: &Path, url: &str, script: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_farebox"));
    let path = std::env::var("PATH").unwrap();
    Command::new("sh")
        .args(["-e", "-c", script])
        .current_dir(folder)
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().unwrap().display()),
        )
        .env("FAREBOX_URL", url)
        .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
        .env(
            "XDG_CACHE_HOME",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
        )
        .output()
        .unwrap()
}

/// Whether a line of `output` has the parts of `shown` that stand between `…`, in order.
fn is_shown(shown: &str, output: &str) -> bool {
    output.lines().any(|line| {
        let mut rest = line;
        shown.split('…').all(|part| match rest.find(part.trim()) {
            Some(at) => {
                rest = &rest[at + part.trim().len()..];
                true
            }
            None => false,
        })
    })
}

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for block in blocks() {
        if let Some(name) = block.kind.strip_prefix("toml ") {
            std::fs::write(folder.join(name), block.text).unwrap();
        }
    }
    let mut server = Server::start(folder);
    let mut traffic = Some(Traffic::start(&server.url));
    let mut output = String::new();
    let mut run = 0;
    for block in blocks() {
        match block.kind {
            "sh" | "sh fails" | "sh refused" | "sh stopped" => {
                if block.kind == "sh stopped" {
                    // October, November for everyone, October again: nothing else, and no call
                    // failed in between.
                    let prices = traffic.take().unwrap().stop();
                    assert_eq!(prices, ["0.0009375", "0.0011875", "0.0009375"]);
                    server.stop();
                }
                let done = shell(folder, &server.url, block.text);
                output = [&done.stdout[..], &done.stderr[..]]
                    .map(String::from_utf8_lossy)
                    .concat();
                let code = match block.kind {
                    "sh fails" => 1,
                    "sh refused" => 3,
                    _ => 0,
                };
                assert_eq!(done.status.code(), Some(code), "{}\n{output}", block.text);
                run += 1;
            }
            "text" => {
                for shown in block.text.lines() {
                    assert!(is_shown(shown, &output), "`{shown}` is not in\n{output}");
                }
            }
            "sh setup" => {}
            kind if kind.starts_with("toml ") => {}
            kind => panic!("`{kind}`: no such kind of block"),
        }
    }
    assert!(run > 12, "{run}");
}

#[test]
fn a_data_directory_that_is_served_from_is_not_worked_on_beside_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for block in blocks() {
        if let Some(name) = block.kind.strip_prefix("toml ") {
            std::fs::write(folder.join(name), block.text).unwrap();
        }
    }
    let missing = shell(folder, "", "farebox policy list --data-dir nowhere");
    let told = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(3), "{told}");
    assert!(told.contains("`nowhere` holds no ledger"), "{told}");
    assert!(!folder.join("nowhere").exists());
    let server = Server::start(folder);
    let beside = shell(
        folder,
        &server.url,
        "farebox policy list --data-dir farebox-data",
    );
    let told = String::from_utf8_lossy(&beside.stderr).into_owned();
    assert_eq!(beside.status.code(), Some(3), "{told}");
    assert!(told.contains("is in use by another process"), "{told}");
    let unknown = shell(folder, &server.url, "farebox policy activate july");
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(1), "{told}");
    assert!(told.contains("`july` names no release"), "{told}");
}
