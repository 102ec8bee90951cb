//! Usage events, newest first along the links of an org.

use super::super::chunks::{Chunk, ChunkReader, List, Place, ids};
use super::super::connection::{DamagedRow, damaged};
use super::super::rows::records::{self, ReceiptRecord, UsageRecord};
use super::super::rows::usage::{
    receipt as receipt_body, receipt_without_lines, usage as usage_body,
};
use super::super::write::personal;
use super::{get, nanos, query, query_one, wallets};
use crate::service::ledger::failure::{ReadError, StorageError};
use crate::service::ledger::receipt::Receipt;
use crate::service::ledger::view::{Page, PageRequest, UsageCharge, UsageFilter, UsageView};
use crate::service::ledger::write::Personal;
use farebox_ledger::ids::{ChargeId, EventId, OrgId};
use rusqlite::{Connection, params};

/// How many events a page looks at before it gives up finding more that match; the cursor then
/// leads on, so that a rare match costs several requests and not one endless one.
const LOOKS_MAX: usize = 50_000;

/// The org's event at a place.
pub fn at(
    connection: &Connection,
    org: OrgId,
    place: Place,
) -> Result<Option<UsageRecord>, StorageError> {
    read(&mut ChunkReader::new(connection, List::Usage), org, place)
}

fn read(
    entries: &mut ChunkReader<'_>,
    org: OrgId,
    place: Place,
) -> Result<Option<UsageRecord>, StorageError> {
    let record = entries
        .entry(place)?
        .map(records::usage)
        .transpose()
        .map_err(damaged)?;
    Ok(record.filter(|record| record.org == org))
}

/// An event's entry, and where it stands.
pub fn record(
    connection: &Connection,
    org: OrgId,
    id: EventId,
) -> Result<Option<(Place, UsageRecord)>, StorageError> {
    let Some(place) = ids::find(connection, List::Usage, id.get())? else {
        return Ok(None);
    };
    let record = at(connection, org, place)?;
    Ok(record.map(|record| (place, record)))
}

/// One event.
pub fn one(
    connection: &Connection,
    org: OrgId,
    id: EventId,
) -> Result<Option<UsageView>, StorageError> {
    record(connection, org, id)?
        .map(|(place, record)| Views::new(connection).view(place, record))
        .transpose()
}

/// Makes views of entries: with who called, and with a price that came later.
struct Views<'c> {
    connection: &'c Connection,
    callers: Option<(i64, Option<Chunk>)>,
}

impl<'c> Views<'c> {
    const fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            callers: None,
        }
    }

    fn view(&mut self, place: Place, record: UsageRecord) -> Result<UsageView, StorageError> {
        let body = usage_body(&record.body).map_err(damaged)?;
        let charge = match record.charge {
            Some((id, price, cost)) => Some(UsageCharge {
                id,
                price,
                cost,
                market_usd: body.market_usd,
                saved_usd: body.saved_usd,
            }),
            None => settlement(self.connection, record.org, record.id)?,
        };
        Ok(UsageView {
            id: record.id,
            occurred_at_ms: record.occurred_at_ms,
            recorded_at_ms: record.recorded_at_ms,
            hold: record.hold,
            last: body.last,
            dimensions: record.dimensions,
            event: body.event,
            raw_usage: record.raw,
            audit: body.audit,
            personal: self.personal(place)?,
            charge,
            unpriced: body.unpriced,
        })
    }

    fn personal(&mut self, place: Place) -> Result<Personal, StorageError> {
        let number = place.chunk();
        if self.callers.as_ref().is_none_or(|kept| kept.0 != number) {
            self.callers = Some((number, personal::of_chunk(self.connection, number)?));
        }
        let chunk = self.callers.as_ref().and_then(|kept| kept.1.as_ref());
        let slot = chunk.and_then(|chunk| chunk.get(place.slot()));
        personal::personal(slot.unwrap_or_default()).map_err(damaged)
    }
}

/// The charge of an event that had no price at first. Nobody knew its list price either when the event
/// was written, so that is the receipt's; of what was written off there is none.
fn settlement(
    connection: &Connection,
    org: OrgId,
    id: EventId,
) -> Result<Option<UsageCharge>, StorageError> {
    let sql = "SELECT charge, price_nanos, cost_nanos FROM settlements WHERE event = ?1";
    let settled = query_one(connection, sql, [id.to_bytes()], |row| {
        Ok((
            ChargeId::from_bytes(get(row, 0)?),
            nanos(row, 1)?,
            nanos(row, 2)?,
        ))
    })?;
    let Some((charge, price, cost)) = settled else {
        return Ok(None);
    };
    let record = receipt_record(connection, org, charge)?.ok_or_else(|| {
        damaged(DamagedRow(format!(
            "the receipt of charge `{charge}` is gone"
        )))
    })?;
    let pricing = receipt_without_lines(&record.body).map_err(damaged)?;
    Ok(Some(UsageCharge {
        id: charge,
        price,
        cost,
        market_usd: pricing.market_usd,
        saved_usd: pricing.saved_usd(),
    }))
}

