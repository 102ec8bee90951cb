//! Transactions. An org's are a chain of links, newest first, so a page is as many look-ups as it
//! has items and needs no index of its own.

use super::super::connection::{DamagedRow, damaged};
use super::super::rows::ledger::{movements, posting_list};
use super::{blob, count, get, known, query_one, wallets};
use crate::service::ledger::failure::{ReadError, StorageError};
use crate::service::ledger::view::{Page, PageRequest, TransactionView};
use farebox_ledger::ids::{
    ChargeId, CommodityId, EventId, GrantId, HoldId, OrgId, RefundId, TransactionId,
};
use farebox_ledger::transaction::{Postings, Transaction, TransactionKind, UnbalancedError};
use rusqlite::{Connection, Row, params};

/// A transaction's row, and the link to the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// With postings even where they do not balance: then they are empty, and this says so.
    pub transaction: Transaction,
    pub unbalanced: Option<UnbalancedError>,
    pub previous: Option<TransactionId>,
}

/// The columns [`read`] reads; `prev_hash` comes from the row before.
pub const COLUMNS: &str = "t.id, t.org, t.seq, t.previous, t.at_ms, t.commodity, t.kind,
    t.subject, t.second, t.third, t.postings, t.movements, t.detail_digest, t.hash";

/// One row. Its `prev_hash` is zeros: the caller knows the row before.
pub fn read(row: &Row<'_>) -> Result<JournalRow, StorageError> {
    let id = TransactionId::from_bytes(get(row, 0)?);
    let broken = |what: &str| {
        damaged(DamagedRow(format!(
            "transaction `{id}` has an unreadable {what}"
        )))
    };
    let postings = posting_list(blob(row, 10)?).ok_or_else(|| broken("list of postings"))?;
    let (postings, unbalanced) = match Postings::new(postings) {
        Ok(postings) => (postings, None),
        Err(error) => (Postings::default(), Some(error)),
    };
    let transaction = Transaction {
        id,
        org: OrgId::from_bytes(get(row, 1)?),
        seq: count(row, 2)?,
        kind: known(kind(row)?, "kind of transaction")?,
        at_ms: get(row, 4)?,
        commodity: CommodityId::from_bytes(get(row, 5)?),
        postings,
        movements: movements(blob(row, 11)?).ok_or_else(|| broken("list of movements"))?,
        detail_digest: get::<Option<[u8; 32]>>(row, 12)?.unwrap_or_default(),
        prev_hash: [0; 32],
        hash: get(row, 13)?,
    };
    Ok(JournalRow {
        transaction,
        unbalanced,
        previous: get::<Option<[u8; 16]>>(row, 3)?.map(TransactionId::from_bytes),
    })
}

fn kind(row: &Row<'_>) -> Result<Option<TransactionKind>, StorageError> {
    let id = |column| get::<Option<[u8; 16]>>(row, column);
    let (subject, second, third) = (id(7)?, id(8)?, id(9)?);
    Ok(match (get::<i64>(row, 6)?, subject, second) {
        (1, Some(grant), _) => Some(TransactionKind::Grant {
            grant: GrantId::from_bytes(grant),
        }),
        (2, Some(grant), Some(refund)) => Some(TransactionKind::GrantRefund {
            grant: GrantId::from_bytes(grant),
            refund: RefundId::from_bytes(refund),
        }),
        (3, ..) => Some(TransactionKind::Deduction),
        (4, Some(charge), Some(event)) => Some(TransactionKind::Charge {
            charge: ChargeId::from_bytes(charge),
            event: EventId::from_bytes(event),
            hold: third.map(HoldId::from_bytes),
        }),
        (5, Some(charge), Some(refund)) => Some(TransactionKind::ChargeRefund {
            charge: ChargeId::from_bytes(charge),
            refund: RefundId::from_bytes(refund),
        }),
        (6, Some(grant), _) => Some(TransactionKind::Breakage {
            grant: GrantId::from_bytes(grant),
        }),
        (7, ..) => Some(TransactionKind::Settlement),
        (8, ..) => Some(TransactionKind::Repayment),
        (9, ..) => Some(TransactionKind::Absorption),
        _ => None,
    })
}

/// An org's transactions, newest first.
pub fn page(
    connection: &Connection,
    org: OrgId,
    page: PageRequest,
) -> Result<Page<TransactionView>, ReadError> {
    let limit = page.limit.clamp(1, PageRequest::LIMIT_MAX);
    let mut next = match page.after {
        None => wallets::one(connection, org)?.and_then(|row| row.tail.head),
        Some(after) => {
            let after = TransactionId::new(after);
            let row = one(connection, org, after)?.ok_or(ReadError::Cursor)?;
            row.0.previous
        }
    };
    let mut items = Vec::new();
    let mut last: Option<TransactionId> = None;
    while let (Some(id), true) = (next, items.len() < limit) {
        let (row, note, prev_hash) =
            one(connection, org, id)?.ok_or_else(|| missing(id, "link"))?;
        last = Some(id);
        next = row.previous;
        let mut transaction = row.transaction;
        transaction.prev_hash = prev_hash;
        items.push(TransactionView { transaction, note });
    }
    Ok(Page {
        items,
        next: next.and(last).map(TransactionId::get),
    })
}

fn missing(id: TransactionId, what: &str) -> StorageError {
    damaged(DamagedRow(format!(
        "the {what} to transaction `{id}` leads nowhere"
    )))
}

type Linked = (JournalRow, Option<Box<str>>, [u8; 32]);

fn one(
    connection: &Connection,
    org: OrgId,
    id: TransactionId,
) -> Result<Option<Linked>, StorageError> {
    let sql = format!(
        "SELECT {COLUMNS}, n.note, p.hash FROM transactions t
         LEFT JOIN notes n ON n.\"transaction\" = t.id
         LEFT JOIN transactions p ON p.id = t.previous
         WHERE t.id = ?1 AND t.org = ?2"
    );
    query_one(
        connection,
        &sql,
        params![id.to_bytes(), org.to_bytes()],
        |row| {
            Ok((
                read(row)?,
                get(row, 14)?,
                get::<Option<[u8; 32]>>(row, 15)?.unwrap_or_default(),
            ))
        },
    )
}
