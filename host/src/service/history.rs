//! What was: transactions, usage, sums, queries and audit of one org. Reads only.

use super::ledger::failure::ReadError;
use super::ledger::view::{
    AuditView, GroupBy, Page, PageRequest, QueryView, TransactionView, UsageFilter, UsageGroup,
    UsageView, WalletView,
};
use super::{Context, Service};
use farebox_ledger::grant::Grant;
use farebox_ledger::ids::{EventId, KeyId};
use farebox_pricing::money::Peg;

/// Why something is not shown.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HistoryError {
    /// No such thing of this org.
    #[error("{what} does not exist")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Service {
    /// The org's wallet and its lots in spend order.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn wallet(&self, context: &Context) -> Result<(WalletView, Vec<Grant>), HistoryError> {
        let wallet = self
            .store
            .wallet(context.org)?
            .ok_or_else(|| HistoryError::NotFound {
                what: format!("org `{}`", context.org),
            })?;
        let mut grants = self.store.grants(context.org)?;
        grants.sort_by_key(Grant::order);
        Ok((wallet, grants))
    }

    /// What one credit is worth in USD today.
    pub fn peg_now(&self) -> Peg {
        self.settings.pegs.at(self.clock.now_ms())
    }

    /// The org's transactions, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn transactions(
        &self,
        context: &Context,
        page: PageRequest,
    ) -> Result<Page<TransactionView>, ReadError> {
        self.store.transactions(context.org, page)
    }

    /// The org's usage, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn usage(
        &self,
        context: &Context,
        filter: &UsageFilter,
        page: PageRequest,
    ) -> Result<Page<UsageView>, ReadError> {
        self.store.usage(context.org, filter, page)
    }

    /// The org's usage summed.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn usage_groups(
        &self,
        context: &Context,
        filter: &UsageFilter,
        by: &[GroupBy],
    ) -> Result<Vec<UsageGroup>, ReadError> {
        self.store.usage_groups(context.org, filter, by)
    }

    /// One usage event of the org.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn usage_event(
        &self,
        context: &Context,
        event: EventId,
    ) -> Result<UsageView, HistoryError> {
        self.store
            .usage_event(context.org, event)?
            .ok_or_else(|| HistoryError::NotFound {
                what: format!("usage `{event}`"),
            })
    }

    /// That the org has this key, now or earlier.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn require_key(&self, context: &Context, key: KeyId) -> Result<(), HistoryError> {
        match self.store.key(context.org, key)? {
            Some(_) => Ok(()),
            None => Err(HistoryError::NotFound {
                what: format!("key `{key}`"),
            }),
        }
    }

    /// What was done to the org, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn audit(
        &self,
        context: &Context,
        page: PageRequest,
    ) -> Result<Page<AuditView>, ReadError> {
        self.store.audit(context.org, page)
    }

    /// The org's free queries, newest first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn data_queries(
        &self,
        context: &Context,
        page: PageRequest,
    ) -> Result<Page<QueryView>, ReadError> {
        self.store.data_queries(context.org, page)
    }
}
