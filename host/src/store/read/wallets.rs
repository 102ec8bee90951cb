//! Wallet rows.

use super::super::write::memory::Tail;
use super::{blob, count, get, known, nanos, query, query_one};
use crate::service::ledger::failure::StorageError;
use farebox_ledger::account::{Account, Balances};
use farebox_ledger::ids::{CommodityId, OrgId};
use farebox_ledger::state::Wallet;
use rusqlite::{Connection, Row};

/// A wallet's row. What is held is not in it: that is the sum of the active holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalletRow {
    pub org: OrgId,
    pub wallet: Wallet,
    pub tail: Tail,
}

const COLUMNS: &str = "SELECT org, commodity, credit_limit_nanos, overdraft_nanos, balances, seq,
    head_hash, head, usage_seq, usage_head, month, month_nanos, at_ms FROM wallets";

/// Every wallet.
pub fn all(connection: &Connection) -> Result<Vec<WalletRow>, StorageError> {
    query(connection, &format!("{COLUMNS} ORDER BY org"), [], read)
}

/// One wallet.
pub fn one(connection: &Connection, org: OrgId) -> Result<Option<WalletRow>, StorageError> {
    let sql = format!("{COLUMNS} WHERE org = ?1");
    query_one(connection, &sql, [org.to_bytes()], read)
}

fn read(row: &Row<'_>) -> Result<WalletRow, StorageError> {
    let commodity = CommodityId::from_bytes(get(row, 1)?);
    let mut wallet = Wallet::new(commodity, nanos(row, 2)?, get(row, 12)?);
    wallet.overdraft = nanos(row, 3)?;
    wallet.balances = known(balances(blob(row, 4)?), "set of balances")?;
    wallet.seq = count(row, 5)?;
    wallet.head_hash = get(row, 6)?;
    Ok(WalletRow {
        org: OrgId::from_bytes(get(row, 0)?),
        wallet,
        tail: Tail {
            head: get(row, 7)?,
            usage_seq: count(row, 8)?,
            usage_head: get(row, 9)?,
            month: get(row, 10)?,
            month_nanos: nanos(row, 11)?,
        },
    })
}

fn balances(bytes: &[u8]) -> Option<Balances> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() || chunks.len() != Account::COUNT {
        return None;
    }
    let mut balances = [0; Account::COUNT];
    for (balance, chunk) in balances.iter_mut().zip(chunks) {
        *balance = i64::from_be_bytes(*chunk);
    }
    Some(Balances::new(balances))
}
