//! docs/policies.md, run as a reader would: every command in order, by a shell, against the real
//! binary, while calls are charged. What the page shows is what comes out.

use crate::page::{assert_shown, blocks, shell, text};
use crate::serving::{ADMIN_KEY, Server};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

const PAGE: &str = include_str!("../../docs/policies.md");

/// From its folder, with the first of its books.
fn serve(folder: &Path) -> Server {
    let book = folder.join("october.toml");
    Server::start(
        &folder.join("farebox-data"),
        ["--price-book".as_ref(), book.as_os_str()],
    )
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

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for block in blocks(PAGE) {
        if let Some(name) = block.kind.strip_prefix("toml ") {
            std::fs::write(folder.join(name), block.text).unwrap();
        }
    }
    let mut server = serve(folder);
    let mut traffic = Some(Traffic::start(&server.url));
    let mut output = String::new();
    let mut run = 0;
    for block in blocks(PAGE) {
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
                output = text(&done);
                let code = match block.kind {
                    "sh fails" => 1,
                    "sh refused" => 3,
                    _ => 0,
                };
                assert_eq!(done.status.code(), Some(code), "{}\n{output}", block.text);
                run += 1;
            }
            "text" => assert_shown(block.text, &output),
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
    for block in blocks(PAGE) {
        if let Some(name) = block.kind.strip_prefix("toml ") {
            std::fs::write(folder.join(name), block.text).unwrap();
        }
    }
    let missing = shell(folder, "", "farebox policy list --data-dir nowhere");
    let told = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(3), "{told}");
    assert!(told.contains("`nowhere` holds no ledger"), "{told}");
    assert!(!folder.join("nowhere").exists());
    let server = serve(folder);
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
