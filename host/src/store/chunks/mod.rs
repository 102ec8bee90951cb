//! The journal's lists: append-only entries, many of them in one row.
//!
//! A row per entry costs the database three microseconds and a cell of its own in a page; the
//! entries of a commit lie side by side anyway. So a list is a table of **chunks**: up to
//! [`ENTRIES`] entries, compressed together, under a number that only rises. A [`Place`] is a
//! chunk's number and a slot in it: entries link to each other by place, so following an org's
//! list needs no index. [`ids`] finds the places of the things that callers name.
//!
//! What an entry says is decided in [`super::rows::records`]; here it is bytes.

mod format;
pub mod ids;
mod open;
mod reader;

pub use format::{Chunk, encode};
pub use open::OpenList;
pub use reader::{ChunkReader, Entries, Seen, first_at_or_after, last};

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// The most entries of a chunk: what one look-up has to decompress.
pub const ENTRIES: usize = 32;
/// A chunk is closed when its entries reach so many bytes.
pub const BYTES: usize = 48 * 1024;

/// A list of entries, each in its own table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Transactions, in the order they were posted.
    Transactions,
    /// Usage events.
    Usage,
    /// Receipts, in the order of their transactions.
    Receipts,
    /// What happened to holds: placed, changed, ended.
    Holds,
}

impl List {
    /// Its table.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Transactions => "transactions",
            Self::Usage => "usage_events",
            Self::Receipts => "receipts",
            Self::Holds => "holds",
        }
    }

    /// The number that stands for it beside ids. Never reused.
    pub const fn code(self) -> i64 {
        match self {
            Self::Transactions => 0,
            Self::Usage => 1,
            Self::Receipts => 2,
            Self::Holds => 3,
        }
    }
}

/// Where an entry stands: its chunk's number, then its slot in the lowest eight bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(i64);

impl Place {
    /// The place of a slot in a chunk.
    pub fn new(chunk: i64, slot: usize) -> Self {
        let slot = i64::try_from(slot).unwrap_or(0xff) & 0xff;
        Self((chunk << 8) | slot)
    }

    /// The place with this number.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// The number that stands for it in rows.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The chunk.
    pub const fn chunk(self) -> i64 {
        self.0 >> 8
    }

    /// The slot.
    pub fn slot(self) -> usize {
        usize::try_from(self.0 & 0xff).unwrap_or_default()
    }

    /// As the cursor of a page.
    pub fn cursor(self) -> u128 {
        u128::from(self.0.unsigned_abs())
    }

    /// From a cursor. `None`: no list gives such a cursor.
    pub fn from_cursor(cursor: u128) -> Option<Self> {
        i64::try_from(cursor).ok().map(Self)
    }
}

impl ToSql for Place {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0))
    }
}

impl FromSql for Place {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}
