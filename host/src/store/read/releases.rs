//! Releases, their bytes, and the history of what they were bound to.

use super::{blob, count, get, known, query, query_one};
use super::{filters, signatures};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::releases::{
    BindingScope, Bindings, ChangeKind, ChangeRecord, ReleaseParts, ReleaseRecord, Revocation,
    ScopePart, SignatureRecord,
};
use crate::service::ledger::view::{Page, PageRequest};
use crate::service::policy::{Digest, LimitClass, ReleaseId, Trust};
use farebox_ledger::ids::TransactionId;
use farebox_pricing::event::Deployment;
use rusqlite::{Connection, Row, params};
use std::collections::HashMap;
use std::sync::Arc;

/// Every release, oldest first.
pub fn all(connection: &Connection) -> Result<Vec<ReleaseRecord>, StorageError> {
    let sql = "SELECT r.component, r.book, r.name, r.admitted_at_ms, r.admitted_by, r.class,
         r.trust, length(c.bytes), length(b.bytes), v.at_ms, v.actor, v.why, r.contract FROM releases r
         JOIN contents c ON c.digest = r.component JOIN contents b ON b.digest = r.book
         LEFT JOIN revocations v ON v.component = r.component AND v.book = r.book
         ORDER BY r.admitted_at_ms, r.component, r.book";
    let mut signed: HashMap<ReleaseId, Vec<SignatureRecord>> = HashMap::new();
    for kept in signatures::all(connection)? {
        let release = kept.signature.statement.release();
        signed.entry(release).or_default().push(kept);
    }
    let mut releases = query(connection, sql, [], |row| {
        let class: String = get(row, 5)?;
        let class = LimitClass::ALL
            .into_iter()
            .find(|known| known.name() == class);
        let trust: String = get(row, 6)?;
        let trust = Trust::ALL.into_iter().find(|known| known.name() == trust);
        let revoked_at_ms: Option<i64> = get(row, 9)?;
        let revoked = match revoked_at_ms {
            Some(at_ms) => Some(Revocation {
                at_ms,
                by: get(row, 10)?,
                why: get(row, 11)?,
            }),
            None => None,
        };
        Ok(ReleaseRecord {
            id: ReleaseId {
                component: Digest(get(row, 0)?),
                book: Digest(get(row, 1)?),
            },
            name: get(row, 2)?,
            contract: get(row, 12)?,
            admitted_at_ms: get(row, 3)?,
            admitted_by: get(row, 4)?,
            class: known(class, "limit class")?,
            trust: known(trust, "trust")?,
            component_bytes: count(row, 7)?,
            book_bytes: count(row, 8)?,
            revoked,
            signatures: Vec::new(),
            filters: Vec::new(),
        })
    })?;
    let filters = filters::all(connection)?;
    for release in &mut releases {
        let its = filters
            .iter()
            .filter(|(component, _)| *component == release.id.component);
        release.filters = its.map(|(_, filter)| filter.clone()).collect();
        release.signatures = signed.remove(&release.id).unwrap_or_default();
    }
    Ok(releases)
}

/// The bytes of a release.
pub fn parts(
    connection: &Connection,
    release: &ReleaseId,
) -> Result<Option<ReleaseParts>, StorageError> {
    let sql = "SELECT c.bytes, b.bytes, s.bytes FROM releases r
         JOIN contents c ON c.digest = r.component JOIN contents b ON b.digest = r.book
         LEFT JOIN contents s ON s.digest = r.book_source
         WHERE r.component = ?1 AND r.book = ?2";
    let signatures: Arc<[_]> = signatures::of(connection, release)?.into();
    let filters: Arc<[_]> = filters::of(connection, &release.component)?.into();
    query_one(
        connection,
        sql,
        params![release.component.0, release.book.0],
        |row| {
            let source: Option<Vec<u8>> = get(row, 2)?;
            Ok(ReleaseParts {
                component: Arc::from(blob(row, 0)?),
                book: Arc::from(blob(row, 1)?),
                book_source: source.map(Arc::from),
                signatures: Arc::clone(&signatures),
                filters: Arc::clone(&filters),
            })
        },
    )
}

const CHANGE: &str = "SELECT id, scope, at_ms, actor, kind, component, book, before_component,
    before_book, base, why FROM binding_changes";

fn change(row: &Row<'_>) -> Result<ChangeRecord, StorageError> {
    let text: String = get(row, 1)?;
    let kind: String = get(row, 4)?;
    let kind = ChangeKind::ALL
        .into_iter()
        .find(|known| known.name() == kind);
    let base: Option<[u8; 16]> = get(row, 9)?;
    Ok(ChangeRecord {
        id: TransactionId::from_bytes(get(row, 0)?),
        scope: known(scope(&text), "scope of a binding")?,
        at_ms: get(row, 2)?,
        by: get(row, 3)?,
        kind: known(kind, "kind of change")?,
        release: some_release(row, 5, 6)?,
        before: some_release(row, 7, 8)?,
        base: base.map(TransactionId::from_bytes),
        why: get(row, 10)?,
    })
}

fn some_release(
    row: &Row<'_>,
    component: usize,
    book: usize,
) -> Result<Option<ReleaseId>, StorageError> {
    let component: Option<[u8; 32]> = get(row, component)?;
    let book: Option<[u8; 32]> = get(row, book)?;
    Ok(component.zip(book).map(|(component, book)| ReleaseId {
        component: Digest(component),
        book: Digest(book),
    }))
}

