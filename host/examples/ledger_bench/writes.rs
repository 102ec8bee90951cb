//! What the callers write: the orgs, and the hold and the usage of a call, as the service would.

use super::Failure;
use super::release;
use farebox::clock::SystemClock;
use farebox::service::ledger::LedgerStore;
use farebox::service::ledger::directory::{DirectoryWrite, OrgRecord};
use farebox::service::ledger::receipt::Pricing;
use farebox::service::ledger::write::{
    Action, Actor, CallAudit, Once, Personal, UsageWrite, Write,
};
use farebox::service::policy::ReleaseId;
use farebox::service::time::SharedClock;
use farebox::store::directory::DataDirectory;
use farebox::store::{SqliteStore, StoreOptions};
use farebox_ledger::command::{Command, GrantCredits, OpenWallet, PlaceHold, Reach};
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
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const CREDITS: CommodityId = CommodityId::new(1);
const HOLD: i64 = 20_000_000;
const PRICE: i64 = 11_354_375;
const FUNDS: i64 = 8_000_000_000_000_000;

fn nanos(amount: i64) -> Nanos {
    Nanos::new(amount).unwrap_or_default()
}

/// A ledger under load.
pub struct Bench {
    pub store: Arc<SqliteStore>,
    clock: SharedClock,
    count: AtomicU64,
    dimensions: Arc<Dimensions>,
    lines: Vec<Line>,
    context: Arc<[u8]>,
    release: ReleaseId,
}

impl Bench {
    /// A store on this data directory.
    pub fn open(folder: &std::path::Path) -> Result<Self, Failure> {
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
            release: release::id()?,
        })
    }

    /// Now, by the clock of what is written.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
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

    /// A release, and so many orgs with more credits than a load can spend.
    pub async fn orgs(&self, count: usize) -> Result<Vec<OrgId>, Failure> {
        self.store
            .submit(
                self.write(Action::Directory(DirectoryWrite::CreateCommodity(
                    Commodity::of_usd(CREDITS, "credit".into(), Peg::DEFAULT),
                ))),
            )
            .await?;
        let admit = Action::Directory(release::admission(self.clock.now_ms())?);
        self.store.submit(self.write(admit)).await?;
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

    /// A hold, and its write.
    pub fn hold(&self, org: OrgId) -> (HoldId, Write) {
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

    /// The usage that ends a hold.
    pub fn capture(&self, org: OrgId, hold: HoldId) -> Write {
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
            reach: Reach::Wallet,
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
                    release: Some(self.release),
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
