//! Who is asking: a key's text becomes a [`Caller`].
//!
//! Keys and orgs change only through this process, so what was read once stays in memory until it
//! is changed here. Must not know HTTP.

use super::Service;
use super::ledger::directory::{KeyRecord, OrgRecord};
use super::ledger::failure::ReadError;
use super::ledger::write::Actor;
use super::secret::{self, KeyTextError};
use farebox_ledger::ids::{Digest, KeyId, OrgId};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything, for every org.
    Admin,
    /// Read what concerns the key's own org.
    OrgRead,
    /// Quote, hold, report usage and log queries for the key's own org.
    OrgWrite,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Admin, Self::OrgRead, Self::OrgWrite];

    /// The name used in rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::OrgRead => "org:read",
            Self::OrgWrite => "org:write",
        }
    }

    /// The scope with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// Somebody whose key is valid now.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key; absent: the bootstrap admin key.
    key: Option<Arc<KeyRecord>>,
    /// Who the audit says the bootstrap admin is.
    bootstrap: &'static str,
    /// Why the key is no longer valid, where it is let in to report what it began.
    ended: Option<Ended>,
}

/// Why a key is no longer valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Revoked,
    Expired,
}

/// Why nobody is let in.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccessError {
    /// The text is not that of a key.
    #[error(transparent)]
    Text(#[from] KeyTextError),
    /// No such key.
    #[error("the key is not known")]
    Unknown,
    /// It was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// Its time is over.
    #[error("the key has expired")]
    Expired,
    /// The directory cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a caller may not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The key lacks a scope.
    #[error("the key needs the scope `{}`", scope.name())]
    Scope {
        /// The scope it lacks.
        scope: Scope,
    },
    /// Another org was named. For whoever asks, it does not exist.
    #[error("there is no such org")]
    OrgNotFound,
    /// The bootstrap admin key belongs to no org, and none was named.
    #[error("name the org in the header `Farebox-Org`: this key belongs to none")]
    OrgMissing,
}

impl Caller {
    /// Whether the key is valid. One that is not may report what it began, and nothing else.
    pub const fn is_valid(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether the key has `scope`; an admin has every scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.key.as_ref().is_none_or(|key| {
            key.scopes
                .iter()
                .any(|name| **name == *scope.name() || **name == *Scope::Admin.name())
        })
    }

    /// The org a call concerns: the key's own, or the one an admin names.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn org(&self, scope: Scope, named: Option<OrgId>) -> Result<OrgId, Denied> {
        let own = self.key.as_ref().map(|key| key.org);
        let is_admin = self.has(Scope::Admin);
        let org = match (named, own) {
            (Some(named), own) if is_admin || own == Some(named) => named,
            (Some(_), _) => return Err(Denied::OrgNotFound),
            (None, Some(own)) => own,
            (None, None) => return Err(Denied::OrgMissing),
        };
        if self.has(scope) {
            Ok(org)
        } else {
            Err(Denied::Scope { scope })
        }
    }

    /// That the caller is an admin.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn require_admin(&self) -> Result<(), Denied> {
        if self.has(Scope::Admin) {
            Ok(())
        } else {
            Err(Denied::Scope {
                scope: Scope::Admin,
            })
        }
    }

    /// The key, unless it is the bootstrap admin's.
    pub fn key_id(&self) -> Option<KeyId> {
        self.key.as_ref().map(|key| key.id)
    }

    /// Who the audit says it was.
    pub fn actor(&self) -> Actor {
        match &self.key {
            Some(key) if self.has(Scope::Admin) => Actor::Admin(key.id.to_string().into()),
            Some(key) => Actor::Key(key.id),
            None => Actor::Admin(self.bootstrap.into()),
        }
    }
}

/// Rows that were read already.
///
/// A row that is read while it changes must not be kept: its reader may come late with the old
/// one. So a reader notes the generation before it reads, and its row is kept only if nothing was
/// forgotten since.
#[derive(Debug)]
struct Remembered<K, V>(RwLock<Rows<K, V>>);

#[derive(Debug)]
struct Rows<K, V> {
    generation: u64,
    rows: HashMap<K, Arc<V>>,
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(RwLock::new(Rows {
            generation: 0,
            rows: HashMap::new(),
        }))
    }
}

impl<K: Eq + Hash, V> Remembered<K, V> {
    /// The row, or the generation to [`keep`](Self::keep) it with once it is read.
    fn get(&self, key: &K) -> Result<Arc<V>, u64> {
        let rows = self.0.read().unwrap_or_else(PoisonError::into_inner);
        rows.rows.get(key).cloned().ok_or(rows.generation)
    }

    fn keep(&self, generation: u64, key: K, row: &Arc<V>) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if rows.generation == generation {
            rows.rows.insert(key, Arc::clone(row));
        }
    }

    /// Forgets every row that `changed` names.
    fn forget(&self, changed: impl Fn(&V) -> bool) {
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        rows.generation = rows.generation.saturating_add(1);
        rows.rows.retain(|_, row| !changed(row));
    }
}

