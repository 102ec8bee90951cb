//! [`SqliteStore`]: the adapter that the service sees.

use super::directory::{DataDirectory, DirectoryError, DirectoryLock};
use super::migrate::{self, MigrateError};
use super::read::pool::Pool;
use super::read::{
    audit, budgets, corrections, counts, directory, grants, groups, holds, journal, past, releases,
    signatures, trials, usage, wallets,
};
use super::write::batch::Counters;
use super::write::memory::{Published, month_of};
use super::write::queue::Queue;
use super::{connection, load};
use crate::service::ledger::directory::{KeyRecord, OrgRecord, QuoteRecord};
use crate::service::ledger::failure::{ReadError, StorageError};
use crate::service::ledger::past::{
    Corrected, CorrectionView, Lines, Past, PastCharge, PastWaiting, Span,
};
use crate::service::ledger::receipt::Receipt;
use crate::service::ledger::releases::{
    BindingScope, Bindings, ChangeRecord, ReleaseParts, ReleaseRecord,
};
use crate::service::ledger::trials::TrialRecord;
use crate::service::ledger::view::{
    AuditView, Gauges, GroupBy, HoldView, LeaseView, Page, PageRequest, QueryView, SignedHead,
    TransactionView, UsageFilter, UsageGroup, UsageView, WalletView,
};
use crate::service::ledger::write::{Write, WriteError};
use crate::service::ledger::{LedgerStore, WriteFuture};
use crate::service::policy::ReleaseId;
use crate::service::signature::{PinnedKeys, SignatureError};
use crate::service::time::SharedClock;
use ed25519_dalek::{Signer, SigningKey};
use farebox_ledger::budget::{Budget, BudgetUse};
use farebox_ledger::chain::{Head, head_message};
use farebox_ledger::commodity::Commodity;
use farebox_ledger::grant::Grant;
use farebox_ledger::ids::{
    ChargeId, CommodityId, Digest, EventId, HoldId, KeyId, OrgId, QuoteId, TransactionId,
};
use farebox_pricing::event::Deployment;
use farebox_pricing::money::Nanos;
use rusqlite::Connection;
use rust_decimal::Decimal;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How a store behaves.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// The most writes that wait; beyond it [`WriteError::Busy`].
    pub queue_bound: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { queue_bound: 8_192 }
    }
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Its schema is not one this program knows.
    #[error(transparent)]
    Schema(#[from] MigrateError),
    /// Storage failed, or what is stored contradicts itself.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The ledger on SQLite.
pub struct SqliteStore {
    // Dropped first: the writer finishes while the lock is still held.
    queue: Option<Queue>,
    published: Arc<Published>,
    counters: Arc<Counters>,
    pool: Pool,
    clock: SharedClock,
    directory: DataDirectory,
    signing_key: Option<SigningKey>,
    _lock: Option<DirectoryLock>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens a data directory to serve from it: makes what is missing, brings the schema up to
    /// date, locks it until the store is dropped.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        directory: DataDirectory,
        clock: SharedClock,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        directory.create()?;
        let lock = directory.lock()?;
        let signing_key = directory.signing_key()?;
        let mut connection = connection::writer(&directory.database())?;
        migrate::migrate(&mut connection)?;
        let (memory, commodities) = load::memory(&connection)?;
        let published = Arc::new(Published::default());
        published.show_all(&memory, commodities);
        published.show_bindings(releases::bindings(&connection)?);
        let counters = Arc::new(Counters::default());
        let queue = Queue::start(
            connection,
            memory,
            Arc::clone(&clock),
            Arc::clone(&published),
            Arc::clone(&counters),
            options.queue_bound,
        )?;
        Ok(Self {
            queue: Some(queue),
            published,
            counters,
            pool: Pool::new(directory.database()),
            clock,
            directory,
            signing_key: Some(signing_key),
            _lock: Some(lock),
        })
    }

    /// Opens a data directory only to read, whoever serves from it. Wallets are as of now; every
    /// write is answered [`WriteError::ShuttingDown`]. Heads are signed where the directory has its
    /// key already: one that was restored and never served from has none, and gives no heads.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_read_only(directory: DataDirectory, clock: SharedClock) -> Result<Self, OpenError> {
        directory.must_exist()?;
        let connection = connection::reader(&directory.database())?;
        migrate::must_be_current(&connection)?;
        let (memory, commodities) = load::memory(&connection)?;
        let published = Arc::new(Published::default());
        published.show_all(&memory, commodities);
        published.show_bindings(releases::bindings(&connection)?);
        Ok(Self {
            queue: None,
            published,
            counters: Arc::default(),
            pool: Pool::new(directory.database()),
            clock,
            signing_key: directory.existing_signing_key()?,
            directory,
            _lock: None,
        })
    }

    /// Finishes what waits and refuses what comes later. Dropping the store does the same.
    pub fn close(&self) {
        if let Some(queue) = &self.queue {
            queue.stop();
        }
    }

    /// Why a release may not price in a deployment: none of the keys that it pins signed it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn signature_refusal(
        &self,
        deployment: Deployment,
        release: &ReleaseId,
    ) -> Result<Option<SignatureError>, ReadError> {
        self.pool
            .read(|connection| Ok(signatures::refusal(connection, deployment, release)?))
    }

    fn sign(&self, heads: Vec<Head>) -> Vec<SignedHead> {
        let Some(key) = &self.signing_key else {
            return Vec::new();
        };
        let signed_at_ms = self.clock.now_ms();
        heads
            .into_iter()
            .map(|head| SignedHead {
                head,
                signed_at_ms,
                signature: key.sign(&head_message(&head, signed_at_ms)).to_bytes(),
                public_key: key.verifying_key().to_bytes(),
            })
            .collect()
    }

    /// See [`Published::turn`].
    #[cfg(test)]
    pub(super) fn turn(&self) -> std::sync::MutexGuard<'_, ()> {
        self.published.turn()
    }

    /// Reads what is said of bindings and trials. What it finds prices calls by then.
    fn read_of_bindings<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let found = self.pool.read(read);
        drop(self.published.turn());
        found
    }
}

