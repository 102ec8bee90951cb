//! `farebox usage` against a running server, both as a shell sees them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint's own exemption stops at its functions"
)]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const ADMIN_KEY: &str = "usage-test-admin-key";

/// A server of the real binary, under a book of one model.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path, model: &str) -> Self {
        let book = folder.join(format!("{model}.toml"));
        let text = format!(
            "name = \"cli\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\n\
             model = \"{model}\"\nper_million = {{ input = \"2\", output = \"8\" }}\n"
        );
        std::fs::write(&book, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_farebox"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "error"])
            .args(["--settle-interval-ms", "0", "--data-dir"])
            .arg(folder.join("data"))
            .arg("--price-book")
            .arg(book)
            .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().strip_prefix("farebox listens on ");
        let url = url.unwrap_or_else(|| panic!("the server did not start: `{line}`"));
        Self {
            url: url.to_owned(),
            child,
        }
    }

    fn farebox(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_farebox"))
            .args(arguments)
            .env("FAREBOX_URL", &self.url)
            .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
            .output()
            .unwrap()
    }

    /// The JSON answer of a command that works.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.farebox(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn usage_that_waits_is_listed_and_settled_from_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "old");
    let org = server.json(&["org", "create", "acme"])["id"].clone();
    let org = org.as_str().unwrap();
    server.json(&["wallet", "grant", org, "10"]);
    let report = json!({"provider": "openai", "model": "new",
        "usage": {"input": 1_000, "output": 100}});
    let answer = ureq::post(format!("{}/v1/usage", server.url))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("farebox-org", org)
        .header("content-type", "application/json")
        .send(report.to_string())
        .unwrap();
    assert_eq!(answer.status(), 202);

    let listed = server.farebox(&["usage", "list-unpriced"]);
    assert!(text(&listed.stdout).contains("unknown_model"), "{listed:?}");
    let listed = server.json(&["usage", "list-unpriced"]);
    assert_eq!(listed[0]["org_id"], org);
    assert_eq!(listed[0]["model"], "new");
    let tried = server.farebox(&["usage", "settle-unpriced"]);
    assert_eq!(tried.status.code(), Some(1));
    let told = text(&tried.stderr);
    assert!(
        told.contains("1 usage event still waits for a price"),
        "{told}"
    );
    assert!(text(&tried.stdout).contains("no price for model `new`"));
    drop(server);

    let server = Server::start(folder.path(), "new");
    let settled = server.json(&["usage", "settle-unpriced"]);
    assert_eq!(settled[0]["status"], "charged");
    // 1,000 × 2 + 100 × 8 USD per million, at USD 0.10 a credit.
    assert_eq!(settled[0]["credits"], "0.028");
    let listed = server.farebox(&["usage", "list-unpriced"]);
    assert_eq!(text(&listed.stdout), "nothing waits for a price\n");
    let wallet = server.json(&["wallet", "show", org]);
    assert_eq!(wallet["balance"]["available_credits"], "9.972");
}
