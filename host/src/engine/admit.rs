//! From a pushed file to a release that prices: what the file may hold, in the order in which it is
//! cheapest to find out, and each reason against it by name. Here is the compiler, and nowhere on
//! the path of a call.

use super::admission::AdmissionError;
use super::compiler::Exceeded;
use super::limits::{BOOK_BYTES_MAX, BOOK_TEXT_BYTES_MAX, LimitClass, Trust};
use super::package::{Package, PackageError};
use super::probe;
use super::release::Release;
use super::{Engine, LoadError, digest};
use crate::service::ledger::releases::{ReleaseParts, ReleaseRecord};
use crate::service::policy::{AdmitError, Admitted, ReleaseId};
use crate::service::signature::PinnedKeys;
use farebox_pricing::canonical::BookView;

impl Engine {
    /// Admits a release of the host's own configuration: nobody pushed it, so it is not asked
    /// anything first.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub fn admit_package(
        &self,
        package: Package,
        trust: Option<Trust>,
    ) -> Result<Admitted, AdmitError> {
        self.take(package, trust, |_, _| Ok(()))
    }

    /// Admits a release that passes `check`. One that prices already is not checked again.
    pub(super) fn take(
        &self,
        package: Package,
        trust: Option<Trust>,
        check: impl FnOnce(&Release, &[u8]) -> Result<(), AdmitError>,
    ) -> Result<Admitted, AdmitError> {
        package.check_signatures(&PinnedKeys::default())?;
        let book = package.book.ok_or(AdmitError::NoBook)?;
        within("price book", book.len(), BOOK_BYTES_MAX)?;
        let text = package.book_source;
        let text_bytes = text.as_ref().map_or(0, Vec::len);
        within("text of the price book", text_bytes, BOOK_TEXT_BYTES_MAX)?;
        let class = LimitClass::of(&package.component);
        let trust = self.trust_of(&package.component, trust);
        let name = BookView::open(book.clone())
            .map_err(|error| AdmitError::Book(error.to_string()))?
            .terms()
            .name
            .clone();
        let id = ReleaseId {
            component: digest(&package.component),
            book: digest(&book),
        };
        // Until it is kept durably, a push neither takes trust from what is loaded nor gives it.
        let is_loaded = self.is_loaded_as(&id, |known| {
            known.begin_draft();
            true
        });
        if !is_loaded {
            let release = self.make(id, &package.component, book.clone(), class, trust)?;
            check(&release, &package.component)?;
            self.keep_draft(release);
        }
        let contract = self.contracts.of(&package.component)?;
        let contract = contract.ok_or_else(|| self.no_contract())?;
        Ok(Admitted {
            id,
            name,
            contract: contract.version().into(),
            class,
            trust,
            parts: ReleaseParts {
                component: package.component.into(),
                book: book.into(),
                book_source: text.map(Into::into),
                signatures: package.signatures.into(),
            },
        })
    }

    /// Tries a release with calls of its own book, in both sandboxes of its class.
    pub(super) fn try_out(&self, release: &Release, component: &[u8]) -> Result<(), AdmitError> {
        let asked = probe::probe(release)?;
        probe::again(&self.in_second_sandbox(release, component)?, &asked)
    }

    /// The same release as other machine code. It is kept on disk, and not in memory.
    pub(super) fn in_second_sandbox(
        &self,
        release: &Release,
        component: &[u8],
    ) -> Result<Release, LoadError> {
        let sandbox = self.sandboxes.second(LimitClass::of(component));
        let compiled = self
            .cache
            .component(sandbox, &release.id.component, component)?;
        let contract = self.contracts.of(component)?;
        let contract = contract.ok_or_else(|| self.no_contract())?;
        let book = BookView::open(release.book.bytes().to_vec())?;
        let sandbox = sandbox.clone();
        let trust = release.trust;
        let second = Release::new(release.id, sandbox, &compiled, contract, book, trust)?;
        Ok(second)
    }

    /// Loads a release with the trust that was kept of it.
    pub(super) fn load_kept(
        &self,
        release: &ReleaseRecord,
        parts: &ReleaseParts,
    ) -> Result<(), AdmitError> {
        let trust = self.trust_of(&parts.component, Some(release.trust));
        self.load_release(&parts.component, parts.book.to_vec(), release.class, trust)
            .map(drop)
            .map_err(AdmitError::from)
    }

    /// The host's own component is trusted, whatever was said of it.
    fn trust_of(&self, component: &[u8], said: Option<Trust>) -> Trust {
        if self.shipped == Some(digest(component)) {
            Trust::Trusted
        } else {
            said.unwrap_or(Trust::Untrusted)
        }
    }
}

fn within(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), AdmitError> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(AdmitError::BookTooLarge {
        what,
        bytes,
        bytes_max,
    })
}

impl From<PackageError> for AdmitError {
    fn from(error: PackageError) -> Self {
        let reason = match error {
            PackageError::NotWasm => "not_wasm",
            PackageError::Damaged { .. } => "damaged",
            PackageError::SectionTwice(_) => "section_twice",
            PackageError::SectionDamaged(_) => "section_damaged",
            PackageError::UnknownLimits(_) => "unknown_limits",
            PackageError::Signatures(_) => "section_malformed",
        };
        Self::Component {
            reason,
            detail: error.to_string(),
        }
    }
}

impl From<AdmissionError> for AdmitError {
    fn from(error: AdmissionError) -> Self {
        let reason = match error {
            AdmissionError::TooLarge { .. } => "too_large",
            AdmissionError::CoreModule => "core_module",
            AdmissionError::NotWasm => "not_wasm",
            AdmissionError::Invalid(_) => "damaged",
            AdmissionError::CompileLimit(Exceeded::Memory(_)) => "compile_memory",
            AdmissionError::CompileLimit(Exceeded::Cpu(_)) => "compile_cpu",
            AdmissionError::CompileLimit(Exceeded::Time(_)) => "compile_time",
            AdmissionError::CompilerFailed(_) => "compiler_failed",
            AdmissionError::ImportsNotAllowed { .. } => "imports",
            AdmissionError::UnknownContract { .. } => "unknown_contract",
            AdmissionError::SeveralContracts { .. } => "several_contracts",
            AdmissionError::WrongWorld { .. } => "wrong_world",
            AdmissionError::WrongInterface { .. } => "wrong_interface",
        };
        Self::Component {
            reason,
            detail: error.to_string(),
        }
    }
}

impl From<LoadError> for AdmitError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Component(error) => error.into(),
            LoadError::Book(error) => Self::Book(error.to_string()),
            LoadError::Config(error) => Self::BookRefused(error.to_string()),
            LoadError::Fault(fault) => Self::Fault(fault),
            LoadError::Busy => Self::Busy,
        }
    }
}
