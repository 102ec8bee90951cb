//! `farebox rate` and `farebox price-book check` as a shell sees them: order, exit codes, and a
//! typed, clear answer to everything that can be wrong with a line, a policy or a book.

mod commands;
mod lines;
mod policies;

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A book under which the amounts below are worked out by hand.
const BOOK: &str = r#"
name = "cli"
as_of = "2026-11-21"
[defaults]
markup = "1.25"
[own_keys]
fixed_usd = "0.0005"
[deployments.self_hosted]
managed_keys = false
[plans.pro]
markup = "2"
[[models]]
provider = "openai"
model = "gpt"
per_million = { input = "2.50", output = "0.123456789012345678" }
"#;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder };
        bench.file("book.toml", BOOK);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs the binary in the folder.
    fn farebox(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_farebox"))
            .args(args)
            .current_dir(self.folder.path())
            .env(
                "XDG_CACHE_HOME",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its arguments does not read: its exit code tells more.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    /// The lines that come out for `lines`, under the book.
    fn rate(&self, more: &[&str], lines: &str) -> Vec<String> {
        let args = [&["rate", "--price-book", "book.toml"], more].concat();
        let output = self.farebox(&args, lines.as_bytes());
        let (out, err) = (text(&output.stdout), without_warnings(&output.stderr));
        assert!(output.status.success() && err.is_empty(), "{err}");
        out.lines().map(str::to_owned).collect()
    }

    /// The error that comes out for a line, as `type: detail`.
    fn error(&self, line: &str) -> String {
        let out = self.rate(&[], line);
        let [out] = out.as_slice() else {
            panic!("{out:?}");
        };
        let out: Value = serde_json::from_str(out).unwrap();
        assert_eq!(out.as_object().unwrap().len(), 1, "{out}");
        let field = |name: &str| {
            out.get("error")
                .unwrap()
                .get(name)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        };
        format!("{}: {}", field("type"), field("detail"))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A call with this `usage`.
fn usage(usage: &str) -> String {
    format!(r#"{{"provider":"openai","model":"gpt","usage":{usage}}}"#)
}

/// Exit code and standard error of a command that must not answer anything.
fn refused(output: &Output) -> (i32, String) {
    assert_eq!(text(&output.stdout), "");
    (
        output.status.code().unwrap(),
        without_warnings(&output.stderr),
    )
}

/// The book's output is cheap beside its input, which is said wherever it is used.
fn without_warnings(stderr: &[u8]) -> String {
    let said = text(stderr);
    let rest = said.lines().filter(|line| !line.starts_with("warning: "));
    rest.map(|line| format!("{line}\n")).collect()
}
