//! A component and a book that belong together, ready to be instantiated.

use super::LoadError;
use super::admission::AdmissionError;
use super::contract::{Arguments, Contract, Linked};
use super::instance::CallError;
use super::limits::Trust;
use super::sandbox::Sandbox;
use crate::service::policy::{Counters, Fault, Instances, PolicyError, ReleaseId};
use farebox_pricing::book::Sale;
use farebox_pricing::canonical::BookView;
use farebox_pricing::load::Description;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use wasmtime::component::{Component, Linker};

/// A loaded release.
pub struct Release {
    /// Which.
    pub id: ReleaseId,
    /// Where it runs.
    pub sandbox: Sandbox,
    /// Whether its instances free what they are asked.
    pub arguments: Arguments,
    /// Ready to be instantiated.
    pub linked: Box<dyn Linked>,
    /// The same without its book, where `linked` has it.
    plain: Option<Box<dyn Linked>>,
    /// The host's own view of the book: what the provider cost is computed from.
    pub book: BookView,
    /// Whether its instances may be kept.
    pub trust: Trust,
    /// What the book counts.
    pub counters: Counters,
    /// What it says of itself, once somebody asked: it says the same for ever.
    pub description: OnceLock<Description>,
    /// The most fuel of calls of its book, once somebody asked.
    pub fuel_max: OnceLock<u64>,
    faults: AtomicU64,
    is_kept: AtomicBool,
    is_tried: AtomicBool,
    drafts: AtomicU64,
}

impl Release {
    /// Links a component, which imports nothing.
    pub fn new(
        id: ReleaseId,
        sandbox: Sandbox,
        component: &Component,
        contract: &dyn Contract,
        book: BookView,
        trust: Trust,
        arguments: Arguments,
    ) -> Result<Self, AdmissionError> {
        let wrong = |error: wasmtime::Error| AdmissionError::WrongInterface {
            version: contract.version(),
            reason: format!("{error:#}"),
        };
        let linker = Linker::new(&sandbox.engine);
        let pre = linker.instantiate_pre(component).map_err(wrong)?;
        let linked = contract.link(pre).map_err(wrong)?;
        Ok(Self {
            id,
            sandbox,
            arguments,
            linked,
            plain: None,
            counters: counters_of(&book),
            book,
            trust,
            description: OnceLock::new(),
            fuel_max: OnceLock::new(),
            faults: AtomicU64::new(0),
            is_kept: AtomicBool::new(false),
            is_tried: AtomicBool::new(false),
            drafts: AtomicU64::new(0),
        })
    }

    /// Its instances have their book from now on.
    ///
    /// # Errors
    /// What the prepared component exports is not what the contract says.
    pub fn prepare(
        &mut self,
        component: &Component,
        contract: &dyn Contract,
        place: u32,
    ) -> wasmtime::Result<()> {
        let pre = Linker::new(&self.sandbox.engine).instantiate_pre(component)?;
        let prepared = contract.link_prepared(pre, place)?;
        self.plain = Some(std::mem::replace(&mut self.linked, prepared));
        Ok(())
    }

    /// Its instances load their book again.
    pub fn unprepare(&mut self) {
        if let Some(plain) = self.plain.take() {
            self.linked = plain;
        }
    }

    /// How an instance of it begins.
    pub fn instances(&self) -> Instances {
        match (self.trust, &self.plain) {
            (Trust::Trusted, _) => Instances::Kept,
            (Trust::Untrusted, Some(_)) => Instances::Prepared,
            (Trust::Untrusted, None) => Instances::Loading,
        }
    }

    /// It is kept with the ledger, or the host's own: it stays loaded.
    pub fn keep(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// It was asked all that a pushed release is asked, and found in order.
    pub fn has_passed(&self) {
        self.is_tried.store(true, Ordering::Relaxed);
    }

    /// Whether it was.
    pub fn is_tried(&self) -> bool {
        self.is_tried.load(Ordering::Relaxed)
    }

    /// Somebody tries it, whether it is kept or not.
    pub fn begin_draft(&self) {
        self.drafts.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody has tried it; whether nobody else needs it.
    pub fn end_draft(&self) -> bool {
        !self.is_kept.load(Ordering::Relaxed) && self.drafts.fetch_sub(1, Ordering::Relaxed) <= 1
    }

    /// Counts a fault against the release.
    pub fn blame(&self, fault: Fault) -> PolicyError {
        self.faults.fetch_add(1, Ordering::Relaxed);
        PolicyError::Fault(fault)
    }

    /// Counts a fault, where the error is one.
    pub fn blame_for(&self, error: CallError) -> PolicyError {
        match error {
            CallError::Fault(fault) => self.blame(fault),
            CallError::Busy => PolicyError::Busy,
        }
    }

    /// Faults since the release was loaded.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Refuses more events than a call may hold. The host's own mistake, so nobody is blamed.
    pub fn within_batch(&self, events: usize) -> Result<(), PolicyError> {
        if events <= self.sandbox.limits.batch_events_max {
            return Ok(());
        }
        Err(PolicyError::Refused(
            farebox_pricing::answer::Refusal::OutOfRange {
                what: format!("a batch of {events} events").into(),
            },
        ))
    }
}

fn counters_of(book: &BookView) -> Counters {
    let sale = book.terms().sale.as_deref();
    let counters = sale.into_iter().flat_map(Sale::counters);
    counters
        .map(|counter| (counter.name.into(), counter.per))
        .collect()
}

/// A release whose trial loaded and whose later instance does not breaks the contract: equal input
/// must give equal output. Only a lack of room is nobody's fault.
pub fn after_load(error: LoadError) -> CallError {
    CallError::Fault(match error {
        LoadError::Busy => return CallError::Busy,
        LoadError::Fault(fault) => fault,
        error => Fault::Malformed(format!("loading the same book again failed: {error}")),
    })
}
