//! The single writer, from queue to acknowledgement.
//!
//! A write is made ready on its caller's thread, waits in a bounded queue, and is applied in turn:
//! the thread takes what is waiting (up to some hundred), applies each to the ledger in memory, puts
//! the rows into one database transaction, commits, and only then answers all of them (L9). One
//! thread decides, so there is nothing to race with (L3, L6, L7).

pub mod apply;
pub mod batch;
mod carrier;
mod crowd;
pub mod derived;
mod filters;
pub mod journal;
pub mod memory;
pub mod outcome;
pub mod personal;
pub mod prepare;
pub mod queue;
pub mod recall;
mod registry;
mod releases;
mod signatures;
mod statement;
mod trials;
