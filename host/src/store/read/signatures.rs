//! Who signed releases, and whose signature a deployment asks for.

use super::{get, known, query, query_one};
use crate::service::ledger::failure::StorageError;
use crate::service::ledger::releases::{BindingScope, SignatureRecord};
use crate::service::policy::{Digest, LimitClass, ReleaseId};
use crate::service::signature::{PinnedKeys, PublicKey, Signature, SignatureError, Statement};
use farebox_pricing::event::Deployment;
use rusqlite::{Connection, Row, params};

const SIGNATURE: &str =
    "SELECT s.component, s.book, s.key, s.contract, s.signature, s.at_ms, s.actor,
    r.class FROM signatures s JOIN releases r ON r.component = s.component AND r.book = s.book";

fn signature(row: &Row<'_>) -> Result<SignatureRecord, StorageError> {
    let release = ReleaseId {
        component: Digest(get(row, 0)?),
        book: Digest(get(row, 1)?),
    };
    let contract: String = get(row, 3)?;
    let class: String = get(row, 7)?;
    let class = LimitClass::ALL
        .into_iter()
        .find(|known| known.name() == class);
    let statement = Statement::new(release, &contract, known(class, "limit class")?);
    Ok(SignatureRecord {
        signature: Signature {
            key: PublicKey::claimed(get(row, 2)?),
            statement: known(statement, "contract of a signature")?,
            bytes: get(row, 4)?,
        },
        at_ms: get(row, 5)?,
        by: get(row, 6)?,
    })
}

/// Every signature, in the order of releases and keys.
pub fn all(connection: &Connection) -> Result<Vec<SignatureRecord>, StorageError> {
    let sql = format!("{SIGNATURE} ORDER BY s.component, s.book, s.key");
    query(connection, &sql, [], signature)
}

/// The signatures on a release, in the order of their keys.
pub fn of(connection: &Connection, release: &ReleaseId) -> Result<Vec<Signature>, StorageError> {
    let sql = format!("{SIGNATURE} WHERE s.component = ?1 AND s.book = ?2 ORDER BY s.key");
    let key = params![release.component.0, release.book.0];
    let all = query(connection, &sql, key, signature)?;
    Ok(all.into_iter().map(|kept| kept.signature).collect())
}

/// The keys that a deployment pins.
pub fn pinned(connection: &Connection, deployment: Deployment) -> Result<PinnedKeys, StorageError> {
    let sql = "SELECT keys FROM pinned_keys WHERE deployment = ?1 ORDER BY id DESC LIMIT 1";
    let name = BindingScope::everyone(deployment).to_string();
    let Some(text) = query_one(connection, sql, [name], |row| get::<String>(row, 0))? else {
        return Ok(PinnedKeys::default());
    };
    let keys = text.lines().map(str::parse).collect::<Result<Vec<_>, _>>();
    known(keys.and_then(PinnedKeys::new).ok(), "pinned key")
}

/// Why a release may not price in a deployment: none of the pinned keys signed it.
pub fn refusal(
    connection: &Connection,
    deployment: Deployment,
    release: &ReleaseId,
) -> Result<Option<SignatureError>, StorageError> {
    let pinned = pinned(connection, deployment)?;
    if pinned.is_empty() {
        return Ok(None);
    }
    let signatures = of(connection, release)?;
    // What was kept is of this release: only its name was read from elsewhere.
    let refused = match signatures.first() {
        Some(first) => pinned.check(&first.statement, &signatures).err(),
        None => Some(pinned.unsigned()),
    };
    Ok(refused)
}
