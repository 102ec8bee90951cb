//! What a command needs from the past: ended holds and old charges, looked up for the ledger.

use super::super::connection::{DamagedRow, damaged, failure};
use super::super::read::{holds, journal, usage};
use crate::service::ledger::failure::StorageError;
use farebox_ledger::account::Account;
use farebox_ledger::command::{Past, PastCharge, PastHold, PastPart, Recall};
use farebox_ledger::hold::Payer;
use farebox_ledger::ids::{ChargeId, HoldId, OrgId};
use farebox_pricing::money::Nanos;
use rusqlite::Connection;

/// The answer to what the ledger asks.
pub fn recall(connection: &Connection, org: OrgId, recall: Recall) -> Result<Past, StorageError> {
    Ok(match recall {
        Recall::Hold(hold) => past_hold(connection, org, hold)?.map_or(Past::Nothing, Past::Hold),
        Recall::Charge(charge) => {
            past_charge(connection, org, charge)?.map_or(Past::Nothing, Past::Charge)
        }
    })
}

fn past_hold(
    connection: &Connection,
    org: OrgId,
    id: HoldId,
) -> Result<Option<PastHold>, StorageError> {
    let seen = holds::ended(connection, org, id)?;
    Ok(seen.map(|(hold, ended)| PastHold {
        end: ended.end,
        dimensions: hold.dimensions,
    }))
}

fn past_charge(
    connection: &Connection,
    org: OrgId,
    charge: ChargeId,
) -> Result<Option<PastCharge>, StorageError> {
    let Some(receipt) = usage::receipt_record(connection, org, charge)? else {
        return Ok(None);
    };
    let broken = || {
        damaged(DamagedRow(format!(
            "the entries of charge `{charge}` contradict"
        )))
    };
    let posted = journal::at(connection, org, receipt.transaction)?.ok_or_else(broken)?;
    let event = usage::at(connection, org, receipt.usage)?.ok_or_else(broken)?;
    let transaction = posted.transaction;
    let part = |amount: i64| amount.checked_neg().and_then(Nanos::new);
    let shortfall = part(transaction.postings.on(Account::Shortfall)).ok_or_else(broken)?;
    let paid = transaction
        .movements
        .into_iter()
        .map(|movement| {
            Some(PastPart {
                payer: movement.payer,
                amount: part(movement.amount_nanos)?,
            })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(broken)?;
    let mut grants = Vec::new();
    for part in &paid {
        if let Payer::Grant(id) = part.payer {
            grants.extend(super::super::read::grants::grant(connection, org, id)?);
        }
    }
    Ok(Some(PastCharge {
        at_ms: transaction.at_ms,
        dimensions: event.dimensions,
        paid,
        shortfall,
        refunded: refunded(connection, charge)?.ok_or_else(broken)?,
        grants,
    }))
}

fn refunded(connection: &Connection, charge: ChargeId) -> Result<Option<Nanos>, StorageError> {
    connection
        .prepare_cached("SELECT coalesce(sum(amount_nanos), 0) FROM refunds WHERE charge = ?1")
        .map_err(failure)?
        .query_row([charge.to_bytes()], |row| row.get(0))
        .map(Nanos::new)
        .map_err(failure)
}
