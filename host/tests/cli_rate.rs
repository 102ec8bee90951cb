//! `farebox rate` and `farebox price-book check` as a shell sees them: order, exit codes, and a
//! typed, clear answer to everything that can be wrong with a line, a policy or a book.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint's own exemption stops at its functions"
)]

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
        let (out, err) = (text(&output.stdout), text(&output.stderr));
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
    (output.status.code().unwrap(), text(&output.stderr))
}

fn guest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/guests")
        .join(name)
}

#[test]
fn one_line_out_for_each_that_is_not_empty_in_the_same_order() {
    let bench = Bench::new();
    let lines: Vec<String> = (1..=300)
        .map(|n| usage(&format!(r#"{{"input":{n}}}"#)))
        .collect();
    let out = bench.rate(&[], &format!("\n{}\n   \r\n\n", lines.join("\r\n\n")));
    let quantities: Vec<String> = out
        .iter()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["lines"][0]["quantity"].as_str().unwrap().to_owned()
        })
        .collect();
    let expected: Vec<String> = (1..=300).map(|n: u32| n.to_string()).collect();
    assert_eq!(quantities, expected);
}

#[test]
fn an_error_takes_the_place_of_its_line() {
    let bench = Bench::new();
    let lines = [
        usage(r#"{"input":1}"#),
        "nonsense".to_owned(),
        usage(r#"{"input":2}"#),
    ];
    let out = bench.rate(&[], &lines.join("\n"));
    let kinds: Vec<bool> = out
        .iter()
        .map(|line| line.starts_with(r#"{"error":{"type":"malformed-line""#))
        .collect();
    assert_eq!(kinds, [false, true, false]);
}

#[test]
fn a_price_is_exact_and_never_has_an_exponent() {
    let out = Bench::new().rate(&[], &usage(r#"{"input":1000,"output":1}"#));
    // 1000 × 0.0000025 + 1 × 0.000000123456789012345678, a quarter more, rounded up to a
    // nano-credit at ten credits a dollar.
    let expected = [
        r##"{"provider_cost_usd":"0.002500123456789012345678","market_usd":"0.002500123456789012345678","price_usd":"0.0031251543209862654320975","credits":"0.031251544","lines":["##,
        r##"{"kind":"usage","meter":"input","quantity":"1000","unit_price_usd":"0.0000025","amount_usd":"0.0025","reason":{"code":"rate","model":"gpt"},"text":"1000 input at $0.0000025 each (gpt)"},"##,
        r##"{"kind":"usage","meter":"output","quantity":"1","unit_price_usd":"0.000000123456789012345678","amount_usd":"0.000000123456789012345678","reason":{"code":"rate","model":"gpt"},"text":"1 output at $0.000000123456789012345678 each (gpt)"},"##,
        r##"{"kind":"markup","quantity":"0.002500123456789012345678","unit_price_usd":"0.25","amount_usd":"0.0006250308641972530864195","reason":{"code":"markup","rule":"default"},"text":"markup of 0.25 on $0.002500123456789012345678 (default)"}]}"##,
    ];
    assert_eq!(out, [expected.concat()]);
}

#[test]
fn no_amount_has_an_exponent_however_small() {
    let bench = Bench::new();
    let lines = [
        r#"{"provider":"apify","provider_cost_usd":"0.0000000000000000000000001"}"#,
        r#"{"provider":"apify","provider_cost_usd":1e-20}"#,
        r#"{"provider":"apify","provider_cost_usd":"1E+7"}"#,
    ];
    for line in bench.rate(&[], &lines.join("\n")) {
        let answer: Value = serde_json::from_str(&line).unwrap();
        for name in ["provider_cost_usd", "price_usd", "credits"] {
            let amount = answer[name].as_str().unwrap_or_else(|| panic!("{line}"));
            assert!(
                amount.bytes().all(|b| b.is_ascii_digit() || b == b'.'),
                "{line}"
            );
        }
    }
}

#[test]
fn facts_come_from_the_command_line() {
    let bench = Bench::new();
    let call = usage(r#"{"input":1000}"#);
    let price = |more: &[&str]| {
        let out: Value = serde_json::from_str(bench.rate(more, &call).first().unwrap()).unwrap();
        out["price_usd"]
            .as_str()
            .or(out["error"]["detail"].as_str())
            .unwrap()
            .to_owned()
    };
    assert_eq!(price(&[]), "0.003125");
    assert_eq!(price(&["--plan", "pro"]), "0.005");
    assert_eq!(
        price(&["--plan", "gold"]),
        "not allowed: plan `gold` is not listed"
    );
    assert_eq!(price(&["--key-source", "own"]), "0.0005");
    assert_eq!(
        price(&["--deployment", "self-hosted"]),
        "not allowed: deployment:self_hosted"
    );
    assert_eq!(
        price(&["--deployment", "self-hosted", "--key-source", "own"]),
        "0.0005"
    );
}

#[test]
fn a_file_and_standard_input_give_the_same() {
    let bench = Bench::new();
    let call = usage(r#"{"input":1000}"#);
    bench.file("calls.jsonl", &call);
    let piped = bench.rate(&[], &call);
    assert_eq!(bench.rate(&["calls.jsonl"], ""), piped);
    assert_eq!(bench.rate(&["-"], &call), piped);
    assert_eq!(bench.rate(&["--credit-usd", "0.1"], &call), piped);
}

#[test]
fn everything_that_can_be_wrong_with_a_line_has_a_typed_answer() {
    let bench = Bench::new();
    let chat = |usage: &str| {
        format!(
            r#"{{"provider":"openai","api":"chat","response":{{"object":"chat.completion","model":"gpt","choices":[],"usage":{usage}}}}}"#
        )
    };
    let cases = [
        ("unknown model", r#"{"provider":"openai","model":"gpt-9","usage":{"input":1}}"#.to_owned()),
        ("unknown provider", r#"{"provider":"acme","model":"gpt","usage":{"input":1}}"#.to_owned()),
        ("not a provider", r#"{"provider":"Open AI!","model":"gpt","usage":{"input":1}}"#.to_owned()),
        ("no provider", r#"{"model":"gpt","usage":{"input":1}}"#.to_owned()),
        ("no model", r#"{"provider":"openai","usage":{"input":1}}"#.to_owned()),
        ("unknown pool", usage(r#"{"judge_run":1}"#)),
        ("not a pool", usage(r#"{"Input":1}"#)),
        ("the same pool twice", usage(r#"{"input":1,"input":2}"#)),
        ("negative", usage(r#"{"input":-1}"#)),
        ("fraction of a token", usage(r#"{"input":1.5}"#)),
        ("2^63", usage(r#"{"input":9223372036854775808}"#)),
        ("an exponent beyond everything", usage(r#"{"input":1e999999999999}"#)),
        ("a number as a string", usage(r#"{"input":"12"}"#)),
        ("null", usage(r#"{"input":null}"#)),
        ("NaN", usage(r#"{"input":NaN}"#)),
        ("Infinity", usage(r#"{"input":Infinity}"#)),
        ("no quantities", usage("{}")),
        ("usage is a list", usage("[1]")),
        ("nothing to price", r#"{"provider":"openai","model":"gpt"}"#.to_owned()),
        ("two sources", r#"{"provider":"openai","model":"gpt","usage":{"input":1},"response":{}}"#.to_owned()),
        ("a product that would lose digits", usage(r#"{"output":999999999999999}"#)),
        ("a cost with 40 digits", r#"{"provider":"apify","provider_cost_usd":"0.1234567890123456789012345678901234567890"}"#.to_owned()),
        ("a cost that is negative", r#"{"provider":"apify","provider_cost_usd":"-1"}"#.to_owned()),
        ("a cost that is no number", r#"{"provider":"apify","provider_cost_usd":"a lot"}"#.to_owned()),
        ("a cost that is NaN", r#"{"provider":"apify","provider_cost_usd":"NaN"}"#.to_owned()),
        ("a cost beyond the range", r#"{"provider":"apify","provider_cost_usd":"1000000001"}"#.to_owned()),
        ("more cached than input", chat(r#"{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":11}}"#)),
        ("more reasoning than output", chat(r#"{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11,"completion_tokens_details":{"reasoning_tokens":2}}"#)),
        ("a response without usage", r#"{"provider":"openai","api":"chat","response":{"object":"chat.completion","model":"gpt","choices":[]}}"#.to_owned()),
        ("a response that is a provider's error", r#"{"provider":"openai","api":"chat","status":429,"response":{"error":{"message":"slow down","type":"rate_limit"}}}"#.to_owned()),
        ("negative tokens in a response", chat(r#"{"prompt_tokens":-1,"completion_tokens":1,"total_tokens":0}"#)),
        ("tokens as a string in a response", chat(r#"{"prompt_tokens":"1","completion_tokens":1,"total_tokens":2}"#)),
        ("a stream without usage", r#"{"provider":"openai","api":"chat","sse":"data: [DONE]\n\n"}"#.to_owned()),
        ("an unknown api", r#"{"provider":"openai","api":"telepathy","response":{}}"#.to_owned()),
        ("a time that is none", r#"{"provider":"openai","model":"gpt","usage":{"input":1},"occurred_at":"yesterday"}"#.to_owned()),
        ("not JSON", "nonsense".to_owned()),
        ("cut off", r#"{"provider":"openai","model":"gpt","usage":{"input":1"#.to_owned()),
        ("more behind it", format!("{} {{}}", usage(r#"{"input":1}"#))),
        ("a list of the fields in order", r#"["openai",null,"gpt",null,null,null,{"input":1},null,null,null,null,null]"#.to_owned()),
    ];
    let shown: Vec<String> = cases
        .iter()
        .map(|(name, line)| format!("{name}\n  {}", bench.error(line)))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn bytes_that_are_no_text_are_a_malformed_line() {
    let bench = Bench::new();
    let output = bench.farebox(&["rate"], b"{\"provider\":\"\xff\"}\n");
    assert!(output.status.success());
    assert!(text(&output.stdout).starts_with(r#"{"error":{"type":"malformed-line""#));
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    let out = Bench::new().rate(&[], r#"{"provider":"openai","model":"gpt","usage":{"input":2},"source":"somewhere","x":{"y":[1]}}"#);
    assert!(
        out.concat().contains(r#""price_usd":"0.00000625""#),
        "{out:?}"
    );
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let bench = Bench::new();
    for args in [
        &["rate", "--deployment", "moon"][..],
        &["rate", "--key-source", "stolen"],
        &["rate", "--credit-usd", "0"],
        &["rate", "--credit-usd", "-0.1"],
        &["rate", "--credit-usd", "ten"],
        &["rate", "--no-such-flag"],
        &["rate", "a.jsonl", "b.jsonl"],
        &["no-such-command"],
    ] {
        let (code, error) = refused(&bench.farebox(args, b""));
        assert_eq!(code, 2, "{args:?}: {error}");
        assert!(!error.is_empty());
    }
}

#[test]
fn a_missing_file_ends_with_3_and_is_named() {
    let bench = Bench::new();
    for args in [
        &["rate", "missing.jsonl"][..],
        &["rate", "--price-book", "missing.toml"],
        &["rate", "--policy", "missing.wasm"],
        &["price-book", "check", "missing.toml"],
    ] {
        let (code, error) = refused(&bench.farebox(args, b""));
        assert_eq!(code, 3, "{args:?}: {error}");
        assert!(error.contains("cannot read `missing."), "{error}");
    }
}

#[test]
fn a_wrong_book_ends_with_1_and_says_where() {
    let bench = Bench::new();
    bench.file("wrong.toml", "name = \"x\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\nmodel = \"gpt\"\nper_million = { input = \"-1\", outptu = \"2\" }\n");
    for args in [
        &["rate", "--price-book", "wrong.toml"][..],
        &["price-book", "check", "wrong.toml"],
    ] {
        let (code, error) = refused(&bench.farebox(args, b""));
        assert_eq!(code, 1, "{error}");
        for place in [
            "wrong.toml: line 6, column 17: models[0].per_million.input: `-1` is negative",
            "wrong.toml: line 6, column 31: models[0].per_million.outptu: unknown meter `outptu`; did you mean `output`?",
        ] {
            assert!(error.contains(place), "{error}");
        }
    }
}

#[test]
fn a_book_that_is_right_ends_with_0_and_with_1_when_a_warning_counts() {
    let bench = Bench::new();
    let odd = BOOK.replace("2.50", "20000");
    bench.file("odd.toml", odd);
    let lax = bench.farebox(&["price-book", "check", "odd.toml"], b"");
    assert_eq!(lax.status.code(), Some(0), "{}", text(&lax.stderr));
    assert!(
        text(&lax.stdout).contains("warning: "),
        "{}",
        text(&lax.stdout)
    );
    let strict = bench.farebox(&["price-book", "check", "--strict", "odd.toml"], b"");
    assert_eq!(strict.status.code(), Some(1));
}

#[test]
fn what_is_no_policy_is_refused_before_any_line_is_read() {
    let bench = Bench::new();
    let standard = std::fs::read(guest("farebox_standard.wasm")).unwrap();
    bench.file("cut.wasm", standard.get(..standard.len() / 2).unwrap());
    bench.file("core.wasm", b"\0asm\x01\0\0\0");
    bench.file("text.wasm", "not wasm");
    bench.file("empty.wasm", "");
    bench.file("other-world.wasm", b"\0asm\x0d\0\x01\0");
    bench.file("imports.wasm", importing_an_exit());
    for (name, reason) in [
        ("cut.wasm", "because this is not a valid component: "),
        ("text.wasm", "because this is not WebAssembly: "),
        ("empty.wasm", "because this is not WebAssembly: "),
        (
            "core.wasm",
            "because this is a core wasm module, not a component",
        ),
        (
            "other-world.wasm",
            "because it does not export `farebox:policy/policy@1.0.0`",
        ),
        (
            "imports.wasm",
            "because a policy must not import anything, but this one imports wasi:cli/exit@0.2.0",
        ),
    ] {
        let args = ["rate", "--price-book", "book.toml", "--policy", name];
        let (code, error) = refused(&bench.farebox(&args, usage(r#"{"input":1}"#).as_bytes()));
        assert_eq!(code, 3, "{name}: {error}");
        // What was tried, and one line for each reason, whatever the compiler says.
        let [first, ref reasons @ ..] = error.lines().collect::<Vec<_>>()[..] else {
            panic!("{error}");
        };
        assert_eq!(first, "error: cannot load the policy");
        assert!(
            reasons.iter().all(|line| line.starts_with("  because ")),
            "{error}"
        );
        assert!(error.contains(reason), "{name}: {error}");
    }
}

/// A component whose only content is an import of WASI's `exit`.
fn importing_an_exit() -> Vec<u8> {
    const NAME: &[u8] = b"wasi:cli/exit@0.2.0";
    let mut import = vec![1, 0, NAME.len() as u8];
    import.extend(NAME);
    // An instance of the type numbered 0.
    import.extend([5, 0]);
    // One type: an instance that has a function without parameters and results, named `exit`.
    let types = *b"\x01\x42\x02\x01\x40\x00\x01\x00\x04\x00\x04exit\x01\x00";
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    for (section, content) in [(7, types.to_vec()), (10, import)] {
        component.extend([section, content.len() as u8]);
        component.extend(content);
    }
    component
}

#[test]
fn a_policy_from_a_file_gives_what_the_shipped_one_gives() {
    let bench = Bench::new();
    bench.file(
        "policy.wasm",
        std::fs::read(guest("farebox_standard.wasm")).unwrap(),
    );
    let call = usage(r#"{"input":1000,"output":3}"#);
    assert_eq!(
        bench.rate(&["--policy", "policy.wasm"], &call),
        bench.rate(&[], &call)
    );
}

/// The hostile guest takes its orders from the name of its book.
#[test]
fn a_policy_that_breaks_the_contract_prices_nothing() {
    let bench = Bench::new();
    bench.file(
        "hostile.wasm",
        std::fs::read(guest("farebox_hostile.wasm")).unwrap(),
    );
    let line = usage(r#"{"input":1000}"#);
    for mode in [
        "trap",
        "total_off_by_a_nano",
        "under_cost",
        "negative_total",
        "spin",
    ] {
        bench.file(
            "book.toml",
            BOOK.replace(r#"name = "cli""#, &format!(r#"name = "{mode}""#)),
        );
        for out in bench.rate(&["--policy", "hostile.wasm"], &format!("{line}\n{line}")) {
            assert!(
                out.starts_with(r#"{"error":{"type":"policy-fault","detail":"policy fault: "#),
                "{mode}: {out}"
            );
        }
    }
}
