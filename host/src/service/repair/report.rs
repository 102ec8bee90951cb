//! What a repair says: by customer what was charged too much and too little, and what was posted.

use super::RepairFailure;
use super::due::{ByOrg, Due, Owed};
use super::post::Posted;
use crate::service::backtest::report::LISTED_MAX;
use crate::service::backtest::sums::usd_of;
use crate::service::backtest::tally::Miss;
use crate::service::ledger::LedgerStore;
use farebox_ledger::ids::OrgId;
use farebox_pricing::exact::{self, ArithmeticError};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Amounts of corrections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// How many charges.
    pub charges: u64,
    /// To the customer, in credits.
    pub back_credits: Decimal,
    /// From the customer, in credits.
    pub taken_credits: Decimal,
    /// To the customer, in USD.
    pub back_usd: Decimal,
    /// From the customer, in USD.
    pub taken_usd: Decimal,
}

impl Amounts {
    fn of(all: &[(crate::service::backtest::sums::Worth, Owed)]) -> Result<Self, ArithmeticError> {
        let mut sum = Self::default();
        for (worth, owed) in all {
            sum.charges = sum.charges.saturating_add(owed.charges);
            let credits = |nanos: i128| {
                Decimal::try_from_i128_with_scale(nanos, 9)
                    .map(|credits| credits.normalize())
                    .map_err(|_| ArithmeticError::OutOfRange)
            };
            sum.back_credits = exact::add(sum.back_credits, credits(owed.back_nanos)?)?;
            sum.taken_credits = exact::add(sum.taken_credits, credits(owed.taken_nanos)?)?;
            sum.back_usd = exact::add(sum.back_usd, usd_of(owed.back_nanos, *worth)?)?;
            sum.taken_usd = exact::add(sum.taken_usd, usd_of(owed.taken_nanos, *worth)?)?;
        }
        Ok(sum)
    }

    fn add(&mut self, other: &Self) -> Result<(), ArithmeticError> {
        self.charges = self.charges.saturating_add(other.charges);
        self.back_usd = exact::add(self.back_usd, other.back_usd)?;
        self.taken_usd = exact::add(self.taken_usd, other.taken_usd)?;
        // Credits of different orgs may be of different kinds: they have no sum.
        Ok(())
    }
}

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgRow {
    /// Which.
    pub org: OrgId,
    /// The operator's name for it.
    pub name: Option<Box<str>>,
    /// What was charged too much and too little, earlier corrections considered.
    pub due: Amounts,
    /// What was posted now.
    pub posted: Amounts,
}

/// A repair's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether all of the range was looked at; else somebody stopped it.
    pub whole: bool,
    /// When the last charge was posted that was looked at.
    pub last_posted_ms: Option<i64>,
    /// Charges of the wrong release that were looked at.
    pub charges: u64,
    /// What is due in all, in USD.
    pub due: Amounts,
    /// What was posted in all, in USD.
    pub posted: Amounts,
    /// Corrections that another repair had posted meanwhile.
    pub before: u64,
    /// The customers that have most due, most first.
    pub orgs: Vec<OrgRow>,
    /// How many more there are.
    pub left_off: u64,
    /// Charges that the corrected release cannot price.
    pub missed: Vec<(Miss, u64)>,
    /// Corrections that the ledger refused, by its reason.
    pub refused: BTreeMap<Box<str>, u64>,
}

impl Report {
    pub(super) fn of(
        due: Due,
        posted: Posted,
        whole: bool,
        store: &dyn LedgerStore,
    ) -> Result<Self, RepairFailure> {
        let ByOrg(all) = due.orgs;
        let ByOrg(done) = posted.orgs;
        let (mut total, mut total_posted) = (Amounts::default(), Amounts::default());
        let mut orgs = Vec::with_capacity(all.len());
        for (org, owed) in all {
            let row = OrgRow {
                org,
                name: None,
                due: Amounts::of(&owed)?,
                posted: Amounts::of(done.get(&org).map(Vec::as_slice).unwrap_or_default())?,
            };
            total.add(&row.due)?;
            total_posted.add(&row.posted)?;
            orgs.push(row);
        }
        let size = |row: &OrgRow| row.due.back_usd.max(row.due.taken_usd);
        orgs.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.org.cmp(&b.org)));
        let beyond = orgs.len().saturating_sub(LISTED_MAX);
        orgs.truncate(LISTED_MAX);
        for row in &mut orgs {
            row.name = store.org(row.org)?.map(|org| org.name);
        }
        let mut missed: Vec<(Miss, u64)> = due.missed.into_iter().collect();
        missed.sort_by_key(|(why, charges)| (std::cmp::Reverse(*charges), format!("{why:?}")));
        Ok(Self {
            whole,
            last_posted_ms: due.last_posted_ms,
            charges: due.charges,
            due: total,
            posted: total_posted,
            before: posted.before,
            orgs,
            left_off: u64::try_from(beyond).unwrap_or(u64::MAX),
            missed,
            refused: posted.refused.into_iter().collect(),
        })
    }
}
