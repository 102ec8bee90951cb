//! The server: store, engine, clock and service put together and listening.
//!
//! Used by `farebox serve` and, on port 0, by tests. Nothing here knows what a request says.

use super::prepare::{Preparation, configured};
use super::settler::Settler;
use super::shipped;
use super::trials::Watcher;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::engine::package::PackageError;
use crate::engine::{self, Engine};
use crate::http::{self, Limits};
use crate::service::breaker::BreakerRule;
use crate::service::ledger::LedgerStore;
use crate::service::ledger::failure::ReadError;
use crate::service::ledger::releases::BindingScope;
use crate::service::ledger::write::WriteError;
use crate::service::policy::{AdmitError, ReleaseId};
use crate::service::releases::Address;
use crate::service::signature::SignatureError;
use crate::service::time::SharedClock;
use crate::service::{Service, Settings, secret};
use crate::store::directory::DataDirectory;
use crate::store::{OpenError, SqliteStore, StoreOptions};
use farebox_ledger::commodity::Commodity;
use farebox_pricing::currency::Currency;
use farebox_stamp::StampError;
use std::net::SocketAddr;
use std::path::PathBuf;
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
    /// The filter does not carry its digest.
    #[error("`{}` is not the filter of a policy", path.display())]
    Filter {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: StampError,
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
    /// No server ever ran on the data directory.
    #[error("no server has ever served from this data directory")]
    NeverServed,
    /// The sandbox cannot start.
    #[error("the policy engine cannot start")]
    Engine(#[from] engine::StartError),
    /// The release cannot be loaded.
    #[error("the release cannot be loaded")]
    Load(#[from] AdmitError),
    /// A release that prices calls here does not load.
    #[error(
        "release `{release}` is bound to {scope}, or in a canary there, and cannot be loaded; bind another with \
         `farebox policy activate --data-dir`, which ends the canary too"
    )]
    Bound {
        /// Which.
        release: Address,
        /// To whom.
        scope: BindingScope,
        /// Why.
        #[source]
        source: AdmitError,
    },
    /// The configured release would price calls here, and must be signed.
    #[error(
        "the configured release may not price calls here: configure a signed file as `policy`, without \
         a `price_book` beside it"
    )]
    ConfiguredNotSigned(#[source] Box<SignatureError>),
    /// A release that prices calls here must be signed.
    #[error(
        "release `{release}` prices calls of {scope} and may not: sign its file and push it with \
         `farebox policy push --data-dir`, or activate another with `farebox policy activate --data-dir`, \
         which ends a canary too"
    )]
    NotSigned {
        /// Which.
        release: Address,
        /// Whose calls.
        scope: BindingScope,
        /// Why.
        #[source]
        source: Box<SignatureError>,
    },
    /// A peg never changes: another peg is another commodity.
    #[error(
        "the commodity `{name}` of this data directory is worth {} {}, but {} {} is \
         configured; name another commodity for another worth",
        known.0, known.1, asked.0, asked.1
    )]
    PegChanged {
        /// The commodity.
        name: Box<str>,
        /// What it is worth.
        known: (rust_decimal::Decimal, Currency),
        /// What is configured.
        asked: (rust_decimal::Decimal, Currency),
    },
    /// A thread cannot be started.
    #[error("a thread of the server cannot be started")]
    Thread(#[source] std::io::Error),
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
    settler: Option<Settler>,
    watcher: Option<Watcher>,
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
    let engine = Engine::new(config.cache_dir())?.trusting(shipped::STANDARD_COMPONENT);
    let preparation = Preparation {
        store: store.as_ref(),
        clock: clock.as_ref(),
    };
    preparation.pin(config).await?;
    let id = configured_release(config, &engine, &preparation).await?;
    let unloaded = preparation.load_known(&engine)?;
    preparation.require_bound(config.deployment, unloaded)?;
    preparation.require_signed(config.deployment)?;
    let commodity = preparation
        .commodity(&config.commodity, &config.pegs)
        .await?;
    let settings = settings(config, id, commodity, "bootstrap");
    serve(config, store, engine, clock, settings, Work::OnItsOwn).await
}

/// Keeps the configured release, and binds it where nobody activated one. Where somebody did, one
/// that may not price here is left alone.
async fn configured_release(
    config: &Config,
    engine: &Engine,
    preparation: &Preparation<'_>,
) -> Result<ReleaseId, StartError> {
    let package = configured(config)?;
    if let Err(error) = package.check_signatures(&config.policy_keys) {
        return match (error, preparation.activated(config.deployment)?) {
            (AdmitError::Signature(error), Some(activated)) => {
                tracing::info!(%error, "the configured release is not kept");
                Ok(activated)
            }
            (AdmitError::Signature(error), None) => Err(StartError::ConfiguredNotSigned(error)),
            (error, _) => Err(error.into()),
        };
    }
    let kept = preparation.kept()?;
    let release = engine.admit_configured(package, |id| kept.contains(id))?;
    let id = release.id;
    preparation.admit(release).await?;
    preparation.bind(id, config).await?;
    Ok(id)
}

