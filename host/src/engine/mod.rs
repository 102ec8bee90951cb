//! The policy engine: runs policies in a sandbox, and lets no answer out that was not checked.
//!
//! The only module that names wasmtime. It must not know what an answer is used for.
//!
//! - [`limits`]: how much a policy may use, by class, as data.
//! - `sandbox`: one wasmtime engine per limit class, with the clock that stops endless loops.
//! - [`admission`]: bytes → a component that may be loaded, or a typed reason why not.
//! - `digests`: a map by what is already a digest.
//! - [`package`]: a component with its book in one file; `admit`: from that file to a release;
//!   `probe` and `conformance`: what that release is asked first; `signed`: who signed it.
//! - `declared`: the limit class that a component asks for.
//! - [`compiler`]: the compiler, in a process of its own with limits.
//! - `prepared`: a component with its book already loaded, made in the compiler's process.
//! - `compiled`: compiled components on disk, so that a restart compiles nothing.
//! - `load`: what is loaded: components, releases, drafts.
//! - `release`: a component and a book that belong together, ready to be instantiated.
//! - `instance`: one sandbox with its book loaded. After any fault it is thrown away.
//! - `warm`: instances that are kept, one per thread; `shared`: of classes that have few, for all.
//! - [`contract`]: which versions of the contract are served, all at once, and what each must do.
//! - `v1_0_0`: contract version 1.0.0, the only place that knows its bindings.

pub mod admission;
mod admit;
mod compiled;
pub mod compiler;
mod conformance;
pub mod contract;
mod declared;
mod digests;
mod fault;
mod instance;
pub mod limits;
mod load;
pub mod package;
mod prepared;
mod probe;
mod release;
mod sandbox;
mod shared;
mod signed;
mod v1_0_0;
mod warm;

use crate::service::ledger::releases::{ReleaseParts, ReleaseRecord};
use crate::service::policy::{
    AdmitError, Admitted, Counters, Digest, Fault, Fuel, Instances, PolicyEngine, PolicyError,
    Priced, RateRequest, ReleaseId,
};
use crate::service::signature::PinnedKeys;
use compiled::CompiledCache;
use compiler::Compiler;
use contract::{Contract, Contracts};
use digests::ByDigest;
use farebox_pricing::answer::{Quote, Rating, Refusal};
use farebox_pricing::book::Book;
use farebox_pricing::card::{FeatureFloor, RateCardPage, RateCardRequest};
use farebox_pricing::event::{Facts, QuoteRequest, UsageEvent};
use farebox_pricing::failure::{self, Outcome, Settlement};
use farebox_pricing::load::Description;
use farebox_pricing::rating::{self, Count};
use farebox_pricing::verify::{self, Violation};
use instance::{CallError, Instance};
use limits::{LimitClass, Trust};
pub use load::LoadError;
use package::Package;
use release::Release;
use rust_decimal::Decimal;
use sandbox::Sandboxes;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use wasmtime::component::Component;

