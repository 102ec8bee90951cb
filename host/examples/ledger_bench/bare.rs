//! The same pairs bare, for comparison: one thread and SQLite, a row of its own for each thing the
//! product keeps of a pair, and nothing besides. No callers that wait, no state machine, no chain, no
//! chunks: what a pair costs beyond this is theirs.

use super::Failure;
use super::machine::written;
use rusqlite::{Connection, Transaction, params};
use std::path::Path;
use std::time::{Duration, Instant};

/// As many writes to a commit as the product's writer takes, half of them holds.
const PAIRS_A_COMMIT: i64 = 256;
const WALLETS: i64 = 1_000;
/// Of what a receipt and the raw usage take before they are packed.
const RECEIPT: [u8; 600] = [7; 600];

const SCHEMA: &str = "
    PRAGMA page_size = 8192;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -32768;
    CREATE TABLE wallets (org INTEGER PRIMARY KEY, posted INTEGER NOT NULL, held INTEGER NOT NULL);
    CREATE TABLE holds (id INTEGER PRIMARY KEY, org INTEGER NOT NULL, amount INTEGER NOT NULL,
        is_open INTEGER NOT NULL);
    CREATE TABLE transactions (id INTEGER PRIMARY KEY, org INTEGER NOT NULL, amount INTEGER NOT NULL,
        hash BLOB NOT NULL);
    CREATE TABLE receipts (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
    CREATE TABLE keys (digest BLOB PRIMARY KEY, result INTEGER NOT NULL) WITHOUT ROWID;";

/// Writes pairs for so long.
pub fn measure(folder: &Path, time: Duration) -> Result<Vec<(&'static str, u64)>, Failure> {
    std::fs::create_dir_all(folder)?;
    let mut connection = Connection::open(folder.join("bare.db"))?;
    connection.execute_batch(SCHEMA)?;
    for org in 0..WALLETS {
        let insert = "INSERT INTO wallets VALUES (?1, 1000000000000, 0)";
        connection.execute(insert, [org])?;
    }
    let (begun, before) = (Instant::now(), written());
    let mut pairs = 0_i64;
    // Each commit has the holds of one crowd and the captures of the crowd before.
    while begun.elapsed() < time {
        let transaction = connection.transaction()?;
        for pair in pairs..pairs.saturating_add(PAIRS_A_COMMIT) {
            hold(&transaction, pair)?;
            let earlier = pair.saturating_sub(PAIRS_A_COMMIT);
            if earlier >= 0 {
                capture(&transaction, earlier)?;
            }
        }
        transaction.commit()?;
        pairs = pairs.saturating_add(PAIRS_A_COMMIT);
    }
    let micros = u64::try_from(begun.elapsed().as_micros())?;
    let bytes = written().saturating_sub(before);
    let pairs = pairs.cast_unsigned();
    let each = |sum: u64, count: u64| sum.checked_div(count).unwrap_or_default();
    Ok(vec![
        (
            "pairs_bare_per_s",
            each(pairs.saturating_mul(1_000_000), micros),
        ),
        ("bytes_per_bare_pair", each(bytes, pairs)),
    ])
}

fn hold(transaction: &Transaction<'_>, pair: i64) -> Result<(), Failure> {
    let org = pair.checked_rem(WALLETS).unwrap_or_default();
    key(transaction, pair.saturating_mul(2))?;
    let insert = "INSERT INTO holds VALUES (?1, ?2, 1000, 1)";
    transaction.prepare_cached(insert)?.execute([pair, org])?;
    let update = "UPDATE wallets SET held = held + 1000 WHERE org = ?1";
    transaction.prepare_cached(update)?.execute([org])?;
    Ok(())
}

fn capture(transaction: &Transaction<'_>, pair: i64) -> Result<(), Failure> {
    let org = pair.checked_rem(WALLETS).unwrap_or_default();
    key(transaction, pair.saturating_mul(2).saturating_add(1))?;
    let end = "UPDATE holds SET is_open = 0 WHERE id = ?1";
    transaction.prepare_cached(end)?.execute([pair])?;
    let post = "INSERT INTO transactions VALUES (?1, ?2, 900, ?3)";
    let hash = digest(pair);
    let row = params![pair, org, hash];
    transaction.prepare_cached(post)?.execute(row)?;
    let keep = "INSERT INTO receipts VALUES (?1, ?2)";
    let row = params![pair, RECEIPT];
    transaction.prepare_cached(keep)?.execute(row)?;
    let take = "UPDATE wallets SET posted = posted - 900, held = held - 1000 WHERE org = ?1";
    transaction.prepare_cached(take)?.execute([org])?;
    Ok(())
}

/// An idempotency key: a digest, so anywhere in its table.
fn key(transaction: &Transaction<'_>, number: i64) -> Result<(), Failure> {
    let keep = "INSERT INTO keys VALUES (?1, ?2)";
    let row = params![digest(number), number];
    transaction.prepare_cached(keep)?.execute(row)?;
    Ok(())
}

/// Bytes as evenly spread as a digest's, for less work (the finalizer of SplitMix64).
fn digest(number: i64) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut state = number.cast_unsigned();
    for part in bytes.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        part.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes
}
