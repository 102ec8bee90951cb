//! What a command needs from the past: ended holds and old charges, looked up for the ledger.

use super::super::connection::{DamagedRow, damaged, failure};
use super::super::rows::ledger::{end_from_code, hold, movements, posting_list};
use crate::service::ledger::failure::StorageError;
use farebox_ledger::account::Account;
use farebox_ledger::command::{Past, PastCharge, PastHold, PastPart, Recall};
use farebox_ledger::hold::{Dimensions, Payer};
use farebox_ledger::ids::{ChargeId, EventId, HoldId, KeyId, OrgId};
use farebox_pricing::money::Nanos;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;

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
    let row: Option<(i64, Vec<u8>)> = connection
        .prepare_cached("SELECT \"end\", body FROM holds_ended WHERE id = ?1 AND org = ?2")
        .map_err(failure)?
        .query_row(params![id.to_bytes(), org.to_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .map_err(failure)?;
    let Some((end, body)) = row else {
        return Ok(None);
    };
    let end = end_from_code(end)
        .ok_or_else(|| damaged(DamagedRow(format!("hold `{id}` ended in an unknown way"))))?;
    let hold = hold(id, &body).map_err(damaged)?;
    Ok(Some(PastHold {
        end,
        dimensions: hold.dimensions,
    }))
}

/// The columns of a usage event that are its dimensions, in the order [`dimensions`] reads them.
pub const DIMENSIONS: &str = "\"key\", project, \"user\", agent, feature, plan";

/// Dimensions from six columns, beginning at `first`.
pub fn dimensions(row: &Row<'_>, first: usize) -> rusqlite::Result<Arc<Dimensions>> {
    let text = |place: usize| -> rusqlite::Result<Option<Box<str>>> {
        row.get(first.saturating_add(place))
    };
    Ok(Arc::new(Dimensions {
        key: row
            .get::<_, Option<[u8; 16]>>(first)?
            .map(KeyId::from_bytes),
        project: text(1)?,
        user: text(2)?,
        agent: text(3)?,
        feature: text(4)?,
        plan: text(5)?,
    }))
}

struct ChargeRow {
    at_ms: i64,
    event: EventId,
    postings: Vec<u8>,
    movements: Vec<u8>,
}

fn past_charge(
    connection: &Connection,
    org: OrgId,
    charge: ChargeId,
) -> Result<Option<PastCharge>, StorageError> {
    let row = connection
        .prepare_cached(
            "SELECT t.at_ms, r.event, t.postings, t.movements
             FROM receipts r JOIN transactions t ON t.id = r.\"transaction\"
             WHERE r.charge = ?1 AND r.org = ?2",
        )
        .map_err(failure)?
        .query_row(params![charge.to_bytes(), org.to_bytes()], |row| {
            Ok(ChargeRow {
                at_ms: row.get(0)?,
                event: EventId::from_bytes(row.get(1)?),
                postings: row.get(2)?,
                movements: row.get(3)?,
            })
        })
        .optional()
        .map_err(failure)?;
    let Some(row) = row else { return Ok(None) };
    let broken = || {
        damaged(DamagedRow(format!(
            "the rows of charge `{charge}` contradict"
        )))
    };
    let part = |amount: i64| amount.checked_neg().and_then(Nanos::new);
    let postings = posting_list(&row.postings).ok_or_else(broken)?;
    let shortfall = postings
        .iter()
        .find(|posting| posting.account == Account::Shortfall)
        .map_or(Some(Nanos::ZERO), |posting| part(posting.amount_nanos))
        .ok_or_else(broken)?;
    let paid = movements(&row.movements)
        .ok_or_else(broken)?
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
        at_ms: row.at_ms,
        dimensions: event_dimensions(connection, org, row.event)?.ok_or_else(broken)?,
        paid,
        shortfall,
        refunded: refunded(connection, charge)?.ok_or_else(broken)?,
        grants,
    }))
}

fn event_dimensions(
    connection: &Connection,
    org: OrgId,
    event: EventId,
) -> Result<Option<Arc<Dimensions>>, StorageError> {
    connection
        .prepare_cached(&format!(
            "SELECT {DIMENSIONS} FROM usage_events WHERE id = ?1 AND org = ?2"
        ))
        .map_err(failure)?
        .query_row(params![event.to_bytes(), org.to_bytes()], |row| {
            dimensions(row, 0)
        })
        .optional()
        .map_err(failure)
}

fn refunded(connection: &Connection, charge: ChargeId) -> Result<Option<Nanos>, StorageError> {
    connection
        .prepare_cached("SELECT coalesce(sum(amount_nanos), 0) FROM refunds WHERE charge = ?1")
        .map_err(failure)?
        .query_row([charge.to_bytes()], |row| row.get(0))
        .map(Nanos::new)
        .map_err(failure)
}