/// The scope that its text names.
pub fn scope(text: &str) -> Option<BindingScope> {
    let (deployment, part) = text
        .split_once('/')
        .map_or((text, None), |(deployment, part)| (deployment, Some(part)));
    let deployment = match deployment {
        "hosted" => Deployment::Hosted,
        "self-hosted" => Deployment::SelfHosted,
        _ => return None,
    };
    let part = match part.map(|part| part.split_once(':')) {
        None => None,
        Some(Some(("plan", plan))) => Some(ScopePart::Plan(plan.into())),
        Some(Some(("org", org))) => Some(ScopePart::Org(org.parse().ok()?)),
        Some(_) => return None,
    };
    Some(BindingScope { deployment, part })
}

/// The newest change of a scope.
pub fn newest(
    connection: &Connection,
    scope: &BindingScope,
) -> Result<Option<ChangeRecord>, StorageError> {
    let sql = format!("{CHANGE} WHERE scope = ?1 ORDER BY id DESC LIMIT 1");
    query_one(connection, &sql, [scope.to_string()], change)
}

/// One change of a scope.
fn one_change(
    connection: &Connection,
    scope: &BindingScope,
    id: TransactionId,
) -> Result<Option<ChangeRecord>, StorageError> {
    let sql = format!("{CHANGE} WHERE scope = ?1 AND id = ?2");
    let key = params![scope.to_string(), id.to_bytes()];
    query_one(connection, &sql, key, change)
}

/// The newest change of every scope, in the order of the scopes' texts.
pub fn bound(connection: &Connection) -> Result<Vec<ChangeRecord>, StorageError> {
    // From scope to scope through the key, not through every change that ever was: it is asked in the
    // writer's turn.
    let sql = format!(
        "WITH RECURSIVE scopes (name) AS (SELECT min(scope) FROM binding_changes UNION ALL
         SELECT (SELECT min(scope) FROM binding_changes WHERE scope > name) FROM scopes
         WHERE name IS NOT NULL)
         {CHANGE}, scopes WHERE scope = name
         AND id = (SELECT max(id) FROM binding_changes WHERE scope = name) ORDER BY scope"
    );
    query(connection, &sql, [], change)
}

/// Whether a release prices nothing any more.
pub fn is_revoked(connection: &Connection, release: &ReleaseId) -> Result<bool, StorageError> {
    let sql = "SELECT 1 FROM revocations WHERE component = ?1 AND book = ?2";
    let key = params![release.component.0, release.book.0];
    Ok(query_one(connection, sql, key, |_| Ok(()))?.is_some())
}

/// The newest change below the top that was not rolled back and whose release still may price.
pub fn below(
    connection: &Connection,
    top: Option<&ChangeRecord>,
) -> Result<Option<ChangeRecord>, StorageError> {
    let Some(top) = top else {
        return Ok(None);
    };
    let mut base = top.base;
    while let Some(id) = base {
        let Some(change) = one_change(connection, &top.scope, id)? else {
            return Ok(None);
        };
        match &change.release {
            Some(release) if is_revoked(connection, release)? => base = change.base,
            // The same release again would be no step back.
            release if *release == top.release => base = change.base,
            _ => return Ok(Some(change)),
        }
    }
    Ok(None)
}

/// Whether releases may be bound: each is looked at once.
struct MayPrice<'c> {
    connection: &'c Connection,
    known: HashMap<(bool, ReleaseId), bool>,
}

impl<'c> MayPrice<'c> {
    fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            known: HashMap::new(),
        }
    }

    fn ask(&mut self, scope: &BindingScope, release: ReleaseId) -> Result<bool, StorageError> {
        let key = (scope.deployment == Deployment::Hosted, release);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let refused = signatures::refusal(self.connection, scope.deployment, &release)?;
        self.known.insert(key, refused.is_none());
        Ok(refused.is_none())
    }
}

/// What is bound now, what is tried beside it, and what was revoked.
pub fn bindings(connection: &Connection) -> Result<Bindings, StorageError> {
    let revoked = query(
        connection,
        "SELECT component, book FROM revocations",
        [],
        |row| {
            Ok(ReleaseId {
                component: Digest(get(row, 0)?),
                book: Digest(get(row, 1)?),
            })
        },
    )?;
    let mut standing = Vec::new();
    // A release that may not be bound again does not stand in for another one either.
    let mut may_price = MayPrice::new(connection);
    for change in bound(connection)? {
        let before = below(connection, Some(&change))?.and_then(|before| before.release);
        let before = match before {
            Some(release) => may_price.ask(&change.scope, release)?.then_some(release),
            None => None,
        };
        standing.push((change, before));
    }
    let trials = super::trials::running(connection)?;
    let filters = filters::all(connection)?.into_iter();
    let filters = filters.map(|(component, filter)| (component, filter.digest));
    Ok(Bindings::new(standing, revoked, trials).with_filters(filters))
}

/// Changes, newest first.
pub fn changes(
    connection: &Connection,
    scope: Option<&BindingScope>,
    page: PageRequest,
) -> Result<Page<ChangeRecord>, StorageError> {
    let limit = page.limit.clamp(1, PageRequest::LIMIT_MAX);
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let after = page.after.map(u128::to_be_bytes);
    let sql = format!(
        "{CHANGE} WHERE (?1 IS NULL OR scope = ?1) AND (?2 IS NULL OR id < ?2)
         ORDER BY id DESC LIMIT ?3"
    );
    let scope = scope.map(ToString::to_string);
    let items = query(connection, &sql, params![scope, after, rows], change)?;
    let next = (items.len() == limit)
        .then(|| items.last().map(|item| item.id.get()))
        .flatten();
    Ok(Page { items, next })
}
