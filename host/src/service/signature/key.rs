//! Keys, and the texts people keep them as: 64 hexadecimal digits for a public one in a line, and
//! for both the PEM files of PKCS#8 and SPKI that openssl makes and reads (RFC 8410).

use super::{Signature, Statement};
use ed25519_dalek::pkcs8::spki::DecodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use std::fmt;

/// Who signs, as others know them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither digits nor PEM.
    #[error("a public key is 64 hexadecimal digits, or a PEM file of an ed25519 public key")]
    NotPublic,
    /// A file, and not one of a private key.
    #[error("this is no private ed25519 key: PKCS#8 in PEM, as `farebox policy keygen` writes it")]
    NotPrivate,
    /// A file of a private key that asks for a pass phrase.
    #[error("the private key is encrypted: decrypt it with `openssl pkey` first")]
    Encrypted,
    /// Anybody could sign with it.
    #[error("the public key is of a small order: anybody can sign for it")]
    Weak,
}

impl PublicKey {
    /// These bytes, unchecked: they come from a file that says who signed it.
    pub const fn claimed(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The key that a line or a PEM file holds.
    ///
    /// # Errors
    /// `NotPublic` or `Weak`.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let key = if text.starts_with("-----BEGIN ") {
            VerifyingKey::from_public_key_pem(text).map_err(|_| KeyError::NotPublic)?
        } else {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError::NotPublic)?;
            VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotPublic)?
        };
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self(key.to_bytes()))
    }

    /// Whether the key made this signature. Strict: there is one signature that passes, not several
    /// that differ in what does not matter.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The right to sign. Its bytes are wiped when it is dropped, and no log shows them.
pub struct SecretKey(SigningKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

impl SecretKey {
    /// The key that 32 random bytes are.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The key that a PEM file holds.
    ///
    /// # Errors
    /// `NotPrivate` or `Encrypted`.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(KeyError::Encrypted);
        }
        SigningKey::from_pkcs8_pem(text.trim())
            .map(Self)
            .map_err(|_| KeyError::NotPrivate)
    }

    /// The PEM file that holds it, without the public key: that is the form every tool reads.
    pub fn to_pem(&self) -> Option<impl std::ops::Deref<Target = String> + use<>> {
        let pair = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        pair.to_pkcs8_pem(LineEnding::LF).ok()
    }

    /// Who signs with it, as others know them.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs. Equal statements have equal signatures.
    pub fn sign(&self, statement: &Statement) -> Signature {
        Signature {
            key: self.public(),
            bytes: self.0.sign(statement.to_string().as_bytes()).to_bytes(),
            statement: statement.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The examples of RFC 8410, section 10.
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn keys_are_read_and_written_as_other_tools_do() {
        let secret = SecretKey::from_pem(PRIVATE).unwrap();
        assert_eq!(*secret.to_pem().unwrap(), PRIVATE);
        let public = PublicKey::from_text(PUBLIC).unwrap();
        assert_eq!(secret.public(), public);
        let digits = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        assert_eq!(public.to_string(), digits);
        assert_eq!(PublicKey::from_text(&format!(" {digits}\n")), Ok(public));
        assert!(!format!("{secret:?}").contains("d4ee72db"), "{secret:?}");
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let public = |text: &str| PublicKey::from_text(text).unwrap_err();
        assert_eq!(public(""), KeyError::NotPublic);
        assert_eq!(public(&"7".repeat(63)), KeyError::NotPublic);
        assert_eq!(public(PRIVATE), KeyError::NotPublic);
        assert_eq!(public(&"0".repeat(64)), KeyError::Weak);
        let private = |text: &str| SecretKey::from_pem(text).unwrap_err();
        assert_eq!(private(PUBLIC), KeyError::NotPrivate);
        let x25519 = PRIVATE.replace("K2Vw", "K2Vu");
        assert_eq!(private(&x25519), KeyError::NotPrivate);
        let encrypted = PRIVATE.replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(private(&encrypted), KeyError::Encrypted);
    }
}
