//! One call through the gateway, as its customer makes it.

use crate::api::{Customer, text};
use crate::step::note;
use anyhow::{Context, Result, bail, ensure};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};
use ureq::http::Request;

const PATH: &str = "/v1/chat/completions";
/// How long a report may take to reach the ledger.
const CHARGED_MAX: Duration = Duration::from_secs(30);

fn request() -> Value {
    json!({
        "model": "gpt-4o",
        "stream": true,
        "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Say it in one word."}],
    })
}

/// The call as a command, and the wallet a second after it began.
pub fn curl(port: u16, key: &str) -> String {
    format!(
        "curl -sN --rate 1/s http://127.0.0.1:{port}{PATH} \\\n\
         \x20 -H 'authorization: Bearer {key}' -H 'content-type: application/json' \\\n\
         \x20 -d '{}' \\\n\
         \x20 --next -s http://127.0.0.1:{port}/v1/wallet -H 'authorization: Bearer {key}'",
        request()
    )
}

/// Makes the call, and waits until the wallet is smaller by what the stream said.
///
/// # Errors
/// It is not answered, has no price, or another amount is taken.
pub fn run(port: u16, key: &str, customer: &Customer) -> Result<()> {
    let before = credits(customer, "posted_credits")?;
    let told = stream(port, key)?;
    let cost: Decimal = text(&told, "/credits")?.parse()?;
    ensure!(cost > Decimal::ZERO, "the call costs nothing: {told}");
    note(&format!(
        "cost USD {}, {cost} credits",
        text(&told, "/price_usd")?
    ));
    let begun = Instant::now();
    while credits(customer, "posted_credits")? == before {
        ensure!(begun.elapsed() < CHARGED_MAX, "the call is not charged");
        std::thread::sleep(Duration::from_millis(5));
    }
    let after = credits(customer, "posted_credits")?;
    note(&format!("the wallet had {before} credits and has {after}"));
    ensure!(
        before.checked_sub(cost) == Some(after),
        "that is not {cost} less"
    );
    Ok(())
}

/// What the stream's last comment says.
fn stream(port: u16, key: &str) -> Result<Value> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = agent.build().into();
    let request_ = Request::builder()
        .method("POST")
        .uri(format!("http://127.0.0.1:{port}{PATH}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(request().to_string())?;
    let answer = agent.run(request_)?;
    let status = answer.status();
    let mut told = None;
    for line in BufReader::new(answer.into_body().into_reader()).lines() {
        let line = line?;
        if !line.is_empty() {
            note(&line);
        }
        told = line
            .strip_prefix(": farebox ")
            .map(ToOwned::to_owned)
            .or(told);
    }
    if status != 200 {
        bail!("the gateway answers {status}");
    }
    let told = told.context("the stream ends without its price")?;
    serde_json::from_str(&told).context("the price is no JSON")
}

fn credits(customer: &Customer, which: &str) -> Result<Decimal> {
    let wallet = customer.wallet()?;
    Ok(text(&wallet, &format!("/balance/{which}"))?.parse()?)
}
