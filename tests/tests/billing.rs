//! Rules that look back, on a running server: what was used this month decides what a call pays,
//! and the server counts it itself.

use farebox_pricing::event::{Deployment, Facts, KeySource};
use farebox_tests::http::{HttpServer, Reported};
use farebox_tests::recorded::OCCURRED_AT_MS;
use farebox_tests::repository;
use serde_json::{Value, json};

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
    let features = card["features"].as_array().unwrap();
    assert_eq!(features.len(), 10, "{card}");
    assert!(
        features.contains(&json!({"feature": "lead_signal_fetch", "preflight_usd": "0.5"})),
        "{card}"
    );
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
fn the_items_of_one_batch_share_what_is_free() {
    let server = server("plan-tiers");
    let answers = server.price_batch(&vec![search(OCCURRED_AT_MS); 12]);
    let paid = prices(&answers);
    assert_eq!(paid.iter().filter(|price| **price == "0").count(), 10);
    assert_eq!(paid.iter().filter(|price| **price == "0.015").count(), 2);
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