/// After this many events of a batch that fault alone, the rest share the last one's fault: then it
/// is the policy that is broken, and each try costs up to its whole time limit.
const FAULTS_ALONE_MAX: usize = 8;

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// wasmtime refuses the configuration on this machine.
    #[error("the sandbox cannot start on this machine: {0}")]
    Sandbox(String),
    /// The clock thread cannot be started.
    #[error("the sandbox's clock thread cannot be started")]
    Clock(#[source] std::io::Error),
    /// The folder for compiled components cannot be made.
    #[error("the folder for compiled components cannot be made")]
    Cache(#[source] std::io::Error),
}

/// Loads releases and prices calls under them. Cheap to share; calls may come from any thread.
pub struct Engine {
    sandboxes: Sandboxes,
    cache: CompiledCache,
    contracts: Contracts,
    /// Compiled components by class and digest: releases that differ only in their book share one.
    components: Mutex<HashMap<(LimitClass, Digest), Component>>,
    /// The component whose machine code is still on disk, though no release has it.
    unused: Mutex<Option<Digest>>,
    /// The component whose instances are kept whoever pushes it.
    shipped: Option<Digest>,
    releases: RwLock<ByDigest<Arc<Release>>>,
}

impl Engine {
    /// An engine that keeps compiled components in `cache_dir`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn new(cache_dir: PathBuf) -> Result<Self, StartError> {
        Ok(Self {
            sandboxes: Sandboxes::new()?,
            cache: CompiledCache::new(cache_dir, Compiler::of_this_program())
                .map_err(StartError::Cache)?,
            contracts: Contracts::released(),
            components: Mutex::default(),
            unused: Mutex::default(),
            shipped: None,
            releases: RwLock::default(),
        })
    }

    /// The same, trusting this component: it is the host's own.
    #[must_use]
    pub fn trusting(mut self, component: &[u8]) -> Self {
        self.shipped = Some(digest(component));
        self
    }

    /// Removes from disk what was compiled of other releases than these, or for another version of
    /// this program.
    pub fn keep_compiled_only(&self, releases: &[(LimitClass, ReleaseId)]) {
        let settings = releases.iter().flat_map(|(class, id)| {
            let both = [self.sandboxes.of(*class), self.sandboxes.second(*class)];
            both.map(|sandbox| (sandbox, *id))
        });
        self.cache.keep_only(settings);
    }

    /// The same, compiling elsewhere.
    #[must_use]
    pub fn compiling(mut self, compiler: Compiler) -> Self {
        self.cache.compiled_by(compiler);
        self
    }

    /// The same, serving one more version of the contract.
    #[must_use]
    pub fn serving(mut self, contract: &'static dyn Contract) -> Self {
        self.contracts.add(contract);
        self
    }

    /// The book of a release, decoded as a whole: for people, not for pricing.
    ///
    /// # Errors
    /// [`PolicyError::NotLoaded`]; [`Fault::Malformed`] where the bytes are damaged.
    pub fn book(&self, release: &ReleaseId) -> Result<Book, PolicyError> {
        let book = self.release(release)?.book.to_book();
        book.map_err(|error| PolicyError::Fault(Fault::Malformed(error.to_string())))
    }

    /// Calls that ended in a policy fault since start, by release.
    pub fn faults(&self) -> Vec<(ReleaseId, u64)> {
        let releases = self.releases.read().unwrap_or_else(PoisonError::into_inner);
        releases
            .values()
            .map(|release| (release.id, release.faults()))
            .collect()
    }

    /// Fuel that rating these events in one call takes, on this worker's instance where the policy
    /// is trusted: the same on every machine, for equal events in an equally warm instance.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn fuel_of(
        &self,
        release: &ReleaseId,
        requests: &[RateRequest<'_>],
    ) -> Result<u64, PolicyError> {
        let limit = |release: &Release| release.sandbox.limits.call_fuel(requests.len());
        let release = self.release(release)?;
        let left = Self::call(&release, requests.len(), |instance| {
            instance.rate_batch(requests)?;
            instance.fuel_left()
        })?;
        Ok(limit(&release).saturating_sub(left))
    }

    /// One call on an instance; a fault is blamed on the release.
    fn call<T>(
        release: &Arc<Release>,
        events: usize,
        ask: impl FnOnce(&mut Instance) -> Result<T, Fault>,
    ) -> Result<T, PolicyError> {
        release.within_batch(events)?;
        Self::run(release, ask).map_err(|error| release.blame_for(error))
    }

    /// One call on an instance: the worker's warm one where the policy is trusted, else a new one.
    fn run<T>(
        release: &Arc<Release>,
        ask: impl FnOnce(&mut Instance) -> Result<T, Fault>,
    ) -> Result<T, CallError> {
        match release.trust {
            Trust::Trusted => warm::with(release, ask),
            Trust::Untrusted => {
                let mut fresh = warm::instance(release).map_err(release::after_load)?;
                Ok(ask(&mut fresh)?)
            }
        }
    }

    /// Rates each event of a batch that faulted by itself. Each fault is counted; when none comes,
    /// that of the batch is.
    fn rate_alone(
        release: &Arc<Release>,
        requests: &[RateRequest<'_>],
        of_batch: Fault,
    ) -> Vec<Result<Priced, PolicyError>> {
        let mut faults = Vec::new();
        let rate = |(event, facts): &RateRequest<'_>| {
            if faults.len() >= FAULTS_ALONE_MAX
                && let Some(last) = faults.last()
            {
                return Err(PolicyError::Fault(Clone::clone(last)));
            }
            let answer = Self::call(release, 1, |instance| instance.rate(event, facts))
                .and_then(|answer| Self::price(release, event, facts, answer));
            if let Err(PolicyError::Fault(fault)) = &answer {
                faults.push(fault.clone());
            }
            answer
        };
        let answers = requests.iter().map(rate).collect();
        if faults.is_empty() {
            // Each event has its price, but the policy still broke the contract.
            let _counted = release.blame(of_batch);
        }
        answers
    }

    fn price(
        release: &Release,
        event: &UsageEvent,
        facts: &Facts,
        answer: Result<Rating, Refusal>,
    ) -> Result<Priced, PolicyError> {
        let rating = answer.map_err(PolicyError::Refused)?;
        let checked = verify::rating(&release.book, event, facts, &rating)
            .map_err(|violation| release.blame(broken(&violation)))?;
        Ok(Priced {
            lines: rating.lines,
            price_usd: checked.price_usd,
            provider_cost_usd: checked.provider_cost_usd,
            market_usd: checked.market_usd,
            rounding: release.book.terms().rounding,
            below_cost: checked.below_cost,
        })
    }
}

