//! The use-cases of Farebox, and the traits that its adapters implement.
//!
//! Knows the domain and nothing else: no HTTP, no SQL, no wasmtime, no environment, no clock of
//! its own. Each use-case is a module with one `impl` block of [`Service`]; what they share is
//! here: who asks ([`Context`]), and how a write is handed over.

pub mod access;
mod affordable;
pub mod backtest;
pub mod batch;
pub mod bindings;
pub mod breaker;
pub mod budgets;
pub mod calls;
mod counts;
pub mod data_queries;
pub mod failures;
pub mod filters;
pub mod grants;
pub mod history;
pub mod holds;
pub mod intake;
pub mod job;
pub mod keys;
pub mod leases;
pub mod ledger;
pub mod orgs;
mod placed;
pub mod policy;
pub mod quotes;
pub mod rate_card;
pub mod receipts;
pub mod recorded;
pub mod refunds;
pub mod releases;
pub mod repair;
pub mod rerate;
pub mod secret;
pub mod settle;
pub mod signature;
mod signed;
pub mod time;
pub mod trials;
pub mod usage;
pub mod waiting;

use access::Directory;
use bindings::Fallback;
use breaker::{BreakerRule, Breakers};
use farebox_ledger::commodity::Commodity;
use farebox_ledger::idempotency::Idempotency;
use farebox_ledger::ids::{Digest, KeyId, OrgId};
use farebox_pricing::currency::Pegs;
use farebox_pricing::event::Deployment;
use filters::EdgeFilters;
use leases::{LeaseRule, Recalls};
use ledger::write::{Action, Actor, Once, Write};
use ledger::{SharedStore, WriteFuture};
use placed::PlacedHolds;
use policy::{ReleaseId, SharedEngine};
use std::sync::atomic::AtomicU64;
use time::SharedClock;
use waiting::Tally;

/// What the operator declared.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where this Farebox runs.
    pub deployment: Deployment,
    /// What prices calls where nothing is bound.
    pub release: ReleaseId,
    /// What wallets hold.
    pub commodity: Commodity,
    /// What one of it is worth in USD, at any time.
    pub pegs: Pegs,
    /// How long a hold lives when its caller does not say, in milliseconds.
    pub hold_ttl_ms: i64,
    /// How long a caller may make a hold live, in milliseconds.
    pub hold_ttl_max_ms: i64,
    /// What leases get.
    pub leases: LeaseRule,
    /// Which filters of gateways may price.
    pub edge_filters: EdgeFilters,
    /// How far a caller's time may lie from the host's, in milliseconds.
    pub skew_max_ms: i64,
    /// What prices a call that has not run yet when its release fails.
    pub fallback: Fallback,
    /// When a policy that fails for an org is paused for it.
    pub breaker: BreakerRule,
    /// Who the audit says the bearer of that key is.
    pub admin_name: &'static str,
    /// SHA-256 of the bootstrap admin key.
    pub admin_key_digest: Option<Digest>,
    /// Called first on every thread that works beside requests: lowers its priority.
    pub background: fn(),
    /// Does what may take long where it holds up nothing else, and returns when it is done.
    pub aside: fn(&mut dyn FnMut()),
}

/// All use-cases. Cheap to share behind an [`Arc`](std::sync::Arc).
pub struct Service {
    store: SharedStore,
    engine: SharedEngine,
    clock: SharedClock,
    settings: Settings,
    directory: Directory,
    waiting: Tally,
    breakers: Breakers,
    fallbacks: AtomicU64,
    filters_refused: AtomicU64,
    placed: PlacedHolds,
    recalls: Recalls,
    counters: counts::Counters,
    watches: trials::Watches,
    backtests: job::Jobs<backtest::Question, backtest::report::Report>,
    repairs: job::Jobs<repair::Question, repair::report::Report>,
}

/// Who asks, for which org, and under which request.
#[derive(Clone, Debug)]
pub struct Context {
    /// The org it concerns.
    pub org: OrgId,
    /// Who asks.
    pub actor: Actor,
    /// The org's key, where one was used.
    pub key: Option<KeyId>,
    /// The request, as logs know it.
    pub request_id: Box<str>,
    /// The caller's idempotency key.
    pub idempotency: Option<Idempotency>,
}

impl Service {
    /// The use-cases on these adapters.
    pub fn new(
        store: SharedStore,
        engine: SharedEngine,
        clock: SharedClock,
        settings: Settings,
    ) -> Self {
        Self {
            store,
            engine,
            clock,
            breakers: Breakers::new(settings.breaker),
            settings,
            directory: Directory::default(),
            waiting: Tally::default(),
            fallbacks: AtomicU64::new(0),
            filters_refused: AtomicU64::new(0),
            placed: PlacedHolds::default(),
            recalls: Recalls::default(),
            counters: counts::Counters::default(),
            watches: trials::Watches::default(),
            backtests: job::Jobs::default(),
            repairs: job::Jobs::default(),
        }
    }

    /// The keeper of the ledger, for what needs no rule: plain reads.
    pub const fn store(&self) -> &SharedStore {
        &self.store
    }

    /// The clock.
    pub const fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// What the operator declared.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Hands a write over.
    fn write(&self, context: &Context, once: Option<Once>, action: Action) -> WriteFuture {
        self.store.submit(Write {
            at_ms: self.clock.now_ms(),
            actor: context.actor.clone(),
            request_id: context.request_id.clone(),
            idempotency: context.idempotency,
            once,
            action,
        })
    }
}
