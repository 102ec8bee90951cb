//! Signatures and pinned keys: rows that are written once.

use super::super::read::signatures;
use super::releases::By;
use super::statement::{exists, run};
use crate::service::ledger::directory::DirectoryRefusal;
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::releases::BindingScope;
use crate::service::policy::ReleaseId;
use crate::service::signature::{self, PinnedKeys, SIGNATURES_MAX, Signature};
use farebox_pricing::event::Deployment;
use rusqlite::{Connection, params};

type Done = Result<Result<(), DirectoryRefusal>, StorageError>;

/// Adds to a release the signatures of keys that had not signed it.
pub fn keep(
    connection: &Connection,
    release: &ReleaseId,
    signed: &[Signature],
    by: By<'_>,
) -> Done {
    let mut all = signatures::of(connection, release)?;
    for signature in signed {
        signature::add(&mut all, signature.clone());
    }
    if all.len() > SIGNATURES_MAX {
        return Ok(Err(DirectoryRefusal::SignaturesFull(*release)));
    }
    let (component, book) = (release.component.0, release.book.0);
    for signature in signed {
        let key = signature.key.to_bytes();
        let known = "SELECT 1 FROM signatures WHERE component = ?1 AND book = ?2 AND key = ?3";
        if exists(connection, known, params![component, book, key])? {
            continue;
        }
        run(
            connection,
            "INSERT INTO signatures VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                component,
                book,
                key,
                signature.statement.contract(),
                signature.bytes,
                by.at_ms,
                by.actor,
            ],
        )?;
    }
    Ok(Ok(()))
}

/// A deployment pins these keys from now on.
pub fn pin(
    connection: &Connection,
    deployment: Deployment,
    keys: &PinnedKeys,
    by: By<'_>,
) -> Result<(), StorageError> {
    if signatures::pinned(connection, deployment)? == *keys {
        return Ok(());
    }
    let name = BindingScope::everyone(deployment).to_string();
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    run(
        connection,
        "INSERT INTO pinned_keys VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name, by.id.to_bytes(), by.at_ms, by.actor, text],
    )
}

/// Whether a release may price a scope: one of the keys that are pinned there signed it.
pub fn must_be_signed(connection: &Connection, scope: &BindingScope, release: &ReleaseId) -> Done {
    let refused = signatures::refusal(connection, scope.deployment, release)?;
    Ok(refused.map_or(Ok(()), |error| {
        Err(DirectoryRefusal::ReleaseNotSigned {
            release: Box::new(*release),
            scope: Box::new(scope.clone()),
            error: Box::new(error),
        })
    }))
}
