//! How storage fails, in words that do not name the database.

use std::error::Error;
use std::sync::Arc;

/// The cause as the database told it, for logs. Shared: one failed commit fails many writes.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// How storage failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// No space is left. Reads go on; writes go on when there is space again.
    #[error("the disk is full")]
    DiskFull(#[source] Cause),
    /// A read or write of the disk failed.
    #[error("the disk failed")]
    Io(#[source] Cause),
    /// A row or file is not what was written.
    #[error("stored data is damaged")]
    Damaged(#[source] Cause),
    /// A row exists already, or breaks a rule that the database itself holds (L4).
    #[error("the database refused a row")]
    Constraint(#[source] Cause),
    /// Anything else.
    #[error("storage failed")]
    Other(#[source] Cause),
}

/// Why a read gives no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The cursor is not one that this list gave.
    #[error("the cursor is not of this list")]
    Cursor,
    /// The answer would pass its bounds (a sum beyond 63 bits).
    #[error("the answer is out of range")]
    OutOfRange,
}
