//! What a backtest says: the same charges as they were and as they would be, and what could not be
//! compared, with the reason.

use super::Question;
use super::sums::{Sums, Usd};
use super::tally::{Groups, Miss, Tally};
use crate::service::ledger::LedgerStore;
use crate::service::ledger::failure::ReadError;
use crate::service::policy::ReleaseId;
use farebox_ledger::ids::OrgId;
use farebox_pricing::exact::ArithmeticError;
use rust_decimal::Decimal;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::Hash;

/// The most groups of a kind that are listed, those that change most first.
pub const LISTED_MAX: usize = 1_000;

/// How many winners, and how many losers.
pub const EXTREMES: usize = 10;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A sum passes 28 digits.
    #[error("a sum is out of range")]
    OutOfRange(#[from] ArithmeticError),
}

/// Charges, as they were and as they would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// How many.
    pub charges: u64,
    /// Both sides.
    pub usd: Usd,
}

impl Row {
    fn of(sums: &Sums) -> Result<Self, ArithmeticError> {
        Ok(Self {
            charges: sums.charges,
            usd: sums.usd()?,
        })
    }
}

/// A group of charges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they have in common; absent: that they have no such label.
    pub key: Option<Box<str>>,
    /// The operator's name for it.
    pub name: Option<Box<str>>,
    /// The charges.
    pub row: Row,
}

/// Groups of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupList {
    /// Those that change most first.
    pub listed: Vec<Group>,
    /// How many more there are, at least.
    pub left_off: u64,
}

/// Charges that have no price, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedRow {
    /// Why.
    pub why: Miss,
    /// How many.
    pub charges: u64,
    /// What they were charged, in USD.
    pub charged_usd: Decimal,
    /// What they cost the operator, in USD.
    pub cost_usd: Decimal,
    /// The first one's fault or refusal, in words.
    pub example: Option<Box<str>>,
}

/// A backtest's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether all of the range was rated; else somebody stopped it.
    pub whole: bool,
    /// When the first and the last charge were posted that it contains.
    pub posted_ms: Option<(i64, i64)>,
    /// All that could be compared.
    pub total: Row,
    /// By org.
    pub orgs: GroupList,
    /// By feature.
    pub features: GroupList,
    /// By `provider/model`.
    pub models: GroupList,
    /// By plan.
    pub plans: GroupList,
    /// By the release that priced it then.
    pub releases: GroupList,
    /// The orgs that would pay least more, in that order: each pays less.
    pub winners: Vec<Group>,
    /// The orgs that would pay most more, in that order.
    pub losers: Vec<Group>,
    /// What would be sold below cost, as the release declares that it may.
    pub declared_losses: Row,
    /// What has no price, the most frequent reason first.
    pub missed: Vec<MissedRow>,
    /// Usage of the range that waits for a price, by reason: there is nothing to compare with.
    pub waiting: BTreeMap<Box<str>, u64>,
    /// Whether the release counts, so that charges were rated in order and counted again.
    pub recounted: bool,
}

