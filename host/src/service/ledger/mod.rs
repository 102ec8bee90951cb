//! What the service asks of the ledger's keeper. Implemented by [`crate::store`].
//!
//! Coarse verbs, each atomic: there is no transaction handle, so no caller can hold one open, and
//! a store on another database only has to keep the same promises. A write is acknowledged after
//! it is durable (L9), and never otherwise. Reads are of one org, never of two; only what prices
//! the past again reads that of all ([`past`]).

pub mod directory;
pub mod failure;
pub mod past;
pub mod receipt;
pub mod releases;
pub mod trials;
pub mod view;
pub mod write;

use crate::service::signature::PinnedKeys;
use directory::{KeyRecord, OrgRecord, QuoteRecord};
use failure::ReadError;
use farebox_ledger::budget::{Budget, BudgetUse};
use farebox_ledger::commodity::Commodity;
use farebox_ledger::grant::Grant;
use farebox_ledger::ids::{
    ChargeId, CommodityId, Digest, EventId, HoldId, KeyId, OrgId, QuoteId, TransactionId,
};
use farebox_pricing::event::Deployment;
use farebox_pricing::money::Nanos;
use receipt::Receipt;
use releases::{BindingScope, Bindings, ChangeRecord, ReleaseParts, ReleaseRecord};
use rust_decimal::Decimal;
use std::pin::Pin;
use std::sync::Arc;
use trials::TrialRecord;
use view::{
    AuditView, Gauges, GroupBy, HoldView, LeaseView, Page, PageRequest, QueryView, SignedHead,
    TransactionView, UsageFilter, UsageGroup, UsageView, WalletView,
};
use write::{Acknowledged, Write, WriteError};

/// The answer to a write, once it is durable or refused.
pub type WriteFuture = Pin<Box<dyn Future<Output = Result<Acknowledged, WriteError>> + Send>>;

/// Keeps the ledger. Cheap to share; every method may be called from any thread.
///
/// Reads block the caller: microseconds for one row, up to seconds for a long history. Call
/// pages, groups and exports from a thread that may block.
pub trait LedgerStore: past::Past {
    /// Hands a write over. It takes its place in the queue before this returns, so two writes
    /// submitted in order are applied in order. Dropping the future does not undo the write.
    fn submit(&self, write: Write) -> WriteFuture;

    /// The org's wallet.
    ///
    /// # Errors
    /// See [`ReadError`]; `None` when the org has no wallet. So for all reads below.
    fn wallet(&self, org: OrgId) -> Result<Option<WalletView>, ReadError>;

    /// The org's active leases, oldest first, as of the last commit. Costs no read of the database.
    fn leases(&self, org: OrgId) -> Vec<LeaseView>;

    /// The org's lots with something left, in no order.
    fn grants(&self, org: OrgId) -> Result<Vec<Grant>, ReadError>;

    /// A hold, active or over.
    fn hold(&self, org: OrgId, hold: HoldId) -> Result<Option<HoldView>, ReadError>;

    /// The org's budgets and what each has counted in the window it last counted in.
    fn budgets(&self, org: OrgId) -> Result<Vec<(Budget, BudgetUse)>, ReadError>;

    /// What the org was charged, refunds apart, in the UTC calendar month in which `at_ms` lies,
    /// as far as that is the month of its latest charge; zero otherwise.
    fn month_to_date(&self, org: OrgId, at_ms: i64) -> Result<Nanos, ReadError>;

    /// What was counted for a rule of the price book in a period, over all the org's charges.
    fn counted(&self, org: OrgId, rule: &str, period: &str) -> Result<Decimal, ReadError>;

    /// The org's transactions, newest first.
    fn transactions(
        &self,
        org: OrgId,
        page: PageRequest,
    ) -> Result<Page<TransactionView>, ReadError>;

    /// The org's usage, newest first.
    fn usage(
        &self,
        org: OrgId,
        filter: &UsageFilter,
        page: PageRequest,
    ) -> Result<Page<UsageView>, ReadError>;

