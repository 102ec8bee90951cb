//! Releases: what may price calls. One is pushed once and never changes; whose calls it prices is a
//! binding ([`super::bindings`]). Must not know how a release is compiled.

use super::Service;
use super::ledger::directory::DirectoryWrite;
use super::ledger::failure::ReadError;
use super::ledger::releases::{ReleaseParts, ReleaseRecord};
use super::ledger::write::{Action, Actor, Write, WriteError};
use super::policy::{AdmitError, Admitted, Digest, Fuel, Instances, PolicyError, ReleaseId, Trust};
use farebox_book::Format;
use farebox_ledger::idempotency::Idempotency;
use farebox_ledger::ids::{OrgId, TransactionId};
use farebox_pricing::load::Description;

/// Who changes what concerns no single org.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Who asks.
    pub actor: Actor,
    /// The request, as logs know it.
    pub request_id: Box<str>,
    /// The caller's idempotency key.
    pub idempotency: Option<Idempotency>,
}

/// Why a release is not what was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReleaseError {
    /// No release has this address.
    #[error("release `{0}` was never admitted")]
    NotFound(Address),
    /// It is admitted, and this server could not load it when it started.
    #[error("release `{0}` is not loaded in this server: see its log of the start")]
    NotLoaded(ReleaseId),
    /// The file is no release.
    #[error("the release is not admitted")]
    Admit(#[from] AdmitError),
    /// The policy gives no answer.
    #[error("the policy gives no answer")]
    Policy(#[from] PolicyError),
    /// Nobody is on the plan, and the release's book does not name it.
    #[error("no org is on the plan `{0}`, and the release's price book does not name it")]
    PlanNotFound(Box<str>),
    /// No such org.
    #[error("org `{0}` does not exist")]
    OrgNotFound(OrgId),
    /// The change is durable, and not in the history that was read after it.
    #[error("change `{0}` is not in the history: the ledger must be verified")]
    ChangeLost(TransactionId),
    /// The directory refused.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The address of a release: `rel_` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub Digest);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rel_{}", hex::encode(self.0.0))
    }
}

/// The text is not the address of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a release's address is `rel_` and 64 hexadecimal digits")]
pub struct AddressError;

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix("rel_").ok_or(AddressError)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| AddressError)?;
        Ok(Self(Digest(digest)))
    }
}

/// The write that keeps an admitted release.
pub fn admission(release: Admitted, at_ms: i64) -> DirectoryWrite {
    let bytes = |part: &[u8]| u64::try_from(part.len()).unwrap_or(u64::MAX);
    DirectoryWrite::AdmitRelease {
        release: ReleaseRecord {
            id: release.id,
            name: release.name,
            contract: release.contract,
            class: release.class,
            trust: release.trust,
            component_bytes: bytes(&release.parts.component),
            book_bytes: bytes(&release.parts.book),
            admitted_at_ms: at_ms,
            admitted_by: Box::default(),
            revoked: None,
            signatures: Vec::new(),
            filters: Vec::new(),
        },
        parts: release.parts,
    }
}

/// A release that is loaded.
pub struct Described {
    /// The release.
    pub release: ReleaseRecord,
    /// What its policy says of itself.
    pub description: Description,
    /// What its calls take.
    pub fuel: Fuel,
    /// How its sandboxes come to their book.
    pub instances: Instances,
}

impl Service {
    pub(super) fn write_as(
        &self,
        operator: &Operator,
        write: DirectoryWrite,
    ) -> super::ledger::WriteFuture {
        self.store.submit(Write {
            at_ms: self.clock.now_ms(),
            actor: operator.actor.clone(),
            request_id: operator.request_id.clone(),
            idempotency: operator.idempotency,
            once: None,
            action: Action::Directory(write),
        })
    }

