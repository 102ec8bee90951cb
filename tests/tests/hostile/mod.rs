//! Policies that break the contract: what exactly happens, and that nothing else is affected.
#![deny(dead_code)]

mod admission;
mod answers;
mod batches;
mod instances;
mod limits;
#[path = "../../guests/hostile/src/modes.rs"]
mod modes;

use farebox::engine::limits::{LimitClass, Trust};
use farebox::engine::{Engine, LoadError};
use farebox::service::policy::{Fault, PolicyEngine as _, PolicyError, ReleaseId};
use farebox_pricing::event::{Facts, KeySource};
use farebox_tests::books::{event, facts, two_models};
use farebox_tests::guests;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// An engine with an honest release, and a hostile one to try.
struct Arena {
    engine: Engine,
    honest: ReleaseId,
}

/// Where these tests keep compiled components; the first who asks compiles.
fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
        let engine = Engine::new(folder.clone()).unwrap();
        load(&engine, modes::HONEST, Trust::Trusted).unwrap();
        folder
    })
}

impl Arena {
    fn new() -> Self {
        let engine = Engine::new(cache().to_owned()).unwrap();
        let honest = load(&engine, modes::HONEST, Trust::Trusted).unwrap();
        let arena = Self { engine, honest };
        arena.assert_unharmed();
        arena
    }

    fn hostile(&self, mode: &str) -> ReleaseId {
        load(&self.engine, mode, Trust::Trusted).unwrap()
    }

    /// The other release still answers, and its prices are right.
    fn assert_unharmed(&self) {
        let priced = self
            .engine
            .rate(&self.honest, &event("gpt-4o"), &facts(KeySource::Managed))
            .unwrap();
        assert_eq!(priced.price_usd.to_string(), "0.004375000");
    }

    fn faults(&self, release: &ReleaseId) -> u64 {
        let faults = self.engine.faults();
        faults.iter().find(|(id, _)| id == release).unwrap().1
    }

    /// Rates one event under the hostile release, singly and in a batch; both must be faults, each
    /// counted, and the other release must not notice.
    fn rate(&self, mode: &str, facts: &Facts) -> Fault {
        let release = self.hostile(mode);
        let event = event("gpt-4o");
        let begun = Instant::now();
        let single = fault(self.engine.rate(&release, &event, facts));
        assert!(begun.elapsed() < Duration::from_secs(5), "{mode}");
        self.assert_unharmed();
        let batch = [(&event, facts); 2];
        for answer in self.engine.rate_batch(&release, &batch) {
            assert_eq!(fault(answer), single, "{mode}");
        }
        self.assert_unharmed();
        assert!(self.faults(&release) >= 2, "{mode}");
        assert_eq!(self.faults(&self.honest), 0);
        single
    }
}

fn load(engine: &Engine, mode: &str, trust: Trust) -> Result<ReleaseId, LoadError> {
    engine.load_release(
        &guests::component(guests::HOSTILE),
        two_models(mode).canonical,
        LimitClass::Native,
        trust,
    )
}

fn fault<T: std::fmt::Debug>(answer: Result<T, PolicyError>) -> Fault {
    match answer {
        Err(PolicyError::Fault(fault)) => fault,
        other => panic!("not a fault: {other:?}"),
    }
}
