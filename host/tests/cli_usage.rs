//! `farebox usage` against a running server, both as a shell sees them.

use crate::serving::{ADMIN_KEY, Server};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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

/// A log of calls under this hold, as the filter in a proxy records them.
fn access_log(org: &str, hold: &str, calls: usize) -> String {
    let mut log = String::from("[2026-11-21] a line of somebody else\n");
    for number in 0..calls {
        let key = format!("call-{number}");
        let report = json!({"provider": "openai", "model": "old", "hold_id": hold,
            "idempotency_key": key, "final": false, "usage": {"input": 1_000, "output": 100}});
        let record = json!({"org_id": org, "idempotency_key": key, "price_usd": "0.0028",
            "report": report});
        let line = json!({"path": "/v1/chat/completions", "calls": record.to_string()});
        log.push_str(&format!("{line}\n"));
    }
    log
}

#[test]
fn calls_of_an_access_log_are_charged_from_the_shell_once() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book.toml");
    let text_of_book = "name = \"cli\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\n\
                        model = \"old\"\nper_million = { input = \"2\", output = \"8\" }\n";
    std::fs::write(&book, text_of_book).unwrap();
    // Less than a dozen reports, so that they go in parts.
    let options = ["--body-bytes-max", "1024", "--price-book"].map(OsString::from);
    let server = Server::start(
        &folder.path().join("data"),
        options.into_iter().chain([book.into()]),
    );
    let org = json_of(&server, &["org", "create", "acme"])["id"].clone();
    let org = org.as_str().unwrap();
    json_of(&server, &["wallet", "grant", org, "0.1"]);
    let call = json!({"call": {"provider": "openai", "model": "old", "body_bytes": 1_000,
        "max_output_tokens": 100}});
    let mut placed = ureq::post(format!("{}/v1/holds", server.url))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("farebox-org", org)
        .header("content-type", "application/json")
        .send(call.to_string())
        .unwrap();
    let placed: Value = serde_json::from_str(&placed.body_mut().read_to_string().unwrap()).unwrap();
    let hold = placed["id"].as_str().unwrap();
    let log = folder.path().join("calls.jsonl");
    std::fs::write(&log, access_log(org, hold, 12)).unwrap();
    let log = log.to_str().unwrap();
    let command = ["usage", "reconcile", "--field", "calls", "--access-log"];

    let told = farebox(&server, &[&command[..], &[log, "--dry-run"]].concat());
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let told = text(&told.stdout);
    assert!(
        told.contains("missing                  12 (0.0336 USD as told)"),
        "{told}"
    );
    // 12 calls at 0.028 credits, of which the wallet has 0.1.
    let done = farebox(&server, &[&command[..], &[log]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_eq!(
        text(&done.stdout),
        "lines                    13\n\
         without a call           1\n\
         recorded before          0\n\
         charged now              12 (0.336 credits)\n\
         waiting for a price      0\n\
         charged nothing          0\n\
         beyond the wallets       0.236 credits, now shortfall\n\
         not reconciled           0\n"
    );
    // From standard input, with a line that is damaged.
    let child = Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(command)
        .arg("-")
        .env("FAREBOX_URL", &server.url)
        .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let piped = format!("{}{{\"calls\": \n", access_log(org, hold, 12));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(piped.as_bytes())
        .unwrap();
    let again = child.wait_with_output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    let said = text(&again.stdout);
    assert!(said.contains("recorded before          12\n"), "{said}");
    assert!(
        said.contains("  -:14: the line is no JSON object\n"),
        "{said}"
    );
    assert!(text(&again.stderr).contains("1 line could not be reconciled"));
    let none = farebox(&server, &[&command[..], &["no-such-log"]].concat());
    assert_eq!(none.status.code(), Some(3));
}
