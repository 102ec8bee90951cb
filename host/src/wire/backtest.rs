//! A backtest as JSON: the API answers it, the command line makes tables and pages of it.

use super::plain;
use crate::service::backtest::report::{Group, GroupList, MissedRow, Report, Row};
use crate::service::backtest::sums::Money;
use crate::service::backtest::tally::{Miss, RefusalKey};
use farebox_pricing::exact;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Revenue, cost and margin in USD. The margin is exactly the revenue less the cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoneyJson {
    /// What customers pay.
    #[schema(example = "120.5")]
    pub revenue_usd: String,
    /// What the operator owes providers.
    #[schema(example = "96.4")]
    pub cost_usd: String,
    /// What is left.
    #[schema(example = "24.1")]
    pub margin_usd: String,
}

impl From<Money> for MoneyJson {
    fn from(money: Money) -> Self {
        // Both are sums of whole nano-credits at one peg or another: their difference fits.
        let margin = exact::sub(money.revenue, money.cost).unwrap_or_default();
        Self {
            revenue_usd: plain(money.revenue),
            cost_usd: plain(money.cost),
            margin_usd: plain(margin),
        }
    }
}

/// Charges, as they were and as they would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComparedJson {
    /// How many.
    pub charges: u64,
    /// As they were charged; refunds are not considered.
    pub charged: MoneyJson,
    /// As the release rates them.
    pub rated: MoneyJson,
    /// How much more customers would pay; below zero: less.
    #[schema(example = "-3.25")]
    pub change_usd: String,
    /// The same as a share of what was charged, to a hundredth of a percent; absent where nothing
    /// was charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "-2.7")]
    pub change_percent: Option<String>,
}

impl From<&Row> for ComparedJson {
    fn from(row: &Row) -> Self {
        let change = row.usd.change().unwrap_or_default();
        Self {
            charges: row.charges,
            charged: row.usd.charged.into(),
            rated: row.usd.rated.into(),
            change_usd: plain(change),
            change_percent: percent(change, row.usd.charged.revenue),
        }
    }
}

/// A share in percent with two places, for people: rounded half to even.
fn percent(part: Decimal, whole: Decimal) -> Option<String> {
    let share = part.checked_div(whole)?.checked_mul(Decimal::ONE_HUNDRED)?;
    Some(plain(share.round_dp(2)))
}

/// A group of charges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupJson {
    /// What they have in common; null: that they have no such label; `…`: all others.
    pub key: Option<String>,
    /// The operator's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many.
    pub charges: u64,
    /// As they were charged; refunds are not considered.
    pub charged: MoneyJson,
    /// As the release rates them.
    pub rated: MoneyJson,
    /// How much more customers would pay; below zero: less.
    pub change_usd: String,
    /// The same as a share of what was charged; absent where nothing was charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_percent: Option<String>,
}

impl From<&Group> for GroupJson {
    fn from(group: &Group) -> Self {
        let ComparedJson {
            charges,
            charged,
            rated,
            change_usd,
            change_percent,
        } = (&group.row).into();
        Self {
            key: group.key.as_deref().map(str::to_owned),
            name: group.name.as_deref().map(str::to_owned),
            charges,
            charged,
            rated,
            change_usd,
            change_percent,
        }
    }
}

/// Groups of one kind, those that change most first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupsJson {
    /// At most 1000 of them.
    pub items: Vec<GroupJson>,
    /// How many more there are.
    pub left_off: u64,
}

impl From<&GroupList> for GroupsJson {
    fn from(list: &GroupList) -> Self {
        Self {
            items: list.listed.iter().map(Into::into).collect(),
            left_off: list.left_off,
        }
    }
}

/// Charges that would have no price, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissedJson {
    /// `unknown_model`, `not_priced`, `not_allowed`, `out_of_range`, `fault`, `written_off`,
    /// `unavailable` or `others`.
    pub reason: String,
    /// What the reason is about, by name: `provider`, `model`, `meter`, `rule`, `fault`, `engine`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// How many.
    pub charges: u64,
    /// What they were charged.
    pub charged_usd: String,
    /// What they cost the operator.
    pub cost_usd: String,
    /// The first one, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

impl From<&MissedRow> for MissedJson {
    fn from(row: &MissedRow) -> Self {
        let (reason, parameters) = reason(&row.why);
        Self {
            reason,
            parameters,
            charges: row.charges,
            charged_usd: plain(row.charged_usd),
            cost_usd: plain(row.cost_usd),
            example: row.example.as_deref().map(str::to_owned),
        }
    }
}

