//! Charges in the order they were posted, a few chunks of receipts at a time, with what was used
//! beside them.
//!
//! Receipts stand in the order of their transactions, and transactions in that of their ids, so where
//! a range begins is found by halving. It is the ids' time that rises, whatever the clock does: what
//! was posted says the time of its id or an earlier one. Memory holds one part.

use super::super::chunks::{Chunk, ChunkReader, List, Place, first_at_or_after};
use super::super::connection::{DamagedRow, damaged};
use super::super::rows::records::{self, PastUsage};
use super::super::rows::usage::{receipt, receipt_without_lines};
use super::{get, query_one, usage};
use crate::service::ledger::failure::{ReadError, StorageError};
use crate::service::ledger::past::{Lines, PastCharge, PastWaiting, Span};
use farebox_ledger::ids::EventId;
use rusqlite::Connection;
use std::ops::Range;

/// Chunks of receipts in a part: a thousand charges.
const PART: u64 = 32;

/// A range ends so much later among ids: a machine's clock may have been set back by this much, and
/// ids then stay at the time before.
const SET_BACK_MS: i64 = 24 * 3_600_000;

/// Chunks of usage events kept: those of charges that were posted together.
const KEEP: usize = 8;

/// Where the charges that were posted in a range of time stand.
pub fn span(connection: &Connection, posted_ms: Range<i64>) -> Result<Span, StorageError> {
    let Range { start, end } = posted_ms;
    let chunks = match newest(connection)? {
        Some(newest) if start < end => {
            let begin = match start {
                i64::MIN => 0,
                start => receipts_from(connection, start, newest)?,
            };
            let upto = match end {
                i64::MAX => newest,
                // What was posted last before the end may share a chunk with what came after.
                end => receipts_from(connection, end.saturating_add(SET_BACK_MS), newest)?,
            };
            begin..upto.saturating_add(1)
        }
        _ => 0..0,
    };
    let parts = chunks.start.checked_div(PART).unwrap_or_default()..chunks.end.div_ceil(PART);
    Ok(Span {
        parts,
        posted_ms: start..end,
    })
}

fn newest(connection: &Connection) -> Result<Option<u64>, StorageError> {
    let sql = "SELECT max(chunk) FROM receipts";
    let newest: Option<Option<i64>> = query_one(connection, sql, [], |row| get(row, 0))?;
    Ok(newest.flatten().and_then(|chunk| u64::try_from(chunk).ok()))
}

/// The chunk of receipts in which the first of a transaction with an id of `at_ms` or later may
/// stand.
fn receipts_from(connection: &Connection, at_ms: i64, newest: u64) -> Result<u64, StorageError> {
    let chunk = first_at_or_after(connection, List::Transactions, |entry| {
        let record = records::transaction(entry).map_err(damaged)?;
        Ok(record.transaction.id.unix_ms() < at_ms)
    })?;
    let transaction = Place::new(chunk, 0);
    let chunk = first_at_or_after(connection, List::Receipts, |entry| {
        Ok(records::receipt_transaction(entry).map_err(damaged)? < transaction)
    })?;
    Ok(u64::try_from(chunk).unwrap_or_default().min(newest))
}

/// The charges of a part.
pub fn charges(
    connection: &Connection,
    span: &Span,
    part: u64,
    lines: Lines,
) -> Result<Vec<PastCharge>, ReadError> {
    let from = part.saturating_mul(PART);
    let mut found = Vec::new();
    let mut beside = Beside::new(connection);
    let mut statement = connection
        .prepare_cached(
            "SELECT entries FROM receipts WHERE chunk >= ?1 AND chunk < ?2 ORDER BY chunk",
        )
        .map_err(super::failure)?;
    let range = [from, from.saturating_add(PART)].map(|end| i64::try_from(end).unwrap_or(i64::MAX));
    let mut rows = statement.query(range).map_err(super::failure)?;
    while let Some(row) = rows.next().map_err(super::failure)? {
        let chunk = Chunk::decode(super::blob(row, 0)?).map_err(damaged)?;
        if found.is_empty() {
            // Most chunks are full.
            let chunks = usize::try_from(PART).unwrap_or_default();
            found.reserve(chunk.len().saturating_mul(chunks));
        }
        for slot in 0..chunk.len() {
            let entry = chunk.get(slot).unwrap_or_default();
            let charge = beside.charge(entry, &span.posted_ms, lines)?;
            found.extend(charge);
        }
    }
    Ok(found)
}

/// What stands beside receipts.
struct Beside<'c> {
    connection: &'c Connection,
    usage: ChunkReader<'c>,
}

impl<'c> Beside<'c> {
    fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            usage: ChunkReader::keeping(connection, List::Usage, KEEP),
        }
    }

    /// The charge of a receipt, where it was posted in this range of time.
    fn charge(
        &mut self,
        entry: &[u8],
        posted_ms: &Range<i64>,
        lines: Lines,
    ) -> Result<Option<PastCharge>, StorageError> {
        let record = records::receipt_at(entry).map_err(damaged)?;
        let gone = || {
            let charge = record.charge;
            damaged(DamagedRow(format!(
                "the usage event of charge `{charge}` is gone"
            )))
        };
        let usage = self.usage.entry(record.usage)?.ok_or_else(gone)?;
        let PastUsage {
            id,
            recorded_at_ms,
            charge,
            event,
        } = records::past_usage(usage).map_err(damaged)?;
        if id != record.event {
            return Err(gone());
        }
        let posted_at_ms = match charge {
            Some(charge) if charge == record.charge => recorded_at_ms,
            // It was settled later.
            _ => {
                super::journal::at(self.connection, record.org, record.transaction)?
                    .ok_or_else(gone)?
                    .transaction
                    .at_ms
            }
        };
        if !posted_ms.contains(&posted_at_ms) {
            return Ok(None);
        }
        let pricing = match lines {
            Lines::LeftOut => receipt_without_lines(record.body),
            Lines::Read => receipt(record.body),
        };
        Ok(Some(PastCharge {
            org: record.org,
            charge: record.charge,
            event_id: record.event,
            posted_at_ms,
            event: super::super::rows::usage::event(event).map_err(damaged)?,
            pricing: pricing.map_err(damaged)?,
        }))
    }
}

/// Usage that waits for a price, oldest first.
pub fn waiting(
    connection: &Connection,
    after: Option<EventId>,
    limit: usize,
) -> Result<Vec<PastWaiting>, ReadError> {
    let mut found = Vec::new();
    for (org, event_id) in usage::unpriced(connection, after, limit)? {
        let Some((_, record)) = usage::record(connection, org, event_id)? else {
            continue;
        };
        let body = super::super::rows::usage::usage(&record.body).map_err(damaged)?;
        found.push(PastWaiting {
            org,
            event_id,
            recorded_at_ms: record.recorded_at_ms,
            unpriced: body.unpriced,
        });
    }
    Ok(found)
}
