//! API keys: made, listed, revoked. The text of a key is shown once and kept nowhere.

use super::access::Scope;
use super::calls::CallError;
use super::ledger::directory::{DirectoryWrite, KeyRecord};
use super::ledger::failure::ReadError;
use super::ledger::write::{Action, WriteError};
use super::secret::{KeyText, NoRandomness};
use super::{Context, Service};
use farebox_ledger::ids::KeyId;

/// How much of a key's text is kept to recognise it, in characters.
const PREFIX_CHARS: usize = 16;

/// Why a key is not made or revoked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeyError {
    /// The org does not exist, or cannot be read.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// It would be over at once.
    #[error("a key cannot expire before it is made")]
    ExpiryNotAhead,
    /// A key without any scope.
    #[error("a key needs at least one scope")]
    NoScope,
    /// No such key of this org.
    #[error("key `{0}` does not exist")]
    NotFound(KeyId),
    /// The first answer held the key's text, which is kept nowhere.
    #[error("this request made key `{0}` before; its text cannot be shown again")]
    ShownBefore(KeyId),
    /// The store refused.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Service {
    /// Makes a key and tells its text, this once.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub async fn create_key(
        &self,
        context: &Context,
        name: Box<str>,
        scopes: &[Scope],
        expires_at_ms: Option<i64>,
    ) -> Result<(KeyRecord, KeyText), KeyError> {
        self.known_org(context.org)?;
        let now_ms = self.clock.now_ms();
        if scopes.is_empty() {
            return Err(KeyError::NoScope);
        }
        if expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            return Err(KeyError::ExpiryNotAhead);
        }
        let id = KeyId::new(self.clock.next_id());
        let text = KeyText::generate(id)?;
        let record = KeyRecord {
            id,
            org: context.org,
            name,
            prefix: text.reveal().chars().take(PREFIX_CHARS).collect(),
            hash: text.digest(),
            scopes: scopes.iter().map(|scope| scope.name().into()).collect(),
            created_at_ms: now_ms,
            expires_at_ms,
            revoked_at_ms: None,
        };
        let write = DirectoryWrite::CreateKey(record.clone());
        let acknowledged = self.write(context, None, Action::Directory(write)).await?;
        if acknowledged.replayed {
            return Err(KeyError::ShownBefore(match acknowledged.made {
                super::ledger::write::Made::Other(first) => KeyId::new(first),
                _ => id,
            }));
        }
        Ok((record, text))
    }

    /// The org's keys, oldest first.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn keys(&self, context: &Context) -> Result<Vec<KeyRecord>, KeyError> {
        self.known_org(context.org)?;
        Ok(self.store.keys(context.org)?)
    }

    /// Ends a key. Ending it twice is the same as once.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub async fn revoke_key(&self, context: &Context, key: KeyId) -> Result<KeyRecord, KeyError> {
        self.store
            .key(context.org, key)?
            .ok_or(KeyError::NotFound(key))?;
        let write = DirectoryWrite::RevokeKey {
            org: context.org,
            key,
        };
        let written = self.write(context, None, Action::Directory(write)).await;
        // Even when the answer was lost: what is in memory may be old now.
        self.directory.forget_key(key);
        written?;
        self.store
            .key(context.org, key)?
            .ok_or(KeyError::NotFound(key))
    }
}