    /// Compiles and tries a release; nothing is kept yet. Takes as long as the compiler: call it
    /// where a thread may block.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub fn admit_release(&self, file: &[u8], trust: Option<Trust>) -> Result<Admitted, AdmitError> {
        let admitted = self.engine.admit(file, trust)?;
        let text = admitted.parts.book_source.as_ref();
        let checked = text.map_or(Ok(()), |text| check_text(text, &admitted.parts.book));
        match checked {
            Ok(()) => Ok(admitted),
            Err(error) => {
                self.engine.forget(&admitted.id);
                Err(error)
            }
        }
    }

    /// Keeps an admitted release with the ledger. The same bytes twice are one release.
    ///
    /// # Errors
    /// `Write` or `Read`.
    pub async fn keep_release(
        &self,
        operator: &Operator,
        admitted: Admitted,
    ) -> Result<ReleaseRecord, ReleaseError> {
        let id = admitted.id;
        let address = Address(id.address());
        let parts = admitted.parts.clone();
        let write = admission(admitted, self.clock.now_ms());
        if let Err(error) = self.write_as(operator, write).await {
            self.engine.forget(&id);
            return Err(error.into());
        }
        let release = self.find_release(address)?;
        // Of the same release twice it is the first trust that stands, whatever was loaded for now.
        self.engine.load(&release, &parts)?;
        Ok(release)
    }

    /// Every release, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn releases(&self) -> Result<Vec<ReleaseRecord>, ReadError> {
        self.store.releases()
    }

    /// The release at this address.
    ///
    /// # Errors
    /// `NotFound` or `Read`.
    pub fn find_release(&self, address: Address) -> Result<ReleaseRecord, ReleaseError> {
        self.store
            .releases()?
            .into_iter()
            .find(|release| release.id.address() == address.0)
            .ok_or(ReleaseError::NotFound(address))
    }

    /// A release with what is known of it since it is loaded.
    ///
    /// # Errors
    /// `NotFound`, `NotLoaded`, `Policy` or `Read`.
    pub fn describe_release(&self, address: Address) -> Result<Described, ReleaseError> {
        let release = self.loaded(address)?;
        let id = &release.id;
        Ok(Described {
            description: self.engine.describe(id)?,
            fuel: self.engine.fuel(id)?,
            instances: self.engine.instances(id).ok_or(PolicyError::NotLoaded)?,
            release,
        })
    }

    /// The bytes of a release.
    ///
    /// # Errors
    /// `NotFound` or `Read`.
    pub fn release_parts(&self, address: Address) -> Result<ReleaseParts, ReleaseError> {
        let release = self.find_release(address)?;
        self.store
            .release_parts(&release.id)?
            .ok_or(ReleaseError::NotFound(address))
    }

    /// A release as one file.
    ///
    /// # Errors
    /// `NotFound` or `Read`.
    pub fn export_release(&self, address: Address) -> Result<Vec<u8>, ReleaseError> {
        Ok(self.engine.to_file(&self.release_parts(address)?))
    }

    /// A release prices nothing from now on, calls that are held under it included.
    ///
    /// # Errors
    /// `NotFound` or `Write`; a release that is bound anywhere is not revoked.
    pub async fn revoke_release(
        &self,
        operator: &Operator,
        address: Address,
        why: Box<str>,
    ) -> Result<ReleaseRecord, ReleaseError> {
        let release = self.find_release(address)?.id;
        let write = DirectoryWrite::RevokeRelease { release, why };
        self.write_as(operator, write).await?;
        self.find_release(address)
    }

    pub(super) fn loaded(&self, address: Address) -> Result<ReleaseRecord, ReleaseError> {
        let release = self.find_release(address)?;
        if self.engine.is_loaded(&release.id) {
            Ok(release)
        } else {
            Err(ReleaseError::NotLoaded(release.id))
        }
    }
}

/// The text beside a book is what people review, so it must be the text of this very book.
fn check_text(text: &[u8], canonical: &[u8]) -> Result<(), AdmitError> {
    let text = std::str::from_utf8(text)
        .map_err(|_| AdmitError::BookText("it is not UTF-8".to_owned()))?;
    let format = if text.trim_start().starts_with('{') {
        Format::Json
    } else {
        Format::Toml
    };
    let compiled = farebox_book::compile(text, format).map_err(|errors| {
        let first = errors.first().map(ToString::to_string);
        AdmitError::BookText(first.unwrap_or_default())
    })?;
    if compiled.canonical == canonical {
        Ok(())
    } else {
        Err(AdmitError::BookText(
            "compiled, it is another book".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was_and_nothing_else_is_one() {
        let release = ReleaseId {
            component: Digest([1; 32]),
            book: Digest([2; 32]),
        };
        let text = release.to_string();
        let address: Address = text.parse().unwrap();
        assert_eq!(address.0, release.address());
        assert_eq!(address.to_string(), text);
        let (_, without_kind) = text.split_at(4);
        let (short, _) = text.split_at(67);
        for wrong in ["", "rel_", without_kind, short, &format!("{text}0")] {
            assert_eq!(wrong.parse::<Address>(), Err(AddressError), "{wrong}");
        }
    }
}
