//! Making an org out of its rows after a start: every derived number is computed again and must
//! agree with what is stored. A ledger that contradicts itself does not start.

use crate::hold::Payer;
use crate::ids::GrantId;
use crate::state::{OrgRows, OrgState, RestoreError};
use farebox_pricing::money::Nanos;
use std::collections::{HashMap, HashSet};

/// The org these rows describe.
pub(crate) fn org(rows: OrgRows) -> Result<OrgState, RestoreError> {
    let org = rows.org;
    let contradiction = RestoreError::Wallet { org };
    let OrgRows {
        wallet,
        mut grants,
        holds,
        unpriced,
        mut budgets,
        ..
    } = rows;
    grants.retain(|grant| !grant.remaining.is_zero());
    let unique = distinct(grants.iter().map(|grant| grant.id()))
        && distinct(holds.iter().map(|hold| hold.id))
        && distinct(unpriced.iter().map(|usage| usage.event))
        && distinct(budgets.iter().map(|(budget, _)| budget.id));
    if !unique {
        return Err(RestoreError::Duplicate { org });
    }

    let mut reserved: HashMap<GrantId, Nanos> = HashMap::new();
    let mut held = Nanos::ZERO;
    let mut held_on_credit = Nanos::ZERO;
    for hold in &holds {
        for part in &hold.reserves {
            held = held.checked_add(part.amount).ok_or(contradiction)?;
            let sum = match part.payer {
                Payer::Credit => &mut held_on_credit,
                Payer::Grant(grant) => reserved.entry(grant).or_default(),
            };
            *sum = sum.checked_add(part.amount).ok_or(contradiction)?;
        }
    }
    let mut remaining = 0_i128;
    for grant in &mut grants {
        grant.reserved = reserved.remove(&grant.id()).unwrap_or_default();
        remaining = remaining.saturating_add(i128::from(grant.remaining.get()));
    }
    let too_much = |hold: &crate::hold::Hold| {
        hold.reserves.iter().find_map(|part| {
            let Payer::Grant(id) = part.payer else {
                return None;
            };
            let within = grants
                .iter()
                .find(|grant| grant.id() == id)
                .is_some_and(|grant| grant.reserved <= grant.remaining);
            (!within).then_some(RestoreError::Reserve {
                hold: hold.id,
                grant: id,
            })
        })
    };
    if let Some(error) = holds.iter().find_map(too_much) {
        return Err(error);
    }

    let posted = remaining.saturating_sub(i128::from(wallet.overdraft.get()));
    let credit_used = wallet.overdraft.checked_add(wallet.held_on_credit);
    if posted != i128::from(wallet.posted_nanos())
        || held != wallet.held
        || held_on_credit != wallet.held_on_credit
        || credit_used.is_none_or(|used| used > wallet.credit_limit)
    {
        return Err(contradiction);
    }
    for (budget, used) in &mut budgets {
        used.held = holds
            .iter()
            .filter(|hold| budget.scope.covers(&hold.dimensions))
            .try_fold(Nanos::ZERO, |sum, hold| sum.checked_add(hold.left()))
            .ok_or(contradiction)?;
    }
    Ok(OrgState::from_parts(
        wallet, grants, holds, unpriced, budgets,
    ))
}

fn distinct<Id: Eq + std::hash::Hash>(ids: impl Iterator<Item = Id>) -> bool {
    let mut seen = HashSet::new();
    ids.into_iter().all(|id| seen.insert(id))
}
