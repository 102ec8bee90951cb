//! What is loaded: a component, which is compiled once for all releases that differ only in their
//! book, the releases themselves, and drafts, which stay only as long as somebody uses them.

use super::admission::AdmissionError;
use super::contract::Arguments;
use super::limits::{LimitClass, Trust};
use super::release::Release;
use super::{Engine, digest, probe, warm};
use crate::service::policy::{Digest, Fault, PolicyError, ReleaseId};
use farebox_pricing::canonical::{BookView, CanonicalError};
use farebox_pricing::load::ConfigError;
use std::sync::{Arc, PoisonError};
use wasmtime::component::Component;

/// Why a release cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The component is not admitted.
    #[error("the component is not admitted")]
    Component(#[from] AdmissionError),
    /// The book's bytes are not a canonical book.
    #[error("the book is not a canonical book")]
    Book(#[from] CanonicalError),
    /// The policy says that it cannot use the book.
    #[error("the policy does not take the book")]
    Config(#[from] ConfigError),
    /// The policy broke the contract while it loaded the book.
    #[error("the policy failed while loading the book")]
    Fault(#[from] Fault),
    /// Every sandbox of the class is in use.
    #[error("every sandbox is in use")]
    Busy,
}

impl Engine {
    /// Admits a component, gives it its book once as a trial, and keeps both for calls. Loading the
    /// same bytes again is free of effect, unless their trust is another now.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_release(
        &self,
        component: &[u8],
        canonical_book: Vec<u8>,
        class: LimitClass,
        trust: Trust,
    ) -> Result<ReleaseId, LoadError> {
        let id = ReleaseId {
            component: digest(component),
            book: digest(&canonical_book),
        };
        let is_its = |known: &Release| {
            let is_its = known.trust == trust;
            if is_its {
                known.keep();
            }
            is_its
        };
        if !self.is_loaded_as(&id, is_its) {
            let mut release = self.make(id, component, canonical_book, class, trust)?;
            self.prepare(&mut release, component);
            release.keep();
            let mut releases = self
                .releases
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            releases.insert(id, Arc::new(release));
        }
        Ok(id)
    }

    /// A release that is ready to price, and not kept for it yet.
    pub(super) fn make(
        &self,
        id: ReleaseId,
        component: &[u8],
        canonical_book: Vec<u8>,
        class: LimitClass,
        trust: Trust,
    ) -> Result<Release, LoadError> {
        let book = BookView::open(canonical_book)?;
        book.check_all()?;
        let sandbox = self.sandboxes.of(class);
        // A version that nobody here serves is refused before anything is compiled for it; what
        // names none may be damaged, which only the compiler finds out.
        let contract = self.contracts.of(component)?;
        let compiled = self.component(class, &id.component, component)?;
        let contract = contract.ok_or_else(|| self.no_contract())?;
        let arguments = Arguments::of(component);
        let release = Release::new(
            id,
            sandbox.clone(),
            &compiled,
            contract,
            book,
            trust,
            arguments,
        )?;
        drop(warm::instance(&release)?);
        Ok(release)
    }

    /// Lets the instances of a release begin with their book, where each batch has a new one and that
    /// is worth it: an interpreter takes longer to begin than a book to load. A release that cannot be
    /// prepared, or would answer differently, prices as it is.
    pub(super) fn prepare(&self, release: &mut Release, component: &[u8]) {
        if release.trust == Trust::Trusted || release.sandbox.limits.is_shared {
            return;
        }
        if let Err(why) = self.try_prepared(release, component) {
            release.unprepare();
            tracing::info!(release = %release.id, %why, "a policy loads its book for each batch");
        }
    }

    fn try_prepared(&self, release: &mut Release, component: &[u8]) -> Result<(), String> {
        let book = release.book.bytes();
        let made = self
            .cache
            .prepared(&release.sandbox, &release.id, component, book)
            .map_err(|error| error.to_string())?;
        let Some((prepared, place)) = made else {
            return Ok(());
        };
        let contract = self.contracts.of(component).ok().flatten();
        let contract = contract.ok_or("no contract")?;
        let asked = probe::probe(release).map_err(|error| error.to_string())?;
        release
            .prepare(&prepared, contract, place)
            .map_err(|error| format!("{error:#}"))?;
        probe::again(release, &asked).map_err(|error| error.to_string())
    }

    pub(super) fn no_contract(&self) -> AdmissionError {
        AdmissionError::WrongWorld {
            served: self.contracts.names(),
        }
    }

    /// Whether a release is loaded, and is as asked. Nothing is unloaded while it is asked.
    pub(super) fn is_loaded_as(&self, id: &ReleaseId, is: impl FnOnce(&Release) -> bool) -> bool {
        let releases = self.releases.read().unwrap_or_else(PoisonError::into_inner);
        releases.get(id).is_some_and(|release| is(release))
    }

    /// Keeps a release loaded until its last draft has ended. What was loaded meanwhile stands.
    pub(super) fn keep_draft(&self, release: Release, is_tried: bool) {
        let mut releases = self
            .releases
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let id = release.id;
        let kept = releases.entry(id).or_insert_with(|| Arc::new(release));
        kept.begin_draft();
        if is_tried {
            kept.has_passed();
        }
    }

    /// Ends a draft. What nobody needs any more is unloaded, with its machine code.
    pub(super) fn end_draft(&self, id: &ReleaseId) {
        let mut releases = self
            .releases
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if !releases.get(id).is_some_and(|release| release.end_draft()) {
            return;
        }
        releases.remove(id);
        drop(releases);
        self.forget_unused(&id.component);
    }

    /// Takes away the machine code of a component that no release has: from memory at once, from disk
    /// when another one follows, because what is refused often comes again with another book. Who still
    /// makes a release of it has it by now, or compiles it again.
    pub(super) fn forget_unused(&self, component: &Digest) {
        let releases = self.releases.read().unwrap_or_else(PoisonError::into_inner);
        let is_used = |component: &Digest| releases.keys().any(|id| id.component == *component);
        if is_used(component) {
            return;
        }
        let components = self.components.lock();
        let mut components = components.unwrap_or_else(PoisonError::into_inner);
        components.retain(|(_, other), _| other != component);
        drop(components);
        let unused = self.unused.lock();
        let before = unused
            .unwrap_or_else(PoisonError::into_inner)
            .replace(*component);
        if let Some(before) = before.filter(|before| before != component && !is_used(before)) {
            self.cache.remove(&before);
        }
    }

    fn component(
        &self,
        class: LimitClass,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<Component, AdmissionError> {
        let known = || {
            self.components
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(component) = known().get(&(class, *digest)) {
            return Ok(component.clone());
        }
        // Compiled without the lock: another push must not wait for this one.
        let component = self
            .cache
            .component(self.sandboxes.of(class), digest, bytes)?;
        known().insert((class, *digest), component.clone());
        Ok(component)
    }

    /// A release that is loaded.
    pub(super) fn release(&self, id: &ReleaseId) -> Result<Arc<Release>, PolicyError> {
        self.releases
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
            .ok_or(PolicyError::NotLoaded)
    }
}
