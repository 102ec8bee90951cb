//! Who there is: orgs, keys, quotes, queries; and every change of the directory, releases and
//! bindings included.

use super::releases::{BindingChange, BindingScope, ReleaseParts, ReleaseRecord};
use super::trials::TrialWrite;
use super::write::{CallAudit, Personal};
use crate::service::policy::ReleaseId;
use crate::service::signature::{PinnedKeys, SIGNATURES_MAX, SignatureError};
use farebox_ledger::commodity::Commodity;
use farebox_ledger::hold::Dimensions;
use farebox_ledger::ids::{Digest, EventId, KeyId, OrgId, QueryId, QuoteId, TransactionId};
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
    /// A release and its bytes. Known already with the same trust: only the signatures of further
    /// keys and further filters are added.
    AdmitRelease {
        /// The release.
        release: ReleaseRecord,
        /// Its bytes.
        parts: ReleaseParts,
    },
    /// A deployment pins these keys from now on, and no others.
    PinKeys {
        /// Where.
        deployment: Deployment,
        /// The keys.
        keys: PinnedKeys,
    },
    /// A scope is priced by another release from now on.
    Bind(BindingChange),
    /// A release prices nothing from now on. Revoking twice keeps the first time.
    RevokeRelease {
        /// Which.
        release: ReleaseId,
        /// Why.
        why: Box<str>,
    },
    /// A candidate is tried beside what is bound, or no longer.
    Trial(TrialWrite),
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
    #[error("release `{0}` was never admitted")]
    ReleaseNotFound(ReleaseId),
    /// The release was admitted before, with another trust.
    #[error("release `{0}` was admitted before, with another trust: a release never changes")]
    ReleaseExists(ReleaseId),
    /// None of the keys that are pinned there signed the release.
    #[error("release `{release}` may not price `{scope}`: {error}")]
    ReleaseNotSigned {
        /// Which.
        release: Box<ReleaseId>,
        /// Where.
        scope: Box<BindingScope>,
        /// Why.
        error: Box<SignatureError>,
    },
    /// More signatures than a file may carry.
    #[error("release `{0}` would have more than {SIGNATURES_MAX} signatures")]
    SignaturesFull(ReleaseId),
    /// The release prices nothing any more.
    #[error("release `{0}` was revoked")]
    ReleaseRevoked(ReleaseId),
    /// The release still prices somebody.
    #[error("release `{release}` is still bound to `{scope}`: activate another one first")]
    ReleaseBound {
        /// Which.
        release: Box<ReleaseId>,
        /// One of the scopes.
        scope: Box<BindingScope>,
    },
    /// The release is tried beside what somebody is priced by.
    #[error("release `{release}` is tried for `{scope}`: stop the trial first")]
    ReleaseTried {
        /// Which.
        release: Box<ReleaseId>,
        /// One of the scopes.
        scope: Box<BindingScope>,
    },
    /// No such trial.
    #[error("trial `{0}` does not exist")]
    TrialNotFound(TransactionId),
    /// The trial has ended.
    #[error("trial `{0}` has ended already")]
    TrialOver(TransactionId),
    /// Another trial runs beside the same binding.
    #[error("trial `{trial}` runs for `{scope}`: stop it first")]
    TrialRuns {
        /// Which scope.
        scope: Box<BindingScope>,
        /// Which trial.
        trial: TransactionId,
    },
    /// Something else is bound than the asker believed.
    #[error("`{scope}` is bound to {}, not to what was expected", named(bound))]
    BindingMoved {
        /// Which scope.
        scope: Box<BindingScope>,
        /// What is bound now.
        bound: Option<Box<ReleaseId>>,
    },
    /// No earlier binding can be restored.
    #[error("`{0}` has no earlier release to go back to")]
    NothingBefore(Box<BindingScope>),
    /// A whole deployment always has a release.
    #[error("`{0}` must be bound to a release: only a plan's or an org's own can be taken away")]
    ScopeNeedsRelease(Box<BindingScope>),
    /// The quote's id is taken.
    #[error("quote `{0}` exists already")]
    QuoteExists(QuoteId),
}

fn named(release: &Option<Box<ReleaseId>>) -> String {
    release
        .as_ref()
        .map_or_else(|| "nothing".to_owned(), |release| format!("`{release}`"))
}
