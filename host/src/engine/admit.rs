//! From a pushed file to a release that prices: what the file may hold, in the order in which it is
//! cheapest to find out, and each reason against it by name. Here is the compiler, and nowhere on
//! the path of a call.

use super::admission::AdmissionError;
use super::compiler::Exceeded;
use super::conformance;
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
    /// Admits a release for whoever asks to price by it himself: it is not asked anything first.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub fn admit_package(
        &self,
        package: Package,
        trust: Option<Trust>,
    ) -> Result<Admitted, AdmitError> {
        self.take(package, trust, |_| true, |_, _| Ok(false))
    }

    /// Admits a release of the host's own configuration, which will price customers: it is tried as a
    /// pushed one is, unless it `is_kept` with the ledger and so was. The host's own component was
    /// tried with the program.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub fn admit_configured(
        &self,
        package: Package,
        is_kept: impl FnOnce(&ReleaseId) -> bool,
    ) -> Result<Admitted, AdmitError> {
        let tried = |release: &Release, component: &[u8]| {
            if self.shipped == Some(release.id.component) {
                return Ok(false);
            }
            if !is_kept(&release.id) {
                self.try_out(release, component)?;
            }
            Ok(true)
        };
        self.take(package, None, |_| true, tried)
    }

    /// Admits a release that passes `check`, which says whether it was tried. One that is loaded, and
    /// as is asked, is not checked again.
    pub(super) fn take(
        &self,
        package: Package,
        trust: Option<Trust>,
        is_enough: impl FnOnce(&Release) -> bool,
        check: impl FnOnce(&Release, &[u8]) -> Result<bool, AdmitError>,
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
            let is_enough = is_enough(known);
            if is_enough {
                known.begin_draft();
            }
            is_enough
        });
        if !is_loaded {
            let passed = self
                .make(id, &package.component, book.clone(), class, trust)
                .map_err(AdmitError::from)
                .and_then(|release| Ok((check(&release, &package.component)?, release)));
            match passed {
                Ok((is_tried, mut release)) => {
                    // Who tries it himself asks it once.
                    if is_tried {
                        self.prepare(&mut release, &package.component);
                    }
                    self.keep_draft(release, is_tried);
                }
                Err(error) => {
                    self.forget_unused(&id.component);
                    return Err(error);
                }
            }
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
                filters: package.filters.into(),
            },
        })
    }

    /// Tries a release with calls of its own book, in both sandboxes of its class.
    pub(super) fn try_out(&self, release: &Release, component: &[u8]) -> Result<(), AdmitError> {
        let asked = probe::probe(release)?;
        conformance::check(release, &asked)?;
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
        let second = Release::new(
            release.id,
            sandbox,
            &compiled,
            contract,
            book,
            trust,
            release.arguments,
        )?;
        Ok(second)
    }

    /// Loads a release with the trust that was kept of it.
    pub(super) fn load_kept(
        &self,
        release: &ReleaseRecord,
        parts: &ReleaseParts,
    ) -> Result<(), AdmitError> {
        let trust = self.trust_of(&parts.component, Some(release.trust));
        let id = self.load_release(&parts.component, parts.book.to_vec(), release.class, trust)?;
        // Nothing else was kept untried than books beside the host's own component.
        if self.shipped != Some(id.component) {
            self.is_loaded_as(&id, |known| {
                known.has_passed();
                true
            });
        }
        Ok(())
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
            PackageError::Signatures(_) | PackageError::Filters => "section_malformed",
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
            AdmissionError::NoCompiler(why) => return Self::NoCompiler(why),
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
