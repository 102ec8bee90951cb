//! What comes out for a line: a price, exact, or a typed error in its place.

use super::{Bench, text, usage};
use serde_json::Value;

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