/// Serves from a data directory for a moment, to work on it: whatever it holds stays as it is, the
/// configuration binds nothing, nothing is settled. For commands on a stopped server.
///
/// # Errors
/// See [`StartError`]; `NeverServed` when no server ever ran on the directory.
pub async fn maintain(config: &Config) -> Result<RunningApp, StartError> {
    let directory = DataDirectory::new(&config.data_dir);
    directory.must_exist().map_err(OpenError::from)?;
    let clock: SharedClock = Arc::new(SystemClock::new());
    let options = StoreOptions {
        queue_bound: config.queue_max,
    };
    let store = Arc::new(SqliteStore::open(directory, Arc::clone(&clock), options)?);
    let engine = Engine::new(config.cache_dir())?.trusting(shipped::STANDARD_COMPONENT);
    let preparation = Preparation {
        store: store.as_ref(),
        clock: clock.as_ref(),
    };
    preparation.load_known(&engine)?;
    let newest = store.bound()?.into_iter().max_by_key(|change| change.id);
    let newest = newest.ok_or(StartError::NeverServed)?;
    let commodity = store.commodities()?.into_iter().next();
    let (Some(commodity), Some(release)) = (commodity, newest.release.or(newest.before)) else {
        return Err(StartError::NeverServed);
    };
    let settings = Settings {
        deployment: newest.scope.deployment,
        ..settings(config, release, commodity, "local")
    };
    serve(config, store, engine, clock, settings, Work::WhenAsked).await
}

/// What a server does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Also what is due: it settles usage that waits, and watches trials.
    OnItsOwn,
    /// What it is asked for.
    WhenAsked,
}

fn settings(
    config: &Config,
    release: ReleaseId,
    commodity: Commodity,
    admin_name: &'static str,
) -> Settings {
    Settings {
        deployment: config.deployment,
        release,
        commodity,
        pegs: config.pegs.clone(),
        hold_ttl_ms: config.hold_ttl_ms,
        hold_ttl_max_ms: config.hold_ttl_max_ms,
        leases: config.leases,
        skew_max_ms: config.skew_max_ms,
        fallback: config.policy_fallback,
        edge_filters: config.edge_filters,
        breaker: BreakerRule {
            faults: config.breaker_faults,
            pause: Duration::from_millis(config.breaker_pause_ms),
        },
        admin_name,
        admin_key_digest: config
            .admin_key
            .as_ref()
            .map(|key| secret::digest(key.reveal())),
        background: super::priority::lower,
        aside: super::aside::aside,
    }
}

async fn serve(
    config: &Config,
    store: Arc<SqliteStore>,
    engine: Engine,
    clock: SharedClock,
    settings: Settings,
    work: Work,
) -> Result<RunningApp, StartError> {
    let service = Arc::new(Service::new(
        Arc::clone(&store) as Arc<dyn LedgerStore>,
        Arc::new(engine),
        clock,
        settings,
    ));
    listen(config, service, store, work).await
}

async fn listen(
    config: &Config,
    service: Arc<Service>,
    store: Arc<SqliteStore>,
    work: Work,
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
    let works = work == Work::OnItsOwn;
    let settler = match works && config.settle_interval_ms > 0 {
        true => Some(Settler::start(
            Arc::clone(&service),
            Duration::from_millis(config.settle_interval_ms),
            stop.subscribe(),
        )?),
        false => None,
    };
    let watcher = match works {
        true => Some(Watcher::start(Arc::clone(&service))?),
        false => None,
    };
    tracing::info!(%address, "listening");
    Ok(RunningApp {
        address,
        service,
        store,
        stop,
        served,
        settler,
        watcher,
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
        self.service.stop_jobs();
        let mut served = self.served;
        if tokio::time::timeout(self.drain, &mut served).await.is_err() {
            tracing::warn!("open requests were cut off");
            served.abort();
        }
        let (store, settler, watcher) = (self.store, self.settler, self.watcher);
        // Each waits for a thread, so they may block.
        let close = move || {
            if let Some(settler) = settler {
                settler.join();
            }
            if let Some(watcher) = watcher {
                watcher.stop();
            }
            store.close();
        };
        let _ = tokio::task::spawn_blocking(close).await;
    }
}
