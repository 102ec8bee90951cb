//! Counts for Prometheus. No label ever holds an org, a key or a model: their number is unbounded. A
//! release is one, up to a bound.

use crate::service::breaker::FaultCount;
use crate::service::ledger::view::Gauges;
use crate::service::waiting::Waiting;
use axum::http::Method;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    method: String,
    route: Arc<str>,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PolicyFault {
    release: String,
    fault: &'static str,
}

/// What is counted by this process.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    duration: Histogram,
    usage: Family<Outcome, Counter>,
    panics: Counter,
    policy_faults: Family<PolicyFault, Counter>,
    ledger: LedgerGauges,
}

#[derive(Default)]
struct LedgerGauges {
    orgs: Gauge,
    holds_active: Gauge,
    leases: Gauge,
    leases_in_doubt: Gauge,
    leased_nano_credits: Gauge,
    unpriced: Gauge,
    unpriced_age_seconds: Gauge,
    settled: Gauge,
    settle_failures: Gauge,
    policy_pauses: Gauge,
    policy_fallbacks: Gauge,
    edge_filters_refused: Gauge,
    trials: Gauge,
    trials_halted: Gauge,
    queue: Gauge,
    commits: Gauge,
    writes: Gauge,
    failed_commits: Gauge,
    database_bytes: Gauge,
}

/// Policy faults, for [`Metrics::encode`].
#[derive(Clone, Debug)]
pub struct FaultCounts {
    /// Since the start.
    pub by_release: Vec<FaultCount>,
    /// Pairs of release and org that are paused now.
    pub paused: u64,
    /// Calls that the last good release priced instead.
    pub fallbacks: u64,
    /// Holds and leases that were refused because of the gateway's filter, since the start.
    pub filters_refused: u64,
    /// Trials that run.
    pub trials: u64,
    /// Trials that ended by themselves.
    pub trials_halted: u64,
}

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS_SECONDS: [f64; 12] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("farebox");
        let requests = Family::default();
        let duration = Histogram::new(BUCKETS_SECONDS);
        let usage = Family::default();
        let panics = Counter::default();
        let policy_faults = Family::default();
        let ledger = LedgerGauges::default();
        registry.register(
            "policy_faults",
            "Policy faults by release and kind",
            policy_faults.clone(),
        );
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the head of a request to its answer",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register(
            "usage_reports",
            "Usage reports by what became of them",
            usage.clone(),
        );
        registry.register(
            "http_panics",
            "Handlers that panicked; each is a defect",
            panics.clone(),
        );
        for (name, help, gauge) in ledger.all() {
            registry.register(name, help, gauge.clone());
        }
        Self {
            registry,
            requests,
            duration,
            usage,
            panics,
            policy_faults,
            ledger,
        }
    }
}

impl LedgerGauges {
    fn all(&self) -> [(&'static str, &'static str, &Gauge); 19] {
        [
            ("orgs", "Orgs with a wallet", &self.orgs),
            ("holds_active", "Active holds", &self.holds_active),
            (
                "leases_active",
                "Active leases, those in doubt among them",
                &self.leases,
            ),
            (
                "leases_in_doubt",
                "Leases that expired and may not have been reported in full yet",
                &self.leases_in_doubt,
            ),
            (
                "leased_nano_credits",
                "What leases put aside, in billionths of a credit",
                &self.leased_nano_credits,
            ),
            (
                "usage_unpriced",
                "Usage that waits for a price",
                &self.unpriced,
            ),
            (
                "usage_unpriced_oldest_age_seconds",
                "How long the oldest of them waits",
                &self.unpriced_age_seconds,
            ),
            (
                "usage_settled",
                "Usage that got its price by being tried again, since the start",
                &self.settled,
            ),
            (
                "usage_settle_failures",
                "Tries that gave no price, since the start",
                &self.settle_failures,
            ),
            (
                "policy_pauses",
                "Orgs for which a release is paused now",
                &self.policy_pauses,
            ),
            (
                "policy_fallbacks",
                "Calls that the last good release priced because the bound one failed, since the start",
                &self.policy_fallbacks,
            ),
            (
                "edge_filters_refused",
                "Holds and leases that were refused because of the gateway's filter, since the start",
                &self.edge_filters_refused,
            ),
            (
                "policy_trials",
                "Trials of a release that run",
                &self.trials,
            ),
            (
                "policy_trials_halted",
                "Trials that passed a bound and ended by themselves, since the start",
                &self.trials_halted,
            ),
            ("ledger_queue", "Writes that wait", &self.queue),
            ("ledger_commits", "Commits since the start", &self.commits),
            (
                "ledger_writes",
                "Durable writes since the start",
                &self.writes,
            ),
            (
                "ledger_failed_commits",
                "Commits that failed since the start",
                &self.failed_commits,
            ),
            (
                "database_bytes",
                "Size of the database file",
                &self.database_bytes,
            ),
        ]
    }
}

impl Metrics {
    /// A request was answered.
    pub fn answered(&self, method: &Method, route: &Arc<str>, status: u16, took: Duration) {
        self.requests
            .get_or_create(&Request {
                method: method.as_str().to_owned(),
                route: Arc::clone(route),
                status,
            })
            .inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A usage report was `charged`, `replayed`, left `unpriced` or `refused`.
    pub fn usage(&self, outcome: &'static str) {
        self.usage.get_or_create(&Outcome { outcome }).inc();
    }

    /// A handler panicked.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// All counts as Prometheus reads them.
    pub fn encode(
        &self,
        gauges: &Gauges,
        waiting: &Waiting,
        faults: FaultCounts,
        now_ms: i64,
    ) -> Result<String, std::fmt::Error> {
        let ledger = &self.ledger;
        let age_ms = waiting
            .oldest_at_ms
            .map_or(0, |at_ms| now_ms.saturating_sub(at_ms).max(0));
        ledger.unpriced_age_seconds.set(age_ms.div_euclid(1_000));
        for (gauge, value) in [
            (&ledger.orgs, gauges.orgs),
            (&ledger.holds_active, gauges.holds_active),
            (&ledger.leases, gauges.leases),
            (&ledger.leases_in_doubt, gauges.leases_in_doubt),
            (
                &ledger.leased_nano_credits,
                gauges.leased.get().unsigned_abs(),
            ),
            (&ledger.unpriced, gauges.unpriced),
            (&ledger.policy_pauses, faults.paused),
            (&ledger.policy_fallbacks, faults.fallbacks),
            (&ledger.edge_filters_refused, faults.filters_refused),
            (&ledger.trials, faults.trials),
            (&ledger.trials_halted, faults.trials_halted),
            (&ledger.settled, waiting.settled),
            (&ledger.settle_failures, waiting.failed),
            (&ledger.queue, gauges.queue),
            (&ledger.commits, gauges.commits),
            (&ledger.writes, gauges.writes),
            (&ledger.failed_commits, gauges.failed_commits),
            (&ledger.database_bytes, gauges.database_bytes),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        for count in faults.by_release {
            let release = match count.release {
                Some(release) => release.to_string(),
                None => "other".to_owned(),
            };
            let labels = PolicyFault {
                release,
                fault: count.fault,
            };
            // The breakers count; this shows it.
            let counter = self.policy_faults.get_or_create(&labels);
            counter.inner().store(count.faults, Ordering::Relaxed);
        }
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}