    /// The org's usage summed by `by`, in the order of the groups' values.
    fn usage_groups(
        &self,
        org: OrgId,
        filter: &UsageFilter,
        by: &[GroupBy],
    ) -> Result<Vec<UsageGroup>, ReadError>;

    /// One usage event.
    fn usage_event(&self, org: OrgId, event: EventId) -> Result<Option<UsageView>, ReadError>;

    /// Usage that waits for a price, oldest first, of any org, from after `after` on: at most
    /// `limit`.
    fn unpriced(
        &self,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<(OrgId, EventId)>, ReadError>;

    /// The receipt of a charge.
    fn receipt(&self, org: OrgId, charge: ChargeId) -> Result<Option<Receipt>, ReadError>;

    /// What was done to the org by its operator and with its keys, newest first.
    fn audit(&self, org: OrgId, page: PageRequest) -> Result<Page<AuditView>, ReadError>;

    /// The org's free public-data queries, newest first.
    fn data_queries(&self, org: OrgId, page: PageRequest) -> Result<Page<QueryView>, ReadError>;

    /// All kinds of credit.
    fn commodities(&self) -> Result<Vec<Commodity>, ReadError>;

    /// One kind of credit.
    fn commodity(&self, id: CommodityId) -> Result<Option<Commodity>, ReadError>;

    /// An org.
    fn org(&self, org: OrgId) -> Result<Option<OrgRecord>, ReadError>;

    /// Orgs, oldest first, from after `after` on.
    fn orgs(&self, after: Option<OrgId>, limit: usize) -> Result<Vec<OrgRecord>, ReadError>;

    /// The key whose secret has this hash, whatever its state.
    fn key_by_hash(&self, hash: &Digest) -> Result<Option<KeyRecord>, ReadError>;

    /// One key of the org.
    fn key(&self, org: OrgId, key: KeyId) -> Result<Option<KeyRecord>, ReadError>;

    /// The org's keys, oldest first.
    fn keys(&self, org: OrgId) -> Result<Vec<KeyRecord>, ReadError>;

    /// Every admitted release, oldest first.
    fn releases(&self) -> Result<Vec<ReleaseRecord>, ReadError>;

    /// The bytes of a release.
    fn release_parts(
        &self,
        release: &super::policy::ReleaseId,
    ) -> Result<Option<ReleaseParts>, ReadError>;

    /// The keys that a deployment pins.
    fn pinned_keys(&self, deployment: Deployment) -> Result<PinnedKeys, ReadError>;

    /// What is bound as of the last commit. Costs no read of the database, and shows every caller
    /// the same moment.
    fn bindings(&self) -> Arc<Bindings>;

    /// The present binding of every scope that has or had one of its own: its newest change.
    fn bound(&self) -> Result<Vec<ChangeRecord>, ReadError>;

    /// Changes of bindings, newest first; of one scope where one is named.
    fn binding_changes(
        &self,
        scope: Option<&BindingScope>,
        page: PageRequest,
    ) -> Result<Page<ChangeRecord>, ReadError>;

    /// Trials, newest first.
    fn trials(&self, page: PageRequest) -> Result<Page<TrialRecord>, ReadError>;

    /// One trial.
    fn trial(&self, id: TransactionId) -> Result<Option<TrialRecord>, ReadError>;

    /// Whether an org is on this plan.
    fn has_plan(&self, plan: &str) -> Result<bool, ReadError>;

    /// A kept quote.
    fn quote(&self, org: OrgId, quote: QuoteId) -> Result<Option<QuoteRecord>, ReadError>;

    /// The end of every org's hash chain, signed (L5).
    fn signed_heads(&self) -> Result<Vec<SignedHead>, ReadError>;

    /// Whether there is a writer that takes writes: none has been closed, and none ended of itself.
    fn takes_writes(&self) -> bool;

    /// Numbers for operations.
    fn gauges(&self) -> Result<Gauges, ReadError>;
}

/// A shared store.
pub type SharedStore = Arc<dyn LedgerStore>;
