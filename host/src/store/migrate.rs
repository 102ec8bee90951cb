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
    /// Nobody ever wrote a ledger to it.
    #[error("the database holds no ledger: nobody has served from it yet")]
    Empty,
    /// An older program wrote it, and it is opened only to read.
    #[error(
        "the ledger has schema {found}, this program reads {known}: serve from it once, or restore \
         a backup of it into another directory and read that"
    )]
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
    advance(connection, found, known())
}

/// Takes the steps after version `from`, up to version `to`.
fn advance(connection: &mut Connection, from: i64, to: i64) -> Result<(), MigrateError> {
    let from = usize::try_from(from).unwrap_or_default();
    let to = usize::try_from(to).unwrap_or_default();
    for (step, sql) in STEPS.iter().enumerate().take(to).skip(from) {
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
/// `Empty`, `Older` or `Newer` when it is not.
pub fn must_be_current(connection: &Connection) -> Result<(), MigrateError> {
    let found = version(connection)?;
    let known = known();
    match found.cmp(&known) {
        _ if found <= 0 => Err(MigrateError::Empty),
        std::cmp::Ordering::Less => Err(MigrateError::Older { found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(MigrateError::Newer { found, known }),
    }
}

/// The schema is the one this program reads, or an earlier one: a copy of it can be migrated.
///
/// # Errors
/// `Empty` or `Newer` when it is neither.
pub fn must_be_known(connection: &Connection) -> Result<(), MigrateError> {
    match must_be_current(connection) {
        Ok(()) | Err(MigrateError::Older { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
pub mod tests {
    //! Migrations, and ledgers as earlier versions of this program left them.

    use super::*;
    use std::path::Path;

    /// Every version before this one.
    pub fn earlier_versions() -> std::ops::Range<i64> {
        1..known()
    }

    pub fn version_of(path: &Path) -> i64 {
        version(&Connection::open(path).unwrap()).unwrap()
    }

    /// Makes `target` what the program of this version would have left: a database that has taken its
    /// steps and no other, with all rows of `source` that such a database has room for.
    pub fn as_left_by(version: i64, source: &Path, target: &Path) {
        let mut older = Connection::open(target).unwrap();
        advance(&mut older, 0, version).unwrap();
        older
            .execute_batch(&format!(
                "PRAGMA foreign_keys = OFF; ATTACH '{}' AS now",
                source.display()
            ))
            .unwrap();
        let columns = |schema: &str, table: &str| -> Vec<String> {
            older
                .prepare(&format!("PRAGMA {schema}.table_info({table})"))
                .unwrap()
                .query_map([], |row| row.get(1))
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap()
        };
        let tables: Vec<String> = older
            .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        for table in tables {
            let now = columns("now", &table);
            if now.is_empty() {
                // A later step drops it; what it said stands elsewhere then.
                continue;
            }
            let then = columns("main", &table);
            assert!(then.iter().all(|column| now.contains(column)), "{table}");
            let then: Vec<_> = then.iter().map(|name| format!("\"{name}\"")).collect();
            let then = then.join(", ");
            let sql = format!("INSERT INTO main.{table} ({then}) SELECT {then} FROM now.{table}");
            older.execute(&sql, []).unwrap();
        }
    }

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
        assert!(matches!(
            must_be_known(&connection),
            Err(MigrateError::Newer { found: 99, .. })
        ));
    }

    #[test]
    fn an_earlier_schema_is_known_and_an_empty_database_is_no_ledger() {
        for version in earlier_versions() {
            let mut older = Connection::open_in_memory().unwrap();
            advance(&mut older, 0, version).unwrap();
            must_be_known(&older).unwrap();
            assert!(matches!(
                must_be_current(&older),
                Err(MigrateError::Older { found, .. }) if found == version
            ));
        }
        let empty = Connection::open_in_memory().unwrap();
        for check in [must_be_current, must_be_known] {
            assert!(matches!(check(&empty), Err(MigrateError::Empty)));
        }
    }
}
