//! Rules that look back, on a running server: what was used this month decides what a call pays,
//! and the server counts it itself.

use farebox_pricing::event::{Deployment, Facts, KeySource};
use farebox_tests::http::{HttpServer, Reported};
use farebox_tests::recorded::OCCURRED_AT_MS;
use farebox_tests::repository;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn server(book: &str) -> HttpServer {
    let path = format!("guest/standard/books/{book}.toml");
    let book = std::fs::read_to_string(repository(&path)).unwrap();
    HttpServer::start(Some(&book), Deployment::Hosted, OCCURRED_AT_MS)
}

fn call(call: &Value, plan: Option<&str>, at_ms: i64) -> Reported {
    let mut facts = Facts::new(Deployment::Hosted, KeySource::Managed, at_ms);
    facts.plan = plan.map(Into::into);
    Reported {
        call: call.as_object().unwrap().clone(),
        facts,
    }
}

fn search(at_ms: i64) -> Reported {
    let one = json!({"provider": "openai", "model": "gpt-4o-mini", "usage": {"search": 1}});
    call(&one, Some("starter"), at_ms)
}

fn prices(answers: &[Value]) -> Vec<&str> {
    let price = |answer| Value::as_str(answer).unwrap();
    let prices = answers.iter().map(|answer| &answer["price_usd"]);
    prices.map(price).collect()
}

#[test]
fn a_preflight_floor_is_reserved_and_shown_and_not_charged() {
    let server = server("cost-plus");
    let hold = json!({"call": {
        "provider": "apify", "feature": "lead_signal_fetch", "provider_cost_max_usd": "0.01"
    }});
    // Five credits for a run that cannot cost more than an eighth of one.
    let (status, held) = server.ask(None, "POST", "/v1/holds", Some(&hold));
    assert_eq!((status, &held["credits"]), (201, &json!("5")), "{held}");
    let usage = json!({
        "hold_id": held["id"], "provider": "apify", "provider_cost_usd": "0.0031"
    });
    let (status, charged) = server.ask(None, "POST", "/v1/usage", Some(&usage));
    assert_eq!(
        (status, &charged["price_usd"]),
        (200, &json!("0.003875")),
        "{charged}"
    );
    let (_, card) = server.ask(None, "GET", "/v1/rate-card", None);
    let features = card["features"].as_array().unwrap().iter();
    let floors: BTreeMap<_, _> = features
        .map(|floor| ["feature", "preflight_usd"].map(|field| floor[field].as_str().unwrap()))
        .map(|[feature, usd]| (feature, usd))
        .collect();
    let expected = [
        ("context_author", "0.2"),
        ("context_pack_compile", "0.1"),
        ("context_refresh", "0.1"),
        ("funnel_generate", "0.3"),
        ("lead_enrichment", "0.1"),
        ("lead_qualify", "0.02"),
        ("lead_signal_fetch", "0.5"),
        ("outreach_draft", "0.03"),
        ("profile_draft", "0.05"),
        ("x_reply_draft", "0.02"),
    ];
    assert_eq!(floors, BTreeMap::from(expected), "{card}");
}

#[test]
fn ten_searches_a_month_are_free_and_the_eleventh_is_not() {
    let server = server("plan-tiers");
    let calls = vec![search(OCCURRED_AT_MS); 11];
    let answers = server.price(&calls);
    let mut expected = vec!["0"; 10];
    expected.push("0.015");
    assert_eq!(prices(&answers), expected);
    // Ten days later it is December, and they begin anew.
    let answers = server.price(&[search(OCCURRED_AT_MS + 10 * DAY_MS)]);
    assert_eq!(prices(&answers), ["0"]);
}

#[test]
fn what_is_free_a_day_and_the_most_of_a_day_begin_anew_at_midnight() {
    let server = server("more-terms");
    let at = |usage: Value, plan: &str, days: i64| {
        let one = json!({"provider": "openai", "model": "gpt", "usage": usage});
        call(&one, Some(plan), OCCURRED_AT_MS + days * DAY_MS)
    };
    let search = |days| at(json!({"search": 1}), "taster", days);
    let mut calls = vec![search(0); 6];
    // The last moment of the day, and the first of the next one.
    calls[5].facts.occurred_at_ms += DAY_MS - 1;
    calls.push(search(1));
    let answers = server.price(&calls);
    assert_eq!(prices(&answers), ["0", "0", "0", "0", "0", "0.0125", "0"]);
    // 2 dollars a day: the third call of 0.80 has 0.40 left, which is less than the 0.64 it costs.
    let large = |days| at(json!({"input": 160_000}), "capped", days);
    let answers = server.price(&[large(0), large(0), large(0), large(1)]);
    assert_eq!(prices(&answers), ["0.8", "0.8", "0.64", "0.8"]);
}

#[test]
fn the_items_of_one_batch_share_what_is_free() {
    let server = server("plan-tiers");
    let answers = server.price_batch(&vec![search(OCCURRED_AT_MS); 12]);
    let paid = prices(&answers);
    assert_eq!(paid.iter().filter(|price| **price == "0").count(), 10);
    assert_eq!(paid.iter().filter(|price| **price == "0.015").count(), 2);
}

