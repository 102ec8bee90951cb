//! What a signature on a file of a release has to be over, and whether the signatures on it are.
//!
//! Read from the bytes alone, before anything is compiled: an operator signs on a machine that runs
//! no policy, and a host that asks for a signature compiles nothing that is pushed without one. Must not know where
//! keys come from.

use super::admission::AdmissionError;
use super::contract::{self, INTERFACE};
use super::digest;
use super::limits::LimitClass;
use super::package::Package;
use crate::service::policy::{AdmitError, ReleaseId};
use crate::service::signature::{PinnedKeys, Statement};

impl Package {
    /// What a signature on this file is over.
    ///
    /// # Errors
    /// `NoBook`; `Component` where the file exports no version of the contract.
    pub fn statement(&self) -> Result<Statement, AdmitError> {
        let book = self.book.as_deref().ok_or(AdmitError::NoBook)?;
        let release = ReleaseId {
            component: digest(&self.component),
            book: digest(book),
        };
        let class = LimitClass::of(&self.component);
        self.contract()?
            .and_then(|version| Statement::new(release, version, class))
            .ok_or_else(|| AdmitError::Component {
                reason: "wrong_world",
                detail: format!("it exports no `{INTERFACE}…`"),
            })
    }

    /// The version of the contract that the component exports, whether this host serves it or not.
    ///
    /// # Errors
    /// It exports several.
    pub fn contract(&self) -> Result<Option<&str>, AdmissionError> {
        contract::spoken(&self.component)
    }

    /// Whether each signature on it is over it, and the pinned keys find one of theirs.
    ///
    /// # Errors
    /// `Signature`; those of [`Package::statement`] where there is or must be a signature.
    pub fn check_signatures(&self, pinned: &PinnedKeys) -> Result<(), AdmitError> {
        if self.signatures.is_empty() && pinned.is_empty() {
            return Ok(());
        }
        pinned
            .check(&self.statement()?, &self.signatures)
            .map_err(|error| AdmitError::Signature(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::signature::SecretKey;

    fn package(name: &str, book: &[u8]) -> Package {
        let text = format!(
            r#"(component (core module) (component) (instance $none)
                (export "{name}" (instance $none)))"#
        );
        Package {
            component: wat::parse_str(text).unwrap(),
            book: Some(book.to_vec()),
            ..Package::default()
        }
    }

    #[test]
    fn a_statement_says_what_the_file_is() {
        let package = package("farebox:policy/policy@1.0.0", b"book");
        let statement = package.statement().unwrap();
        assert_eq!(statement.release().component, digest(&package.component));
        assert_eq!(statement.release().book, digest(b"book"));
        assert_eq!(
            (statement.contract(), statement.class()),
            ("1.0.0", "native")
        );
    }

    #[test]
    fn a_file_without_book_or_contract_says_nothing() {
        let mut bare = package("farebox:policy/policy@1.0.0", b"book");
        bare.book = None;
        assert_eq!(bare.statement(), Err(AdmitError::NoBook));
        let other = package("another:thing/policy@1.0.0", b"book");
        assert_eq!(other.statement().unwrap_err().reason(), "wrong_world");
        assert_eq!(other.check_signatures(&PinnedKeys::default()), Ok(()));
    }

    #[test]
    fn a_signature_that_was_moved_here_is_refused_whether_keys_are_pinned_or_not() {
        let key = SecretKey::from_seed(&[1; 32]);
        let mut signed = package("farebox:policy/policy@1.0.0", b"book");
        let other = package("farebox:policy/policy@1.0.0", b"another");
        signed.signatures = vec![key.sign(&other.statement().unwrap())];
        let error = signed.check_signatures(&PinnedKeys::default()).unwrap_err();
        assert_eq!(error.reason(), "signature_wrong");
        signed.signatures = vec![key.sign(&signed.statement().unwrap())];
        assert_eq!(signed.check_signatures(&PinnedKeys::default()), Ok(()));
    }
}
