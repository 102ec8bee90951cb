//! Credits that are pegged to another currency than USD.

use super::server::{Server, call, usage};
use farebox::clock::ManualClock;
use farebox::config::Options;
use serde_json::json;
use std::sync::Arc;

/// 2026-11-30T23:59:59.999Z, the last moment of the first rate.
const LAST_MS: i64 = 1_796_083_199_999;

const RATES: &str = r#"
currency = "EUR"
per_credit = "0.10"
[[rates]]
usd = "1.08"
[[rates]]
from = "2026-12-01"
usd = "1.2"
"#;

fn in_euros(options: &mut Options) {
    let data_dir = options.data_dir.clone().unwrap();
    let path = data_dir.parent().unwrap().join("rates.toml");
    std::fs::write(&path, RATES).unwrap();
    options.credit_rates = Some(path);
}

#[tokio::test]
async fn a_charge_becomes_credits_at_the_rate_of_its_day_and_replays_at_it() {
    let clock = Arc::new(ManualClock::at(LAST_MS));
    let shared = Arc::clone(&clock);
    let server = Server::start_as_at(in_euros, shared).await;
    let customer = server.customer("acme", "10").await;
    let wallet = customer.get("/v1/wallet").await.expect(200);
    assert_eq!(
        [
            &wallet["currency"],
            &wallet["credit_value"],
            &wallet["credit_usd"]
        ],
        ["EUR", "0.1", "0.108"]
    );

    let hold = customer.post("/v1/holds", json!({"call": call()})).await;
    let hold = hold.expect(201)["id"].clone();

    // USD 0.0002625, at 0.108 a credit: 0.00243055555…, rounded up once.
    let before = customer.post("/v1/usage", usage()).await.expect(200);
    assert_eq!(
        (&before["price_usd"], &before["credits"]),
        (&json!("0.0002625"), &json!("0.002430556"))
    );
    clock.set(LAST_MS + 1);
    let after = customer.post("/v1/usage", usage()).await.expect(200);
    assert_eq!(
        (&after["price_usd"], &after["credits"]),
        (&json!("0.0002625"), &json!("0.0021875"))
    );
    // What was held before is charged at the rate of its hold, which bounds it.
    let mut report = usage();
    report["hold_id"] = hold;
    let held = customer.post("/v1/usage", report).await.expect(200);
    assert_eq!(
        (&held["price_usd"], &held["credits"]),
        (&json!("0.0002625"), &json!("0.002430556"))
    );
    let wallet = customer.get("/v1/wallet").await.expect(200);
    assert_eq!(wallet["credit_usd"], "0.12");

    // What was charged before is the same at today's rate: the receipt has its own.
    for charge in [before, after, held] {
        let id = charge["charge_id"].as_str().unwrap();
        let path = format!("/v1/charges/{id}/replay");
        let replay = customer.post(&path, json!({})).await.expect(200);
        assert_eq!(replay["same"], true, "{replay}");
    }
}