impl LedgerStore for SqliteStore {
    fn submit(&self, write: Write) -> WriteFuture {
        let answer = match &self.queue {
            Some(queue) => queue.submit(write),
            None => Err(WriteError::ShuttingDown),
        };
        Box::pin(async move {
            match answer?.await {
                Ok(answered) => answered.verdict,
                Err(_) => Err(WriteError::ShuttingDown),
            }
        })
    }

    fn wallet(&self, org: OrgId) -> Result<Option<WalletView>, ReadError> {
        Ok(self.published.wallet(org).and_then(|(wallet, _)| {
            let commodity = self.published.commodity(wallet.commodity)?;
            Some(WalletView { wallet, commodity })
        }))
    }

    fn month_to_date(&self, org: OrgId, at_ms: i64) -> Result<Nanos, ReadError> {
        Ok(self
            .published
            .wallet(org)
            .filter(|(_, tail)| tail.month == month_of(at_ms))
            .map_or(Nanos::ZERO, |(_, tail)| tail.month_nanos))
    }

    fn counted(&self, org: OrgId, rule: &str, period: &str) -> Result<Decimal, ReadError> {
        self.pool
            .read(|connection| Ok(counts::sum(connection, org, rule, period)?))
    }

    fn leases(&self, org: OrgId) -> Vec<LeaseView> {
        self.published.leases(org)
    }

    fn grants(&self, org: OrgId) -> Result<Vec<Grant>, ReadError> {
        self.pool.read(|connection| {
            let mut live: Vec<Grant> = grants::live(connection, Some(org))?
                .into_iter()
                .map(|(_, grant)| grant)
                .collect();
            let active: Vec<_> = holds::active(connection, Some(org))?
                .into_iter()
                .map(|active| active.hold)
                .collect();
            grants::reserve(&mut live, &active);
            Ok(live)
        })
    }

    fn hold(&self, org: OrgId, hold: HoldId) -> Result<Option<HoldView>, ReadError> {
        self.pool
            .read(|connection| Ok(holds::one(connection, org, hold)?))
    }