impl Report {
    pub(super) fn of(
        tally: Tally,
        waiting: BTreeMap<Box<str>, u64>,
        whole: bool,
        recounted: bool,
        store: &dyn LedgerStore,
    ) -> Result<Self, ReportError> {
        let name_of = |org: &OrgId| -> Result<Option<Box<str>>, ReportError> {
            Ok(store.org(*org)?.map(|org| org.name))
        };
        let orgs = ranked(&tally.orgs, |org| Some(org.to_string().into()))?;
        let named = |range: &[(OrgId, Group)]| -> Result<Vec<Group>, ReportError> {
            let with_name = |(org, group): &(OrgId, Group)| {
                let name = name_of(org)?;
                Ok(Group {
                    name,
                    ..group.clone()
                })
            };
            range.iter().map(with_name).collect()
        };
        let mut by_change: Vec<&(OrgId, Group)> = orgs.iter().collect();
        by_change.sort_by_key(|(_, group)| group.row.usd.change().unwrap_or_default());
        let pays_less = |(_, group): &&&(OrgId, Group)| less(group);
        let pays_more = |(_, group): &&&(OrgId, Group)| more(group);
        let take = |picked: Vec<&(OrgId, Group)>| -> Vec<(OrgId, Group)> {
            picked.into_iter().take(EXTREMES).cloned().collect()
        };
        let winners = take(by_change.iter().filter(pays_less).copied().collect());
        let losers = take(by_change.iter().rev().filter(pays_more).copied().collect());
        let texts = |groups: &Groups<Box<str>>| {
            let ranked = ranked(groups, |key| {
                Some(key.clone()).filter(|key| !key.is_empty())
            })?;
            list(ranked, groups)
        };
        let release = |release: &ReleaseId| Some(release.to_string().into());
        Ok(Self {
            whole,
            posted_ms: tally.posted_ms,
            total: Row::of(&tally.total)?,
            winners: named(&winners)?,
            losers: named(&losers)?,
            orgs: GroupList {
                listed: named(orgs.get(..LISTED_MAX).unwrap_or(&orgs))?,
                left_off: count(orgs.len().saturating_sub(LISTED_MAX)),
            },
            features: texts(&tally.features)?,
            models: texts(&tally.models)?,
            plans: texts(&tally.plans)?,
            releases: list(ranked(&tally.releases, release)?, &tally.releases)?,
            declared_losses: Row::of(&tally.declared_losses)?,
            missed: missed(&tally)?,
            waiting,
            recounted,
        })
    }
}

fn less(group: &Group) -> bool {
    group
        .row
        .usd
        .change()
        .is_ok_and(|change| change < Decimal::ZERO)
}

fn more(group: &Group) -> bool {
    group
        .row
        .usd
        .change()
        .is_ok_and(|change| change > Decimal::ZERO)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Every group, those that change most first; equal ones in the order of their keys.
fn ranked<K: Clone + Eq + Hash>(
    groups: &Groups<K>,
    text: impl Fn(&K) -> Option<Box<str>>,
) -> Result<Vec<(K, Group)>, ReportError> {
    let mut all = Vec::with_capacity(groups.known().len());
    for (key, sums) in groups.known() {
        let group = Group {
            key: text(key),
            name: None,
            row: Row::of(sums)?,
        };
        let size = group.row.usd.change()?.abs();
        all.push((size, key.clone(), group));
    }
    all.sort_by(|(a, _, one), (b, _, other)| b.cmp(a).then_with(|| one.key.cmp(&other.key)));
    let ranked = all.into_iter().map(|(_, key, group)| (key, group));
    Ok(ranked.collect())
}

fn list<K>(ranked: Vec<(K, Group)>, groups: &Groups<K>) -> Result<GroupList, ReportError> {
    let beyond = ranked.len().saturating_sub(LISTED_MAX);
    let mut listed: Vec<Group> = ranked
        .into_iter()
        .take(LISTED_MAX)
        .map(|(_, group)| group)
        .collect();
    let mut left_off = count(beyond);
    if groups.rest.charges > 0 {
        left_off = left_off.saturating_add(1);
        listed.push(Group {
            key: Some("…".into()),
            name: None,
            row: Row::of(&groups.rest)?,
        });
    }
    Ok(GroupList { listed, left_off })
}

fn missed(tally: &Tally) -> Result<Vec<MissedRow>, ReportError> {
    let mut rows = Vec::with_capacity(tally.missed.len());
    for (why, missed) in &tally.missed {
        let charged = missed.charged.usd()?.charged;
        rows.push(MissedRow {
            why: why.clone(),
            charges: missed.charged.charges,
            charged_usd: charged.revenue,
            cost_usd: charged.cost,
            example: missed.example.clone(),
        });
    }
    rows.sort_by(|a, b| {
        let order = Reverse(a.charges).cmp(&Reverse(b.charges));
        order.then_with(|| a.example.cmp(&b.example))
    });
    Ok(rows)
}

/// Why a backtest is not made.
pub(super) fn is_in_range(question: &Question, now_ms: i64) -> bool {
    question.posted_ms.start < question.posted_ms.end && question.posted_ms.start <= now_ms
}
