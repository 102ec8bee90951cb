//! Who there is and what prices their calls: orgs, keys, releases, bindings, quotes, queries.

use super::write::{CallAudit, Personal};
use crate::service::policy::ReleaseId;
use farebox_ledger::commodity::Commodity;
use farebox_ledger::hold::Dimensions;
use farebox_ledger::ids::{Digest, EventId, KeyId, OrgId, QueryId, QuoteId};
use farebox_pricing::answer::Line;
use farebox_pricing::event::{Deployment, Facts, QuoteRequest};
use farebox_pricing::money::Nanos;
use rust_decimal::Decimal;
use std::sync::Arc;

/// A customer of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgRecord {
    /// Which.
    pub id: OrgId,
    /// The operator's name for it.
    pub name: Box<str>,
    /// Its plan.
    pub plan: Option<Box<str>>,
    /// When it was created, milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// An API key. The secret itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Which.
    pub id: KeyId,
    /// Whose.
    pub org: OrgId,
    /// The owner's name for it.
    pub name: Box<str>,
    /// The beginning of the secret, enough to recognise it.
    pub prefix: Box<str>,
    /// SHA-256 of the secret.
    pub hash: Digest,
    /// What it may do.
    pub scopes: Box<[Box<str>]>,
    /// When it was created, milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// From when on it no longer works.
    pub expires_at_ms: Option<i64>,
    /// Since when it no longer works.
    pub revoked_at_ms: Option<i64>,
}

/// The bytes of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseParts {
    /// The component.
    pub component: Arc<[u8]>,
    /// The canonical book.
    pub book: Arc<[u8]>,
    /// The book as people wrote it.
    pub book_source: Option<Arc<[u8]>>,
}

/// An admitted release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseRecord {
    /// What it is, by content.
    pub id: ReleaseId,
    /// The operator's name for it.
    pub name: Box<str>,
    /// When it was admitted, milliseconds since the Unix epoch.
    pub admitted_at_ms: i64,
}

/// What a binding is for; the most specific wins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BindingScope {
    /// Everything in this deployment.
    Deployment(Deployment),
    /// A plan.
    Plan(Box<str>),
    /// An org.
    Org(OrgId),
}

/// A scope and the release that prices it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingRecord {
    /// What it is for.
    pub scope: BindingScope,
    /// What prices it.
    pub release: ReleaseId,
    /// Since when, milliseconds since the Unix epoch.
    pub since_ms: i64,
}

/// A quote that is kept, to be approved and run.
#[derive(Clone, Debug, PartialEq)]
pub struct QuoteRecord {
    /// Which.
    pub id: QuoteId,
    /// Whose.
    pub org: OrgId,
    /// When it was made, milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// From when on it no longer stands.
    pub expires_at_ms: i64,
    /// What priced it.
    pub release: ReleaseId,
    /// What was asked.
    pub request: QuoteRequest,
    /// What the host vouched for.
    pub facts: Facts,
    /// The worst case, line by line.
    pub lines: Vec<Line>,
    /// The most that the call can be charged, in USD.
    pub total_usd: Decimal,
    /// The same in nano-credits, rounded away from zero.
    pub amount: Nanos,
    /// The output tokens the bound assumes.
    pub max_output_tokens: Option<u64>,
}

/// A free public-data query: logged, never billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryRecord {
    /// Which.
    pub id: QueryId,
    /// Whose.
    pub org: OrgId,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What was queried, such as `company_search`.
    pub name: Box<str>,
    /// Where the data came from.
    pub source: Option<Box<str>>,
    /// How many records it gave.
    pub records: Option<u64>,
    /// What it was for.
    pub dimensions: Arc<Dimensions>,
    /// What operations want to know about it.
    pub audit: CallAudit,
    /// Who asked.
    pub personal: Personal,
}

/// A change of the directory.
#[derive(Clone, Debug)]
pub enum DirectoryWrite {
    /// A kind of credit. Known already with the same peg: nothing happens.
    CreateCommodity(Commodity),
    /// A new plan of an org.
    SetPlan {
        /// Whose.
        org: OrgId,
        /// The plan.
        plan: Option<Box<str>>,
    },
    /// A new key.
    CreateKey(KeyRecord),
    /// A key no longer works. Revoking twice keeps the first time.
    RevokeKey {
        /// Whose.
        org: OrgId,
        /// Which.
        key: KeyId,
    },
    /// A release and its bytes. Known already: nothing happens.
    AdmitRelease {
        /// The release.
        release: ReleaseRecord,
        /// Its bytes.
        parts: ReleaseParts,
    },
    /// A scope is priced by this release from now on.
    Bind(BindingRecord),
    /// A scope has no release of its own any more.
    Unbind(BindingScope),
    /// A quote to keep.
    KeepQuote(Box<QuoteRecord>),
    /// A free query.
    RecordQuery(Box<QueryRecord>),
    /// Forgets who made a call. The event itself stays.
    ErasePersonal {
        /// Whose.
        org: OrgId,
        /// Which call; absent: all of the org's.
        event: Option<EventId>,
    },
}

/// Why the directory is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryRefusal {
    /// No such org.
    #[error("org `{0}` does not exist")]
    OrgNotFound(OrgId),
    /// The org's id or name is taken.
    #[error("an org named `{0}` exists already")]
    OrgExists(Box<str>),
    /// The org has no such key.
    #[error("key `{0}` does not exist")]
    KeyNotFound(KeyId),
    /// The key's id or hash is taken.
    #[error("key `{0}` exists already")]
    KeyExists(KeyId),
    /// The commodity exists with another peg or name: a new peg is a new commodity.
    #[error("commodity `{0}` exists already with another peg or name")]
    CommodityExists(farebox_ledger::ids::CommodityId),
    /// The release was never admitted.
    #[error("the release was never admitted")]
    ReleaseNotFound,
    /// The quote's id is taken.
    #[error("quote `{0}` exists already")]
    QuoteExists(QuoteId),
}
