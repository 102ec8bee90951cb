//! A book that may be used and surely does not mean what it says is used, and whoever uses it is told.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Prices that are ten thousand times what they should be.
const ODD: &str = r#"
name = "odd"
as_of = "2026-11-21"
[[models]]
provider = "openai"
model = "gpt-4o"
per_million = { input = "25000", output = "100000", cache_read = "12500", reasoning = "100000" }
"#;

const SAID: &str = "was a price per million meant?";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("odd.toml"), ODD).unwrap();
    std::fs::write(
        folder.path().join("call.jsonl"),
        r#"{"provider":"openai","model":"gpt-4o","usage":{"input":1000}}"#,
    )
    .unwrap();
    folder
}

fn farebox(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
    command.current_dir(folder).env("NO_COLOR", "1");
    command
}

#[test]
fn commands_that_price_by_an_odd_book_say_so_on_standard_error() {
    let folder = folder();
    for args in [
        &["rate", "--price-book", "odd.toml", "call.jsonl"][..],
        &["policy", "build", "--book", "odd.toml", "-o", "odd.wasm"],
    ] {
        let output = farebox(folder.path()).args(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.starts_with("warning: odd.toml: "), "{said}");
        assert_eq!(said.matches(SAID).count(), 3, "{said}");
        assert!(
            said.contains("1 more (`farebox price-book check odd.toml`)"),
            "{said}"
        );
        assert!(!String::from_utf8(output.stdout).unwrap().contains(SAID));
    }
}

#[test]
fn a_server_says_so_in_its_log() {
    let folder = folder();
    let mut server = farebox(folder.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn"])
        .args(["--data-dir", "data", "--price-book", "odd.toml"])
        .env("FAREBOX_ADMIN_KEY", "odd-books-test-admin-key")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let mut log = String::new();
    server
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    assert!(line.contains("listens"), "{log}");
    assert!(log.contains(SAID) && log.contains("findings=4"), "{log}");
}
