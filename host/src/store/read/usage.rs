//! Usage events, newest first along the links of an org.

use super::super::connection::{DamagedRow, damaged};
use super::super::rows::usage::{receipt as receipt_row, usage};
use super::super::write::journal::LIST_USAGE;
use super::super::write::recall::dimensions;
use super::{blob, get, nanos, query, query_one, wallets};
use crate::service::ledger::failure::{ReadError, StorageError};
use crate::service::ledger::receipt::Receipt;
use crate::service::ledger::view::{Page, PageRequest, UsageCharge, UsageFilter, UsageView};
use crate::service::ledger::write::Personal;
use farebox_ledger::ids::{ChargeId, EventId, HoldId, OrgId};
use rusqlite::{Connection, Row, params};

/// How many events a page looks at before it gives up finding more that match; the cursor then
/// leads on, so that a rare match costs several requests and not one endless one.
const LOOKS_MAX: usize = 50_000;

const COLUMNS: &str = "u.id, u.previous, u.occurred_at_ms, u.recorded_at_ms, u.hold,
    coalesce(u.charge, s.charge), coalesce(u.price_nanos, s.price_nanos),
    coalesce(u.cost_nanos, s.cost_nanos), u.\"key\", u.project, u.\"user\", u.agent, u.feature,
    u.plan, u.body, u.raw, p.client_ip, p.user_agent
    FROM usage_events u LEFT JOIN settlements s ON s.event = u.id
    LEFT JOIN personal p ON p.subject = u.id";

/// An event and the link to the one before.
pub type Linked = (UsageView, Option<EventId>);

fn read(row: &Row<'_>) -> Result<Linked, StorageError> {
    let body = usage(blob(row, 14)?).map_err(damaged)?;
    let charge = match get::<Option<[u8; 16]>>(row, 5)? {
        None => None,
        Some(id) => Some(UsageCharge {
            id: ChargeId::from_bytes(id),
            price: nanos(row, 6)?,
            cost: nanos(row, 7)?,
            market_usd: body.market_usd,
        }),
    };
    let view = UsageView {
        id: EventId::from_bytes(get(row, 0)?),
        occurred_at_ms: get(row, 2)?,
        recorded_at_ms: get(row, 3)?,
        hold: get::<Option<[u8; 16]>>(row, 4)?.map(HoldId::from_bytes),
        last: body.last,
        dimensions: dimensions(row, 8).map_err(super::failure)?,
        event: body.event,
        raw_usage: get::<Option<Vec<u8>>>(row, 15)?.map(Vec::into_boxed_slice),
        audit: body.audit,
        personal: Personal {
            client_ip: get(row, 16)?,
            user_agent: get(row, 17)?,
        },
        charge,
        unpriced: body.unpriced,
    };
    let previous = get::<Option<[u8; 16]>>(row, 1)?.map(EventId::from_bytes);
    Ok((view, previous))
}

/// One event.
pub fn one(
    connection: &Connection,
    org: OrgId,
    id: EventId,
) -> Result<Option<Linked>, StorageError> {
    let sql = format!("SELECT {COLUMNS} WHERE u.id = ?1 AND u.org = ?2");
    let ids = params![id.to_bytes(), org.to_bytes()];
    query_one(connection, &sql, ids, read)
}

/// Where to begin for events recorded before `to_ms`: the nearest mark after it, or the newest.
fn begin(
    connection: &Connection,
    org: OrgId,
    to_ms: Option<i64>,
) -> Result<Option<EventId>, StorageError> {
    if let Some(to_ms) = to_ms {
        let sql = "SELECT id FROM marks WHERE org = ?1 AND list = ?2 AND at_ms >= ?3
             ORDER BY at_ms, id LIMIT 1";
        let near = params![org.to_bytes(), LIST_USAGE, to_ms];
        let mark = query_one(connection, sql, near, |row| {
            Ok(EventId::from_bytes(get(row, 0)?))
        })?;
        if mark.is_some() {
            return Ok(mark);
        }
    }
    Ok(wallets::one(connection, org)?.and_then(|row| row.tail.usage_head))
}

/// Walks an org's events, newest first, from `after` on. `see` says whether to go on.
pub fn walk(
    connection: &Connection,
    org: OrgId,
    filter: &UsageFilter,
    after: Option<EventId>,
    mut see: impl FnMut(UsageView) -> bool,
) -> Result<(), ReadError> {
    let mut next = match after {
        None => begin(connection, org, filter.to_ms)?,
        Some(after) => one(connection, org, after)?.ok_or(ReadError::Cursor)?.1,
    };
    while let Some(id) = next {
        let (view, previous) = one(connection, org, id)?.ok_or_else(|| {
            damaged(DamagedRow(format!(
                "the link to event `{id}` leads nowhere"
            )))
        })?;
        if filter
            .from_ms
            .is_some_and(|from| view.recorded_at_ms < from)
        {
            break;
        }
        next = previous;
        if !see(view) {
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
    let mut items = Vec::new();
    let mut next = None;
    let mut last = None;
    let mut looks = 0_usize;
    walk(
        connection,
        org,
        filter,
        page.after.map(EventId::new),
        |view| {
            if items.len() >= limit || looks >= LOOKS_MAX {
                next = last;
                return false;
            }
            looks = looks.saturating_add(1);
            last = Some(view.id.get());
            if matches(filter, &view) {
                items.push(view);
            }
            true
        },
    )?;
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

/// The receipt of a charge.
pub fn receipt(
    connection: &Connection,
    org: OrgId,
    charge: ChargeId,
) -> Result<Option<Receipt>, StorageError> {
    let sql = "SELECT r.event, r.body, u.body FROM receipts r
         JOIN usage_events u ON u.id = r.event
         WHERE r.charge = ?1 AND r.org = ?2";
    let ids = params![charge.to_bytes(), org.to_bytes()];
    query_one(connection, sql, ids, |row| {
        Ok(Receipt {
            charge,
            event_id: EventId::from_bytes(get(row, 0)?),
            event: usage(blob(row, 2)?).map_err(damaged)?.event,
            pricing: receipt_row(blob(row, 1)?).map_err(damaged)?,
        })
    })
}
