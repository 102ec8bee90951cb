//! The server: store, engine, clock and service put together and listening.
//!
//! Used by `farebox serve` and, on port 0, by tests. Nothing here knows what a request says.

use super::{settler, shipped};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::engine::limits::{LimitClass, Trust};
use crate::engine::package::{Package, PackageError};
use crate::engine::{self, Engine, LoadError};
use crate::http::{self, Limits};
use crate::service::breaker::BreakerRule;
use crate::service::ledger::LedgerStore;
use crate::service::ledger::directory::{
    BindingRecord, BindingScope, DirectoryWrite, ReleaseParts, ReleaseRecord,
};
use crate::service::ledger::failure::ReadError;
use crate::service::ledger::write::{Action, Actor, Write, WriteError};
use crate::service::policy::ReleaseId;
use crate::service::time::{Clock, SharedClock};
use crate::service::{Service, Settings, secret};
use crate::store::directory::DataDirectory;
use crate::store::{OpenError, SqliteStore, StoreOptions};
use farebox_book::Format;
use farebox_ledger::commodity::Commodity;
use farebox_ledger::ids::CommodityId;
use farebox_pricing::canonical::BookView;
use farebox_pricing::money::Peg;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A configured file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The configured policy is not a file of WebAssembly.
    #[error("the policy `{}` cannot be read", path.display())]
    Package {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: PackageError,
    },
    /// The price book has errors.
    #[error("the price book{} has {count} errors; the first: {first}", named(path))]
    Book {
        /// Which; absent: the shipped one.
        path: Option<PathBuf>,
        /// The first error, with its line and column.
        first: String,
        /// How many there are.
        count: usize,
    },
    /// The data directory cannot be used.
    #[error("the data directory cannot be used")]
    Store(#[from] OpenError),
    /// The data directory cannot be read.
    #[error("the data directory cannot be read")]
    Read(#[from] ReadError),
    /// The data directory cannot be written.
    #[error("the data directory cannot be written")]
    Write(#[from] WriteError),
    /// The sandbox cannot start.
    #[error("the policy engine cannot start")]
    Engine(#[from] engine::StartError),
    /// The release cannot be loaded.
    #[error("the release cannot be loaded")]
    Load(#[from] LoadError),
    /// A peg never changes: another peg is another commodity.
    #[error(
        "the commodity `{name}` of this data directory is worth {known} USD, but {asked} is \
         configured; name another commodity for another worth"
    )]
    PegChanged {
        /// The commodity.
        name: Box<str>,
        /// What it is worth.
        known: rust_decimal::Decimal,
        /// What is configured.
        asked: rust_decimal::Decimal,
    },
    /// The address cannot be listened at.
    #[error("cannot listen at `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn named(path: &Option<PathBuf>) -> String {
    path.as_ref()
        .map(|path| format!(" `{}`", path.display()))
        .unwrap_or_default()
}

/// A running server. Dropping it stops it without waiting; [`RunningApp::stop`] drains.
pub struct RunningApp {
    address: SocketAddr,
    service: Arc<Service>,
    store: Arc<SqliteStore>,
    stop: watch::Sender<bool>,
    served: JoinHandle<std::io::Result<()>>,
    settler: Option<JoinHandle<()>>,
    drain: Duration,
}

/// Starts a server.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: &Config) -> Result<RunningApp, StartError> {
    start_with(config, Arc::new(SystemClock::new())).await
}

/// The same with a clock of the caller's.
///
/// # Errors
/// See [`StartError`].
pub async fn start_with(config: &Config, clock: SharedClock) -> Result<RunningApp, StartError> {
    let store = Arc::new(SqliteStore::open(
        DataDirectory::new(&config.data_dir),
        Arc::clone(&clock),
        StoreOptions {
            queue_bound: config.queue_max,
        },
    )?);
    let engine = Engine::new(config.cache_dir())?;
    let release = Release::of(config)?;
    let id = release.load(&engine)?;
    let admin = Admin {
        store: store.as_ref(),
        clock: clock.as_ref(),
    };
    admin.admit(id, release).await?;
    admin.bind(id, config).await?;
    admin.load_known(&engine)?;
    let commodity = admin.commodity(&config.commodity, config.peg).await?;
    let settings = Settings {
        deployment: config.deployment,
        release: id,
        commodity,
        hold_ttl_ms: config.hold_ttl_ms,
        hold_ttl_max_ms: config.hold_ttl_max_ms,
        skew_max_ms: config.skew_max_ms,
        breaker: BreakerRule {
            faults: config.breaker_faults,
            pause: Duration::from_millis(config.breaker_pause_ms),
        },
        admin_key_digest: config
            .admin_key
            .as_ref()
            .map(|key| secret::digest(key.reveal())),
    };
    let service = Arc::new(Service::new(
        Arc::clone(&store) as Arc<dyn LedgerStore>,
        Arc::new(engine),
        clock,
        settings,
    ));
    listen(config, service, store).await
}

async fn listen(
    config: &Config,
    service: Arc<Service>,
    store: Arc<SqliteStore>,
) -> Result<RunningApp, StartError> {
    let failed = |source| StartError::Listen {
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let limits = Limits {
        body_bytes_max: config.body_bytes_max,
        request_timeout: Duration::from_millis(config.request_timeout_ms),
    };
    let (stop, mut stopped) = watch::channel(false);
    let router = http::router(Arc::clone(&service), limits);
    let served = tokio::spawn(http::serve(listener, router, async move {
        // A sender that is gone means stop as well.
        let _ = stopped.wait_for(|stop| *stop).await;
    }));
    let settler = (config.settle_interval_ms > 0).then(|| {
        tokio::spawn(settler::run(
            Arc::clone(&service),
            Duration::from_millis(config.settle_interval_ms),
            stop.subscribe(),
        ))
    });
    tracing::info!(%address, "listening");
    Ok(RunningApp {
        address,
        service,
        store,
        stop,
        served,
        settler,
        drain: Duration::from_millis(config.drain_ms),
    })
}

impl RunningApp {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The use-cases, without HTTP.
    pub const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Takes no new connection, lets open requests end within the declared time, and closes the
    /// ledger: all that was acknowledged is on disk.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let mut served = self.served;
        if tokio::time::timeout(self.drain, &mut served).await.is_err() {
            tracing::warn!("open requests were cut off");
            served.abort();
        }
        if let Some(settler) = self.settler {
            let _ = settler.await;
        }
        let store = self.store;
        // Closing waits for the writer, so it may block.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

/// What the configuration names to price with, in bytes.
struct Release {
    component: Arc<[u8]>,
    book: Vec<u8>,
    book_source: Option<Arc<[u8]>>,
    name: Box<str>,
}

impl Release {
    fn of(config: &Config) -> Result<Self, StartError> {
        let package = match &config.policy {
            Some(path) => Package::open(&read(path)?).map_err(|source| StartError::Package {
                path: path.clone(),
                source,
            })?,
            None => Package {
                component: shipped::STANDARD_COMPONENT.to_vec(),
                ..Package::default()
            },
        };
        let component: Arc<[u8]> = package.component.into();
        let (source, format) = match (&config.price_book, package.book) {
            (Some(path), _) => (text(path)?, Format::of_file_name(&path.to_string_lossy())),
            (None, Some(book)) => {
                let name = BookView::open(book.clone()).map(|book| book.terms().name.clone());
                return Ok(Self {
                    component,
                    name: name.map_err(LoadError::from)?,
                    book,
                    book_source: package.book_source.map(Into::into),
                });
            }
            (None, None) => (shipped::DEFAULT_BOOK.to_owned(), Format::Toml),
        };
        let compiled =
            farebox_book::compile(&source, format).map_err(|errors| StartError::Book {
                path: config.price_book.clone(),
                first: errors.first().map(ToString::to_string).unwrap_or_default(),
                count: errors.len(),
            })?;
        Ok(Self {
            component,
            name: compiled.book.name.clone(),
            book: compiled.canonical,
            book_source: Some(source.into_bytes().into()),
        })
    }

    fn load(&self, engine: &Engine) -> Result<ReleaseId, LoadError> {
        let (class, trust) = class_of(&self.component);
        engine.load_release(&self.component, self.book.clone(), class, trust)
    }
}

/// A component too large for native guests brings an interpreter; only the shipped one is trusted
/// with a warm instance.
pub(super) fn class_of(component: &[u8]) -> (LimitClass, Trust) {
    let native = component.len() <= LimitClass::Native.limits().component_bytes_max;
    (
        if native {
            LimitClass::Native
        } else {
            LimitClass::Scripted
        },
        if component == shipped::STANDARD_COMPONENT {
            Trust::Trusted
        } else {
            Trust::Untrusted
        },
    )
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

/// What the host itself writes at start.
struct Admin<'a> {
    store: &'a SqliteStore,
    clock: &'a dyn Clock,
}

impl Admin<'_> {
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

    async fn admit(&self, id: ReleaseId, release: Release) -> Result<(), StartError> {
        if self.store.releases()?.iter().any(|known| known.id == id) {
            return Ok(());
        }
        let record = ReleaseRecord {
            id,
            name: release.name,
            admitted_at_ms: self.clock.now_ms(),
        };
        let parts = ReleaseParts {
            component: release.component,
            book: release.book.into(),
            book_source: release.book_source,
        };
        let write = DirectoryWrite::AdmitRelease {
            release: record,
            parts,
        };
        Ok(self.write(write).await?)
    }

    async fn bind(&self, id: ReleaseId, config: &Config) -> Result<(), StartError> {
        let scope = BindingScope::Deployment(config.deployment);
        let is_bound = self
            .store
            .bindings()?
            .iter()
            .any(|binding| binding.scope == scope && binding.release == id);
        if is_bound {
            return Ok(());
        }
        let binding = BindingRecord {
            scope,
            release: id,
            since_ms: self.clock.now_ms(),
        };
        Ok(self.write(DirectoryWrite::Bind(binding)).await?)
    }

    /// Loads the releases of earlier starts: open holds and receipts name them. One that no longer
    /// loads stops nobody else: what it priced is answered as not loaded.
    fn load_known(&self, engine: &Engine) -> Result<(), StartError> {
        for known in self.store.releases()? {
            let Some(parts) = self.store.release_parts(&known.id)? else {
                continue;
            };
            let (class, trust) = class_of(&parts.component);
            if let Err(error) =
                engine.load_release(&parts.component, parts.book.to_vec(), class, trust)
            {
                tracing::warn!(release = %known.name, %error, "an earlier release does not load");
            }
        }
        Ok(())
    }

    async fn commodity(&self, name: &str, peg: Peg) -> Result<Commodity, StartError> {
        let known = self.store.commodities()?;
        if let Some(known) = known.into_iter().find(|known| *known.name == *name) {
            if known.peg != peg {
                return Err(StartError::PegChanged {
                    name: known.name,
                    known: known.peg.usd_per_credit(),
                    asked: peg.usd_per_credit(),
                });
            }
            return Ok(known);
        }
        let commodity = Commodity {
            id: CommodityId::new(self.clock.next_id()),
            name: name.into(),
            peg,
        };
        let write = DirectoryWrite::CreateCommodity(commodity.clone());
        self.write(write).await?;
        Ok(commodity)
    }
}
