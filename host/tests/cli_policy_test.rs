//! `farebox policy test` as an author sees it: what holds, what does not and why, and the examples of
//! `guest/examples` with their own tables.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BOOK: &str = "name = \"small\"\nas_of = \"2026-11-21\"\n[defaults]\nmarkup = \"1.25\"\n\
    [[models]]\nprovider = \"openai\"\nmodel = \"gpt\"\nper_million = { input = \"2\", output = \"8\" }\n";

const CASES: &str = r#"{
  "book": "book.toml",
  "cases": [
    {
      "name": "a thousand in, a hundred out",
      "call": {"provider": "openai", "model": "gpt", "usage": {"input": 1000, "output": 100}},
      "expect": {"price_usd": "0.0035", "lines": [
        ["input", "1000", "0.000002", "0.002"],
        ["output", "100", "0.000008", "0.0008"],
        ["markup", "0.0028", "0.25", "0.0007", {"rule": "default"}]
      ]}
    },
    {
      "name": "nobody knows the model",
      "call": {"provider": "openai", "model": "other", "usage": {"input": 1}},
      "expect": {"error": {"type": "unknown-model", "detail": "no price for model `other` of provider `openai`"}}
    }
  ]
}"#;

struct Bench {
    folder: tempfile::TempDir,
}

fn farebox(folder: &Path, args: &[&str]) -> Output {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(args)
        .current_dir(folder)
        .env("XDG_CACHE_HOME", cache)
        .output()
        .unwrap()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        bench.write("book.toml", BOOK);
        bench.write("cases.json", CASES);
        bench.run("policy build --book book.toml -o policy.wasm", 0);
        bench
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// What the command prints, on both streams.
    #[track_caller]
    fn run(&self, command: &str, code: i32) -> String {
        let args: Vec<&str> = command.split(' ').collect();
        let output = farebox(self.folder.path(), &args);
        let told = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy);
        assert_eq!(output.status.code(), Some(code), "{}", told.concat());
        told.concat()
    }

    #[track_caller]
    fn test(&self, code: i32) -> String {
        self.run("policy test policy.wasm --cases cases.json", code)
    }

    fn accept(&self) {
        self.run("policy test policy.wasm --cases cases.json --update", 0);
    }
}

#[test]
fn answers_are_accepted_once_and_then_must_stay() {
    let bench = Bench::new();
    let told = bench.test(1);
    assert!(told.contains("golden     missing"), "{told}");
    bench.accept();
    let told = bench.test(0);
    for line in [
        "policy     farebox-standard ",
        "cases      2 of 2 as expected",
        "golden     equal",
        "refusals   unknown-model 1×, not-priced never, not-allowed never, out-of-range never",
    ] {
        assert!(told.contains(line), "{told}");
    }
    // A price that no case states by hand is still in the golden file.
    bench.write(
        "cases.json",
        &CASES.replace("\"price_usd\": \"0.0035\", ", ""),
    );
    bench.write(
        "book.toml",
        &BOOK.replace("as_of", "rounding = \"half-even\"\nas_of"),
    );
    assert!(bench.test(0).contains("golden     equal"));
}

#[test]
fn what_is_not_as_it_was_is_named() {
    let bench = Bench::new();
    bench.accept();
    bench.write("cases.json", &CASES.replace("\"0.0035\"", "\"0.0036\""));
    let told = bench.test(1);
    assert!(
        told.contains("failed     a thousand in, a hundred out: price_usd: expected \"0.0036\", got \"0.0035\""),
        "{told}"
    );
    assert!(told.contains("cases      1 of 2 as expected"), "{told}");
    let refused = bench.run("policy test policy.wasm --cases cases.json --update", 1);
    assert!(refused.contains("first the cases must hold"), "{refused}");
    // Nothing is said of the currency of answers by hand, so only the golden file notices.
    let silent = r#"{"book": "book.toml", "cases": [{"name": "a thousand in, a hundred out",
        "call": {"provider": "openai", "model": "gpt", "usage": {"input": 2000}}}]}"#;
    bench.write("cases.json", silent);
    let told = bench.test(1);
    assert!(
        told.contains("a hundred out: provider_cost_usd was \"0.0028\", is \"0.004\""),
        "{told}"
    );
    assert!(
        told.contains("nobody knows the model: it is in the golden file, and no case any more"),
        "{told}"
    );
}

#[test]
fn a_table_that_is_none_is_refused_by_name() {
    let bench = Bench::new();
    for (text, what) in [
        ("{", "cases.json: EOF while parsing"),
        (r#"{"cases": []}"#, "cases.json: it has no cases"),
        (r#"{"cases": [], "books": 1}"#, "unknown field `books`"),
        (
            r#"{"cases": [{"name": "a", "call": {}}, {"name": "a", "call": {}}]}"#,
            "case `a` stands twice",
        ),
        (
            r#"{"book": ["name = 1"], "cases": [{"name": "a", "call": {}}]}"#,
            "cases.json: book: ",
        ),
    ] {
        bench.write("cases.json", text);
        let told = bench.test(1);
        assert!(told.contains(what), "{told}");
    }
    let alone = repository("target/guests/farebox_standard.wasm");
    let alone = alone.display();
    bench.write("cases.json", r#"{"cases": [{"name": "a", "call": {}}]}"#);
    let told = bench.run(&format!("policy test {alone} --cases cases.json"), 2);
    assert!(told.contains("there is no price book"), "{told}");
}

#[test]
fn a_policy_that_breaks_the_contract_does_not_pass() {
    let bench = Bench::new();
    let hostile = repository("target/guests/farebox_hostile.wasm");
    for (mode, what) in [
        // Admitted, and caught by the cases.
        ("trap_on_mini", "the policy faults"),
        // Not even admitted.
        ("total_off_by_a_nano", "the lines add up to"),
        ("remember", "asked again in another order"),
    ] {
        bench.write("book.toml", &BOOK.replace("small", mode));
        let cases = CASES.replace("\"other\"", "\"gpt-4o-mini\"");
        bench.write("cases.json", &cases);
        let told = bench.run(
            &format!("policy test {} --cases cases.json", hostile.display()),
            1,
        );
        assert!(told.contains(what), "{mode}: {told}");
    }
}

/// An example with its own table: every case, the accepted answers, and each refusal at least once.
#[track_caller]
fn passes(example: &str, guest: &str) {
    let policy = repository("target/guests")
        .join(guest)
        .with_extension("wasm");
    assert!(
        policy.is_file(),
        "{}: build it with `cargo xtask guests --all`",
        policy.display()
    );
    let policy = policy.display().to_string();
    let args = ["policy", "test", &policy, "--cases", "cases.json"];
    let output = farebox(&repository("guest/examples").join(example), &args);
    let told = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy);
    let told = told.concat();
    assert!(output.status.success(), "{told}");
    assert!(!told.contains("never"), "{told}");
}

#[test]
fn the_committed_spend_passes() {
    passes("committed-spend", "farebox_committed_spend");
}

#[test]
fn the_surge_in_python_passes() {
    passes("surge", "surge");
}

#[test]
fn the_happy_hour_in_javascript_passes() {
    passes("happy-hour", "happy_hour");
}
