//! Pricing without a server: the same engine and checks, no ledger. For `farebox rate` and for
//! whoever wants to price recorded calls from their own program.

use super::shipped;
use crate::clock::SystemClock;
use crate::engine::package::{Package, PackageError};
use crate::engine::{Engine, StartError};
use crate::service::policy::{AdmitError, PolicyEngine, PolicyError, Priced, ReleaseId};
use crate::service::time::Clock;
use farebox_pricing::book::Book;
use farebox_pricing::event::{Facts, UsageEvent};
use std::path::PathBuf;

/// An engine with one release.
pub struct Offline {
    engine: Engine,
    release: ReleaseId,
    clock: SystemClock,
}

/// Why nothing can be priced.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The sandbox cannot start.
    #[error("the policy engine cannot start")]
    Start(#[from] StartError),
    /// The policy's file cannot be read.
    #[error("the policy's file cannot be taken apart")]
    Package(#[from] PackageError),
    /// The component or the book is not taken.
    #[error("the release cannot be loaded")]
    Load(#[from] AdmitError),
    /// The shipped book does not compile.
    #[error("the shipped price book is damaged: {0}")]
    ShippedBook(String),
}

impl Offline {
    /// Opens a policy with a canonical book; absent: the book that the policy's file carries, else
    /// the shipped ones. Compiled code is kept in `cache_dir`.
    ///
    /// # Errors
    /// See [`OfflineError`].
    pub fn open(
        policy: Option<&[u8]>,
        canonical_book: Option<Vec<u8>>,
        cache_dir: PathBuf,
    ) -> Result<Self, OfflineError> {
        let package = policy.map(Package::open).transpose()?;
        let (component, carried) = match &package {
            Some(package) => (&*package.component, package.book.clone()),
            None => (shipped::STANDARD_COMPONENT, None),
        };
        // Who signed the file signed the book in it.
        let signatures = match (&canonical_book, &package) {
            (None, Some(package)) => package.signatures.clone(),
            _ => Vec::new(),
        };
        let book = match canonical_book.or(carried) {
            Some(book) => book,
            None => {
                shipped::default_book()
                    .map_err(|errors| {
                        let first = errors.first().map(ToString::to_string);
                        OfflineError::ShippedBook(first.unwrap_or_default())
                    })?
                    .canonical
            }
        };
        let engine = Engine::new(cache_dir)?.trusting(shipped::STANDARD_COMPONENT);
        let package = Package {
            component: component.to_vec(),
            book: Some(book),
            signatures,
            ..Package::default()
        };
        let release = engine.admit_package(package, None)?.id;
        Ok(Self {
            engine,
            release,
            clock: SystemClock::new(),
        })
    }

    /// The release that prices.
    pub const fn release(&self) -> ReleaseId {
        self.release
    }

    /// The book that prices, decoded as a whole.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn book(&self) -> Result<Book, PolicyError> {
        self.engine.book(&self.release)
    }

    /// The engine, for more than one call at a time.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The checked price of one event.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn rate(&self, event: &UsageEvent, facts: &Facts) -> Result<Priced, PolicyError> {
        self.engine.rate(&self.release, event, facts)
    }

    /// Now, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }
}
