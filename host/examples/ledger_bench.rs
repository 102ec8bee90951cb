//! Measures the ledger in process: hold + capture pairs, durable, with every row the product
//! writes (receipt, raw usage, chain, lots, idempotency keys, response ids, client address).
//!
//! Prints one flat JSON object of whole numbers, the unit last in a field's name.
//!
//! `ledger_bench [--quick] [--events N] [--only NAME]`: `--quick` measures briefly, `--events`
//! fills the ledger to that many events before the last measurement (default 5,000,000), `--only`
//! picks one of `many`, `one`, `serial`, `filled`.

use farebox::clock::SystemClock;
use farebox::service::ledger::LedgerStore;
use farebox::service::ledger::directory::{DirectoryWrite, OrgRecord};
use farebox::service::ledger::receipt::Pricing;
use farebox::service::ledger::write::{
    Action, Actor, CallAudit, Once, Personal, UsageWrite, Write,
};
use farebox::service::policy::{Digest as ReleaseDigest, ReleaseId};
use farebox::service::time::SharedClock;
use farebox::store::directory::DataDirectory;
use farebox::store::verify::{Evidence, verify};
use farebox::store::{SqliteStore, StoreOptions};
use farebox_ledger::command::{Command, GrantCredits, OpenWallet, PlaceHold};
use farebox_ledger::commodity::Commodity;
use farebox_ledger::grant::GrantSource;
use farebox_ledger::hold::Dimensions;
use farebox_ledger::idempotency::{Idempotency, ResponseId};
use farebox_ledger::ids::{ChargeId, CommodityId, EventId, GrantId, HoldId, OrgId};
use farebox_pricing::answer::{Line, LineKind, RateReason, Reason};
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::meter::{Meter, Pool, Quantity};
use farebox_pricing::money::{Nanos, Peg, Rounding};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Failure = Box<dyn Error + Send + Sync>;

const CREDITS: CommodityId = CommodityId::new(1);
const CONCURRENT: usize = 1_024;
const HOLD: i64 = 20_000_000;
const PRICE: i64 = 11_354_375;
const FUNDS: i64 = 8_000_000_000_000_000;

fn nanos(amount: i64) -> Nanos {
    Nanos::new(amount).unwrap_or_default()
}

/// A ledger under load.
struct Bench {
    store: Arc<SqliteStore>,
    clock: SharedClock,
    count: AtomicU64,
    dimensions: Arc<Dimensions>,
    lines: Vec<Line>,
    context: Arc<[u8]>,
}

/// What a load took.
struct Load {
    pairs: u64,
    elapsed: Duration,
    holds: Vec<u64>,
    captures: Vec<u64>,
}

impl Load {
    fn pairs_per_s(&self) -> u64 {
        let micros = self.elapsed.as_micros().max(1);
        let scaled = u128::from(self.pairs).saturating_mul(1_000_000);
        u64::try_from(scaled.checked_div(micros).unwrap_or_default()).unwrap_or(u64::MAX)
    }
}

/// The value below which `permille` of the sorted values lie.
fn quantile(values: &mut [u64], permille: usize) -> u64 {
    values.sort_unstable();
    let place = values.len().saturating_mul(permille) / 1_000;
    values.get(place).or(values.last()).copied().unwrap_or(0)
}

impl Bench {
    fn open(folder: &std::path::Path) -> Result<Self, Failure> {
        let clock: SharedClock = Arc::new(SystemClock::new());
        let store = SqliteStore::open(
            DataDirectory::new(folder),
            Arc::clone(&clock),
            StoreOptions::default(),
        )?;
        Ok(Self {
            store: Arc::new(store),
            clock,
            count: AtomicU64::new(0),
            dimensions: Arc::new(Dimensions {
                project: Some("search".into()),
                user: Some("user-4711".into()),
                feature: Some("lead_enrichment".into()),
                plan: Some("pro".into()),
                ..Dimensions::default()
            }),
            lines: lines(),
            context: Arc::from(vec![7_u8; 96]),
        })
    }

    fn write(&self, action: Action) -> Write {
        Write {
            at_ms: self.clock.now_ms(),
            actor: Actor::Host,
            request_id: "0192f0c8b7a67c1e".into(),
            idempotency: None,
            once: None,
            action,
        }
    }

