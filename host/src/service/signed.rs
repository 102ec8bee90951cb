//! Whose signature a deployment asks for, and where: a pushed file is not compiled without it; one that
//! is only backtested is, so that it can be looked at before anybody signs it. That nothing unsigned is bound, nor tried on anybody, the ledger's writer holds itself, for whoever
//! asks it; that nothing unsigned corrects a bill is asked here.

use super::Service;
use super::ledger::failure::ReadError;
use super::ledger::releases::ReleaseRecord;
use super::policy::{AdmitError, Admitted, Trust};
use super::releases::ReleaseError;
use super::signature::PinnedKeys;

impl Service {
    /// The keys that are pinned where this server runs.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn pinned_keys(&self) -> Result<PinnedKeys, ReadError> {
        self.store.pinned_keys(self.settings.deployment)
    }

    /// Whether a kept release may price here: one of the keys that are pinned now signed it.
    ///
    /// # Errors
    /// `Admit` or `Read`.
    pub(super) fn require_signed(&self, release: &ReleaseRecord) -> Result<(), ReleaseError> {
        let pinned = self.pinned_keys()?;
        if pinned.is_empty() {
            return Ok(());
        }
        let signatures = release.signatures.iter();
        let signatures: Vec<_> = signatures.map(|kept| kept.signature.clone()).collect();
        // The store read them as signatures of this release.
        let checked = match signatures.first() {
            Some(first) => pinned.check(&first.statement, &signatures),
            None => Err(pinned.unsigned()),
        };
        checked.map_err(|error| AdmitError::Signature(Box::new(error)).into())
    }

    /// Admits a file that is pushed: signed by a pinned key where any is pinned, then compiled and
    /// tried. Nothing is kept yet. Call it where a thread may block.
    ///
    /// # Errors
    /// `Admit` or `Read`.
    pub fn admit_pushed(
        &self,
        file: &[u8],
        trust: Option<Trust>,
    ) -> Result<Admitted, ReleaseError> {
        self.engine.check_signatures(file, &self.pinned_keys()?)?;
        Ok(self.admit_release(file, trust)?)
    }
}
