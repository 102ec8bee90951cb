//! What a person is told about a text that is wrong: line, column, path and what was meant.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops where it breaks"
)]

use farebox_book::{BookError, Format, compile};

fn told(text: &str, format: Format) -> String {
    let errors = compile(text, format).expect_err("the text is wrong");
    let lines: Vec<String> = errors.iter().map(BookError::to_string).collect();
    lines.join("\n")
}

const HEAD: &str = "name = \"test\"\nas_of = \"2026-11-21\"\n";

fn toml(rest: &str) -> String {
    told(&format!("{HEAD}{rest}"), Format::Toml)
}

#[test]
fn slips_in_toml() {
    let cases = [
        ("syntax", "plans = [\n"),
        ("unknown field", "roundign = \"half-even\"\n"),
        ("unknown value", "rounding = \"half-evn\"\n"),
        (
            "unknown field of a model",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nper_milion = { input = \"1\" }\n",
        ),
        ("missing field", "[[models]]\nprovider = \"openai\"\n"),
        (
            "wrong type",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nmax_output_tokens = \"many\"\n",
        ),
        (
            "unknown meter",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nper_million = { inptu = \"1\" }\n",
        ),
        (
            "no meter at all",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nper_million = { \"Cache Read\" = \"1\" }\n",
        ),
        (
            "tokens per unit",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nper_unit = { input = \"0.15\" }\n",
        ),
        (
            "requests per million",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nper_million = { request = \"0.15\" }\n",
        ),
        (
            "negative",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nper_million = { input = \"-1\" }\n",
        ),
        (
            "no number",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nper_million = { input = \"1,5\" }\n",
        ),
        (
            "forty digits",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nper_million = { input = 0.1234567890123456789012345678901234567890 }\n",
        ),
        (
            "too fine",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nper_million = { input = 1e-20 }\n",
        ),
        (
            "bad provider",
            "[[models]]\nprovider = \"open ai\"\nmodel = \"m\"\n",
        ),
        (
            "twice",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\n[[models]]\nprovider = \"openai\"\nmodel = \"m\"\n",
        ),
        (
            "ambiguous alias",
            "[[models]]\nprovider = \"openai\"\nmodel = \"a\"\naliases = [\"x\"]\n[[models]]\nprovider = \"openai\"\nmodel = \"b\"\naliases = [\"x\"]\n",
        ),
        (
            "tier that is none",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\n[[models.tiers]]\nname = \"default\"\n",
        ),
        (
            "bad date",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\n[[models.periods]]\nvalid_from = \"2026-13-01\"\n",
        ),
        (
            "overlap",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\n[[models.periods]]\nvalid_from = \"2026-01-01\"\nvalid_to = \"2026-03-01\"\n[[models.periods]]\nvalid_from = \"2026-02-01\"\n",
        ),
        (
            "rate without price",
            "[[models]]\nprovider = \"openai\"\nmodel = \"m\"\nrates = [{ meter = \"image\" }]\n",
        ),
        ("below cost", "[plans.pro]\nmarkup = \"0.9\"\n"),
        (
            "fee above the cap",
            "[own_keys]\nfixed_usd = \"0.01\"\ncap = { fixed_usd = \"0.005\" }\n",
        ),
        (
            "unknown deployment",
            "[deployments.onprem]\nmarkup = \"1\"\n",
        ),
    ];
    let report: Vec<String> = cases
        .iter()
        .map(|(what, text)| format!("# {what}\n{}", toml(text)))
        .collect();
    insta::assert_snapshot!(report.join("\n\n"));
}

#[test]
fn slips_in_json() {
    let cases = [
        ("syntax", "{\n  \"name\": \"x\",\n}"),
        ("twice", "{\n  \"name\": \"x\",\n  \"name\": \"y\"\n}"),
        ("no table", "[]"),
        (
            "unknown meter",
            "{\n  \"name\": \"x\", \"as_of\": \"2026-11-21\",\n  \"models\": [\n    {\"provider\": \"openai\", \"model\": \"m\", \"per_million\": {\"ouput\": 0.60}}\n  ]\n}",
        ),
        ("wrong type", "{\"name\": 7, \"as_of\": \"2026-11-21\"}"),
        ("bad date", "{\"name\": \"x\", \"as_of\": \"yesterday\"}"),
    ];
    let report: Vec<String> = cases
        .iter()
        .map(|(what, text)| format!("# {what}\n{}", told(text, Format::Json)))
        .collect();
    insta::assert_snapshot!(report.join("\n\n"));
}

#[test]
fn several_slips_are_told_at_once() {
    insta::assert_snapshot!(toml(
        "[[models]]\nprovider = \"openai\"\nmodel = \"a\"\nper_million = { inptu = \"1\", output = \"-2\" }\n\
         [[models]]\nprovider = \"openai\"\nmodel = \"b\"\nper_unit = { output = \"0.000001\" }\n"
    ));
    insta::assert_snapshot!(
        "fields",
        toml("[[models]]\nprovidr = \"openai\"\n[[models]]\nmodl = \"b\"\n")
    );
}

#[test]
fn nesting_has_an_end() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    assert!(told(&deep, Format::Json).contains("too deep"));
}
