//! Transactions. An org's are a chain of links, newest first, so a page is as many look-ups as it
//! has items and needs no index of its own.

use super::super::chunks::{ChunkReader, List, Place};
use super::super::connection::{DamagedRow, damaged};
use super::super::rows::records::{TransactionRecord, transaction};
use super::{get, query_one, wallets};
use crate::service::ledger::failure::{ReadError, StorageError};
use crate::service::ledger::view::{Page, PageRequest, TransactionView};
use farebox_ledger::ids::{OrgId, TransactionId};
use rusqlite::Connection;

/// The org's transaction at a place.
pub fn at(
    connection: &Connection,
    org: OrgId,
    place: Place,
) -> Result<Option<TransactionRecord>, StorageError> {
    read(
        &mut ChunkReader::new(connection, List::Transactions),
        org,
        place,
    )
}

fn read(
    entries: &mut ChunkReader<'_>,
    org: OrgId,
    place: Place,
) -> Result<Option<TransactionRecord>, StorageError> {
    let record = entries
        .entry(place)?
        .map(transaction)
        .transpose()
        .map_err(damaged)?;
    Ok(record.filter(|record| record.transaction.org == org))
}

/// An org's transactions, newest first.
pub fn page(
    connection: &Connection,
    org: OrgId,
    page: PageRequest,
) -> Result<Page<TransactionView>, ReadError> {
    let limit = page.limit.clamp(1, PageRequest::LIMIT_MAX);
    let mut entries = ChunkReader::new(connection, List::Transactions);
    let mut next = match page.after {
        None => wallets::one(connection, org)?.and_then(|row| row.tail.head),
        Some(after) => {
            let after = Place::from_cursor(after).ok_or(ReadError::Cursor)?;
            let record = read(&mut entries, org, after)?.ok_or(ReadError::Cursor)?;
            record.previous
        }
    };
    let mut items: Vec<TransactionView> = Vec::new();
    let mut last = None;
    while let Some(place) = next {
        let record = read(&mut entries, org, place)?.ok_or_else(|| missing(place))?;
        // The hash before a transaction is the one before it.
        if let Some(later) = items.last_mut() {
            later.transaction.prev_hash = record.transaction.hash;
        }
        if items.len() >= limit {
            break;
        }
        last = Some(place);
        next = record.previous;
        items.push(TransactionView {
            note: note(connection, record.transaction.id)?,
            transaction: record.transaction,
        });
    }
    Ok(Page {
        items,
        next: next.and(last).map(Place::cursor),
    })
}

fn note(connection: &Connection, id: TransactionId) -> Result<Option<Box<str>>, StorageError> {
    let sql = "SELECT note FROM notes WHERE \"transaction\" = ?1";
    query_one(connection, sql, [id.to_bytes()], |row| get(row, 0))
}

fn missing(place: Place) -> StorageError {
    let number = place.number();
    damaged(DamagedRow(format!(
        "a link to place {number} of the transactions leads nowhere"
    )))
}
