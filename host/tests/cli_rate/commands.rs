//! Commands that cannot begin, and books that are wrong or odd: exit codes, and what they name.

use super::{BOOK, Bench, refused, text};

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