impl PolicyEngine for Engine {
    fn admit(&self, file: &[u8], trust: Option<Trust>) -> Result<Admitted, AdmitError> {
        let package = Package::open(file).map_err(AdmitError::from)?;
        self.take(package, trust, Release::is_tried, |release, component| {
            self.try_out(release, component)?;
            Ok(true)
        })
    }

    fn check_signatures(&self, file: &[u8], pinned: &PinnedKeys) -> Result<(), AdmitError> {
        Package::open(file)?.check_signatures(pinned)
    }

    fn forget(&self, release: &ReleaseId) {
        self.end_draft(release);
    }

    fn load(&self, release: &ReleaseRecord, parts: &ReleaseParts) -> Result<(), AdmitError> {
        self.load_kept(release, parts)
    }

    fn sandboxes(&self, release: &ReleaseId) -> Option<usize> {
        let limits = self.release(release).ok()?.sandbox.limits;
        usize::try_from(limits.instances_max).ok()
    }

    fn takes_long(&self, release: &ReleaseId) -> bool {
        // An interpreter, or a small class of sandboxes to wait for.
        self.release(release)
            .is_ok_and(|release| release.sandbox.limits.is_shared)
    }

    fn is_loaded(&self, release: &ReleaseId) -> bool {
        self.release(release).is_ok()
    }

    fn instances(&self, release: &ReleaseId) -> Option<Instances> {
        self.release(release)
            .ok()
            .map(|release| release.instances())
    }

    fn describe(&self, release: &ReleaseId) -> Result<Description, PolicyError> {
        let release = self.release(release)?;
        if let Some(known) = release.description.get() {
            return Ok(known.clone());
        }
        let description = Self::call(&release, 1, Instance::describe)?;
        Ok(release.description.get_or_init(|| description).clone())
    }

    fn fuel(&self, release: &ReleaseId) -> Result<Fuel, PolicyError> {
        let release = self.release(release)?;
        let used_max = match release.fuel_max.get() {
            Some(known) => *known,
            None => {
                let found = probe::fuel_max(&release).map_err(|error| release.blame_for(error))?;
                *release.fuel_max.get_or_init(|| found)
            }
        };
        Ok(Fuel {
            used_max,
            limit: release.sandbox.limits.call_fuel(1),
        })
    }

    fn names_plan(&self, release: &ReleaseId, plan: &str) -> bool {
        self.release(release).is_ok_and(|release| {
            let plans = &release.book.terms().plans;
            plans.iter().any(|named| **named == *plan)
        })
    }

    fn to_file(&self, parts: &ReleaseParts) -> Vec<u8> {
        Package::of(parts).to_file()
    }

