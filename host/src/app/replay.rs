//! Prices the charges of a data directory again, each under the very release that priced it first
//! (L10), beside whoever serves from it.

use super::shipped;
use crate::clock::SystemClock;
use crate::engine::{Engine, StartError};
use crate::service::ledger::LedgerStore;
use crate::service::ledger::failure::ReadError;
use crate::service::policy::PolicyEngine;
use crate::service::rerate::proof::{Proof, prove};
use crate::service::rerate::{Control, Tools};
use crate::service::time::Clock;
use crate::store::directory::DataDirectory;
use crate::store::{OpenError, SqliteStore};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// An engine with the releases of a data directory.
pub struct Replayer {
    engine: Engine,
    store: SqliteStore,
    clock: Arc<SystemClock>,
    /// Releases that are there: why they do not load, where they do not.
    known: BTreeMap<String, Option<String>>,
}

/// Why nothing can be priced again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The sandbox cannot start.
    #[error("the policy engine cannot start")]
    Start(#[from] StartError),
    /// The data directory cannot be opened.
    #[error("the data directory cannot be opened")]
    Open(#[from] OpenError),
    /// The data directory cannot be read.
    #[error("the data directory cannot be read")]
    Read(#[from] ReadError),
}

/// What was proved, and how long it took.
#[derive(Debug)]
pub struct Replayed {
    /// What was proved.
    pub proof: Proof,
    /// How long it took, without loading releases.
    pub took: Duration,
}

impl Replayer {
    /// Opens a data directory to read it, and loads its releases.
    ///
    /// # Errors
    /// See [`ReplayError`]. A release that does not load is none: what it priced is missing.
    pub fn open(directory: DataDirectory, cache_dir: PathBuf) -> Result<Self, ReplayError> {
        let clock = Arc::new(SystemClock::new());
        let store = SqliteStore::open_read_only(directory, Arc::clone(&clock) as _)?;
        let engine = Engine::new(cache_dir)?.trusting(shipped::STANDARD_COMPONENT);
        let mut known = BTreeMap::new();
        for release in store.releases()? {
            let why = match store.release_parts(&release.id)? {
                None => Some("has lost its bytes".to_owned()),
                Some(parts) => match engine.load(&release, &parts) {
                    Ok(_) => None,
                    Err(error) => Some(format!("cannot be loaded: {error}")),
                },
            };
            known.insert(release.id.to_string(), why);
        }
        Ok(Self {
            engine,
            store,
            clock,
            known,
        })
    }

    /// Prices every charge again and compares.
    ///
    /// # Errors
    /// Charges cannot be read.
    pub fn prove(&self, control: &Control) -> Result<Replayed, ReadError> {
        let tools = Tools {
            past: &self.store,
            engine: &self.engine,
            prepare: || {},
        };
        let begun = self.clock.elapsed();
        let (proof, _end) = prove(tools, control)?;
        let took = self.clock.elapsed().saturating_sub(begun);
        Ok(Replayed { proof, took })
    }

    /// Why a release is missing, in words that follow its name.
    pub fn why_missing(&self, release: &str) -> &str {
        match self.known.get(release) {
            None => "is not in this data directory",
            Some(Some(why)) => why,
            Some(None) => "took longer than it may on this machine, which may be busy",
        }
    }
}
