//! What was counted for rules of the price book.

use super::{get, known, query};
use crate::service::ledger::failure::StorageError;
use farebox_ledger::ids::OrgId;
use farebox_pricing::exact;
use rusqlite::Connection;
use rusqlite::types::Value;
use rust_decimal::Decimal;

/// The sum over all charges of a period.
pub fn sum(
    connection: &Connection,
    org: OrgId,
    rule: &str,
    period: &str,
) -> Result<Decimal, StorageError> {
    let sql = "SELECT quantity FROM counts WHERE org = ?1 AND rule = ?2 AND period = ?3";
    let key: [Value; 3] = [
        org.to_bytes().to_vec().into(),
        rule.to_owned().into(),
        period.to_owned().into(),
    ];
    let counts = query(connection, sql, key, |row| {
        let quantity: String = get(row, 0)?;
        known(Decimal::from_str_exact(&quantity).ok(), "count")
    })?;
    known(exact::sum(counts).ok(), "sum of counts")
}
