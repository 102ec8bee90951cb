//! The audit trail.

use super::{get, known, query};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::view::{AuditView, Page, PageRequest};
use crate::service::ledger::write::Actor;
use farebox_ledger::ids::{OrgId, TransactionId};
use rusqlite::{Connection, params};

/// What was done to an org, newest first.
pub fn page(
    connection: &Connection,
    org: OrgId,
    page: PageRequest,
) -> Result<Page<AuditView>, StorageError> {
    let limit = page.limit.clamp(1, PageRequest::LIMIT_MAX);
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let after = page.after.map(u128::to_be_bytes);
    let sql = "SELECT id, at_ms, actor, verb, subject, request_id FROM audit
         WHERE org = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3";
    let items = query(
        connection,
        sql,
        params![org.to_bytes(), after, rows],
        |row| {
            let actor: String = get(row, 2)?;
            Ok(AuditView {
                id: TransactionId::from_bytes(get(row, 0)?),
                at_ms: get(row, 1)?,
                actor: known(parse(&actor), "actor")?,
                verb: get(row, 3)?,
                subject: get(row, 4)?,
                request_id: get(row, 5)?,
            })
        },
    )?;
    let next = (items.len() == limit)
        .then(|| items.last().map(|item| item.id.get()))
        .flatten();
    Ok(Page { items, next })
}

fn parse(text: &str) -> Option<Actor> {
    if text == "host" {
        return Some(Actor::Host);
    }
    match text.strip_prefix("admin:") {
        Some(name) => Some(Actor::Admin(name.into())),
        None => text.parse().ok().map(Actor::Key),
    }
}
