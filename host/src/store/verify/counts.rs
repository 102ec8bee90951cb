//! What is counted beside the journal, counted again from it: budgets in their window, and what an
//! org was charged in its latest month.

use super::super::chunks::Place;
use super::super::read::budgets::{self, Since};
use super::super::read::{journal, usage, wallets};
use super::super::write::memory::month_of;
use super::finding::{Problem, Report};
use crate::service::ledger::failure::StorageError;
use farebox_ledger::account::Account;
use farebox_ledger::budget::{Budget, BudgetUse};
use farebox_ledger::hold::Dimensions;
use farebox_ledger::ids::{ChargeId, OrgId};
use farebox_ledger::transaction::Transaction;
use farebox_pricing::money::Nanos;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// A budget's count.
struct Count {
    budget: Budget,
    used: BudgetUse,
    since: Option<Since>,
    spent: i128,
}

impl Count {
    fn new(budget: Budget, used: BudgetUse, since: Option<Since>) -> Self {
        // What it began with counts in the window it began in.
        let spent = since
            .filter(|since| since.at_ms >= used.window_start_ms)
            .map_or(0, |since| i128::from(since.counted.get()));
        Self {
            budget,
            used,
            since,
            spent,
        }
    }

    /// Whether a transaction at this place and time counts.
    fn counts(&self, place: Place, at_ms: i64, dimensions: &Dimensions) -> bool {
        let begun = self.since.and_then(|since| since.place);
        Some(place) > begun
            && (self.used.window_start_ms..self.used.window_end_ms).contains(&at_ms)
            && self.budget.scope.covers(dimensions)
    }
}

/// A charge that was refunded.
pub struct Refunded {
    pub at_ms: i64,
    pub price: Nanos,
    dimensions: std::sync::Arc<Dimensions>,
}

/// What the journal says of a charge.
pub fn refunded(
    connection: &Connection,
    org: OrgId,
    charge: ChargeId,
) -> Result<Option<Refunded>, StorageError> {
    let Some(receipt) = usage::receipt_record(connection, org, charge)? else {
        return Ok(None);
    };
    let posted = journal::at(connection, org, receipt.transaction)?;
    let event = usage::at(connection, org, receipt.usage)?;
    Ok(posted.zip(event).and_then(|(posted, event)| {
        Some(Refunded {
            at_ms: posted.transaction.at_ms,
            price: Nanos::new(posted.transaction.postings.on(Account::Revenue))?,
            dimensions: event.dimensions,
        })
    }))
}

/// The counts of every org.
#[derive(Default)]
pub struct Counts {
    months: BTreeMap<OrgId, (i64, i128)>,
    budgets: BTreeMap<OrgId, Vec<Count>>,
}

impl Counts {
    /// All budgets, with nothing counted.
    pub fn new(connection: &Connection) -> Result<Self, StorageError> {
        let mut counts = Self::default();
        let since = budgets::since(connection)?;
        for (org, (budget, used)) in budgets::all(connection, None)? {
            let since = since.get(&budget.id).copied();
            let of_org = counts.budgets.entry(org).or_default();
            of_org.push(Count::new(budget, used, since));
        }
        Ok(counts)
    }

    /// The next charge, and what it was for.
    pub fn charge(&mut self, place: Place, charge: &Transaction, dimensions: &Dimensions) {
        let price = i128::from(charge.postings.on(Account::Revenue));
        let month = month_of(charge.at_ms);
        let (last, sum) = self.months.entry(charge.org).or_default();
        if *last != month {
            (*last, *sum) = (month, 0);
        }
        *sum = sum.saturating_add(price);
        for count in self.budgets.get_mut(&charge.org).into_iter().flatten() {
            if count.counts(place, charge.at_ms, dimensions) {
                count.spent = count.spent.saturating_add(price);
            }
        }
    }

    /// The next refund, and the charge it is of. A budget that was made after the charge may
    /// never have counted it, and counts no less than nothing.
    pub fn refund(&mut self, place: Place, refund: &Transaction, charge: &Refunded) {
        let amount = i128::from(refund.postings.on(Account::Revenue)).saturating_neg();
        for count in self.budgets.get_mut(&refund.org).into_iter().flatten() {
            if count.counts(place, refund.at_ms, &charge.dimensions)
                && charge.at_ms >= count.used.window_start_ms
            {
                count.spent = count.spent.saturating_sub(amount).max(0);
            }
        }
    }

    /// Compares with the rows.
    pub fn finish(self, connection: &Connection, report: &mut Report) -> Result<(), StorageError> {
        for row in wallets::all(connection)? {
            let (month, journal_nanos) = self.months.get(&row.org).copied().unwrap_or_default();
            let row_nanos = row.tail.month_nanos.get();
            if month != row.tail.month || journal_nanos != i128::from(row_nanos) {
                let problem = Problem::Month {
                    row_nanos,
                    journal_nanos,
                };
                report.add("L2", Some(row.org), problem);
            }
        }
        for (org, counts) in self.budgets {
            for count in counts {
                let row_nanos = count.used.spent.get();
                if count.spent != i128::from(row_nanos) {
                    let problem = Problem::Budget {
                        budget: count.budget.id,
                        row_nanos,
                        journal_nanos: count.spent,
                    };
                    report.add("L2", Some(org), problem);
                }
            }
        }
        Ok(())
    }
}