    fn fresh_digest(&self) -> [u8; 32] {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let id = self.clock.next_id();
        let mut hasher = Sha256::new();
        hasher.update(number.to_be_bytes());
        hasher.update(id.to_be_bytes());
        hasher.finalize().into()
    }

    fn keyed(&self, action: Action) -> Write {
        let digest = self.fresh_digest();
        Write {
            idempotency: Some(Idempotency {
                key_digest: digest,
                request_digest: digest,
            }),
            ..self.write(action)
        }
    }

    async fn orgs(&self, count: usize) -> Result<Vec<OrgId>, Failure> {
        self.store
            .submit(
                self.write(Action::Directory(DirectoryWrite::CreateCommodity(
                    Commodity {
                        id: CREDITS,
                        name: "credit".into(),
                        peg: Peg::DEFAULT,
                    },
                ))),
            )
            .await?;
        let mut orgs = Vec::with_capacity(count);
        for _ in 0..count {
            let org = OrgId::new(self.clock.next_id());
            let create = self.store.submit(self.write(Action::CreateOrg {
                org: OrgRecord {
                    id: org,
                    name: org.to_string().into(),
                    plan: Some("pro".into()),
                    created_at_ms: self.clock.now_ms(),
                },
                wallet: OpenWallet {
                    org,
                    commodity: CREDITS,
                    credit_limit: Nanos::ZERO,
                },
            }));
            let grant = self.store.submit(self.write(Action::Ledger {
                command: Command::GrantCredits(GrantCredits {
                    org,
                    grant: GrantId::new(self.clock.next_id()),
                    source: GrantSource::Purchase,
                    amount: nanos(FUNDS),
                    cash_paid: None,
                    priority: 10,
                    expires_at_ms: None,
                    features: Box::default(),
                    detail_digest: [0; 32],
                }),
                note: None,
            }));
            create.await?;
            grant.await?;
            orgs.push(org);
        }
        Ok(orgs)
    }

    fn hold(&self, org: OrgId) -> (HoldId, Write) {
        let hold = HoldId::new(self.clock.next_id());
        let command = Command::PlaceHold(PlaceHold {
            org,
            hold,
            amount: nanos(HOLD),
            expires_at_ms: self.clock.now_ms().saturating_add(600_000),
            dimensions: Arc::clone(&self.dimensions),
            context: Arc::clone(&self.context),
        });
        (
            hold,
            self.keyed(Action::Ledger {
                command,
                note: None,
            }),
        )
    }

    fn capture(&self, org: OrgId, hold: HoldId) -> Write {
        let now_ms = self.clock.now_ms();
        let mut facts = Facts::new(Deployment::Hosted, KeySource::Managed, now_ms);
        facts.plan = Some("pro".into());
        facts.org = Some(org.to_string().into());
        facts.project = Some("search".into());
        facts.user = Some("user-4711".into());
        let usd = Decimal::new(11_354_375, 10);
        let usage = UsageWrite {
            org,
            event_id: EventId::new(self.clock.next_id()),
            occurred_at_ms: now_ms,
            hold: Some(hold),
            last: true,
            dimensions: Arc::clone(&self.dimensions),
            event: UsageEvent {
                provider: "openai".into(),
                model_asked: Some("gpt-5-mini".into()),
                model_served: Some("gpt-5-mini-2025-08-07".into()),
                service_tier: Some("default".into()),
                region: None,
                feature: Some("lead_enrichment".into()),
                pools: vec![
                    Pool::new(Meter::Input, Quantity::from(1_843)),
                    Pool::new(Meter::CacheRead, Quantity::from(1_024)),
                    Pool::new(Meter::Output, Quantity::from(211)),
                ],
                provider_cost_usd: None,
            },
            raw_usage: Some(RAW_USAGE.as_bytes().into()),
            audit: CallAudit {
                latency_ms: Some(912),
                status: Some(200),
                streaming: Some(false),
                response_id: Some("chatcmpl-CeLq0Xv3S9qkT2mM1xJv7q3dYb1Zk".into()),
                external_id: None,
            },
            personal: Personal {
                client_ip: Some("203.0.113.77".into()),
                user_agent: Some("acme-agent/2.1".into()),
            },
            charge: Some((
                ChargeId::new(self.clock.next_id()),
                Pricing {
                    release: Some(ReleaseId {
                        component: ReleaseDigest([1; 32]),
                        book: ReleaseDigest([2; 32]),
                    }),
                    facts,
                    lines: self.lines.clone(),
                    price_usd: usd,
                    provider_cost_usd: Decimal::new(987_654, 9),
                    market_usd: Some(Decimal::new(987_654, 9)),
                    rounding: Rounding::AwayFromZero,
                    below_cost: false,
                    commodity: CREDITS,
                    peg: Peg::DEFAULT,
                    price: nanos(PRICE),
                    cost: nanos(9_876_540),
                },
            )),
            unpriced: None,
            counts: Vec::new(),
        };
        Write {
            once: Some(Once::Response(ResponseId(self.fresh_digest()))),
            ..self.keyed(Action::Usage(Box::new(usage)))
        }
    }

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

