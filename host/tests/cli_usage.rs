//! `farebox usage` against a running server, both as a shell sees them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint's own exemption stops at its functions"
)]

mod serving;

use serde_json::{Value, json};
use serving::{ADMIN_KEY, Server};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output};

/// A server under a book of one model.
fn serve(folder: &Path, model: &str) -> Server {
    let book = folder.join(format!("{model}.toml"));
    let text = format!(
        "name = \"cli\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\n\
         model = \"{model}\"\nper_million = {{ input = \"2\", output = \"8\" }}\n"
    );
    std::fs::write(&book, text).unwrap();
    let options = ["--settle-interval-ms", "0", "--price-book"].map(OsString::from);
    Server::start(
        &folder.join("data"),
        options.into_iter().chain([book.into()]),
    )
}

fn farebox(server: &Server, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(arguments)
        .env("FAREBOX_URL", &server.url)
        .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
        .output()
        .unwrap()
}

/// The JSON answer of a command that works.
fn json_of(server: &Server, arguments: &[&str]) -> Value {
    let output = farebox(server, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn usage_that_waits_is_listed_and_settled_from_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), "old");
    let org = json_of(&server, &["org", "create", "acme"])["id"].clone();
    let org = org.as_str().unwrap();
    json_of(&server, &["wallet", "grant", org, "10"]);
    let report = json!({"provider": "openai", "model": "new",
        "usage": {"input": 1_000, "output": 100}});
    let answer = ureq::post(format!("{}/v1/usage", server.url))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("farebox-org", org)
        .header("content-type", "application/json")
        .send(report.to_string())
        .unwrap();
    assert_eq!(answer.status(), 202);

    let listed = farebox(&server, &["usage", "list-unpriced"]);
    assert!(text(&listed.stdout).contains("unknown_model"), "{listed:?}");
    let listed = json_of(&server, &["usage", "list-unpriced"]);
    assert_eq!(listed[0]["org_id"], org);
    assert_eq!(listed[0]["model"], "new");
    let tried = farebox(&server, &["usage", "settle-unpriced"]);
    assert_eq!(tried.status.code(), Some(1));
    let told = text(&tried.stderr);
    assert!(
        told.contains("1 usage event still waits for a price"),
        "{told}"
    );
    assert!(text(&tried.stdout).contains("no price for model `new`"));
    drop(server);

    let server = serve(folder.path(), "new");
    // The call ran under the old book, which has no price for it: the new one prices it only by an
    // operator's word.
    let tried = farebox(&server, &["usage", "settle-unpriced"]);
    assert_eq!(tried.status.code(), Some(1));
    let bound = json_of(&server, &["policy", "bindings"]);
    let bound = bound["items"][0]["release_id"].as_str().unwrap();
    let settled = json_of(&server, &["usage", "settle-unpriced", "--under", bound]);
    assert_eq!(settled[0]["status"], "charged");
    // 1,000 × 2 + 100 × 8 USD per million, at USD 0.10 a credit.
    assert_eq!(settled[0]["credits"], "0.028");
    let listed = farebox(&server, &["usage", "list-unpriced"]);
    assert_eq!(text(&listed.stdout), "nothing waits for a price\n");
    let wallet = json_of(&server, &["wallet", "show", org]);
    assert_eq!(wallet["balance"]["available_credits"], "9.972");
}
