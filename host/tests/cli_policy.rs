//! `farebox policy build` and `inspect` as a shell sees them: a release travels as one file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BOOK: &str = "# Why input costs two: the supplier's November letter.\n\
    name = \"one-file\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\nmodel = \"gpt\"\n\
    per_million = { input = \"2\", output = \"8\" }\n";

const CALL: &str = r#"{"provider":"openai","model":"gpt","usage":{"input":1000,"output":100}}"#;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("book.toml"), BOOK).unwrap();
        std::fs::write(folder.path().join("call.jsonl"), CALL).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn farebox(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_farebox"))
            .args(args)
            .current_dir(self.folder.path())
            .env(
                "XDG_CACHE_HOME",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
            )
            .output()
            .unwrap()
    }

    /// What a command that works prints.
    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let output = self.farebox(args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What a command that finds something wrong says.
    #[track_caller]
    fn found(&self, args: &[&str]) -> String {
        let output = self.farebox(args);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
        text(&output.stderr)
    }

    fn build(&self, out: &str) -> String {
        self.done(&["policy", "build", "--book", "book.toml", "-o", out])
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn one_file_holds_rules_and_book_and_prices_as_both_do() {
    let bench = Bench::new();
    let built = bench.build("a.wasm");
    assert!(
        built.contains("one-file (as of 2026-11-21), in the file, with its text"),
        "{built}"
    );
    let by_parts = bench.done(&["rate", "--price-book", "book.toml", "call.jsonl"]);
    let by_file = bench.done(&["rate", "--policy", "a.wasm", "call.jsonl"]);
    assert_eq!(by_file, by_parts);
    assert!(by_file.contains(r#""price_usd":"0.0028""#), "{by_file}");
    let inspected = bench.done(&["policy", "inspect", "a.wasm"]);
    assert_eq!(built, format!("{inspected}wrote      a.wasm\n"));
    assert!(inspected.contains("\nrelease    rel_"), "{inspected}");
}

#[test]
fn equal_input_makes_equal_bytes_and_a_result_can_be_given_another_book() {
    let bench = Bench::new();
    let first = bench.build("a.wasm");
    let release = |shown: &str| {
        let line = shown.lines().find(|line| line.starts_with("release"));
        line.unwrap().to_owned()
    };
    bench.build("b.wasm");
    let bytes = |name: &str| std::fs::read(bench.path(name)).unwrap();
    assert_eq!(bytes("a.wasm"), bytes("b.wasm"));
    // A comment is no price: another file, the same release.
    std::fs::write(bench.path("book.toml"), format!("# reviewed\n{BOOK}")).unwrap();
    let commented = bench.build("b.wasm");
    assert_ne!(bytes("a.wasm"), bytes("b.wasm"));
    assert_eq!(release(&first), release(&commented));
    std::fs::write(bench.path("book.toml"), BOOK.replace("\"2\"", "\"3\"")).unwrap();
    let again = bench.done(&[
        "policy",
        "build",
        "a.wasm",
        "--book",
        "book.toml",
        "-o",
        "c.wasm",
    ]);
    assert_ne!(release(&first), release(&again));
    let priced = bench.done(&["rate", "--policy", "c.wasm", "call.jsonl"]);
    assert!(priced.contains(r#""price_usd":"0.0038""#), "{priced}");
}

#[test]
fn the_limits_that_a_policy_declares_are_part_of_its_release() {
    let bench = Bench::new();
    let by_size = bench.build("a.wasm");
    assert!(by_size.contains("\nlimits     native\n"), "{by_size}");
    let scripted = ["policy", "build", "a.wasm", "--limits", "scripted", "-o"];
    let declared = bench.done(&[&scripted[..], &["b.wasm"]].concat());
    assert!(declared.contains("\nlimits     scripted\n"), "{declared}");
    // The component is another one, and its book is the same.
    let word = |shown: &str, name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name));
        line.unwrap().to_owned()
    };
    for name in ["component", "release"] {
        assert_ne!(word(&by_size, name), word(&declared, name));
    }
    assert_eq!(word(&by_size, "book"), word(&declared, "book"));
    let native = ["policy", "build", "b.wasm", "--limits", "native", "-o"];
    let again = bench.done(&[&native[..], &["c.wasm"]].concat());
    assert!(again.contains("\nlimits     native\n"), "{again}");
    let priced = bench.done(&["rate", "--policy", "b.wasm", "call.jsonl"]);
    assert!(priced.contains(r#""price_usd":"0.0028""#), "{priced}");
}

#[test]
fn a_file_that_is_cut_off_or_damaged_is_refused_by_name() {
    let bench = Bench::new();
    bench.build("a.wasm");
    let whole = std::fs::read(bench.path("a.wasm")).unwrap();
    let write = |bytes: &[u8]| std::fs::write(bench.path("bad.wasm"), bytes).unwrap();
    write(&whole[..whole.len() - 1]);
    let told = bench.found(&["policy", "inspect", "bad.wasm"]);
    assert!(
        told.contains("bad.wasm: this is not a valid component: cut off or damaged at byte"),
        "{told}"
    );
    let at = whole.windows(6).position(|six| six == b"FBBOOK").unwrap();
    let mut flipped = whole.clone();
    flipped[at + 40] ^= 1;
    write(&flipped);
    let told = bench.found(&["policy", "inspect", "bad.wasm"]);
    assert!(
        told.contains("the section `farebox:book` is damaged"),
        "{told}"
    );
    write(b"name = \"not wasm\"");
    let told = bench.found(&["policy", "inspect", "bad.wasm"]);
    assert!(told.contains("this is not WebAssembly"), "{told}");
}

/// The word of whoever built both; what the filter itself says is the same.
#[test]
fn a_file_says_which_filters_belong_to_its_policy() {
    let bench = Bench::new();
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests/farebox_filter.wasm");
    let bytes = std::fs::read(&filter).unwrap();
    let digest = hex::encode(farebox_stamp::read(&bytes).unwrap());
    let filter = filter.to_str().unwrap();
    let with = [
        "policy",
        "build",
        "--book",
        "book.toml",
        "-o",
        "a.wasm",
        "--filter",
        filter,
    ];
    let built = bench.done(&with);
    assert!(built.contains(&format!("filter     {digest}")), "{built}");
    assert_eq!(
        bench.done(&["policy", "inspect", "a.wasm"]),
        built.replace("wrote      a.wasm\n", "")
    );
    // It is the same release, with or without.
    let release = |text: &str| {
        let mut lines = text.lines();
        lines
            .find(|line| line.starts_with("release"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(release(&bench.build("b.wasm")), release(&built));
    let mut changed = bytes;
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(bench.path("changed.wasm"), changed).unwrap();
    for (file, expect) in [
        ("changed.wasm", "it was changed after it was built"),
        ("b.wasm", "it is no filter of Farebox's"),
    ] {
        let args = [
            "policy",
            "build",
            "--book",
            "book.toml",
            "-o",
            "c.wasm",
            "--filter",
            file,
        ];
        let said = bench.found(&args);
        assert!(said.contains(expect), "{said}");
    }
}
