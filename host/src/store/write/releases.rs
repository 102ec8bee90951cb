//! Releases and bindings: rows that are written once. What is bound now is the newest change.

use super::super::connection::failure;
use super::super::read::releases::{below, is_revoked, newest};
use super::statement::{exists, run};
use super::trials::{end_beside, tried};
use super::{filters, signatures};
use crate::service::ledger::directory::DirectoryRefusal;
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::releases::{
    BindTo, BindingChange, ChangeKind, ChangeRecord, ReleaseParts, ReleaseRecord,
};
use crate::service::policy::{Digest, ReleaseId};
use farebox_ledger::ids::TransactionId;
use rusqlite::{Connection, OptionalExtension, params};

type Done = Result<Result<(), DirectoryRefusal>, StorageError>;

/// Whose turn it is, and when.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    pub id: TransactionId,
    pub at_ms: i64,
    pub actor: &'a str,
}

fn keep_content(
    connection: &Connection,
    digest: &Digest,
    bytes: &[u8],
) -> Result<(), StorageError> {
    let known = "SELECT 1 FROM contents WHERE digest = ?1";
    if exists(connection, known, [digest.0])? {
        return Ok(());
    }
    let sql = "INSERT INTO contents (digest, bytes) VALUES (?1, ?2)";
    run(connection, sql, params![digest.0, bytes])
}

/// Keeps a release. The same bytes twice are one release: the first stands, with the signatures and
/// filters of both.
pub fn admit(
    connection: &Connection,
    release: &ReleaseRecord,
    parts: &ReleaseParts,
    by: By<'_>,
) -> Done {
    let ReleaseId { component, book } = &release.id;
    let trust: Option<String> = connection
        .prepare_cached("SELECT trust FROM releases WHERE component = ?1 AND book = ?2")
        .and_then(|mut statement| {
            statement
                .query_row(params![component.0, book.0], |row| row.get(0))
                .optional()
        })
        .map_err(failure)?;
    if let Some(trust) = trust {
        return if trust == release.trust.name() {
            filters::keep(connection, component, &parts.filters, by)?;
            signatures::keep(connection, &release.id, &parts.signatures, by)
        } else {
            Ok(Err(DirectoryRefusal::ReleaseExists(release.id)))
        };
    }
    keep_content(connection, component, &parts.component)?;
    keep_content(connection, book, &parts.book)?;
    let source = parts.book_source.as_deref().map(|source| {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(source).into();
        (Digest(digest), source)
    });
    if let Some((digest, source)) = &source {
        keep_content(connection, digest, source)?;
    }
    run(
        connection,
        "INSERT INTO releases (component, book, book_source, name, admitted_at_ms, class, trust,
         admitted_by, contract) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            component.0,
            book.0,
            source.map(|(digest, _)| digest.0),
            release.name,
            by.at_ms,
            release.class.name(),
            release.trust.name(),
            by.actor,
            release.contract,
        ],
    )?;
    filters::keep(connection, component, &parts.filters, by)?;
    signatures::keep(connection, &release.id, &parts.signatures, by)
}

pub fn is_admitted(connection: &Connection, release: &ReleaseId) -> Result<bool, StorageError> {
    let sql = "SELECT 1 FROM releases WHERE component = ?1 AND book = ?2";
    exists(
        connection,
        sql,
        params![release.component.0, release.book.0],
    )
}

