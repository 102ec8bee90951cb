//! Orgs, keys, kinds of credit, quotes and queries.

use super::super::connection::damaged;
use super::super::rows::quote::{query as query_row, quote};
use super::{blob, get, known, query, query_one};
use crate::service::ledger::directory::{KeyRecord, OrgRecord, QueryRecord, QuoteRecord};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::view::{Page, PageRequest};
use crate::service::ledger::write::Personal;
use farebox_ledger::commodity::Commodity;
use farebox_ledger::ids::{CommodityId, KeyId, OrgId, QueryId, QuoteId};
use farebox_pricing::currency::Currency;
use rusqlite::{Connection, Params, Row, params};

/// Every kind of credit, oldest first.
pub fn commodities(connection: &Connection) -> Result<Vec<Commodity>, StorageError> {
    let sql = "SELECT id, name, usd_per_credit, currency FROM commodities ORDER BY id";
    query(connection, sql, [], |row| {
        let per_credit: String = get(row, 2)?;
        let currency: String = get(row, 3)?;
        Ok(Commodity {
            id: CommodityId::from_bytes(get(row, 0)?),
            name: get(row, 1)?,
            currency: known(Currency::from_code(&currency), "currency")?,
            per_credit: known(per_credit.parse().ok(), "worth of a credit")?,
        })
    })
}

fn org_record(row: &Row<'_>) -> Result<OrgRecord, StorageError> {
    Ok(OrgRecord {
        id: OrgId::from_bytes(get(row, 0)?),
        name: get(row, 1)?,
        plan: get(row, 2)?,
        created_at_ms: get(row, 3)?,
    })
}

/// One org.
pub fn org(connection: &Connection, org: OrgId) -> Result<Option<OrgRecord>, StorageError> {
    let sql = "SELECT id, name, plan, created_at_ms FROM orgs WHERE id = ?1";
    query_one(connection, sql, [org.to_bytes()], org_record)
}

/// Whether an org is on this plan.
pub fn has_plan(connection: &Connection, plan: &str) -> Result<bool, StorageError> {
    let sql = "SELECT 1 FROM orgs WHERE plan = ?1 LIMIT 1";
    Ok(query_one(connection, sql, [plan], |_| Ok(()))?.is_some())
}

/// Orgs after `after`, oldest first.
pub fn orgs(
    connection: &Connection,
    after: Option<OrgId>,
    limit: usize,
) -> Result<Vec<OrgRecord>, StorageError> {
    let sql = "SELECT id, name, plan, created_at_ms FROM orgs
         WHERE ?1 IS NULL OR id > ?1 ORDER BY id LIMIT ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    query(
        connection,
        sql,
        params![after.map(OrgId::to_bytes), limit],
        org_record,
    )
}

const KEY: &str = "SELECT id, org, name, prefix, hash, scopes, created_at_ms, expires_at_ms,
    revoked_at_ms FROM api_keys WHERE";

fn key_record(row: &Row<'_>) -> Result<KeyRecord, StorageError> {
    let scopes: String = get(row, 5)?;
    Ok(KeyRecord {
        id: KeyId::from_bytes(get(row, 0)?),
        org: OrgId::from_bytes(get(row, 1)?),
        name: get(row, 2)?,
        prefix: get(row, 3)?,
        hash: get(row, 4)?,
        scopes: scopes.split_whitespace().map(Box::from).collect(),
        created_at_ms: get(row, 6)?,
        expires_at_ms: get(row, 7)?,
        revoked_at_ms: get(row, 8)?,
    })
}

fn key_where(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Option<KeyRecord>, StorageError> {
    query_one(
        connection,
        &format!("{KEY} {condition}"),
        params,
        key_record,
    )
}

/// The key whose secret has this hash.
pub fn key_by_hash(
    connection: &Connection,
    hash: &[u8; 32],
) -> Result<Option<KeyRecord>, StorageError> {
    key_where(connection, "hash = ?1", [hash])
}

/// One key of an org.
pub fn key(
    connection: &Connection,
    org: OrgId,
    key: KeyId,
) -> Result<Option<KeyRecord>, StorageError> {
    let ids = params![key.to_bytes(), org.to_bytes()];
    key_where(connection, "id = ?1 AND org = ?2", ids)
}

/// An org's keys, oldest first.
pub fn keys(connection: &Connection, org: OrgId) -> Result<Vec<KeyRecord>, StorageError> {
    let sql = format!("{KEY} org = ?1 ORDER BY id");
    query(connection, &sql, [org.to_bytes()], key_record)
}

/// A kept quote.
pub fn kept_quote(
    connection: &Connection,
    org: OrgId,
    id: QuoteId,
) -> Result<Option<QuoteRecord>, StorageError> {
    let sql = "SELECT body FROM quotes WHERE id = ?1 AND org = ?2";
    let ids = params![id.to_bytes(), org.to_bytes()];
    query_one(connection, sql, ids, |row| {
        quote(id, org, blob(row, 0)?).map_err(damaged)
    })
}

/// An org's free queries, newest first.
pub fn data_queries(
    connection: &Connection,
    org: OrgId,
    page: PageRequest,
) -> Result<Page<QueryRecord>, StorageError> {
    let sql = "SELECT q.id, q.at_ms, q.body, p.client_ip, p.user_agent FROM data_queries q
         LEFT JOIN personal p ON p.subject = q.id
         WHERE q.org = ?1 AND (?2 IS NULL OR q.id < ?2) ORDER BY q.id DESC LIMIT ?3";
    let limit = page.limit.clamp(1, PageRequest::LIMIT_MAX);
    let after = page.after.map(u128::to_be_bytes);
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let items = query(
        connection,
        sql,
        params![org.to_bytes(), after, rows],
        |row| {
            let personal = Personal {
                client_ip: get(row, 3)?,
                user_agent: get(row, 4)?,
            };
            let id = QueryId::from_bytes(get(row, 0)?);
            query_row(id, org, get(row, 1)?, blob(row, 2)?, personal).map_err(damaged)
        },
    )?;
    let next = (items.len() == limit)
        .then(|| items.last().map(|item| item.id.get()))
        .flatten();
    Ok(Page { items, next })
}
