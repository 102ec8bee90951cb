//! What a person is told about a text that is wrong: line, column, path and what was meant.

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

/// A rule that is for no call, or for none that anybody meant, is told where it says so.
#[test]
fn slips_in_the_calls_a_rule_is_for() {
    let rule = |when: &str| {
        format!(
            "[plans.pro]\nmarkup = \"1.2\"\n[[rules]]\nname = \"r\"\n\
             when = {{ feature = \"chat\", {when} }}\nterms = {{ markup = \"1.1\" }}\n"
        )
    };
    let cases = [
        ("unknown plan", "plan = \"por\""),
        ("unknown deployment", "deployment = \"onprem\""),
        ("an end that is no moment", "until = \"tomorrow\""),
        (
            "an end before the beginning",
            "from = \"2026-12-08\", until = \"2026-12-01\"",
        ),
        (
            "an end at the beginning",
            "from = \"2026-12-01\", until = \"2026-12-01T00:00:00Z\"",
        ),
        ("hours without minutes", "hours = \"22-6\""),
        ("hours of nothing", "hours = \"22:00-22:00\""),
        ("an hour too late", "hours = \"18:00-24:00\""),
        ("a minute too late", "hours = \"18:60-20:00\""),
        ("hours in words", "hours = \"at night\""),
        (
            "a model without a provider",
            "models = [\"openai/*\", \"gpt\"]",
        ),
    ];
    let report: Vec<String> = cases
        .iter()
        .map(|(what, when)| format!("# {what}\n{}", toml(&rule(when))))
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

/// One book with every way to go wrong that the rules beyond prices have; each error names the
/// place and what was meant.
#[test]
fn rules_beyond_prices() {
    let text = r#"name = "x"
as_of = "2026-11-21"
[unknown_models]
rule = "cap"
[failures]
estimate = { bytes_per_token = 0, output_share = "1.5" }
[[overrides]]
reason = "none such"
provider = "openai"
model = "gpt-9*"
factor = "0.9"
[[overrides]]
reason = "both"
provider = "openai"
factor = "0.9"
per_unit = "1"
[[overrides]]
reason = "which meter"
provider = "openai"
per_million = "1"
[[models]]
provider = "openai"
model = "a"
aliases = ["b"]
patterns = ["gpt"]
context_inclusive = true
context_marginal = true
per_million = { input = "1" }
allowances = [{ name = "x", meter = "serach", count = 1, per = "day" }]
[[models.hours]]
name = "night"
utc_offset = "Europe/Berlin"
when = [{ times = ["22:00-06:00"] }]
factor = "0.5"
[[models.hours]]
name = "late"
when = [{ times = ["22-6"] }]
factor = "0.5"
[[models]]
provider = "openai"
model = "b"
aliases = ["c"]
except = ["*-tts"]
per_million = { input = "1" }
[[models.hours]]
name = "one"
when = [{ times = ["22:00-06:00"] }]
factor = "0.5"
[[models.hours]]
name = "two"
when = [{ days = ["sat"] }]
factor = "0.5"
[[models]]
provider = "openai"
model = "c"
aliases = ["a"]
per_million = { input = "1" }
[[models.periods]]
valid_from = "2026-11-01"
known_since = "2026-11-10"
per_million = { input = "2" }
[[models.periods]]
valid_from = "2026-10-01"
valid_to = "2026-12-01"
known_since = "2026-11-10"
per_million = { input = "3" }
"#;
    insta::assert_snapshot!(told(text, Format::Toml));
}

#[test]
fn a_public_name_that_means_another_model_is_told() {
    let model = |name: &str, names: &str| {
        format!(
            "[[models]]\nprovider = \"openai\"\nmodel = \"{name}\"\n{names}per_million = {{ input = \"1\" }}\n"
        )
    };
    let models = model("a", "") + &model("b", "aliases = [\"chat\"]\n") + &model("c", "");
    let routes = |upstreams: &str| format!("{HEAD}[routes]\nchat = {upstreams}\n{models}");
    assert_eq!(
        told(&routes("[\"openai/a\", \"openai/b\"]"), Format::Toml),
        "line 4, column 9: routes.chat[0]: `chat` already means `openai/b`, which is no upstream \
         before this one"
    );
    // The first of two at one provider has the name, and may have it already.
    for fine in ["[\"openai/b\", \"openai/a\"]", "[\"openai/b\"]"] {
        assert!(compile(&routes(fine), Format::Toml).is_ok(), "{fine}");
    }
    let two = format!("{HEAD}[routes]\nfast = [\"openai/a\", \"openai/c\"]\n{models}");
    assert!(compile(&two, Format::Toml).is_ok());
}
