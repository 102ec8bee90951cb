//! `farebox usage`: what waits for a price on a running server, and what it was never told.

use super::server::Server;
use super::show;
use crate::cli::failure::Failure;
use crate::cli::policy::door::Door;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  farebox usage list-unpriced
  farebox usage settle-unpriced --json
  farebox usage settle-unpriced --under november-fixed
  farebox usage repair --wrong november --corrected november-fixed --since 2026-11-03
  farebox usage reconcile --access-log calls.jsonl --access-log calls.jsonl.1.gz
  zstdcat calls.jsonl.zst | farebox usage reconcile --access-log - --dry-run";

/// Usage that waits for a price or was never reported, and bills that were wrong, on a running
/// server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Usage {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List usage of every org that was recorded without a price, oldest first.
    ListUnpriced,
    /// Rate it again, by the release that it ran under, and charge what has a price now. The server
    /// does so by itself on time; this does it at once. Ends with 1 when something still waits.
    SettleUnpriced {
        /// Rate under this release what its own has no price for; its address, the beginning of it,
        /// or its name. Without it, such usage waits on.
        #[arg(long, value_name = "RELEASE")]
        under: Option<String>,
    },
    Repair(super::repair::Repair),
    Reconcile(super::reconcile::Reconcile),
}

impl Usage {
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match &self.command {
            Command::Repair(repair) => repair.run(&self.server, out),
            Command::Reconcile(reconcile) => reconcile.run(&self.server, out),
            Command::ListUnpriced => {
                let items = pages(|cursor| {
                    let cursor = cursor.map_or_else(String::new, |text| format!("&cursor={text}"));
                    let path = format!("/v1/admin/usage/unpriced?limit=1000{cursor}");
                    self.server.get(&path, None)
                })?;
                self.show(items.iter().map(flat).collect(), out)
            }
            Command::SettleUnpriced { under } => {
                let door = Door::Running(&self.server);
                let under = under.as_deref().map(|under| door.release(under));
                let under = under.transpose()?;
                let items = pages(|cursor| {
                    let body = json!({ "cursor": cursor, "under_release_id": under });
                    self.server.post("/v1/admin/usage/settle-unpriced", &body)
                })?;
                let waiting = items
                    .iter()
                    .filter(|item| item.get("status").is_none_or(|status| status != "charged"))
                    .count();
                self.show(items.iter().map(flat).collect(), out)?;
                match waiting {
                    0 => Ok(()),
                    1 => Err(Failure::Found(
                        "1 usage event still waits for a price".to_owned(),
                    )),
                    _ => Err(Failure::Found(format!(
                        "{waiting} usage events still wait for a price"
                    ))),
                }
            }
        }
    }

    fn show(&self, items: Vec<Value>, out: &mut dyn Write) -> Result<(), Failure> {
        if items.is_empty() && !self.server.json {
            return Ok(writeln!(out, "nothing waits for a price")?);
        }
        show::answer(&Value::Array(items), self.server.json, out)
    }
}

/// The items of all pages.
fn pages(page: impl Fn(Option<&str>) -> Result<Value, Failure>) -> Result<Vec<Value>, Failure> {
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let answer = page(cursor.as_deref())?;
        if let Some(more) = answer.get("items").and_then(Value::as_array) {
            items.extend(more.iter().cloned());
        }
        cursor = answer
            .get("next_cursor")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if cursor.is_none() {
            return Ok(items);
        }
    }
}

/// An item as one row: of what was used the provider and model, of a problem its text.
fn flat(item: &Value) -> Value {
    let mut row = Map::new();
    for (name, value) in item.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("event", event) => {
                let field = |name| event.get(name).filter(|value| value.is_string());
                let model = field("model_served").or(field("model_asked"));
                for (name, value) in [("provider", field("provider")), ("model", model)] {
                    row.insert(name.to_owned(), value.cloned().unwrap_or(Value::Null));
                }
            }
            ("problem", problem) => {
                let detail = problem.get("detail").cloned().unwrap_or(Value::Null);
                row.insert("reason".to_owned(), detail);
            }
            _ => {
                row.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_asked_for() {
        let items = pages(|cursor| {
            Ok(match cursor {
                None => json!({ "items": [1, 2], "next_cursor": "b" }),
                Some("b") => json!({ "items": [3] }),
                other => panic!("{other:?}"),
            })
        })
        .unwrap();
        assert_eq!(items, [1, 2, 3]);
    }

    #[test]
    fn an_item_is_one_row() {
        let item = json!({ "event_id": "evt_1", "problem": { "detail": "no price", "status": 422 },
            "event": { "provider": "openai", "model_asked": "gpt-99", "pools": [] } });
        assert_eq!(
            flat(&item),
            json!({ "event_id": "evt_1", "reason": "no price", "provider": "openai",
                "model": "gpt-99" })
        );
    }
}
