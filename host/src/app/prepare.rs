//! What a data directory must hold before the first request: the configured release, what is bound
//! to it, the kind of credit; and in the engine every release that an open hold or a receipt may
//! name. Written by the host itself, as any other write.

use super::server::StartError;
use super::shipped;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::package::Package;
use crate::service::ledger::LedgerStore;
use crate::service::ledger::directory::DirectoryWrite;
use crate::service::ledger::releases::{
    BindTo, BindingChange, BindingScope, ChangeKind, ChangeRecord,
};
use crate::service::ledger::trials::{Trial, TrialKind};
use crate::service::ledger::write::{Action, Actor, Write, WriteError};
use crate::service::policy::{AdmitError, Admitted, PolicyEngine as _, ReleaseId};
use crate::service::releases::{self, Address};
use crate::service::time::Clock;
use crate::store::SqliteStore;
use farebox_book::Format;
use farebox_ledger::commodity::Commodity;
use farebox_ledger::ids::CommodityId;
use farebox_pricing::currency::Pegs;
use farebox_pricing::event::Deployment;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// What the configuration names to price with, as a package with a book.
pub(super) fn configured(config: &Config) -> Result<Package, StartError> {
    let mut package = match &config.policy {
        Some(path) => Package::open(&read(path)?).map_err(|source| StartError::Package {
            path: path.clone(),
            source,
        })?,
        None => Package {
            component: shipped::STANDARD_COMPONENT.to_vec(),
            ..Package::default()
        },
    };
    if let Some(path) = &config.policy_filter {
        let added = package.add_filter(&read(path)?);
        added.map_err(|source| StartError::Filter {
            path: path.clone(),
            source,
        })?;
    }
    let (source, format) = match &config.price_book {
        Some(path) => (text(path)?, Format::of_file_name(&path.to_string_lossy())),
        None if package.book.is_some() => return Ok(package),
        None => (shipped::DEFAULT_BOOK.to_owned(), Format::Toml),
    };
    let compiled = farebox_book::compile(&source, format).map_err(|errors| StartError::Book {
        path: config.price_book.clone(),
        first: errors.first().map(ToString::to_string).unwrap_or_default(),
        count: errors.len(),
    })?;
    if let (Some(path), Some(first)) = (&config.price_book, compiled.findings.first()) {
        let (path, findings) = (path.display(), compiled.findings.len());
        tracing::warn!(%path, findings, %first, "the price book is odd: run `farebox price-book check`");
    }
    package.book = Some(compiled.canonical);
    package.book_source = Some(source.into_bytes());
    // Who signed the file signed another book.
    package.signatures.clear();
    Ok(package)
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|source| StartError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn text(path: &Path) -> Result<String, StartError> {
    std::fs::read_to_string(path).map_err(|source| StartError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// A release that is kept and does not load.
pub(super) struct Unloaded {
    id: ReleaseId,
    error: AdmitError,
}

/// What the host itself writes at start.
pub(super) struct Preparation<'a> {
    pub store: &'a SqliteStore,
    pub clock: &'a dyn Clock,
}

impl Preparation<'_> {
    async fn write(&self, write: DirectoryWrite) -> Result<(), WriteError> {
        self.store
            .submit(Write {
                at_ms: self.clock.now_ms(),
                actor: Actor::Host,
                request_id: "start".into(),
                idempotency: None,
                once: None,
                action: Action::Directory(write),
            })
            .await
            .map(drop)
    }

    /// Keeps the configured release. Of one that is kept, what is new is who signed it, and its
    /// filters.
    pub async fn admit(&self, mut release: Admitted) -> Result<(), StartError> {
        let mut known = self.store.releases()?.into_iter();
        if let Some(known) = known.find(|known| known.id == release.id) {
            let has = |key| {
                known
                    .signatures
                    .iter()
                    .any(|kept| kept.signature.key == key)
            };
            let signatures = &release.parts.signatures;
            let is_signed = signatures.iter().all(|signed| has(signed.key));
            let mut filters = release.parts.filters.iter();
            let has_filters =
                filters.all(|filter| known.filters.iter().any(|kept| kept.digest == *filter));
            if is_signed && has_filters {
                return Ok(());
            }
            release.trust = known.trust;
        }
        let write = releases::admission(release, self.clock.now_ms());
        Ok(self.write(write).await?)
    }

    /// Binds the configured release where nobody ever activated one: the configuration rules until
    /// an operator's first activation, and never after.
    pub async fn bind(&self, id: ReleaseId, config: &Config) -> Result<(), StartError> {
        let scope = BindingScope::everyone(config.deployment);
        let bound = self.store.bound()?;
        let newest = bound.iter().find(|change| change.scope == scope);
        if let Some(newest) = newest {
            if newest.release == Some(id) {
                return Ok(());
            }
            if newest.kind != ChangeKind::Start {
                tracing::info!(configured = %id, %scope,
                    "an activated release is bound, not the configured one");
                return Ok(());
            }
        }
        let change = BindingChange {
            to: BindTo::Configured(id),
            expected: newest.and_then(|newest| newest.release),
            scope,
            beside: None,
            why: None,
        };
        Ok(self.write(DirectoryWrite::Bind(change)).await?)
    }

    /// Pins the configured keys, and no others.
    pub async fn pin(&self, config: &Config) -> Result<(), StartError> {
        let (deployment, keys) = (config.deployment, config.policy_keys.clone());
        if self.store.pinned_keys(deployment)? == keys {
            return Ok(());
        }
        let write = DirectoryWrite::PinKeys { deployment, keys };
        Ok(self.write(write).await?)
    }

    /// Every release that is kept with the ledger.
    pub fn kept(&self) -> Result<HashSet<ReleaseId>, StartError> {
        let releases = self.store.releases()?;
        Ok(releases.into_iter().map(|release| release.id).collect())
    }

    /// What an operator bound to everyone, so that the configuration binds nothing.
    pub fn activated(&self, deployment: Deployment) -> Result<Option<ReleaseId>, StartError> {
        let scope = BindingScope::everyone(deployment);
        let bound = self.store.bound()?.into_iter();
        let mut activated = bound.filter(|change| change.kind != ChangeKind::Start);
        let newest = activated.find(|change| change.scope == scope);
        Ok(newest.and_then(|change| change.release))
    }

    /// Refuses to serve where a release that prices calls is not signed by a key that is pinned
    /// now: the operator took a key away, or began to ask for signatures.
    pub fn require_signed(&self, deployment: Deployment) -> Result<(), StartError> {
        let bound = self.store.bound()?.into_iter();
        let bound = bound.filter_map(|change| Some((change.scope, change.release?)));
        let bindings = self.store.bindings();
        let canary = |trial: &&Arc<Trial>| matches!(trial.kind, TrialKind::Canary(_));
        let tried = bindings.trials().iter().filter(canary);
        let tried = tried.map(|trial| (trial.scope.clone(), trial.release));
        for (scope, release) in bound.chain(tried) {
            if scope.deployment != deployment {
                continue;
            }
            if let Some(error) = self.store.signature_refusal(deployment, &release)? {
                return Err(StartError::NotSigned {
                    release: Address(release.address()),
                    scope,
                    source: Box::new(error),
                });
            }
        }
        Ok(())
    }

    /// Loads the releases of earlier starts: open holds and receipts name them. One that no longer
    /// loads stops nobody else: what it priced is answered as not loaded. Those that do not are
    /// returned.
    pub fn load_known(&self, engine: &Engine) -> Result<Vec<Unloaded>, StartError> {
        let mut unloaded = Vec::new();
        let mut compiled = Vec::new();
        for known in self.store.releases()? {
            compiled.push((known.class, known.id));
            let Some(parts) = self.store.release_parts(&known.id)? else {
                continue;
            };
            if let Err(error) = engine.load(&known, &parts) {
                tracing::warn!(release = %known.name, %error, "an earlier release does not load");
                unloaded.push(Unloaded {
                    id: known.id,
                    error,
                });
            }
        }
        engine.keep_compiled_only(&compiled);
        Ok(unloaded)
    }

    /// Refuses to serve where a release that is bound here does not load: each of its calls would
    /// be refused, and each of its customers turned away.
    pub fn require_bound(
        &self,
        deployment: Deployment,
        unloaded: Vec<Unloaded>,
    ) -> Result<(), StartError> {
        let bound = self.store.bound()?;
        let bindings = self.store.bindings();
        let missing = unloaded.into_iter().find_map(|Unloaded { id, error }| {
            let is_here = |change: &&ChangeRecord| {
                change.scope.deployment == deployment && change.release == Some(id)
            };
            let is_canary = |trial: &&Arc<Trial>| {
                trial.scope.deployment == deployment
                    && trial.release == id
                    && trial.kind != TrialKind::Shadow
            };
            let scope = bound.iter().find(is_here).map(|change| &change.scope);
            let canary = || bindings.trials().iter().find(is_canary);
            let scope = scope.or_else(|| Some(&canary()?.scope))?.clone();
            Some((Address(id.address()), scope, error))
        });
        match missing {
            None => Ok(()),
            Some((release, scope, source)) => Err(StartError::Bound {
                release,
                scope,
                source,
            }),
        }
    }

    /// The kind of credit of this name, made where there is none.
    pub async fn commodity(&self, name: &str, pegs: &Pegs) -> Result<Commodity, StartError> {
        let known = self.store.commodities()?;
        if let Some(known) = known.into_iter().find(|known| *known.name == *name) {
            if !known.is_worth(pegs) {
                return Err(StartError::PegChanged {
                    name: known.name,
                    known: (known.per_credit, known.currency),
                    asked: (pegs.per_credit(), pegs.currency()),
                });
            }
            return Ok(known);
        }
        let commodity = Commodity {
            id: CommodityId::new(self.clock.next_id()),
            name: name.into(),
            currency: pegs.currency(),
            per_credit: pegs.per_credit(),
        };
        let write = DirectoryWrite::CreateCommodity(commodity.clone());
        self.write(write).await?;
        Ok(commodity)
    }
}
