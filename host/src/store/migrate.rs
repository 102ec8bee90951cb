//! The schema, and how an older one becomes it: forward only, one version at a time, each step in
//! one transaction. A newer schema than this program knows is refused, not guessed at.

use super::connection::failure;
use crate::service::ledger::failure::StorageError;
use rusqlite::Connection;

/// The steps: after step *n* (from 1) the schema has version *n*.
const STEPS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema_releases.sql"),
    include_str!("schema_currency.sql"),
    include_str!("schema_trials.sql"),
    include_str!("schema_corrections.sql"),
    include_str!("schema_signatures.sql"),
    include_str!("schema_contract.sql"),
    include_str!("schema_returned.sql"),
    include_str!("schema_moved.sql"),
    include_str!("schema_filters.sql"),
];

/// Tables whose rows are written once (L4), and their keys, by the step that ends with them
/// guarded.
const APPEND_ONLY: &[&[(&str, &[&str])]] = &[
    FIRST,
    RELEASES,
    &[],
    TRIALS,
    CORRECTIONS,
    SIGNATURES,
    &[],
    &[],
    &[],
    FILTERS,
];

const FIRST: &[(&str, &[&str])] = &[
    ("transactions", &["chunk"]),
    ("usage_events", &["chunk"]),
    ("receipts", &["chunk"]),
    ("notes", &["\"transaction\""]),
    ("settlements", &["event"]),
    ("refunds", &["charge", "refund"]),
    ("holds", &["chunk"]),
    ("grants", &["id"]),
    ("effects", &["\"commit\""]),
    ("counts", &["org", "rule", "period", "charge"]),
    ("audit", &["id"]),
    ("commodities", &["id"]),
];

const RELEASES: &[(&str, &[&str])] = &[
    ("contents", &["digest"]),
    ("releases", &["component", "book"]),
    ("revocations", &["component", "book"]),
    ("binding_changes", &["id", "scope"]),
];

const TRIALS: &[(&str, &[&str])] = &[
    ("trials", &["id"]),
    ("trial_ends", &["trial"]),
    ("trial_samples", &["trial", "number"]),
];

const CORRECTIONS: &[(&str, &[&str])] = &[("corrections", &["charge", "\"transaction\""])];

const SIGNATURES: &[(&str, &[&str])] = &[
    ("signatures", &["component", "book", "key"]),
    ("pinned_keys", &["id", "deployment"]),
];

const FILTERS: &[(&str, &[&str])] = &[("filters", &["component", "filter"])];

/// Why a database cannot be brought to the schema of this program.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer program wrote it.
    #[error("the ledger has schema {found}, this program knows up to {known}: use a newer one")]
    Newer {
        /// Its version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// It was never written to, or an older program wrote it, and it is opened only to read.
    #[error("the ledger has schema {found}, this program reads {known}: serve from it once")]
    Older {
        /// Its version.
        found: i64,
        /// The version this program reads.
        known: i64,
    },
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

fn version(connection: &Connection) -> Result<i64, StorageError> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(failure)
}

/// The guards of every append-only table (L4): a trigger's name and its definition.
pub fn guard_triggers() -> Vec<(String, String)> {
    APPEND_ONLY
        .iter()
        .flat_map(|tables| guards(tables))
        .collect()
}

/// The guards of these tables.
///
/// `INSERT OR REPLACE` deletes the old row without asking a DELETE trigger, unless the connection
/// set `recursive_triggers`; a guard before the insert closes that for every connection.
fn guards(tables: &[(&str, &[&str])]) -> Vec<(String, String)> {
    let guard = |table: &str, rule: &str, when: &str| {
        let name = format!("{table}_are_never_{rule}");
        // FAIL ends the statement as ABORT does, before the row. ABORT would also have SQLite keep
        // a journal of every page an INSERT touches, to take back the rows before: the store
        // inserts one row at a time and rolls back the whole commit.
        let raise = if rule == "replaced" { "FAIL" } else { "ABORT" };
        let sql = format!(
            "CREATE TRIGGER {name} BEFORE {when} \
             BEGIN SELECT RAISE({raise}, '{table} are append-only'); END"
        );
        (name, sql)
    };
    tables
        .iter()
        .flat_map(|(table, keys)| {
            let same_key = keys
                .iter()
                .map(|key| format!("{key} = NEW.{key}"))
                .collect::<Vec<_>>()
                .join(" AND ");
            let exists = format!("EXISTS (SELECT 1 FROM {table} WHERE {same_key})");
            [
                guard(table, "updated", &format!("UPDATE ON {table}")),
                guard(table, "deleted", &format!("DELETE ON {table}")),
                guard(
                    table,
                    "replaced",
                    &format!("INSERT ON {table} WHEN {exists}"),
                ),
            ]
        })
        .collect()
}

/// Brings the schema to the newest version.
///
/// # Errors
/// `Newer`, else `Storage`; the database is then as it was after the last whole step.
pub fn migrate(connection: &mut Connection) -> Result<(), MigrateError> {
    let found = version(connection)?;
    if found > known() {
        return Err(MigrateError::Newer {
            found,
            known: known(),
        });
    }
    let done = usize::try_from(found).unwrap_or_default();
    for (step, sql) in STEPS.iter().enumerate().skip(done) {
        let transaction = connection.transaction().map_err(failure)?;
        transaction.execute_batch(sql).map_err(failure)?;
        for (_, sql) in guards(APPEND_ONLY.get(step).copied().unwrap_or_default()) {
            transaction.execute_batch(&sql).map_err(failure)?;
        }
        let version = step.saturating_add(1);
        transaction
            .execute_batch(&format!("PRAGMA user_version = {version}"))
            .map_err(failure)?;
        transaction.commit().map_err(failure)?;
    }
    Ok(())
}