    fn budgets(&self, org: OrgId) -> Result<Vec<(Budget, BudgetUse)>, ReadError> {
        self.pool.read(|connection| {
            let active = holds::active(connection, Some(org))?;
            let all = budgets::all(connection, Some(org))?;
            Ok(all
                .into_iter()
                .map(|(_, (budget, mut used))| {
                    used.held = active
                        .iter()
                        .filter(|active| budget.scope.covers(&active.hold.dimensions))
                        .fold(Nanos::ZERO, |sum, active| {
                            sum.checked_add(active.hold.left()).unwrap_or(Nanos::MAX)
                        });
                    (budget, used)
                })
                .collect())
        })
    }

    fn transactions(
        &self,
        org: OrgId,
        page: PageRequest,
    ) -> Result<Page<TransactionView>, ReadError> {
        self.pool
            .read(|connection| journal::page(connection, org, page))
    }

    fn usage(
        &self,
        org: OrgId,
        filter: &UsageFilter,
        page: PageRequest,
    ) -> Result<Page<UsageView>, ReadError> {
        self.pool
            .read(|connection| usage::page(connection, org, filter, page))
    }

    fn usage_groups(
        &self,
        org: OrgId,
        filter: &UsageFilter,
        by: &[GroupBy],
    ) -> Result<Vec<UsageGroup>, ReadError> {
        self.pool
            .read(|connection| groups::groups(connection, org, filter, by))
    }

    fn usage_event(&self, org: OrgId, event: EventId) -> Result<Option<UsageView>, ReadError> {
        self.pool
            .read(|connection| Ok(usage::one(connection, org, event)?))
    }