/// Where to begin for events recorded before `to_ms`: the nearest mark after it, or the newest.
fn begin(
    connection: &Connection,
    org: OrgId,
    to_ms: Option<i64>,
) -> Result<Option<Place>, StorageError> {
    if let Some(to_ms) = to_ms {
        let sql = "SELECT place FROM marks WHERE org = ?1 AND at_ms >= ?2
             ORDER BY at_ms, place LIMIT 1";
        let mark = query_one(connection, sql, params![org.to_bytes(), to_ms], |row| {
            get(row, 0)
        })?;
        if mark.is_some() {
            return Ok(mark);
        }
    }
    Ok(wallets::one(connection, org)?.and_then(|row| row.tail.usage_head))
}

/// Walks an org's events, newest first, from after `after` on. `see` says whether to go on.
pub fn walk(
    connection: &Connection,
    org: OrgId,
    filter: &UsageFilter,
    after: Option<Place>,
    mut see: impl FnMut(Place, UsageView) -> bool,
) -> Result<(), ReadError> {
    let mut entries = ChunkReader::new(connection, List::Usage);
    let mut views = Views::new(connection);
    let mut next = match after {
        None => begin(connection, org, filter.to_ms)?,
        Some(after) => {
            let record = read(&mut entries, org, after)?.ok_or(ReadError::Cursor)?;
            record.previous
        }
    };
    while let Some(place) = next {
        let record = read(&mut entries, org, place)?.ok_or_else(|| {
            let number = place.number();
            damaged(DamagedRow(format!(
                "a link to place {number} of the usage events leads nowhere"
            )))
        })?;
        if filter
            .from_ms
            .is_some_and(|from| record.recorded_at_ms < from)
        {
            break;
        }
        next = record.previous;
        if !see(place, views.view(place, record)?) {
            break;
        }
    }
    Ok(())
}

/// Whether an event is asked for.
pub fn matches(filter: &UsageFilter, view: &UsageView) -> bool {
    let dimensions = &view.dimensions;
    let text = |wanted: &Option<Box<str>>, value: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| value == Some(wanted))
    };
    filter.to_ms.is_none_or(|to| view.recorded_at_ms < to)
        && filter
            .from_ms
            .is_none_or(|from| view.recorded_at_ms >= from)
        && filter.key.is_none_or(|key| dimensions.key == Some(key))
        && text(&filter.provider, Some(&view.event.provider))
        && text(&filter.model, view.event.model())
        && text(&filter.feature, dimensions.feature.as_deref())
        && text(&filter.project, dimensions.project.as_deref())
        && text(&filter.user, dimensions.user.as_deref())
        && text(&filter.agent, dimensions.agent.as_deref())
        && filter
            .unpriced
            .is_none_or(|unpriced| view.charge.is_none() == unpriced)
}

/// A page of an org's events, newest first.
pub fn page(
    connection: &Connection,
    org: OrgId,
    filter: &UsageFilter,
    page: PageRequest,
) -> Result<Page<UsageView>, ReadError> {
    let limit = page.limit.clamp(1, PageRequest::LIMIT_MAX);
    let after = page
        .after
        .map(|after| Place::from_cursor(after).ok_or(ReadError::Cursor))
        .transpose()?;
    let mut items = Vec::new();
    let mut next = None;
    let mut last = None;
    let mut looks = 0_usize;
    walk(connection, org, filter, after, |place, view| {
        if items.len() >= limit || looks >= LOOKS_MAX {
            next = last;
            return false;
        }
        looks = looks.saturating_add(1);
        last = Some(place.cursor());
        if matches(filter, &view) {
            items.push(view);
        }
        true
    })?;
    Ok(Page { items, next })
}

/// Usage that waits for a price, oldest first, of any org, from after `after` on.
pub fn unpriced(
    connection: &Connection,
    after: Option<EventId>,
    limit: usize,
) -> Result<Vec<(OrgId, EventId)>, StorageError> {
    let sql = "SELECT org, event FROM unpriced WHERE event > ?1 ORDER BY event LIMIT ?2";
    let after = after.map_or([0; 16], EventId::to_bytes);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    query(connection, sql, params![after, limit], |row| {
        Ok((
            OrgId::from_bytes(get(row, 0)?),
            EventId::from_bytes(get(row, 1)?),
        ))
    })
}

/// The entry of a charge's receipt.
pub fn receipt_record(
    connection: &Connection,
    org: OrgId,
    charge: ChargeId,
) -> Result<Option<ReceiptRecord>, StorageError> {
    let Some(place) = ids::find(connection, List::Receipts, charge.get())? else {
        return Ok(None);
    };
    let mut entries = ChunkReader::new(connection, List::Receipts);
    let record = entries
        .entry(place)?
        .map(records::receipt)
        .transpose()
        .map_err(damaged)?;
    Ok(record.filter(|record| record.org == org))
}

/// The receipt of a charge.
pub fn receipt(
    connection: &Connection,
    org: OrgId,
    charge: ChargeId,
) -> Result<Option<Receipt>, StorageError> {
    let Some(record) = receipt_record(connection, org, charge)? else {
        return Ok(None);
    };
    let usage = at(connection, org, record.usage)?.ok_or_else(|| {
        damaged(DamagedRow(format!(
            "the usage event of charge `{charge}` is gone"
        )))
    })?;
    Ok(Some(Receipt {
        charge,
        event_id: record.event,
        event: usage_body(&usage.body).map_err(damaged)?.event,
        pricing: receipt_body(&record.body).map_err(damaged)?,
    }))
}
