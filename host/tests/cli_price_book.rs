//! What `farebox price-book` and `farebox rate --explain` say of the rules of a book: which model a
//! name means, what holds when, what changes, and what becomes of a call that did not end well.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

const BOOK: &str = r#"
name = "rules"
as_of = "2026-11-21"
[failures]
client_abort = "estimate"
upstream_error = "nothing"
zero_usage = "hold"
estimate = { bytes_per_token = 4, output_share = "0.5" }
[[overrides]]
reason = "contract 7"
provider = "openai"
meters = ["output"]
factor = "0.5"
[[models]]
provider = "openai"
model = "gpt"
prefixes = ["gpt-"]
patterns = ["*-gpt"]
max_output_tokens = 1000
per_million = { input = "2", output = "20" }
other_prices = [{ source = "another", meter = "input", per_million = "3" }]
[[models.hours]]
name = "night"
when = [{ times = ["22:00-06:00"] }]
per_million = { input = "1" }
[[models.periods]]
known_since = "2026-11-20"
valid_from = "2026-11-01"
valid_to = "2026-12-01"
per_million = { input = "5", output = "20" }
"#;

/// Exit code and standard output of a command in a folder with these files.
fn farebox(files: &[(&str, &str)], args: &[&str], input: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    run(folder.path(), args, input)
}

fn run(folder: &Path, args: &[&str], input: &str) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

fn show(args: &[&str]) -> String {
    let args = [&["price-book", "show", "book.toml"], args].concat();
    let (code, said) = farebox(&[("book.toml", BOOK)], &args, "");
    assert_eq!(code, 0, "{said}");
    said
}