    async fn load(
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
    async fn fill(
        self: &Arc<Self>,
        orgs: &Arc<Vec<OrgId>>,
        pairs: u64,
    ) -> Result<Vec<String>, Failure> {
        const STEP: u64 = 1_000_000;
        let hours = Duration::from_secs(3_600);
        let mut said = Vec::new();
        let mut left = pairs;
        while left > 0 {
            let (bytes, cpu) = (written(), writer_cpu());
            let load = self.load(orgs, CONCURRENT, hours, left.min(STEP)).await?;
            let per_pair = |count: u64| count.checked_div(load.pairs).unwrap_or(0);
            left = left.saturating_sub(STEP);
            said.push(format!(
                "up to {}: {} pairs/s, writer {} ns, {} bytes a pair",
                pairs.saturating_sub(left),
                load.pairs_per_s(),
                per_pair(writer_cpu().saturating_sub(cpu)),
                per_pair(written().saturating_sub(bytes)),
            ));
        }
        Ok(said)
    }
}

fn micros(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}

const RAW_USAGE: &str = r#"{"prompt_tokens":2867,"completion_tokens":211,"total_tokens":3078,"prompt_tokens_details":{"cached_tokens":1024,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#;

fn lines() -> Vec<Line> {
    let rated = |meter, quantity: i64, unit: Decimal| Line {
        kind: LineKind::Usage,
        meter: Some(meter),
        quantity: Decimal::from(quantity),
        unit_price_usd: unit,
        amount_usd: unit.saturating_mul(Decimal::from(quantity)),
        reason: Reason::Rate(RateReason {
            model: "gpt-5-mini".into(),
            ..RateReason::default()
        }),
    };
    vec![
        rated(Meter::Input, 1_843, Decimal::new(25, 8)),
        rated(Meter::CacheRead, 1_024, Decimal::new(25, 9)),
        rated(Meter::Output, 211, Decimal::new(2, 6)),
        Line {
            kind: LineKind::Markup,
            meter: None,
            quantity: Decimal::new(908_350, 9),
            unit_price_usd: Decimal::new(25, 2),
            amount_usd: Decimal::new(2_270_875, 10),
            reason: Reason::Markup {
                rule: "plan:pro".into(),
            },
        },
    ]
}

/// Bytes this process has handed to the disk.
fn written() -> u64 {
    std::fs::read_to_string("/proc/self/io")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("write_bytes"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .unwrap_or(0)
}

/// The most memory this process has had at once, in KiB.
fn memory_peak_kib() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .unwrap_or(0)
}

/// Time the writer's thread was on a CPU, in nanoseconds.
fn writer_cpu() -> u64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return 0;
    };
    threads
        .filter_map(Result::ok)
        .map(|thread| thread.path())
        .filter(|path| {
            std::fs::read_to_string(path.join("comm"))
                .is_ok_and(|name| name.trim() == "ledger-writer")
        })
        .filter_map(|path| std::fs::read_to_string(path.join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

struct Options {
    time: Duration,
    serial: u64,
    events: u64,
    only: Option<String>,
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        time: Duration::from_secs(12),
        serial: 3_000,
        events: 5_000_000,
        only: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => {
                options.time = Duration::from_secs(3);
                options.serial = 500;
                options.events = 0;
            }
            "--events" => options.events = arguments.next().ok_or("--events N")?.parse()?,
            "--only" => options.only = arguments.next(),
            other => return Err(format!("unknown argument `{other}`").into()),
        }
    }
    Ok(options)
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut figures: Vec<(&str, u64)> = Vec::new();
    let base = std::env::current_dir()?.join("target/ledger-bench");
    for name in ["many", "one", "serial", "filled"] {
        if !options.wants(name) || (name == "filled" && options.events == 0) {
            continue;
        }
        let folder = base.join(format!("{name}-{}", std::process::id()));
        let measured = runtime.block_on(measure(name, &folder, &options));
        std::fs::remove_dir_all(&folder)?;
        figures.extend(measured?);
    }
    let fields: Vec<String> = figures
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    println!("{{{}}}", fields.join(","));
    Ok(())
}

