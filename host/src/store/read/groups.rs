//! Usage summed by its dimensions.
//!
//! A charge is summed as it was made, and beside it what was given back and taken by now: a margin
//! that counts what was refunded is none.

use super::corrections::{any, corrected};
use super::usage::{matches, walk};
use crate::service::ledger::failure::{ReadError, StorageError};
use crate::service::ledger::past::Corrected;
use crate::service::ledger::view::{GroupBy, Savings, UsageFilter, UsageGroup, UsageView};
use farebox_ledger::ids::OrgId;
use farebox_pricing::money::Nanos;
use rusqlite::Connection;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// The values of what usage is summed by.
type Values = Vec<Option<Box<str>>>;

#[derive(Debug, Default)]
struct Sums {
    events: u64,
    unpriced: u64,
    price: Nanos,
    cost: Nanos,
    refunded: Nanos,
    taken: Nanos,
    savings: Option<Savings>,
    quantities: BTreeMap<Box<str>, Decimal>,
}

impl Sums {
    /// `None` when a sum leaves its range.
    fn add(&mut self, view: &UsageView, corrected: Corrected) -> Option<()> {
        self.events = self.events.checked_add(1)?;
        match &view.charge {
            None => self.unpriced = self.unpriced.checked_add(1)?,
            Some(charge) => {
                self.price = self.price.checked_add(charge.price)?;
                self.cost = self.cost.checked_add(charge.cost)?;
                self.refunded = self.refunded.checked_add(corrected.refunded)?;
                // What was returned is a part of what was taken.
                let taken = corrected.taken.checked_sub(corrected.returned);
                self.taken = self.taken.checked_add(taken.unwrap_or_default())?;
                if let Some(savings) = Savings::of(charge) {
                    self.savings = Some(self.savings.unwrap_or_default().plus(savings)?);
                }
            }
        }
        for pool in &view.event.pools {
            let sum = self.quantities.entry(pool.meter.name().into()).or_default();
            // Nine places and 10¹⁵ each leave room for more events than there will be.
            *sum = sum.checked_add(pool.quantity.get())?;
        }
        Some(())
    }
}

/// An org's usage summed by `by`, in the order of the groups' values.
pub fn groups(
    connection: &Connection,
    org: OrgId,
    filter: &UsageFilter,
    by: &[GroupBy],
) -> Result<Vec<UsageGroup>, ReadError> {
    let mut groups: BTreeMap<Values, Sums> = BTreeMap::new();
    let corrections = any(connection)?;
    let mut failed = None;
    walk(connection, org, filter, None, |_, view| {
        if matches(filter, &view) {
            let values = by.iter().map(|by| value(*by, &view)).collect();
            let sums = groups.entry(values).or_default();
            failed = match became(connection, corrections, &view) {
                Ok(corrected) => sums
                    .add(&view, corrected)
                    .is_none()
                    .then_some(ReadError::OutOfRange),
                Err(error) => Some(error.into()),
            };
        }
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(groups
        .into_iter()
        .map(|(values, sums)| UsageGroup {
            values,
            events: sums.events,
            unpriced: sums.unpriced,
            price: sums.price,
            cost: sums.cost,
            refunded: sums.refunded,
            taken: sums.taken,
            savings: sums.savings,
            quantities: sums.quantities.into_iter().collect(),
        })
        .collect())
}

/// What became of an event's charge, where anything became of any.
fn became(
    connection: &Connection,
    corrections: bool,
    view: &UsageView,
) -> Result<Corrected, StorageError> {
    match &view.charge {
        Some(charge) if corrections => corrected(connection, charge.id),
        _ => Ok(Corrected::default()),
    }
}

fn value(by: GroupBy, view: &UsageView) -> Option<Box<str>> {
    let dimensions = &view.dimensions;
    match by {
        GroupBy::Day => jiff::Timestamp::from_millisecond(view.recorded_at_ms)
            .ok()
            .map(|at| {
                let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
                day.to_string().into()
            }),
        GroupBy::Model => view.event.model().map(Box::from),
        GroupBy::Provider => Some(view.event.provider.clone()),
        GroupBy::Feature => dimensions.feature.clone(),
        GroupBy::Key => dimensions.key.map(|key| key.to_string().into()),
        GroupBy::Project => dimensions.project.clone(),
        GroupBy::User => dimensions.user.clone(),
        GroupBy::Agent => dimensions.agent.clone(),
    }
}