/// Keys and orgs that were read already.
#[derive(Debug, Default)]
pub(super) struct Directory {
    keys: Remembered<Digest, KeyRecord>,
    orgs: Remembered<OrgId, OrgRecord>,
}

impl Directory {
    pub(super) fn forget_key(&self, key: KeyId) {
        self.keys.forget(|record| record.id == key);
    }

    pub(super) fn forget_org(&self, org: OrgId) {
        self.orgs.forget(|record| record.id == org);
    }
}

impl Service {
    /// Who the text of a key belongs to.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn caller(&self, key_text: &str) -> Result<Caller, AccessError> {
        let caller = self.reporter(key_text)?;
        match caller.ended {
            None => Ok(caller),
            Some(Ended::Revoked) => Err(AccessError::Revoked),
            Some(Ended::Expired) => Err(AccessError::Expired),
        }
    }

    /// The same, whether or not the key is still valid: what calls used while it was is to be
    /// reported all the same.
    ///
    /// # Errors
    /// See [`AccessError`], of which there is none for a key that has ended.
    pub fn reporter(&self, key_text: &str) -> Result<Caller, AccessError> {
        let digest = secret::digest(key_text);
        if self.settings.admin_key_digest == Some(digest) {
            return Ok(self.caller_with(None, None));
        }
        let record = match self.directory.keys.get(&digest) {
            Ok(record) => record,
            Err(generation) => self.look_up(key_text, digest, generation)?,
        };
        let now_ms = self.clock.now_ms();
        let ended = if record.revoked_at_ms.is_some() {
            Some(Ended::Revoked)
        } else if record.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            Some(Ended::Expired)
        } else {
            None
        };
        Ok(self.caller_with(Some(record), ended))
    }

    const fn caller_with(&self, key: Option<Arc<KeyRecord>>, ended: Option<Ended>) -> Caller {
        Caller {
            key,
            bootstrap: self.settings.admin_name,
            ended,
        }
    }

    fn look_up(
        &self,
        key_text: &str,
        digest: Digest,
        generation: u64,
    ) -> Result<Arc<KeyRecord>, AccessError> {
        let id = secret::key_id(key_text)?;
        let record = self
            .store
            .key_by_hash(&digest)?
            .filter(|record| record.id == id)
            .ok_or(AccessError::Unknown)?;
        let record = Arc::new(record);
        self.directory.keys.keep(generation, digest, &record);
        Ok(record)
    }

    /// An org, when there is one.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn org(&self, org: OrgId) -> Result<Option<Arc<OrgRecord>>, ReadError> {
        let generation = match self.directory.orgs.get(&org) {
            Ok(record) => return Ok(Some(record)),
            Err(generation) => generation,
        };
        let Some(record) = self.store.org(org)?.map(Arc::new) else {
            return Ok(None);
        };
        self.directory.orgs.keep(generation, org, &record);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(scopes: &[Scope]) -> Caller {
        Caller {
            key: Some(Arc::new(KeyRecord {
                id: KeyId::new(1),
                org: OrgId::new(1),
                name: "test".into(),
                prefix: "fbx_".into(),
                hash: [0; 32],
                scopes: scopes.iter().map(|scope| scope.name().into()).collect(),
                created_at_ms: 0,
                expires_at_ms: None,
                revoked_at_ms: None,
            })),
            bootstrap: "bootstrap",
            ended: None,
        }
    }

    #[test]
    fn another_org_does_not_exist_for_a_customer() {
        let own = caller(&[Scope::OrgRead]);
        assert_eq!(own.org(Scope::OrgRead, None), Ok(OrgId::new(1)));
        assert_eq!(
            own.org(Scope::OrgRead, Some(OrgId::new(1))),
            Ok(OrgId::new(1))
        );
        assert_eq!(
            own.org(Scope::OrgRead, Some(OrgId::new(2))),
            Err(Denied::OrgNotFound)
        );
        assert_eq!(
            own.org(Scope::OrgWrite, None),
            Err(Denied::Scope {
                scope: Scope::OrgWrite
            })
        );
        assert!(own.require_admin().is_err());
    }

    #[test]
    fn an_admin_may_name_any_org_and_the_bootstrap_admin_must() {
        let admin = caller(&[Scope::Admin]);
        assert_eq!(
            admin.org(Scope::OrgWrite, Some(OrgId::new(2))),
            Ok(OrgId::new(2))
        );
        let bootstrap = Caller {
            key: None,
            bootstrap: "bootstrap",
            ended: None,
        };
        assert_eq!(bootstrap.org(Scope::OrgRead, None), Err(Denied::OrgMissing));
        assert!(bootstrap.require_admin().is_ok());
    }

    #[test]
    fn a_row_that_changed_while_it_was_read_is_not_kept() {
        let rows: Remembered<u8, &str> = Remembered::default();
        let generation = rows.get(&1).unwrap_err();
        // Revoked between the reader's look and its return with the old row.
        rows.forget(|row| *row == "valid");
        rows.keep(generation, 1, &Arc::new("valid"));
        let generation = rows.get(&1).unwrap_err();
        rows.keep(generation, 1, &Arc::new("revoked"));
        assert_eq!(*rows.get(&1).unwrap(), "revoked");
    }
}