/// As the page of compute units shows it: 200 traces × 3 judges.
#[test]
fn a_run_is_previewed_approved_and_charged_no_more() {
    let server = server("compute-units");
    let page = std::fs::read_to_string(repository("docs/billing/compute-units.md")).unwrap();
    let shown: Vec<Value> = page
        .split("```json\n")
        .skip(1)
        .filter_map(|block| serde_json::from_str(block.split("```").next()?).ok())
        .collect();
    let [quote, hold, usage] = &shown[..] else {
        panic!("the page shows {} requests", shown.len())
    };
    let (status, quoted) = server.ask(None, "POST", "/v1/quotes", Some(quote));
    let worst = (status, &quoted["max_price_usd"], &quoted["max_credits"]);
    assert_eq!(worst, (200, &json!("3"), &json!("30")), "{quoted}");
    let mut hold = hold.clone();
    assert_eq!(hold["quote_id"], "quote_…");
    hold["quote_id"] = quoted["id"].clone();
    let (status, held) = server.ask(None, "POST", "/v1/holds", Some(&hold));
    assert_eq!((status, &held["credits"]), (201, &json!("30")), "{held}");
    // Fewer judges answered than were asked.
    let mut usage = usage.clone();
    assert_eq!(usage["hold_id"], "hold_…");
    usage["hold_id"] = held["id"].clone();
    let (status, charged) = server.ask(None, "POST", "/v1/usage", Some(&usage));
    let paid = (status, &charged["price_usd"], &charged["credits"]);
    assert_eq!(paid, (200, &json!("2.9"), &json!("29")), "{charged}");
}

#[test]
fn a_month_of_compute_units_moves_through_the_volume_steps() {
    let server = server("compute-units");
    let runs =
        json!({"provider": "platform", "model": "engine", "usage": {"optimiser_iteration": 300}});
    // 60 dollars each: up to 100 in full, beyond at 0.95.
    let calls = vec![call(&runs, None, OCCURRED_AT_MS); 3];
    assert_eq!(prices(&server.price(&calls)), ["60", "59", "57"]);
}

#[test]
fn what_was_saved_is_said_of_each_call_and_of_any_period_in_money_and_percent() {
    let server = server("discounted-resale");
    let of = |provider: &str, model: &str, usage: Value, at_ms: i64| {
        let one = json!({"provider": provider, "model": model, "usage": usage});
        call(&one, None, at_ms)
    };
    let next_day = OCCURRED_AT_MS + DAY_MS;
    let million = json!({"input": 1_000_000, "output": 1_000_000});
    let cached = json!({"input": 500, "cache_read": 9000, "output": 200});
    let mixed = json!({"input": 1000, "cache_read": 2000, "output": 100});
    let at_cost = json!({"input": 10000, "output": 1000});
    // Market, less what is paid: 18 - 15.30, 0.0072 - 0.00612, 0.006 - 0.0051; the last is sold at cost.
    server.price(&[
        of("anthropic", "claude-sonnet-4", million, OCCURRED_AT_MS),
        of("anthropic", "claude-sonnet-4", cached, OCCURRED_AT_MS),
        of("openai", "gpt-4o", mixed, next_day),
        of("mistral", "mistral-small", at_cost, next_day),
    ]);
    let read = |path: &str| server.ask(None, "GET", path, None).1;
    let saved = |item: &Value| {
        let text = |field: &str| item[field].as_str().unwrap().to_owned();
        ["market_usd", "saved_usd", "saved_percent"].map(text)
    };
    let sums = |by: &str| {
        let answer = read(&format!("/v1/usage?group_by={by}"));
        let items = answer["items"].as_array().unwrap();
        items.iter().map(saved).collect::<Vec<_>>()
    };

    let calls = read("/v1/usage");
    assert_eq!(
        saved(&calls["items"][3]),
        ["18", "2.7", "15"],
        "newest first: {calls}"
    );
    assert_eq!(saved(&calls["items"][0]), ["0.0013", "0", "0"]);
    let by_provider = [
        ["18.0072", "2.70108", "15"],
        ["0.0013", "0", "0"],
        ["0.006", "0.0009", "15"],
    ];
    assert_eq!(sums("provider"), by_provider);
    // 0.0009 of 0.0073 are 12.328 %, and 2.70198 of 18.0145 are 14.9989 %.
    assert_eq!(
        sums("day"),
        [["18.0072", "2.70108", "15"], ["0.0073", "0.0009", "12.32"]]
    );
    let all = ["18.0145", "2.70198", "14.99"];
    assert_eq!(sums("key"), [all]);
    assert_eq!(
        sums("model&from=2026-11-22T00:00:00Z"),
        [["0.006", "0.0009", "15"], ["0.0013", "0", "0"]]
    );
}

#[test]
fn on_a_key_of_the_customers_own_nothing_was_saved() {
    let server = server("plan-tiers");
    let one = json!({"provider": "openai", "model": "gpt-4o-mini", "usage": {"input": 1000}});
    let mut own = call(&one, Some("enterprise"), OCCURRED_AT_MS);
    own.facts.key_source = KeySource::Own;
    server.price(&[own]);
    let ask = |path: &str| server.ask(Some("enterprise"), "GET", path, None).1;
    let calls = ask("/v1/usage");
    assert_eq!(calls["items"][0]["market_usd"], "0.00015", "{calls}");
    assert_eq!(calls["items"][0]["saved_usd"], Value::Null);
    let sums = ask("/v1/usage?group_by=model");
    assert_eq!(sums["items"][0]["events"], 1, "{sums}");
    assert_eq!(sums["items"][0]["market_usd"], Value::Null);
}
