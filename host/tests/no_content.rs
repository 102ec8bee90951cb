//! What a customer asked and was answered passes through, and stays nowhere: not in the ledger, not in
//! a file beside it, not in the log at its most talkative.

use crate::serving::ADMIN_KEY;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Stands for a prompt or an answer. Of letters that repeat nowhere, so that no compression hides it.
const CONTENT: &str = "zq7Kx0pVbW3mRt9LfYc5HdGj2NsUa8Ee";

/// Stands where something is meant to be kept: who finds this would find the other.
const FEATURE: &str = "f_4h1t6wq0zk8rj3vn";

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that logs everything to a file; where it listens.
fn serve(folder: &Path) -> (Running, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "trace"])
        .arg("--data-dir")
        .arg(folder.join("data"))
        .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
        .stdout(Stdio::piped())
        .stderr(File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line.trim().strip_prefix("farebox listens on ").unwrap();
    (Running(child), url.to_owned())
}

fn ask(url: &str, org: Option<&str>, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{url}{path}"))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("content-type", "application/json");
    if let Some(org) = org {
        request = request.header("farebox-org", org);
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent.run(request.body(body.to_vec()).unwrap()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), text)
}

/// Every way in which an answer of a provider is reported, well formed or not, and a question asked.
fn reports() -> Vec<(&'static str, Vec<u8>)> {
    let usage = json!({"prompt_tokens": 1_000, "completion_tokens": 20, "total_tokens": 1_020});
    let message = json!({"role": "assistant", "content": CONTENT});
    let whole = json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage});
    let mut without_usage = whole.clone();
    without_usage.as_object_mut().unwrap().remove("usage");
    let mut wrong_usage = whole.clone();
    wrong_usage["usage"]["prompt_tokens"] = json!("many");
    let piece = json!({"id": "chatcmpl-2", "object": "chat.completion.chunk", "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": {"content": CONTENT}}]});
    let last = json!({"id": "chatcmpl-2", "object": "chat.completion.chunk", "model": "gpt-4o-mini",
        "choices": [], "usage": usage});
    let stream = format!("data: {piece}\n\ndata: {last}\n\ndata: [DONE]\n\n");
    let cut = format!("data: {piece}\n\ndata: {{\"id\": \"{CONTENT}");
    let failed = json!({"error": {"message": CONTENT, "type": "server_error"}});
    let report = |key: &str, content: Value| {
        json!({"provider": "openai", "model": "gpt-4o-mini", "feature": FEATURE, key: content})
            .to_string()
            .into_bytes()
    };
    vec![
        ("an answer", report("response", whole)),
        ("an answer without usage", report("response", without_usage)),
        (
            "an answer with wrong usage",
            report("response", wrong_usage),
        ),
        ("an error of the provider", report("response", failed)),
        ("a stream", report("sse", json!(stream))),
        ("a stream that was cut", report("sse", json!(cut))),
        (
            "no JSON",
            format!("{{\"provider\": \"openai\", {CONTENT}").into_bytes(),
        ),
        (
            "not UTF-8",
            [CONTENT.as_bytes(), &[0xff, 0xfe], CONTENT.as_bytes()].concat(),
        ),
    ]
}

fn contains(bytes: &[u8], wanted: &str) -> bool {
    bytes
        .windows(wanted.len())
        .any(|window| window == wanted.as_bytes())
}

/// The files below a folder that hold the text.
fn holding(folder: &Path, wanted: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, wanted));
        } else if contains(&fs::read(&path).unwrap(), wanted) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn no_content_of_a_request_or_an_answer_is_stored_or_logged() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path());
    let (status, made) = ask(&url, None, "POST", "/v1/admin/orgs", br#"{"name":"acme"}"#);
    assert_eq!(status, 201, "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let org = made["id"].as_str().unwrap();
    let grant = json!({"source": "promotional", "amount_credits": "1000"}).to_string();
    let path = format!("/v1/admin/orgs/{org}/grants");
    let (status, granted) = ask(&url, None, "POST", &path, grant.as_bytes());
    assert_eq!(status, 201, "{granted}");
    let mut charged = 0;
    for (what, report) in reports() {
        let (status, answer) = ask(&url, Some(org), "POST", "/v1/usage", &report);
        // What comes back to whoever sent it may name it; nothing here does.
        assert!(!answer.contains(CONTENT), "{what}: {status} {answer}");
        assert!(status < 500, "{what}: {status} {answer}");
        charged += u32::from(answer.contains("\"charged\""));
        let asked = String::from_utf8_lossy(&report).into_owned();
        let quote = json!({"provider": "openai", "model": "gpt-4o-mini", "body_bytes": 10, "prompt": asked});
        ask(
            &url,
            Some(org),
            "POST",
            "/v1/quotes",
            quote.to_string().as_bytes(),
        );
    }
    assert!(charged >= 2, "only {charged} reports were charged");
    let (_, usage) = ask(&url, Some(org), "GET", "/v1/usage", b"");
    assert!(
        usage.contains(FEATURE) && !usage.contains(CONTENT),
        "{usage}"
    );
    drop(server);
    assert_eq!(holding(folder.path(), CONTENT), [""; 0]);
    let kept = holding(&folder.path().join("data"), FEATURE);
    assert!(!kept.is_empty(), "the search finds nothing that is there");
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("TRACE") && log.contains("/v1/usage"), "{log}");
}
