//! docs/operations.md, run as a reader would: every command in order, by a shell, against the real
//! binary, while calls are charged. What the page shows is what comes out.

use crate::page::{assert_shown, blocks, shell, text};
use crate::serving::{ADMIN_KEY, Server};
use serde_json::{Value, json};
use std::path::Path;

const PAGE: &str = include_str!("../../docs/operations.md");

/// What a block that asks over HTTP says. A machine that tests need not have the tool.
const CURL: &str = "curl -sf -H \"authorization: Bearer $FAREBOX_ADMIN_KEY\" \
                    \"$FAREBOX_URL/v1/admin/heads\" > heads.json\n";

/// An org with credits; its id.
fn customer(folder: &Path, url: &str) -> String {
    let made = shell(folder, url, "farebox org create acme --json");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let org = made["id"].as_str().unwrap().to_owned();
    let granted = shell(folder, url, &format!("farebox wallet grant {org} 1000"));
    assert!(granted.status.success(), "{}", text(&granted));
    org
}

fn charge(url: &str, org: &str) {
    let report = json!({"provider": "openai", "model": "gpt-4o-mini",
        "usage": {"input": 1_000, "output": 1_000}});
    let mut answer = ureq::post(format!("{url}/v1/usage"))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("content-type", "application/json")
        .header("farebox-org", org)
        .send(report.to_string())
        .unwrap();
    let answer = answer.body_mut().read_to_string().unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["status"], "charged", "{answer}");
}

fn heads(url: &str) -> String {
    let mut answer = ureq::get(format!("{url}/v1/admin/heads"))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .call()
        .unwrap();
    answer.body_mut().read_to_string().unwrap()
}

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let nothing: [&str; 0] = [];
    let mut server = Server::start(&folder.join("farebox-data"), nothing);
    let url = server.url.clone();
    let org = customer(folder, &url);
    let mut output = String::new();
    let mut run = 0;
    for block in blocks(PAGE) {
        match block.kind {
            "sh" | "sh fails" | "sh stopped" => {
                if block.kind == "sh stopped" {
                    server.stop();
                } else {
                    charge(&url, &org);
                }
                // As the page sets it, to what is the default.
                let script = format!("export FAREBOX_DATA_DIR=farebox-data\n{}", block.text);
                let done = shell(folder, &url, &script);
                output = text(&done);
                let code = i32::from(block.kind == "sh fails");
                assert_eq!(done.status.code(), Some(code), "{}\n{output}", block.text);
                run += 1;
            }
            "sh curl" => {
                assert_eq!(block.text, CURL);
                std::fs::write(folder.join("heads.json"), heads(&url)).unwrap();
                run += 1;
            }
            "text" => assert_shown(block.text, &output),
            "sh setup" => assert!(block.text.contains("FAREBOX_DATA_DIR=farebox-data\n")),
            kind => panic!("`{kind}`: no such kind of block"),
        }
    }
    assert_eq!(run, 8);
    for kept in ["signing.key", "cache"] {
        assert!(folder.join("farebox-data").join(kept).exists(), "{kept}");
        assert!(!folder.join("restored").join(kept).exists(), "{kept}");
    }
}
