//! What looks odd is found, and where; what is real passes.

use farebox_book::check::{Severity, check};
use farebox_book::{Format, compile};
use rust_decimal::Decimal;

fn odd(models: &str) -> String {
    let text = format!("name = \"x\"\nas_of = \"2026-11-21\"\n{models}");
    let findings = compile(&text, Format::Toml).unwrap().findings;
    let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
    shown.join("\n")
}

fn model(prices: &str) -> String {
    format!("[[models]]\nprovider = \"openai\"\nmodel = \"m\"\n{prices}\n")
}

#[test]
fn each_bound_has_two_sides() {
    let cases = [
        (
            "a token at the bound",
            r#"per_million = { input = "10000" }"#,
        ),
        ("a token above it", r#"per_million = { input = "10000.1" }"#),
        ("a dear search", r#"per_unit = { search = "2" }"#),
        (
            "cache read at input",
            r#"per_million = { input = "1", cache_read = "1" }"#,
        ),
        (
            "cache read above input",
            r#"per_million = { input = "1", cache_read = "1.01" }"#,
        ),
        (
            "cache write at ten times",
            r#"per_million = { input = "1", cache_write_1h = "10" }"#,
        ),
        (
            "cache write above",
            r#"per_million = { input = "1", cache_write_5m = "10.1" }"#,
        ),
        (
            "output at a hundred times",
            r#"per_million = { input = "1", output = "100" }"#,
        ),
        (
            "output above",
            r#"per_million = { input = "1", output = "100.1" }"#,
        ),
        (
            "output at a tenth",
            r#"per_million = { input = "1", output = "0.1" }"#,
        ),
        (
            "output below",
            r#"per_million = { input = "1", output = "0.09" }"#,
        ),
        (
            "an embedding",
            r#"per_million = { input = "1", output = "0" }"#,
        ),
        (
            "no output price",
            "max_output_tokens = 8\nper_million = { input = \"1\" }",
        ),
        ("free", r#"per_million = { input = "0", output = "0" }"#),
        ("no price", ""),
        (
            "cheaper for large prompts",
            "per_million = { input = \"2\" }\n[[models.context]]\nabove = 9\nper_million = { input = \"1\" }",
        ),
        (
            "odd in a tier and region",
            "per_million = { input = \"1\" }\n[[models.regions]]\nname = \"eu\"\n[[models.regions.tiers]]\nname = \"flex\"\nper_million = { cache_read = \"3\" }",
        ),
    ];
    let report: Vec<String> = cases
        .iter()
        .map(|(what, prices)| format!("# {what}\n{}", odd(&model(prices))))
        .collect();
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn an_alias_that_never_matches() {
    let models = model("aliases = [\"n\"]\nper_million = { input = \"1\" }")
        + "[[models]]\nprovider = \"openai\"\nmodel = \"n\"\nper_million = { input = \"1\" }\n";
    assert_eq!(
        odd(&models),
        "model `openai/m`: alias `n` never matches: it is another model's name"
    );
}

#[test]
fn a_book_from_elsewhere_is_checked_for_what_text_refuses() {
    let text = format!(
        "name = \"x\"\nas_of = \"2026-11-21\"\n{}",
        model("aliases = [\"a\"]\nper_million = { input = \"1\" }")
    );
    let mut book = compile(&text, Format::Toml).unwrap().book;
    let mut twin = book.models.first().unwrap().clone();
    twin.name = "twin".into();
    book.models.push(twin);
    for model in &mut book.models {
        let period = model.periods.first_mut().unwrap();
        let table = period.tables.first_mut().unwrap();
        table.rates.first_mut().unwrap().usd = Decimal::NEGATIVE_ONE;
    }
    let errors: Vec<String> = check(&book)
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        errors,
        [
            "model `openai/m`: alias `a` means another model too",
            "model `openai/m`: `input` costs USD -1, below zero",
            "model `openai/twin`: alias `a` means another model too",
            "model `openai/twin`: `input` costs USD -1, below zero",
        ]
    );
}