/// The schema is the one this program reads.
///
/// # Errors
/// `Newer` or `Older` when it is not.
pub fn must_be_current(connection: &Connection) -> Result<(), MigrateError> {
    let found = version(connection)?;
    let known = known();
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(MigrateError::Older { found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(MigrateError::Newer { found, known }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
    }

    /// A row of every append-only table, whatever its columns.
    fn insert(
        connection: &Connection,
        table: &str,
        verb: &str,
        tail: &str,
    ) -> rusqlite::Result<usize> {
        let mut statement = connection.prepare(&format!("PRAGMA table_info({table})"))?;
        let values = statement
            .query_map([], |row| row.get::<_, String>(2))?
            .map(|kind| {
                Ok(match kind?.as_str() {
                    "BLOB" => "x'01'",
                    "TEXT" => "'1'",
                    _ => "1",
                })
            })
            .collect::<rusqlite::Result<Vec<_>>>()?
            .join(", ");
        connection.execute(&format!("{verb} INTO {table} VALUES ({values}) {tail}"), [])
    }

    #[test]
    fn l4_append_only_rows_are_never_updated_deleted_or_replaced() {
        for recursive in ["OFF", "ON"] {
            let connection = migrated();
            connection
                .execute_batch(&format!(
                    "PRAGMA recursive_triggers = {recursive}; PRAGMA foreign_keys = OFF"
                ))
                .unwrap();
            for (table, keys) in APPEND_ONLY.iter().copied().flatten() {
                assert_eq!(insert(&connection, table, "INSERT", "").unwrap(), 1);
                let key = keys[0];
                let every = keys.join(", ");
                let (one, two) = match key {
                    "chunk" | "\"commit\"" => ("1", "2"),
                    _ => ("x'01'", "x'02'"),
                };
                let refused = [
                    insert(&connection, table, "INSERT", ""),
                    insert(&connection, table, "INSERT OR REPLACE", ""),
                    insert(&connection, table, "INSERT OR IGNORE", ""),
                    insert(&connection, table, "REPLACE", ""),
                    insert(
                        &connection,
                        table,
                        "INSERT",
                        &format!("ON CONFLICT ({every}) DO UPDATE SET {key} = {two}"),
                    ),
                    insert(&connection, table, "INSERT", "ON CONFLICT DO NOTHING"),
                    connection.execute(&format!("UPDATE {table} SET {key} = {two}"), []),
                    connection.execute(&format!("UPDATE OR REPLACE {table} SET {key} = {two}"), []),
                    connection.execute(&format!("UPDATE OR IGNORE {table} SET {key} = {two}"), []),
                    connection.execute(&format!("DELETE FROM {table}"), []),
                ];
                for (nth, result) in refused.into_iter().enumerate() {
                    let error = result.expect_err(&format!("{table}, attempt {nth}"));
                    assert!(
                        error.to_string().contains("append-only"),
                        "{table}, attempt {nth}: {error}"
                    );
                }
                let rows: i64 = connection
                    .query_row(
                        &format!("SELECT count(*) FROM {table} WHERE {key} = {one}"),
                        [],
                        |row| row.get(0),
                    )
                    .unwrap();
                assert_eq!(rows, 1, "{table}");
            }
        }
    }

    #[test]
    fn what_the_first_schema_bound_is_bound_after_the_second() {
        let connection = &mut Connection::open_in_memory().unwrap();
        connection.execute_batch(STEPS[0]).unwrap();
        for (_, sql) in guards(FIRST) {
            connection.execute_batch(&sql).unwrap();
        }
        connection
            .execute_batch(
                "INSERT INTO contents VALUES (zeroblob(32), zeroblob(1048577));
                 INSERT INTO contents VALUES (randomblob(32), x'01');
                 INSERT INTO releases SELECT zeroblob(32), digest, NULL, 'old', 5 FROM contents
                     WHERE bytes = x'01';
                 INSERT INTO bindings SELECT 'deployment:hosted', component, book, 6 FROM releases;
                 PRAGMA user_version = 1",
            )
            .unwrap();
        migrate(connection).unwrap();
        let releases = crate::store::read::releases::all(connection).unwrap();
        assert_eq!(releases[0].class.name(), "scripted");
        let bound = crate::store::read::releases::bound(connection).unwrap();
        assert_eq!(bound.len(), 1);
        assert_eq!(bound[0].scope.to_string(), "hosted");
        assert_eq!(bound[0].release, Some(releases[0].id));
        assert_eq!((bound[0].at_ms, &*bound[0].by), (6, "host"));
    }

    #[test]
    fn migrating_twice_changes_nothing_and_a_newer_schema_is_refused() {
        let mut connection = migrated();
        migrate(&mut connection).unwrap();
        must_be_current(&connection).unwrap();
        connection
            .execute_batch("PRAGMA user_version = 99")
            .unwrap();
        assert!(matches!(
            migrate(&mut connection),
            Err(MigrateError::Newer { found: 99, .. })
        ));
        let empty = Connection::open_in_memory().unwrap();
        assert!(matches!(
            must_be_current(&empty),
            Err(MigrateError::Older { found: 0, .. })
        ));
    }
}