    fn quote(
        &self,
        release: &ReleaseId,
        request: &QuoteRequest,
        facts: &Facts,
    ) -> Result<Quote, PolicyError> {
        let release = self.release(release)?;
        let answer = Self::call(&release, 1, |instance| instance.quote(request, facts))?;
        let quote = answer.map_err(PolicyError::Refused)?;
        verify::quote(&release.book, request, facts, &quote)
            .map_err(|violation| release.blame(broken(&violation)))?;
        Ok(quote)
    }

    fn rate(
        &self,
        release: &ReleaseId,
        event: &UsageEvent,
        facts: &Facts,
    ) -> Result<Priced, PolicyError> {
        let release = self.release(release)?;
        let answer = Self::call(&release, 1, |instance| instance.rate(event, facts))?;
        Self::price(&release, event, facts, answer)
    }

    fn rate_batch(
        &self,
        release: &ReleaseId,
        requests: &[RateRequest<'_>],
    ) -> Vec<Result<Priced, PolicyError>> {
        let all = |error: PolicyError| vec![Err(error); requests.len()];
        let release = match self.release(release) {
            Ok(found) => found,
            Err(error) => return all(error),
        };
        if let Err(error) = release.within_batch(requests.len()) {
            return all(error);
        }
        match Self::run(&release, |instance| in_calls(instance, requests)) {
            Ok(answers) => answers
                .into_iter()
                .zip(requests)
                .map(|(answer, (event, facts))| Self::price(&release, event, facts, answer))
                .collect(),
            Err(CallError::Fault(fault)) if requests.len() > 1 => {
                Self::rate_alone(&release, requests, fault)
            }
            Err(error) => all(release.blame_for(error)),
        }
    }

    fn feature_floors(&self, release: &ReleaseId, facts: &Facts) -> Vec<FeatureFloor> {
        let release = self.release(release);
        release.map_or_else(
            |_| Vec::new(),
            |release| rating::feature_floors(&release.book, facts),
        )
    }

    fn counters(&self, release: &ReleaseId) -> Counters {
        self.release(release)
            .map_or_else(|_| Arc::default(), |release| Arc::clone(&release.counters))
    }

    fn counts(
        &self,
        release: &ReleaseId,
        event: &UsageEvent,
        facts: &Facts,
        price_usd: Decimal,
    ) -> Vec<Count> {
        // A policy of somebody's own may price what the book cannot; nothing is counted of that.
        self.release(release)
            .ok()
            .and_then(|release| rating::counts(&release.book, event, facts, price_usd).ok())
            .unwrap_or_default()
    }

    fn settle(
        &self,
        release: &ReleaseId,
        outcome: Outcome,
        event: &UsageEvent,
        request: Option<failure::Request>,
    ) -> Result<Settlement, PolicyError> {
        let release = self.release(release)?;
        failure::settle(&release.book, outcome, event, request).map_err(PolicyError::Refused)
    }

    fn rate_card(
        &self,
        release: &ReleaseId,
        request: &RateCardRequest,
        facts: &Facts,
    ) -> Result<RateCardPage, PolicyError> {
        Self::call(
            &self.release(release)?,
            limits::RATE_CARD_EVENTS,
            |instance| instance.rate_card(request, facts),
        )?
        .map_err(PolicyError::Refused)
    }
}

/// A batch by one instance, a few events in each call: what a call takes of the guest's memory, the next
/// one takes again, so a batch of any size writes to few pages.
fn in_calls(
    instance: &mut Instance,
    requests: &[RateRequest<'_>],
) -> Result<Vec<Result<Rating, Refusal>>, Fault> {
    let mut answers = Vec::with_capacity(requests.len());
    for some in requests.chunks(limits::CALL_EVENTS) {
        answers.extend(instance.rate_batch(some)?);
    }
    Ok(answers)
}

fn broken(violation: &Violation) -> Fault {
    let what = violation.to_string();
    match violation {
        Violation::BelowCost { .. } => Fault::BelowCost(what),
        _ => Fault::Check(what),
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}
