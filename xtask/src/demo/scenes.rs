//! What a customer meets besides the ordinary call, one scene each.

use super::ADMIN_KEY;
use super::replay::Replayed;
use super::show;
use crate::api::{Admin, Customer, text};
use crate::server::{self, Server, Setup};
use crate::step::{note, step};
use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Plays every scene on the hosted server.
///
/// # Errors
/// An answer is not what it should be.
pub fn run(server: &Server, admin: &Admin, replayed: &Replayed) -> Result<()> {
    let customer = Customer::new(server.client().with_key(&replayed.key));
    step("no credits: refused before the call", || {
        no_credits(server, admin)
    })?;
    step("a budget is used up", || {
        budget(admin, &customer, &replayed.org)
    })?;
    step("an actor run, at cost plus", || actor_run(&customer))?;
    step("free public data: logged, not billed", || {
        free_data(&customer)
    })?;
    step("a charge, priced again", || {
        again(&customer, &replayed.a_charge)
    })
}

/// The customer pays the provider; only the platform fee is billed.
///
/// # Errors
/// An answer is not what it should be.
pub fn own_key(binary: &Path, data_dir: &Path) -> Result<()> {
    let server = Server::start(&Setup {
        binary,
        data_dir,
        listen: server::address(0)?,
        admin_key: ADMIN_KEY,
        deployment: "self-hosted",
        more: &[],
        apart: false,
    })?;
    let admin = Admin::new(server.client().with_key(ADMIN_KEY));
    let org = admin.create_org("On Our Own Machines", None)?;
    admin.grant(&org, "10")?;
    let customer = Customer::new(server.client().with_key(&admin.create_key(&org)?));
    let mut before = chat(1000);
    before.insert("key_source".into(), "own".into());
    let held = customer.hold("own-key-hold", &before)?.ok()?;
    let usage = customer
        .usage("own-key-usage", &answer(&text(&held, "/id")?, 200))?
        .ok()?;
    show::charge(&usage)?;
    let cost = text(&usage, "/provider_cost_usd")?;
    if cost != "0" {
        bail!("the operator was charged USD {cost} for a call on the customer's key");
    }
    show::wallet(&customer.wallet()?)?;
    server.stop()
}

fn no_credits(server: &Server, admin: &Admin) -> Result<()> {
    let org = admin.create_org("Empty Pockets", None)?;
    let customer = Customer::new(server.client().with_key(&admin.create_key(&org)?));
    let refusal = customer.hold("empty-1", &chat(4000))?.refused(402)?;
    note(&format!("402 {}", show::problem(&refusal)));
    admin.grant(&org, "0.1")?;
    note("after a grant of 0.1 credits, the same call:");
    let refusal = customer.hold("empty-1", &chat(4000))?.refused(402)?;
    note(&format!("402 {}", show::problem(&refusal)));
    let Some(fits) = refusal
        .get("max_output_tokens_affordable")
        .and_then(Value::as_u64)
    else {
        bail!("the refusal does not say what would fit: {refusal}");
    };
    customer.hold("empty-2", &chat(fits))?.ok()?;
    note(&format!("with {fits} output tokens it fits"));
    show::wallet(&customer.wallet()?)
}

fn budget(admin: &Admin, customer: &Customer, org: &str) -> Result<()> {
    admin.project_budget(org, "side-project", "0.001")?;
    let mut before = chat(4000);
    before.insert("project".into(), "side-project".into());
    let refusal = customer.hold("budget-1", &before)?.refused(402)?;
    note(&format!("402 {}", show::problem(&refusal)));
    Ok(())
}

fn actor_run(customer: &Customer) -> Result<()> {
    let run = fields(json!({
        "provider": "apify",
        "feature": "lead_enrichment",
        "provider_cost_usd": "0.0425",
    }))?;
    show::charge(&customer.usage("actor-run-1", &run)?.ok()?)
}

fn free_data(customer: &Customer) -> Result<()> {
    let before = customer.wallet()?;
    customer.data_query(&json!({
        "name": "company_register",
        "source": "public register",
        "records": 25,
    }))?;
    let after = customer.wallet()?;
    let available = "/balance/available_credits";
    if text(&before, available)? != text(&after, available)? {
        bail!("a free query changed the wallet");
    }
    note("25 records logged, wallet unchanged");
    Ok(())
}

fn again(customer: &Customer, charge: &str) -> Result<()> {
    let replay = customer.replay(charge)?;
    let (then, now) = (
        text(&replay, "/charged/price_usd")?,
        text(&replay, "/replayed/price_usd")?,
    );
    let same = replay.get("same").and_then(Value::as_bool) == Some(true);
    if !same || then != now {
        bail!("USD {then} then, USD {now} now: {replay}");
    }
    note(&format!(
        "charge {charge}: USD {now}, the same to the last digit"
    ));
    Ok(())
}

/// What is known before a chat call.
fn chat(max_output_tokens: u64) -> Map<String, Value> {
    let mut before = Map::new();
    before.insert("provider".into(), "openai".into());
    before.insert("model".into(), "gpt-4o".into());
    before.insert("body_bytes".into(), 1200.into());
    before.insert("max_output_tokens".into(), max_output_tokens.into());
    before
}

/// What the provider answered to it.
fn answer(hold: &str, output_tokens: u64) -> Map<String, Value> {
    let response = json!({
        "id": format!("chatcmpl-{hold}"),
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "usage": {
            "prompt_tokens": 250,
            "completion_tokens": output_tokens,
            "total_tokens": 250_u64.saturating_add(output_tokens),
        },
    });
    let mut after = Map::new();
    after.insert("hold_id".into(), hold.into());
    after.insert("provider".into(), "openai".into());
    after.insert("api".into(), "chat".into());
    after.insert("response".into(), response);
    after
}

fn fields(value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => bail!("{other} is no object"),
    }
}