async fn measure(
    name: &str,
    folder: &std::path::Path,
    options: &Options,
) -> Result<Vec<(&'static str, u64)>, Failure> {
    let bench = Arc::new(Bench::open(folder)?);
    let wallets = if name == "many" || name == "filled" {
        1_000
    } else {
        1
    };
    let orgs = Arc::new(bench.orgs(wallets).await?);
    eprintln!("ledger: {name}");
    let figures = match name {
        "many" => {
            let (before, cpu_before) = (written(), writer_cpu());
            let mut load = bench
                .load(&orgs, CONCURRENT, options.time, u64::MAX)
                .await?;
            let bytes = written().saturating_sub(before);
            let cpu = writer_cpu().saturating_sub(cpu_before);
            vec![
                ("pairs_per_s", load.pairs_per_s()),
                ("hold_p50_us", quantile(&mut load.holds, 500)),
                ("hold_p99_us", quantile(&mut load.holds, 990)),
                ("capture_p50_us", quantile(&mut load.captures, 500)),
                ("capture_p99_us", quantile(&mut load.captures, 990)),
                ("bytes_per_pair", bytes.checked_div(load.pairs).unwrap_or(0)),
                (
                    "writer_cpu_ns_per_pair",
                    cpu.checked_div(load.pairs).unwrap_or(0),
                ),
            ]
        }
        "one" => {
            let load = bench
                .load(&orgs, CONCURRENT, options.time, u64::MAX)
                .await?;
            vec![("pairs_one_wallet_per_s", load.pairs_per_s())]
        }
        "serial" => {
            let limit = Duration::from_secs(120);
            let load = bench.load(&orgs, 1, limit, options.serial).await?;
            let mut pairs: Vec<u64> = load
                .holds
                .iter()
                .zip(&load.captures)
                .map(|(hold, capture)| hold.saturating_add(*capture))
                .collect();
            let mut operations = load.holds;
            operations.extend(load.captures);
            vec![
                ("op_serial_p50_us", quantile(&mut operations, 500)),
                ("pair_serial_p50_us", quantile(&mut pairs, 500)),
            ]
        }
        _ => {
            let filled = bench.fill(&orgs, options.events).await?;
            eprintln!("ledger: {}", filled.join("; "));
            let begun = Instant::now();
            bench.store.close();
            drop(bench);
            let bench = Arc::new(Bench::open(folder)?);
            let opened = micros(begun) / 1_000;
            let cpu_before = writer_cpu();
            let load = bench
                .load(&orgs, CONCURRENT, options.time, u64::MAX)
                .await?;
            let cpu = writer_cpu().saturating_sub(cpu_before);
            bench.store.close();
            let size = std::fs::metadata(folder.join("ledger.db"))?.len();
            eprintln!("ledger: verify, {} KiB at most so far", memory_peak_kib());
            let begun = Instant::now();
            let report = verify(&DataDirectory::new(folder), Evidence::default())?;
            let verified = Load {
                pairs: report.usage_events,
                elapsed: begun.elapsed(),
                holds: Vec::new(),
                captures: Vec::new(),
            };
            if let Some(finding) = report.findings.first() {
                return Err(format!("the ledger is broken: {finding}").into());
            }
            vec![
                ("verify_events_per_s", verified.pairs_per_s()),
                ("pairs_at_5m_events_per_s", load.pairs_per_s()),
                (
                    "writer_cpu_at_5m_ns_per_pair",
                    cpu.checked_div(load.pairs).unwrap_or(0),
                ),
                ("reopen_at_5m_events_ms", opened),
                ("database_at_5m_events_bytes", size),
                ("memory_peak_kib", memory_peak_kib()),
            ]
        }
    };
    Ok(figures)
}
