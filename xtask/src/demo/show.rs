//! How the demo prints what the API answered.

use crate::api::text;
use crate::step::note;
use anyhow::{Context, Result};
use serde_json::Value;

/// One kind of call: how many, and one of them line by line.
///
/// # Errors
/// An answer is not what it should be.
pub fn kind(kind: &str, answers: &[&Value]) -> Result<()> {
    let sample = answers.first().context("a kind of call without calls")?;
    println!("\n  {kind}: {} calls, one of them", answers.len());
    charge(sample)
}

/// A charge: what it cost, why, and what is left.
///
/// # Errors
/// The answer is not what it should be.
pub fn charge(usage: &Value) -> Result<()> {
    println!(
        "    cost USD {}, price USD {}, {} credits; {} left",
        text(usage, "/provider_cost_usd")?,
        text(usage, "/price_usd")?,
        text(usage, "/credits")?,
        text(usage, "/balance/available_credits")?,
    );
    for line in usage
        .pointer("/lines")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        println!(
            "      {:>16}  {}",
            text(line, "/amount_usd")?,
            text(line, "/text")?
        );
    }
    Ok(())
}

/// What is left in a wallet.
///
/// # Errors
/// The answer is not what it should be.
pub fn wallet(wallet: &Value) -> Result<()> {
    note(&format!(
        "wallet: {} credits available, {} on hold",
        text(wallet, "/balance/available_credits")?,
        text(wallet, "/balance/held_credits")?
    ));
    Ok(())
}

/// A problem (RFC 9457) in one line.
pub fn problem(body: &Value) -> String {
    let field = |name: &str| {
        body.get(name)
            .and_then(Value::as_str)
            .unwrap_or("?")
            .to_owned()
    };
    format!("{}: {}", field("type"), field("detail"))
}