/// Ends a release for all pricing. One that prices somebody now is not ended: what would price
/// them then?
pub fn revoke(connection: &Connection, release: &ReleaseId, why: &str, by: By<'_>) -> Done {
    if !is_admitted(connection, release)? {
        return Ok(Err(DirectoryRefusal::ReleaseNotFound(*release)));
    }
    if is_revoked(connection, release)? {
        return Ok(Ok(()));
    }
    let bound = super::super::read::releases::bound(connection)?;
    if let Some(bound) = bound.iter().find(|bound| bound.release == Some(*release)) {
        return Ok(Err(DirectoryRefusal::ReleaseBound {
            release: Box::new(*release),
            scope: Box::new(bound.scope.clone()),
        }));
    }
    if let Some(trial) = tried(connection, release)? {
        return Ok(Err(DirectoryRefusal::ReleaseTried {
            release: Box::new(*release),
            scope: Box::new(trial.scope),
        }));
    }
    run(
        connection,
        "INSERT INTO revocations VALUES (?1, ?2, ?3, ?4, ?5)",
        params![release.component.0, release.book.0, by.at_ms, by.actor, why],
    )?;
    Ok(Ok(()))
}

/// Changes what a scope is bound to, if what is bound now is what the asker believes.
pub fn bind(connection: &Connection, asked: &BindingChange, by: By<'_>) -> Done {
    let scope = &asked.scope;
    let top = newest(connection, scope)?;
    let bound = top.as_ref().and_then(|top| top.release);
    if bound != asked.expected {
        return Ok(Err(DirectoryRefusal::BindingMoved {
            scope: Box::new(scope.clone()),
            bound: bound.map(Box::new),
        }));
    }
    let (kind, release, base) = match asked.to {
        BindTo::Configured(release) => (ChangeKind::Start, Some(release), over(top.as_ref())),
        BindTo::Release(release) => (ChangeKind::Activate, Some(release), over(top.as_ref())),
        BindTo::Nothing => (ChangeKind::Deactivate, None, over(top.as_ref())),
        BindTo::Before(found) => match below(connection, top.as_ref())? {
            Some(before) if found.is_some() && before.release != found => {
                return Ok(Err(DirectoryRefusal::BindingMoved {
                    scope: Box::new(scope.clone()),
                    bound: bound.map(Box::new),
                }));
            }
            Some(before) => (ChangeKind::Rollback, before.release, before.base),
            // Nothing of its own was bound before the first activation.
            None if top.is_some() && scope.part.is_some() && bound.is_some() => {
                (ChangeKind::Rollback, None, None)
            }
            None => {
                return Ok(Err(DirectoryRefusal::NothingBefore(Box::new(
                    scope.clone(),
                ))));
            }
        },
    };
    match &release {
        None if scope.part.is_none() => {
            return Ok(Err(DirectoryRefusal::ScopeNeedsRelease(Box::new(
                scope.clone(),
            ))));
        }
        Some(release) if !is_admitted(connection, release)? => {
            return Ok(Err(DirectoryRefusal::ReleaseNotFound(*release)));
        }
        Some(release) if is_revoked(connection, release)? => {
            return Ok(Err(DirectoryRefusal::ReleaseRevoked(*release)));
        }
        Some(release) => {
            if let Err(refusal) = signatures::must_be_signed(connection, scope, release)? {
                return Ok(Err(refusal));
            }
        }
        None => {}
    }
    let record = ChangeRecord {
        id: by.id,
        at_ms: by.at_ms,
        by: by.actor.into(),
        kind,
        scope: scope.clone(),
        release,
        before: bound,
        base,
        why: asked.why.clone(),
    };
    write(connection, &record)?;
    end_beside(connection, asked, release, by).map(Ok)
}

/// The change that a rollback of what is bound next would restore.
fn over(top: Option<&ChangeRecord>) -> Option<TransactionId> {
    top.map(|top| top.id)
}

fn write(connection: &Connection, change: &ChangeRecord) -> Result<(), StorageError> {
    let component = |release: Option<ReleaseId>| release.map(|release| release.component.0);
    let book = |release: Option<ReleaseId>| release.map(|release| release.book.0);
    run(
        connection,
        "INSERT INTO binding_changes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            change.scope.to_string(),
            change.id.to_bytes(),
            change.at_ms,
            change.by,
            change.kind.name(),
            component(change.release),
            book(change.release),
            component(change.before),
            book(change.before),
            change.base.map(TransactionId::to_bytes),
            change.why,
        ],
    )
}
