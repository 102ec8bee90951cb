//! Corrections of charges, and what else became of a charge.

use super::{get, nanos, query, query_one};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::past::{Corrected, CorrectionView};
use crate::service::ledger::write::Way;
use crate::service::policy::{Digest, ReleaseId};
use farebox_ledger::ids::{ChargeId, TransactionId};
use farebox_pricing::money::Nanos;
use rusqlite::Connection;

/// What became of a charge after it was posted.
pub fn corrected(connection: &Connection, charge: ChargeId) -> Result<Corrected, StorageError> {
    let sql = "SELECT coalesce((SELECT sum(amount_nanos) FROM refunds WHERE charge = ?1), 0),
        coalesce(sum(max(-amount_nanos, 0)) FILTER (WHERE NOT returned), 0),
        coalesce(sum(max(amount_nanos, 0)), 0),
        coalesce(sum(max(-amount_nanos, 0)) FILTER (WHERE returned), 0)
        FROM corrections WHERE charge = ?1";
    let found = query_one(connection, sql, [charge.to_bytes()], |row| {
        Ok(Corrected {
            refunded: nanos(row, 0)?,
            given_back: nanos(row, 1)?,
            taken: nanos(row, 2)?,
            returned: nanos(row, 3)?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// Whether anything became of any charge: a sum over many asks this once.
pub fn any(connection: &Connection) -> Result<bool, StorageError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM refunds) OR EXISTS (SELECT 1 FROM corrections)";
    let found = query_one(connection, sql, [], |row| get(row, 0))?;
    Ok(found.unwrap_or(false))
}

/// The corrections of a charge, oldest first.
pub fn of(connection: &Connection, charge: ChargeId) -> Result<Vec<CorrectionView>, StorageError> {
    let sql = "SELECT \"transaction\", component, book, amount_nanos, returned FROM corrections
        WHERE charge = ?1 ORDER BY \"transaction\"";
    query(connection, sql, [charge.to_bytes()], |row| {
        let amount_nanos: i64 = get(row, 3)?;
        let size = i64::try_from(amount_nanos.unsigned_abs()).ok();
        Ok(CorrectionView {
            transaction: TransactionId::from_bytes(get(row, 0)?),
            release: ReleaseId {
                component: Digest(get(row, 1)?),
                book: Digest(get(row, 2)?),
            },
            way: match (amount_nanos < 0, get(row, 4)?) {
                (true, false) => Way::Back,
                (true, true) => Way::Returned,
                (false, _) => Way::Taken,
            },
            amount: size.and_then(Nanos::new).unwrap_or(Nanos::MAX),
        })
    })
}
