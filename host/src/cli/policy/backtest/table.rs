//! A backtest on a terminal: what matters most first, and of long lists the head.

use crate::cli::failure::Failure;
use crate::cli::remote::show;
use crate::wire::{BacktestJson, BacktestReportJson, ComparedJson, GroupJson, GroupsJson};
use serde_json::{Map, Value, json};
use std::io::Write;

/// How many groups of a kind are shown.
const SHOWN: usize = 10;

/// Prints it.
///
/// # Errors
/// Standard output is gone.
pub fn show(
    job: &BacktestJson,
    report: &BacktestReportJson,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    writeln!(out, "release  {}", job.release_id)?;
    writeln!(out, "charges  {}", report.total.charges)?;
    if let (Some(first), Some(last)) = (&report.first_posted_at, &report.last_posted_at) {
        writeln!(out, "posted   {first} to {last}")?;
    }
    if report.recounted {
        writeln!(
            out,
            "counts   rated in order: this release counts units or amounts per month or day"
        )?;
    }
    writeln!(out)?;
    rows(totals(&report.total), out)?;
    section("customers whose bills shrink most", &report.winners, 0, out)?;
    section("customers whose bills grow most", &report.losers, 0, out)?;
    for (name, groups) in [
        ("by org", &report.by_org),
        ("by feature", &report.by_feature),
        ("by model", &report.by_model),
        ("by plan", &report.by_plan),
        ("by the release that priced them", &report.by_release),
    ] {
        let GroupsJson { items, left_off } = groups;
        section(name, items, *left_off, out)?;
    }
    losses(report, out)?;
    missed(report, out)
}

fn totals(total: &ComparedJson) -> Vec<Value> {
    let row = |what: &str, charged: &str, rated: &str| json!({ "usd": what, "charged": charged, "rated": rated });
    let (charged, rated) = (&total.charged, &total.rated);
    let mut revenue = row("revenue", &charged.revenue_usd, &rated.revenue_usd);
    if let Value::Object(fields) = &mut revenue {
        fields.insert("change".to_owned(), json!(total.change_usd));
        fields.insert("percent".to_owned(), json!(total.change_percent));
    }
    vec![
        revenue,
        row("cost", &charged.cost_usd, &rated.cost_usd),
        row("margin", &charged.margin_usd, &rated.margin_usd),
    ]
}

fn rows(rows: Vec<Value>, out: &mut dyn Write) -> Result<(), Failure> {
    show::answer(&Value::Array(rows), false, out)
}

fn section(
    name: &str,
    groups: &[GroupJson],
    left_off: u64,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if groups.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{name}")?;
    rows(groups.iter().take(SHOWN).map(row).collect(), out)?;
    let more = u64::try_from(groups.len().saturating_sub(SHOWN)).unwrap_or(u64::MAX);
    match more.saturating_add(left_off) {
        0 => Ok(()),
        more => Ok(writeln!(out, "and {more} more, which change less")?),
    }
}

fn row(group: &GroupJson) -> Value {
    let mut fields = Map::new();
    fields.insert("group".to_owned(), json!(group.key));
    if let Some(name) = &group.name {
        fields.insert("name".to_owned(), json!(name));
    }
    for (name, value) in [
        ("charges", json!(group.charges)),
        ("charged", json!(group.charged.revenue_usd)),
        ("rated", json!(group.rated.revenue_usd)),
        ("change", json!(group.change_usd)),
        ("percent", json!(group.change_percent)),
        ("margin", json!(group.charged.margin_usd)),
        ("margin_rated", json!(group.rated.margin_usd)),
    ] {
        fields.insert(name.to_owned(), value);
    }
    Value::Object(fields)
}

fn losses(report: &BacktestReportJson, out: &mut dyn Write) -> Result<(), Failure> {
    let losses = &report.losses;
    if losses.declared.charges > 0 {
        writeln!(
            out,
            "\nbelow cost, as the release declares: {} charges, {} USD for what costs {} USD",
            losses.declared.charges,
            losses.declared.rated.revenue_usd,
            losses.declared.rated.cost_usd
        )?;
    }
    if losses.floors_broken > 0 {
        writeln!(
            out,
            "\nbelow cost, undeclared: {} charges that cost {} USD would be left without a price",
            losses.floors_broken, losses.floors_broken_cost_usd
        )?;
    }
    Ok(())
}

fn missed(report: &BacktestReportJson, out: &mut dyn Write) -> Result<(), Failure> {
    if !report.missed.is_empty() {
        writeln!(out, "\nwithout a price under this release")?;
        let shown = report.missed.iter().take(SHOWN).map(|missed| {
            json!({ "reason": missed.reason, "charges": missed.charges,
                "charged": missed.charged_usd, "example": missed.example })
        });
        rows(shown.collect(), out)?;
        let more = report.missed.len().saturating_sub(SHOWN);
        if more > 0 {
            writeln!(out, "and {more} more reasons")?;
        }
    }
    if !report.waiting.is_empty() {
        writeln!(out, "\nusage that still waits for a price, left out")?;
        let waiting = report.waiting.iter();
        let shown = waiting.map(|(reason, events)| json!({ "reason": reason, "events": events }));
        rows(shown.collect(), out)?;
    }
    Ok(())
}