#[test]
fn show_says_which_rule_found_the_model_and_what_holds_at_a_time() {
    for (name, rule) in [
        ("gpt", "found by its name `gpt`"),
        ("gpt-5", "found by the longest prefix `gpt-`"),
        (
            "my-gpt",
            "found by the pattern with the most fixed characters `*-gpt`",
        ),
    ] {
        let said = show(&[name, "--provider", "openai"]);
        assert!(said.contains(rule), "{said}");
    }
    let related = show(&["gpt", "--provider", "azure"]);
    assert!(related.contains("at a related provider"), "{related}");
    let said = show(&["gpt", "--provider", "openai"]);
    for told in [
        "override: output × 0.5 (contract 7)",
        "disputed: another has `input` at 3 per million",
        "known since 2026-11-20T00:00:00Z",
        "night hours (UTC Mon 00:00-Mon 06:00, Mon 22:00-Tue 06:00, Tue 22:00-Wed 06:00, and 5 more)",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    // Yesterday's price, and beside it the late correction.
    let said = show(&[
        "gpt",
        "--provider",
        "openai",
        "--at",
        "2026-11-10T12:00:00Z",
    ]);
    let (before, after) = said.split_once("corrected later").unwrap();
    assert!(
        before.contains("$0.000002") && !before.contains("night"),
        "{said}"
    );
    assert!(after.contains("$0.000005"), "{said}");
    let known = [
        "gpt",
        "--provider",
        "openai",
        "--at",
        "2026-11-10",
        "--known-at",
        "2026-11-21",
    ];
    let said = show(&known);
    let (before, _) = said.split_once("before it was corrected").unwrap();
    assert!(before.contains("$0.000005"), "{said}");
}

#[test]
fn a_call_that_did_not_end_well_is_previewed() {
    let call = |fields: &str| {
        let line = format!(
            r#"{{"provider":"openai","model":"gpt","occurred_at":"2026-11-10T12:00:00Z",{fields}}}"#
        );
        let args = ["rate", "--price-book", "book.toml", "--explain"];
        let (code, said) = farebox(&[("book.toml", BOOK)], &args, &line);
        assert_eq!(code, 0, "{said}");
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    let well = call(r#""usage":{"input":1000}"#);
    assert_eq!(well["price_usd"], "0.002");
    assert_eq!(
        well["explain"],
        serde_json::json!({"model": "openai/gpt", "found_by": "name gpt"})
    );
    // 400 bytes are 100 tokens of prompt; half of the 1,000 that the request allows are 500.
    let aborted = call(
        r#""aborted":true,"request":{"model":"gpt","max_output":1000,"body_bytes":400},"usage":{"output":7}"#,
    );
    assert_eq!(aborted["price_usd"], "0.0052");
    assert_eq!(aborted["explain"]["outcome"], "client_abort");
    assert_eq!(aborted["explain"]["action"], "estimate");
    assert_eq!(
        aborted["explain"]["estimated"],
        serde_json::json!({"input": "100", "output": "500"})
    );
    let failed = call(r#""status":502,"usage":{"input":1000}"#);
    assert_eq!(failed["price_usd"], "0");
    assert_eq!(failed["explain"]["action"], "nothing");
    let zero = call(r#""usage":{"input":0}"#);
    assert_eq!(zero["error"]["type"], "held");
    assert_eq!(zero["explain"]["outcome"], "zero_usage");
}

#[test]
fn a_book_is_compared_and_its_age_told() {
    let dearer = BOOK.replace("input = \"5\"", "input = \"6\"");
    let files = [("book.toml", BOOK), ("new.toml", &dearer)];
    let (code, said) = farebox(
        &files,
        &[
            "price-book",
            "diff",
            "book.toml",
            "new.toml",
            "--at",
            "2026-11-21",
        ],
        "",
    );
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("openai/gpt: +20 %\n  `input`: $0.000005 → $0.000006 (+20 %)"),
        "{said}"
    );
    assert!(
        said.ends_with("0 models added, 0 removed, 1 changed; 0 names moved\n"),
        "{said}"
    );
    let check = |at| {
        farebox(
            &files,
            &["price-book", "check", "book.toml", "--at", at],
            "",
        )
        .1
    };
    assert!(check("2026-11-21").contains("1 models, 0 warnings, 1 disputed prices"));
    let old = check("2027-06-01");
    assert!(
        old.contains("the prices are of 2026-11-21, 192 days ago"),
        "{old}"
    );
}

#[test]
fn prices_that_jump_are_held_back_until_somebody_accepts_them() {
    let prices = |one: &str, two: &str| {
        let model = |usd: &str| {
            format!(
                r#"{{"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": {usd},
                "output_cost_per_token": 1e-05}}"#
            )
        };
        format!(r#"{{"one": {}, "two": {}}}"#, model(one), model(two))
    };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("before.json", prices("1e-06", "2e-06"));
    write("after.json", prices("1.6e-06", "2.8e-06"));
    let import = |file: &str, args: &[&str]| {
        let all = ["price-book", "import", "--from", "litellm", file, "-o"];
        run(folder.path(), &[&all, args].concat(), "")
    };
    let (code, said) = import("before.json", &["old.toml"]);
    assert_eq!(code, 0, "{said}");
    let against = |args: &[&str]| {
        let said = import(
            "after.json",
            &[&["new.toml", "--against", "old.toml"], args].concat(),
        );
        let book = std::fs::read_to_string(folder.path().join("new.toml")).unwrap();
        let has = ["1", "1.6", "2", "2.8"].map(|usd| book.contains(&format!("input = \"{usd}\"")));
        (said.0, said.1, has)
    };
    // 60 % is beyond the 50 that nobody changed, and 40 is not.
    let (code, said, has) = against(&[]);
    assert_eq!((code, has), (1, [true, false, false, true]), "{said}");
    assert!(
        said.contains("held back: openai/one keeps its prices\n"),
        "{said}"
    );
    assert!(!said.contains("openai/two"), "{said}");
    let (code, said, has) = against(&["--max-change", "39.9"]);
    assert_eq!((code, has), (1, [true, false, true, false]), "{said}");
    let (code, said, has) = against(&["--max-change", "60"]);
    assert_eq!((code, has), (0, [false, true, false, true]), "{said}");
    for name in ["openai/one", "*"] {
        let (code, said, has) = against(&["--accept", name]);
        assert_eq!((code, has), (0, [false, true, false, true]), "{said}");
    }
    let (code, said, has) = against(&["--accept", "openai/two"]);
    assert_eq!((code, has), (1, [true, false, false, true]), "{said}");
}

#[test]
fn pools_of_one_meter_are_told_apart_in_a_preview() {
    let book = r#"
name = "x"
as_of = "2026-11-21"
[failures]
client_abort = "estimate"
[[models]]
provider = "google"
model = "gemini"
per_million = { input = "1", cache_read = "0.1", input_audio = "2", output = "10" }
"#;
    let line = r#"{"provider":"google","api":"generate_content","aborted":true,
        "request":{"model":"gemini","max_output":10,"body_bytes":4},
        "response":{"modelVersion":"gemini","responseId":"r","candidates":[],"usageMetadata":{
            "promptTokenCount":1100,"candidatesTokenCount":2,"totalTokenCount":1102,
            "cachedContentTokenCount":700,
            "promptTokensDetails":[{"modality":"TEXT","tokenCount":100},{"modality":"AUDIO","tokenCount":1000}],
            "cacheTokensDetails":[{"modality":"TEXT","tokenCount":60},{"modality":"AUDIO","tokenCount":640}]}}}"#;
    let line = line.replace('\n', " ");
    let args = ["rate", "--price-book", "book.toml", "--explain"];
    let (code, said) = farebox(&[("book.toml", book)], &args, &line);
    assert_eq!(code, 0, "{said}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        said["explain"]["estimated"],
        serde_json::json!({
            "input": "40", "input_audio": "360", "output": "10",
            "cache_read": "60", "cache_read modality=audio": "640",
        })
    );
}

#[test]
fn compile_prints_the_bytes_that_policies_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("book.toml"), BOOK).unwrap();
    let compile = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_farebox"))
            .args(["price-book", "compile"])
            .args(args)
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let expected = farebox_book::compile(BOOK, farebox_book::Format::Toml).unwrap();
    let output = compile(&["book.toml"]);
    assert!(output.status.success());
    assert_eq!(output.stdout, expected.canonical);
    let shipped = compile(&[]);
    assert!(shipped.stdout.starts_with(b"FBBOOK") && shipped.stdout.len() > output.stdout.len());
    std::fs::write(folder.path().join("book.toml"), "name = 7").unwrap();
    let refused = compile(&["book.toml"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
}

#[test]
fn both_price_files_of_others_are_imported_into_the_shipped_book() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for file in ["litellm-1.106.2.json", "genai-prices-0.2.3.json"] {
        let packed = File::open(repository.join(format!("tests/data/prices/{file}.gz"))).unwrap();
        let mut text = String::new();
        let mut unpacked = flate2::read::GzDecoder::new(packed);
        unpacked.read_to_string(&mut text).unwrap();
        std::fs::write(folder.join(file), text).unwrap();
    }
    let overlay = repository.join("guest/standard/books/overlay.toml");
    let import = |from: &str, file: &str, over: &str, to: &str| {
        let args = [
            "price-book",
            "import",
            "--from",
            from,
            file,
            "-o",
            to,
            "--over",
            over,
            "--as-of",
            "2026-11-21",
        ];
        let (code, said) = run(folder, &args, "");
        assert_eq!(code, 0, "{said}");
        said
    };
    let overlay = overlay.to_str().unwrap();
    let said = import("litellm", "litellm-1.106.2.json", overlay, "first.toml");
    for told in [
        "entries,",
        "imported prices by field:",
        "left out:",
        "wrote first.toml: ",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let said = import(
        "genai-prices",
        "genai-prices-0.2.3.json",
        "first.toml",
        "both.toml",
    );
    assert!(said.contains("merged under first.toml: "), "{said}");
    let compile = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_farebox"))
            .args(["price-book", "compile"])
            .args(args)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    assert!(compile(&["both.toml"]) == compile(&[]), "the books differ");
    // One without terms of its own is a book as well.
    let (code, said) = run(
        folder,
        &[
            "price-book",
            "import",
            "--from",
            "litellm",
            "litellm-1.106.2.json",
            "-o",
            "alone.json",
        ],
        "",
    );
    assert_eq!(code, 0, "{said}");
    let show = ["price-book", "show", "alone.json", "openai/gpt-4o-mini"];
    let (code, said) = run(folder, &show, "");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("$0.00000015"), "{said}");
    // The file of one project is none of the other's, and says so.
    let wrong = [
        "price-book",
        "import",
        "--from",
        "litellm",
        "genai-prices-0.2.3.json",
        "-o",
        "wrong.toml",
    ];
    let (code, said) = run(folder, &wrong, "");
    assert_eq!(code, 1, "{said}");
    assert!(!folder.join("wrong.toml").exists());
}