    fn unpriced(
        &self,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<(OrgId, EventId)>, ReadError> {
        self.pool
            .read(|connection| Ok(usage::unpriced(connection, after, limit)?))
    }

    fn receipt(&self, org: OrgId, charge: ChargeId) -> Result<Option<Receipt>, ReadError> {
        self.pool
            .read(|connection| Ok(usage::receipt(connection, org, charge)?))
    }

    fn audit(&self, org: OrgId, page: PageRequest) -> Result<Page<AuditView>, ReadError> {
        self.pool
            .read(|connection| Ok(audit::page(connection, org, page)?))
    }

    fn data_queries(&self, org: OrgId, page: PageRequest) -> Result<Page<QueryView>, ReadError> {
        self.pool
            .read(|connection| Ok(directory::data_queries(connection, org, page)?))
    }

    fn commodities(&self) -> Result<Vec<Commodity>, ReadError> {
        Ok(self.published.commodities())
    }

    fn commodity(&self, id: CommodityId) -> Result<Option<Commodity>, ReadError> {
        Ok(self.published.commodity(id))
    }

    fn org(&self, org: OrgId) -> Result<Option<OrgRecord>, ReadError> {
        self.pool
            .read(|connection| Ok(directory::org(connection, org)?))
    }

    fn orgs(&self, after: Option<OrgId>, limit: usize) -> Result<Vec<OrgRecord>, ReadError> {
        self.pool
            .read(|connection| Ok(directory::orgs(connection, after, limit)?))
    }

    fn key_by_hash(&self, hash: &Digest) -> Result<Option<KeyRecord>, ReadError> {
        self.pool
            .read(|connection| Ok(directory::key_by_hash(connection, hash)?))
    }

    fn key(&self, org: OrgId, key: KeyId) -> Result<Option<KeyRecord>, ReadError> {
        self.pool
            .read(|connection| Ok(directory::key(connection, org, key)?))
    }

    fn keys(&self, org: OrgId) -> Result<Vec<KeyRecord>, ReadError> {
        self.pool
            .read(|connection| Ok(directory::keys(connection, org)?))
    }

    fn releases(&self) -> Result<Vec<ReleaseRecord>, ReadError> {
        self.pool.read(|connection| Ok(releases::all(connection)?))
    }

    fn release_parts(&self, release: &ReleaseId) -> Result<Option<ReleaseParts>, ReadError> {
        self.pool
            .read(|connection| Ok(releases::parts(connection, release)?))
    }

    fn pinned_keys(&self, deployment: Deployment) -> Result<PinnedKeys, ReadError> {
        self.pool
            .read(|connection| Ok(signatures::pinned(connection, deployment)?))
    }

    fn bindings(&self) -> Arc<Bindings> {
        self.published.bindings()
    }

    fn bound(&self) -> Result<Vec<ChangeRecord>, ReadError> {
        self.read_of_bindings(|connection| Ok(releases::bound(connection)?))
    }

    fn binding_changes(
        &self,
        scope: Option<&BindingScope>,
        page: PageRequest,
    ) -> Result<Page<ChangeRecord>, ReadError> {
        self.read_of_bindings(|connection| Ok(releases::changes(connection, scope, page)?))
    }

    fn trials(&self, page: PageRequest) -> Result<Page<TrialRecord>, ReadError> {
        self.read_of_bindings(|connection| Ok(trials::page(connection, page)?))
    }

    fn trial(&self, id: TransactionId) -> Result<Option<TrialRecord>, ReadError> {
        self.read_of_bindings(|connection| Ok(trials::one(connection, id)?))
    }

    fn has_plan(&self, plan: &str) -> Result<bool, ReadError> {
        self.pool
            .read(|connection| Ok(directory::has_plan(connection, plan)?))
    }

    fn quote(&self, org: OrgId, quote: QuoteId) -> Result<Option<QuoteRecord>, ReadError> {
        self.pool
            .read(|connection| Ok(directory::kept_quote(connection, org, quote)?))
    }

    fn signed_heads(&self) -> Result<Vec<SignedHead>, ReadError> {
        let rows = self
            .pool
            .read(|connection| Ok::<_, ReadError>(wallets::all(connection)?))?;
        let heads = rows.into_iter().map(|row| Head {
            org: row.org,
            seq: row.wallet.seq,
            hash: row.wallet.head_hash,
        });
        Ok(self.sign(heads.collect()))
    }

    fn takes_writes(&self) -> bool {
        self.queue.as_ref().is_some_and(Queue::runs)
    }

    fn gauges(&self) -> Result<Gauges, ReadError> {
        let (holds_active, unpriced) = self.pool.read(|connection| {
            let sql = "SELECT (SELECT count(*) FROM holds_active), (SELECT count(*) FROM unpriced)";
            super::read::query_one(connection, sql, [], |row| {
                Ok((super::read::count(row, 0)?, super::read::count(row, 1)?))
            })
            .map(Option::unwrap_or_default)
            .map_err(ReadError::from)
        })?;
        let size = std::fs::metadata(self.directory.database());
        let (leases, leases_in_doubt, leased) = self.published.leased(self.clock.now_ms());
        Ok(Gauges {
            orgs: u64::try_from(self.published.count()).unwrap_or(u64::MAX),
            holds_active,
            leases,
            leases_in_doubt,
            leased,
            unpriced,
            queue: self.counters.queue.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
            writes: self.counters.writes.load(Ordering::Relaxed),
            failed_commits: self.counters.failed_commits.load(Ordering::Relaxed),
            database_bytes: size.map_or(0, |metadata| metadata.len()),
        })
    }
}

impl Past for SqliteStore {
    fn charges_posted(&self, posted_ms: Range<i64>) -> Result<Span, ReadError> {
        self.pool
            .read(|connection| Ok(past::span(connection, posted_ms)?))
    }

    fn charges_of(
        &self,
        span: &Span,
        part: u64,
        lines: Lines,
    ) -> Result<Vec<PastCharge>, ReadError> {
        self.pool
            .read(|connection| past::charges(connection, span, part, lines))
    }

    fn corrected(&self, charge: ChargeId) -> Result<Corrected, ReadError> {
        self.pool
            .read(|connection| Ok(corrections::corrected(connection, charge)?))
    }

    fn corrections(&self, charge: ChargeId) -> Result<Vec<CorrectionView>, ReadError> {
        self.pool
            .read(|connection| Ok(corrections::of(connection, charge)?))
    }

    fn waiting(&self, after: Option<EventId>, limit: usize) -> Result<Vec<PastWaiting>, ReadError> {
        self.pool
            .read(|connection| past::waiting(connection, after, limit))
    }
}
