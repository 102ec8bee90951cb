//! Lots: their terms, and what is left of them.

use super::{get, known, nanos, query, query_one};
use crate::service::ledger::failure::StorageError;
use farebox_ledger::grant::{Cash, Grant, GrantSource, GrantTerms};
use farebox_ledger::hold::{Hold, Payer};
use farebox_ledger::ids::{GrantId, OrgId};
use farebox_pricing::money::Nanos;
use rusqlite::{Connection, Row, params};
use std::collections::HashMap;

const COLUMNS: &str = "g.id, g.org, g.source, g.amount_nanos, g.cash_currency,
    g.cash_minor_units, g.priority, g.expires_at_ms, g.features, g.granted_at_ms,
    coalesce(l.remaining_nanos, 0)";

/// Lots with something left, of one org or of all. What is reserved is left at zero.
pub fn live(
    connection: &Connection,
    org: Option<OrgId>,
) -> Result<Vec<(OrgId, Grant)>, StorageError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM lots l JOIN grants g ON g.id = l.id WHERE ?1 IS NULL OR l.org = ?1"
    );
    query(connection, &sql, [org.map(OrgId::to_bytes)], read)
}

/// Every lot there ever was, in the order of ids.
pub fn every(connection: &Connection) -> Result<Vec<(OrgId, Grant)>, StorageError> {
    let sql =
        format!("SELECT {COLUMNS} FROM grants g LEFT JOIN lots l ON l.id = g.id ORDER BY g.id");
    query(connection, &sql, [], read)
}

/// One lot, spent or not.
pub fn grant(
    connection: &Connection,
    org: OrgId,
    id: GrantId,
) -> Result<Option<Grant>, StorageError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM grants g LEFT JOIN lots l ON l.id = g.id
         WHERE g.id = ?1 AND g.org = ?2"
    );
    let row = query_one(
        connection,
        &sql,
        params![id.to_bytes(), org.to_bytes()],
        read,
    )?;
    Ok(row.map(|(_, grant)| grant))
}

/// Fills in what active holds have named of each lot.
pub fn reserve(grants: &mut [Grant], holds: &[Hold]) {
    let mut reserved: HashMap<GrantId, Nanos> = HashMap::new();
    for part in holds.iter().flat_map(|hold| &hold.reserves) {
        if let Payer::Grant(id) = part.payer {
            let sum = reserved.entry(id).or_default();
            *sum = sum.checked_add(part.amount).unwrap_or(Nanos::MAX);
        }
    }
    for grant in grants {
        grant.reserved = reserved.remove(&grant.id()).unwrap_or_default();
    }
}

fn read(row: &Row<'_>) -> Result<(OrgId, Grant), StorageError> {
    let source: String = get(row, 2)?;
    let features: String = get(row, 8)?;
    let currency: Option<String> = get(row, 4)?;
    let minor_units: Option<i64> = get(row, 5)?;
    let cash_paid = match (currency, minor_units) {
        (Some(currency), Some(minor_units)) => Some(Cash {
            currency: known(currency.as_bytes().try_into().ok(), "currency")?,
            minor_units: known(u64::try_from(minor_units).ok(), "amount of cash")?,
        }),
        _ => None,
    };
    let terms = GrantTerms {
        id: GrantId::from_bytes(get(row, 0)?),
        source: known(GrantSource::from_name(&source), "grant source")?,
        amount: nanos(row, 3)?,
        cash_paid,
        priority: get(row, 6)?,
        expires_at_ms: get(row, 7)?,
        features: features
            .split('\n')
            .filter(|feature| !feature.is_empty())
            .map(Box::from)
            .collect(),
        granted_at_ms: get(row, 9)?,
    };
    let mut grant = Grant::new(terms);
    grant.remaining = nanos(row, 10)?;
    Ok((OrgId::from_bytes(get(row, 1)?), grant))
}
