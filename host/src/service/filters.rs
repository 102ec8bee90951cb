//! Filters: the same policy as a component, built for a proxy. Which build belongs to which component
//! the host is told when a release is pushed, and keeps with the ledger; a filter says which build
//! it is with each hold and lease.
//!
//! So a filter that was left behind when the policy changed, or put in the wrong place, prices
//! nothing: it would tell callers one price while they are charged another. It guards against
//! mistakes of deployment, not against whoever runs the proxy and can make it say anything. Must not
//! know how a filter is built.

use super::Service;
use super::policy::{Digest, ReleaseId};
use std::sync::atomic::Ordering;

/// Which filters may price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeFilters {
    /// Those that were recorded as belonging to the component of the release that prices.
    Recorded,
    /// Any.
    Any,
}

/// A filter that does not belong to what prices its calls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the gateway runs filter `{}`, which is none of those recorded for component `{}` of release \
     `{release}`",
    hex::encode(filter.0),
    hex::encode(release.component.0)
)]
pub struct FilterRefused {
    /// What the gateway says it runs.
    pub filter: Digest,
    /// What prices the calls.
    pub release: ReleaseId,
}

impl Service {
    /// Whether a gateway's filter may hold for calls that this release prices. Who states none is a
    /// gateway of another kind, which prices nothing by itself or answers for it itself.
    pub(super) fn check_filter(
        &self,
        filter: Option<Digest>,
        release: ReleaseId,
    ) -> Result<(), FilterRefused> {
        let Some(filter) = filter else {
            return Ok(());
        };
        let belongs = || {
            self.store
                .bindings()
                .has_filter(&release.component, &filter)
        };
        if self.settings.edge_filters == EdgeFilters::Any || belongs() {
            return Ok(());
        }
        self.filters_refused.fetch_add(1, Ordering::Relaxed);
        Err(FilterRefused { filter, release })
    }

    /// Holds and leases that were refused because of the gateway's filter, since start.
    pub fn filters_refused(&self) -> u64 {
        self.filters_refused.load(Ordering::Relaxed)
    }
}
