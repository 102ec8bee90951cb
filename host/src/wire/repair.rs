//! A repair as JSON: the API answers it, the command line makes tables of it.

use super::plain;
use crate::service::repair::report::{Amounts, OrgRow, Report};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Corrections in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CorrectionsJson {
    /// How many charges.
    pub charges: u64,
    /// To customers, in USD.
    #[schema(example = "12.5")]
    pub back_usd: String,
    /// From customers, in USD.
    #[schema(example = "0")]
    pub taken_usd: String,
    /// To the customer, in its credits; absent in sums over customers, whose credits may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_credits: Option<String>,
    /// From the customer, in its credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_credits: Option<String>,
}

impl CorrectionsJson {
    fn of(amounts: &Amounts, with_credits: bool) -> Self {
        Self {
            charges: amounts.charges,
            back_usd: plain(amounts.back_usd),
            taken_usd: plain(amounts.taken_usd),
            back_credits: with_credits.then(|| plain(amounts.back_credits)),
            taken_credits: with_credits.then(|| plain(amounts.taken_credits)),
        }
    }
}

/// What a repair means for a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairedOrgJson {
    /// Which.
    pub org_id: String,
    /// The operator's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What was charged too much and too little, earlier corrections and refunds considered.
    pub due: CorrectionsJson,
    /// What was posted now.
    pub posted: CorrectionsJson,
}

impl From<&OrgRow> for RepairedOrgJson {
    fn from(row: &OrgRow) -> Self {
        Self {
            org_id: row.org.to_string(),
            name: row.name.as_deref().map(str::to_owned),
            due: CorrectionsJson::of(&row.due, true),
            posted: CorrectionsJson::of(&row.posted, true),
        }
    }
}

/// Charges that are not corrected, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UncorrectedJson {
    /// As of a backtest's `missed`.
    pub reason: String,
    /// What the reason is about, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// How many.
    pub charges: u64,
}

/// What a repair found and posted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairReportJson {
    /// Whether all of the range was looked at; else it was stopped, and running it again goes on.
    pub whole: bool,
    /// When the last charge was posted that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_posted_at: Option<String>,
    /// Charges of the wrong release that were looked at.
    pub charges: u64,
    /// What is due in all.
    pub due: CorrectionsJson,
    /// What was posted in all.
    pub posted: CorrectionsJson,
    /// Corrections that were not posted, because another repair, or a refund, came first: run it again
    /// to see what is still due.
    pub posted_before: u64,
    /// The customers that have most due first, at most 1000.
    pub by_org: Vec<RepairedOrgJson>,
    /// How many more there are.
    pub left_off: u64,
    /// Charges that the corrected release cannot price: they stay as they are.
    pub missed: Vec<UncorrectedJson>,
    /// Corrections that the ledger refused, by its reason: how many. Running it again tries again.
    pub refused: BTreeMap<String, u64>,
}

impl RepairReportJson {
    /// With times as `show` writes them.
    pub fn of(report: &Report, show: impl Fn(i64) -> String) -> Self {
        Self {
            whole: report.whole,
            last_posted_at: report.last_posted_ms.map(show),
            charges: report.charges,
            due: CorrectionsJson::of(&report.due, false),
            posted: CorrectionsJson::of(&report.posted, false),
            posted_before: report.before,
            by_org: report.orgs.iter().map(Into::into).collect(),
            left_off: report.left_off,
            missed: report
                .missed
                .iter()
                .map(|(why, charges)| {
                    let (reason, parameters) = super::backtest::reason(why);
                    UncorrectedJson {
                        reason,
                        parameters,
                        charges: *charges,
                    }
                })
                .collect(),
            refused: report
                .refused
                .iter()
                .map(|(why, count)| (why.to_string(), *count))
                .collect(),
        }
    }
}

/// A repair, running or over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairJson {
    /// Which.
    #[schema(example = "job_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    pub id: String,
    /// `running`, `done`, `stopped` or `failed`.
    pub status: String,
    /// What charged wrongly.
    pub wrong_release_id: String,
    /// What should have.
    pub corrected_release_id: String,
    /// What was posted from here on; absent: from the first charge on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What was posted before this; absent: up to when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Whether corrections are posted; else only told.
    pub post: bool,
    /// Whether what was charged too little is taken too.
    pub debit: bool,
    /// When it began.
    pub begun_at: String,
    /// Charges looked at so far, those of other releases among them.
    pub charges_seen: u64,
    /// How much is done, in thousandths.
    pub permille: u64,
    /// How long it took, in milliseconds, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What it found, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<RepairReportJson>,
}
