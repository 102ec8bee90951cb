//! The ledger on SQLite: one data directory, one process that serves from it, one writer.
//!
//! Only this module names SQL. [`SqliteStore`] is the adapter of
//! [`crate::service::ledger::LedgerStore`]; [`backup`] and [`mod@verify`] work on a data directory
//! without a server. Must not know HTTP, policies, configuration, or what time it is.
//!
//! | module | what |
//! |---|---|
//! | [`directory`] | the data directory: its files, its lock, its signing key |
//! | `connection` | how a connection is opened; which failure is which |
//! | `migrate` | the schema and how an older one becomes it |
//! | `copy` | copies of one moment, as they are or migrated |
//! | `rows` | values as bytes |
//! | `chunks` | the journal's lists: many entries in one row, found by place or id |
//! | `prepare` | what of a write can be made before its turn |
//! | `queue`, `batch`, `apply`, `journal`, `derived`, `registry` | the single writer, from queue to commit |
//! | `dedupe` | which idempotency key led to which effect, flat in time and space |
//! | `load` | the ledger's state out of its rows, at start and after a failed commit |
//! | `read` | what readers ask |
//! | [`mod@verify`] | the proof of L1–L8 and L10 on any data directory |

pub mod backup;
mod chunks;
mod connection;
mod copy;
mod dedupe;
pub mod directory;
mod load;
mod migrate;
mod read;
mod rows;
mod sqlite;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests may overflow loudly")]
mod tests;
pub mod verify;
mod write;

#[cfg(test)]
pub(crate) use connection::tests::PAGES_MAX;
pub use sqlite::{OpenError, SqliteStore, StoreOptions};
