//! A load on the ledger: callers that place a hold and capture it, and what they saw.

use super::Failure;
use super::machine;
use super::writes::Bench;
use farebox::service::ledger::LedgerStore;
use farebox_ledger::ids::OrgId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Callers at once.
pub const CONCURRENT: usize = 1_024;

/// What a load took.
pub struct Load {
    pub pairs: u64,
    pub elapsed: Duration,
    pub holds: Vec<u64>,
    pub captures: Vec<u64>,
}

impl Load {
    /// Whole pairs a second.
    pub fn pairs_per_s(&self) -> u64 {
        let micros = self.elapsed.as_micros().max(1);
        let scaled = u128::from(self.pairs).saturating_mul(1_000_000);
        u64::try_from(scaled.checked_div(micros).unwrap_or_default()).unwrap_or(u64::MAX)
    }
}

/// The value below which `permille` of the sorted values lie.
pub fn quantile(values: &mut [u64], permille: usize) -> u64 {
    values.sort_unstable();
    let place = values.len().saturating_mul(permille) / 1_000;
    values.get(place).or(values.last()).copied().unwrap_or(0)
}

/// What each million pairs of a filling took of the writer's CPU, in nanoseconds a pair.
pub struct Filled {
    pub first_writer_cpu_ns: u64,
    pub last_writer_cpu_ns: u64,
}

impl Bench {
    /// One caller: pairs on its orgs in turn until the time or the number is over.
    async fn caller(
        self: Arc<Self>,
        orgs: Arc<Vec<OrgId>>,
        first: usize,
        until: Instant,
        left: Arc<AtomicU64>,
    ) -> Result<(Vec<u64>, Vec<u64>), Failure> {
        let (mut holds, mut captures) = (Vec::new(), Vec::new());
        let mut turn = first;
        while Instant::now() < until {
            let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
            if taken.is_err() {
                break;
            }
            let place = turn.checked_rem(orgs.len()).unwrap_or(0);
            let Some(org) = orgs.get(place).copied() else {
                break;
            };
            turn = turn.wrapping_add(CONCURRENT | 1);
            let (hold, write) = self.hold(org);
            let begun = Instant::now();
            self.store.submit(write).await?;
            holds.push(micros(begun));
            let write = self.capture(org, hold);
            let begun = Instant::now();
            self.store.submit(write).await?;
            captures.push(micros(begun));
        }
        Ok((holds, captures))
    }

    /// Pairs by so many callers, until the time or the number of pairs is over.
    pub async fn load(
        self: &Arc<Self>,
        orgs: &Arc<Vec<OrgId>>,
        concurrent: usize,
        time: Duration,
        pairs: u64,
    ) -> Result<Load, Failure> {
        let begun = Instant::now();
        let until = begun.checked_add(time).unwrap_or(begun);
        let left = Arc::new(AtomicU64::new(pairs));
        let callers: Vec<_> = (0..concurrent)
            .map(|first| {
                let (bench, orgs) = (Arc::clone(self), Arc::clone(orgs));
                tokio::spawn(bench.caller(orgs, first, until, Arc::clone(&left)))
            })
            .collect();
        let (mut holds, mut captures) = (Vec::new(), Vec::new());
        for caller in callers {
            let (more_holds, more_captures) = caller.await??;
            holds.extend(more_holds);
            captures.extend(more_captures);
        }
        Ok(Load {
            pairs: u64::try_from(captures.len()).unwrap_or_default(),
            elapsed: begun.elapsed(),
            holds,
            captures,
        })
    }

    /// Fills the ledger, a million pairs at a time, and says what each of them took.
    pub async fn fill(
        self: &Arc<Self>,
        orgs: &Arc<Vec<OrgId>>,
        pairs: u64,
    ) -> Result<Filled, Failure> {
        const STEP: u64 = 1_000_000;
        let hours = Duration::from_secs(3_600);
        let mut cpus = Vec::new();
        let mut left = pairs;
        while left > 0 {
            let (bytes, cpu) = (machine::written(), machine::writer_cpu());
            let load = self.load(orgs, CONCURRENT, hours, left.min(STEP)).await?;
            let per_pair = |count: u64| count.checked_div(load.pairs).unwrap_or(0);
            left = left.saturating_sub(STEP);
            cpus.push(per_pair(machine::writer_cpu().saturating_sub(cpu)));
            eprintln!(
                "ledger: up to {}: {} pairs/s, writer {} ns, {} bytes a pair",
                pairs.saturating_sub(left),
                load.pairs_per_s(),
                cpus.last().copied().unwrap_or_default(),
                per_pair(machine::written().saturating_sub(bytes)),
            );
        }
        Ok(Filled {
            first_writer_cpu_ns: cpus.first().copied().unwrap_or_default(),
            last_writer_cpu_ns: cpus.last().copied().unwrap_or_default(),
        })
    }
}

/// Microseconds since a moment.
pub fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