/// Why a charge has no price: the reason's name, and what it is about.
pub(super) fn reason(why: &Miss) -> (String, BTreeMap<String, String>) {
    let (reason, parameters) = match why {
        Miss::Refused(RefusalKey::UnknownModel(provider, model)) => (
            "unknown_model",
            vec![("provider", &**provider), ("model", &**model)],
        ),
        Miss::Refused(RefusalKey::NotPriced(model, meter)) => {
            ("not_priced", vec![("model", &**model), ("meter", &**meter)])
        }
        Miss::Refused(RefusalKey::NotAllowed(rule)) => ("not_allowed", vec![("rule", &**rule)]),
        Miss::Refused(RefusalKey::OutOfRange) | Miss::OutOfRange => ("out_of_range", Vec::new()),
        Miss::Fault(word) => ("fault", vec![("fault", *word)]),
        Miss::WrittenOff => ("written_off", Vec::new()),
        Miss::Unavailable(word) => ("unavailable", vec![("engine", *word)]),
        Miss::Others => ("others", Vec::new()),
    };
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    (
        reason.to_owned(),
        parameters.into_iter().map(owned).collect(),
    )
}

/// What would be sold below cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LossesJson {
    /// Charges below cost that the release declares as loss-leaders: they would be charged so.
    pub declared: ComparedJson,
    /// Charges that the host would refuse to charge, because the price is below cost and nothing
    /// declares it: the usage would be recorded without a price. They are among `missed` too.
    pub floors_broken: u64,
    /// What those cost.
    pub floors_broken_cost_usd: String,
}

/// What the past would have cost under a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BacktestReportJson {
    /// Whether all of the range was rated; else it was stopped, and all up to `last_posted_at` is
    /// in here.
    pub whole: bool,
    /// When the first charge in here was posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_posted_at: Option<String>,
    /// When the last charge in here was posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_posted_at: Option<String>,
    /// All that has a price on both sides.
    pub total: ComparedJson,
    /// By customer.
    pub by_org: GroupsJson,
    /// By feature.
    pub by_feature: GroupsJson,
    /// By `provider/model`.
    pub by_model: GroupsJson,
    /// By plan.
    pub by_plan: GroupsJson,
    /// By the release that priced them then.
    pub by_release: GroupsJson,
    /// The ten customers that would pay least more, each less than now.
    pub winners: Vec<GroupJson>,
    /// The ten customers that would pay most more.
    pub losers: Vec<GroupJson>,
    /// What would be sold below cost.
    pub losses: LossesJson,
    /// What would have no price, the most frequent reason first.
    pub missed: Vec<MissedJson>,
    /// Usage of the range that still waits for a price, by reason: how many events.
    pub waiting: BTreeMap<String, u64>,
    /// Whether the release counts units or USD per month or day. Then charges were rated in the
    /// order they were posted, each with what this release had counted until then, from the start
    /// of the month on; else with the facts of their receipts alone.
    pub recounted: bool,
}

impl BacktestReportJson {
    /// With times as `show` writes them.
    pub fn of(report: &Report, show: impl Fn(i64) -> String) -> Self {
        let floors = report
            .missed
            .iter()
            .filter(|row| row.why == Miss::Fault("below_cost"));
        let (mut broken, mut cost) = (0_u64, Decimal::ZERO);
        for row in floors {
            broken = broken.saturating_add(row.charges);
            cost = exact::add(cost, row.cost_usd).unwrap_or(cost);
        }
        Self {
            whole: report.whole,
            first_posted_at: report.posted_ms.map(|(first, _)| show(first)),
            last_posted_at: report.posted_ms.map(|(_, last)| show(last)),
            total: (&report.total).into(),
            by_org: (&report.orgs).into(),
            by_feature: (&report.features).into(),
            by_model: (&report.models).into(),
            by_plan: (&report.plans).into(),
            by_release: (&report.releases).into(),
            winners: report.winners.iter().map(Into::into).collect(),
            losers: report.losers.iter().map(Into::into).collect(),
            losses: LossesJson {
                declared: (&report.declared_losses).into(),
                floors_broken: broken,
                floors_broken_cost_usd: plain(cost),
            },
            missed: report.missed.iter().map(Into::into).collect(),
            waiting: report
                .waiting
                .iter()
                .map(|(reason, count)| (reason.to_string(), *count))
                .collect(),
            recounted: report.recounted,
        }
    }
}

/// A backtest, running or over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BacktestJson {
    /// Which.
    #[schema(example = "job_0192f0c8b7a67c1e9f3a5d2b4c6e8f01")]
    pub id: String,
    /// `running`, `done`, `stopped` or `failed`.
    pub status: String,
    /// Under which release.
    pub release_id: String,
    /// What was posted from here on; absent: from the first charge on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What was posted before this; absent: up to when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Only what this release priced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priced_by: Option<String>,
    /// When it began.
    pub begun_at: String,
    /// Charges looked at so far.
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
    pub report: Option<BacktestReportJson>,
}
