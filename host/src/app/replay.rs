//! Prices receipts again, under the very release that priced them first (L10).

use super::shipped;
use crate::clock::SystemClock;
use crate::engine::{Engine, StartError};
use crate::service::ledger::LedgerStore;
use crate::service::ledger::failure::ReadError;
use crate::service::ledger::receipt::Receipt;
use crate::service::ledger::releases::ReleaseRecord;
use crate::service::policy::{PolicyEngine, ReleaseId};
use crate::store::directory::DataDirectory;
use crate::store::{OpenError, SqliteStore};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// An engine with the releases of a data directory, loaded as receipts ask for them.
pub struct Replayer {
    engine: Engine,
    releases: HashMap<ReleaseId, ReleaseRecord>,
    store: SqliteStore,
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

impl Replayer {
    /// Opens a data directory to read its releases, beside whoever serves from it.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub fn open(directory: DataDirectory, cache_dir: PathBuf) -> Result<Self, ReplayError> {
        let clock = Arc::new(SystemClock::new());
        let store = SqliteStore::open_read_only(directory, clock)?;
        let releases = store.releases()?.into_iter();
        Ok(Self {
            engine: Engine::new(cache_dir)?.trusting(shipped::STANDARD_COMPONENT),
            releases: releases.map(|release| (release.id, release)).collect(),
            store,
        })
    }

    /// Prices a receipt's event again and compares.
    ///
    /// # Errors
    /// What differs, or what is missing, in words.
    pub fn reprice(&self, receipt: &Receipt) -> Result<(), String> {
        let pricing = &receipt.pricing;
        let Some(release) = pricing.release else {
            // The vouched cost was charged without a policy; the audit compares it by itself.
            return Ok(());
        };
        self.load(&release)?;
        let again = self
            .engine
            .rate(&release, &receipt.event, &pricing.facts)
            .map_err(|error| format!("priced again, there is no price: {error}"))?;
        if again.price_usd != pricing.price_usd {
            return Err(format!("priced again, it is {} USD", again.price_usd));
        }
        if again.lines != pricing.lines {
            return Err("priced again, its lines differ".to_owned());
        }
        if again.provider_cost_usd != pricing.provider_cost_usd {
            return Err(format!(
                "its provider cost is {} USD now",
                again.provider_cost_usd
            ));
        }
        Ok(())
    }

    fn load(&self, release: &ReleaseId) -> Result<(), String> {
        if self.engine.is_loaded(release) {
            return Ok(());
        }
        let missing = |error: ReadError| format!("its release cannot be read: {error}");
        let absent = "its release is not in this data directory";
        let record = self.releases.get(release).ok_or(absent)?;
        let parts = self.store.release_parts(release).map_err(missing)?;
        let parts = parts.ok_or(absent)?;
        self.engine
            .load(record, &parts)
            .map_err(|error| format!("its release cannot be loaded: {error}"))
    }
}
