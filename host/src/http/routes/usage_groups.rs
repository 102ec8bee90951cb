//! Usage summed by what it was for.

use super::super::export::{Row, cell};
use super::super::paging::PageJson;
use super::super::problem::{Kind, Problem};
use super::super::show::credits;
use super::usage_events::UsageJson;
use crate::service::ledger::view::{GroupBy, Savings, UsageGroup};
use crate::wire::plain;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What `group_by` says, in its order.
pub fn group_by(text: &str) -> Result<Vec<GroupBy>, Problem> {
    let mut by = Vec::new();
    for name in text.split(',') {
        let group = match name.trim() {
            "day" => GroupBy::Day,
            "model" => GroupBy::Model,
            "provider" => GroupBy::Provider,
            "feature" => GroupBy::Feature,
            "key" => GroupBy::Key,
            "project" => GroupBy::Project,
            "user" => GroupBy::User,
            "agent" => GroupBy::Agent,
            other => {
                let shown: String = other.chars().take(32).collect();
                return Err(Problem::new(
                    Kind::InvalidRequest,
                    format!("`group_by` has `{shown}`: nothing is summed by that"),
                ));
            }
        };
        if by.contains(&group) {
            return Err(Problem::new(
                Kind::InvalidRequest,
                format!("`group_by` has `{}` twice", name.trim()),
            ));
        }
        by.push(group);
    }
    Ok(by)
}

const fn group_name(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Day => "day",
        GroupBy::Model => "model",
        GroupBy::Provider => "provider",
        GroupBy::Feature => "feature",
        GroupBy::Key => "key",
        GroupBy::Project => "project",
        GroupBy::User => "user",
        GroupBy::Agent => "agent",
    }
}

/// Usage, row by row, or summed where `group_by` asks for it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "what the API description says of both answers")]
pub enum RowsOrSums {
    /// Row by row, newest first.
    Rows(PageJson<UsageJson>),
    /// Summed; there are no pages.
    Sums(PageJson<UsageGroupJson>),
}

/// Usage summed.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageGroupJson {
    /// The value of each dimension it is summed by; null where events have none.
    group: BTreeMap<&'static str, Option<String>>,
    events: u64,
    /// How many of them wait for a price.
    unpriced: u64,
    /// What they were charged, at first: `credits − refunded_credits + taken_credits` is what they
    /// earned by now.
    credits: String,
    /// What they cost the operator.
    cost_credits: String,
    /// What was refunded of these charges by now, by hand and by repairs.
    refunded_credits: String,
    /// What repairs took beside these charges by now, less what they returned.
    taken_credits: String,
    /// The list prices, in USD, of those on the operator's keys whose list price is known; absent where
    /// there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    market_usd: Option<String>,
    /// How much less these were charged at first, in USD; below zero where it was more.
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_usd: Option<String>,
    /// The same in percent of `market_usd`, cut to two decimal places.
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_percent: Option<String>,
    /// Quantities by pool.
    quantities: BTreeMap<String, String>,
}

impl UsageGroupJson {
    /// A sum by these dimensions.
    pub fn of(group: &UsageGroup, by: &[GroupBy]) -> Self {
        Self {
            group: by
                .iter()
                .zip(&group.values)
                .map(|(by, value)| (group_name(*by), value.as_deref().map(str::to_owned)))
                .collect(),
            events: group.events,
            unpriced: group.unpriced,
            credits: credits(group.price),
            cost_credits: credits(group.cost),
            refunded_credits: credits(group.refunded),
            taken_credits: credits(group.taken),
            market_usd: group.savings.map(|savings| plain(savings.market_usd)),
            saved_usd: group.savings.map(|savings| plain(savings.saved_usd)),
            saved_percent: group.savings.and_then(Savings::percent).map(plain),
            quantities: group
                .quantities
                .iter()
                .map(|(meter, quantity)| (meter.to_string(), plain(*quantity)))
                .collect(),
        }
    }
}

impl Row for UsageGroupJson {
    const COLUMNS: &'static [&'static str] = &[
        "group",
        "events",
        "unpriced",
        "credits",
        "cost_credits",
        "refunded_credits",
        "taken_credits",
        "market_usd",
        "saved_usd",
        "saved_percent",
        "quantities",
    ];

    fn cells(&self) -> Vec<String> {
        let pairs = |pairs: Vec<String>| pairs.join(" ");
        vec![
            pairs(
                self.group
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("")))
                    .collect(),
            ),
            self.events.to_string(),
            self.unpriced.to_string(),
            self.credits.clone(),
            self.cost_credits.clone(),
            self.refunded_credits.clone(),
            self.taken_credits.clone(),
            cell(&self.market_usd),
            cell(&self.saved_usd),
            cell(&self.saved_percent),
            pairs(
                self.quantities
                    .iter()
                    .map(|(meter, quantity)| format!("{meter}={quantity}"))
                    .collect(),
            ),
        ]
    }
}
