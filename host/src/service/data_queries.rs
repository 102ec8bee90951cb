//! Free public data: logged, never billed.

use super::calls::{CallError, Labels, dimensions};
use super::ledger::directory::{DirectoryWrite, QueryRecord};
use super::ledger::write::{Acknowledged, Action, CallAudit, Personal, WriteError};
use super::{Context, Service};
use farebox_ledger::ids::QueryId;
use std::sync::Arc;

/// A free query, as its caller reports it.
#[derive(Clone, Debug)]
pub struct DataQuery {
    /// What was queried, such as `company_search`.
    pub name: Box<str>,
    /// Where the data came from.
    pub source: Option<Box<str>>,
    /// How many records it gave.
    pub records: Option<u64>,
    /// What it was for.
    pub labels: Labels,
    /// What operations want to know.
    pub audit: CallAudit,
    /// Who asked.
    pub personal: Personal,
}

/// Why a query is not logged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DataQueryError {
    /// The org does not exist, or cannot be read.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The log could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Service {
    /// Logs a free query.
    ///
    /// # Errors
    /// See [`DataQueryError`].
    pub async fn record_query(
        &self,
        context: &Context,
        query: DataQuery,
    ) -> Result<(QueryId, Acknowledged), DataQueryError> {
        let org = self.known_org(context.org)?;
        let id = QueryId::new(self.clock.next_id());
        let record = QueryRecord {
            id,
            org: context.org,
            at_ms: self.clock.now_ms(),
            name: query.name,
            source: query.source,
            records: query.records,
            dimensions: Arc::new(dimensions(context, &org, &query.labels)),
            audit: query.audit,
            personal: query.personal,
        };
        let write = DirectoryWrite::RecordQuery(Box::new(record));
        let acknowledged = self.write(context, None, Action::Directory(write)).await?;
        let id = match acknowledged.made {
            super::ledger::write::Made::Other(first) => QueryId::new(first),
            _ => id,
        };
        Ok((id, acknowledged))
    }
}
