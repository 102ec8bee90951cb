//! The store's tests: a real data directory, the real writer, a clock that stands still.

mod concurrency;
mod corrections;
mod damage;
mod flow;
mod past;
mod releases;
mod retries;
mod signatures;
mod trouble;
mod verifying;

use super::directory::DataDirectory;
use super::{SqliteStore, StoreOptions};
use crate::clock::ManualClock;
use crate::service::ledger::LedgerStore;
use crate::service::ledger::directory::{DirectoryWrite, OrgRecord};
use crate::service::ledger::receipt::Pricing;
use crate::service::ledger::write::{
    Acknowledged, Action, Actor, CallAudit, Once, Personal, UsageWrite, Write, WriteError,
};
use crate::service::time::Clock;
use farebox_ledger::command::{Command, GrantCredits, OpenWallet, PlaceHold, Reach};
use farebox_ledger::commodity::Commodity;
use farebox_ledger::grant::GrantSource;
use farebox_ledger::hold::Dimensions;
use farebox_ledger::idempotency::Idempotency;
use farebox_ledger::ids::{ChargeId, CommodityId, EventId, GrantId, HoldId, OrgId};
use farebox_pricing::answer::{Line, LineKind, RateReason, Reason};
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::meter::{Meter, Pool, Quantity};
use farebox_pricing::money::{Nanos, Peg, Rounding};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const NOW: i64 = 1_790_000_000_000;
pub const CREDITS: CommodityId = CommodityId::new(1);

pub fn nanos(amount: i64) -> Nanos {
    Nanos::new(amount).unwrap()
}

/// A store on a fresh data directory.
pub struct House {
    pub store: Arc<SqliteStore>,
    pub clock: Arc<ManualClock>,
    pub runtime: Runtime,
    pub folder: TempDir,
}

impl House {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let store = open(&folder, &clock);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let house = Self {
            store,
            clock,
            runtime,
            folder,
        };
        house
            .write(Action::Directory(DirectoryWrite::CreateCommodity(
                Commodity::of_usd(CREDITS, "credit".into(), Peg::DEFAULT),
            )))
            .unwrap();
        house
    }

    /// Closes the store and opens it again.
    pub fn reopen(&mut self) {
        self.store.close();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let clock = Arc::clone(&self.clock);
        let old = std::mem::replace(&mut self.store, open(&self.folder, &clock));
        drop(old);
        self.store = open(&folder, &clock);
        self.folder = folder;
    }

    pub fn id(&self) -> u128 {
        self.clock.next_id()
    }

    pub fn wrap(&self, action: Action) -> Write {
        Write {
            at_ms: self.clock.now_ms(),
            actor: Actor::Admin("test".into()),
            request_id: "req-1".into(),
            idempotency: None,
            once: None,
            action,
        }
    }

    pub fn send(&self, write: Write) -> Result<Acknowledged, WriteError> {
        self.runtime.block_on(self.store.submit(write))
    }

    pub fn write(&self, action: Action) -> Result<Acknowledged, WriteError> {
        self.send(self.wrap(action))
    }

    pub fn command(&self, command: Command) -> Result<Acknowledged, WriteError> {
        self.write(Action::Ledger {
            command,
            note: None,
        })
    }

    /// A new org with this many nano-credits in one lot.
    pub fn org(&self, name: &str, amount: i64) -> OrgId {
        let org = OrgId::new(self.id());
        self.write(Action::CreateOrg {
            org: OrgRecord {
                id: org,
                name: name.into(),
                plan: None,
                created_at_ms: NOW,
            },
            wallet: OpenWallet {
                org,
                commodity: CREDITS,
                credit_limit: Nanos::ZERO,
            },
        })
        .unwrap();
        if amount > 0 {
            self.grant(org, amount);
        }
        org
    }

    pub fn grant(&self, org: OrgId, amount: i64) -> GrantId {
        let grant = GrantId::new(self.id());
        self.write(Action::Ledger {
            command: Command::GrantCredits(GrantCredits {
                org,
                grant,
                source: GrantSource::Purchase,
                amount: nanos(amount),
                cash_paid: None,
                priority: 10,
                expires_at_ms: None,
                features: Box::default(),
                detail_digest: [0; 32],
            }),
            note: Some("invoice 7".into()),
        })
        .unwrap();
        grant
    }

    pub fn hold_command(&self, org: OrgId, amount: i64) -> (HoldId, Command) {
        let hold = HoldId::new(self.id());
        let command = Command::PlaceHold(PlaceHold {
            org,
            hold,
            amount: nanos(amount),
            expires_at_ms: self.clock.now_ms() + 60_000,
            dimensions: dimensions(),
            context: Arc::from(&b"context"[..]),
        });
        (hold, command)
    }

    pub fn hold(&self, org: OrgId, amount: i64) -> Result<HoldId, WriteError> {
        let (hold, command) = self.hold_command(org, amount);
        self.command(command).map(|_| hold)
    }

    pub fn usage(&self, org: OrgId, hold: Option<HoldId>, price: Option<i64>) -> UsageWrite {
        usage_write(org, hold, price, self.id(), self.id())
    }

    pub fn wallet(&self, org: OrgId) -> farebox_ledger::state::Wallet {
        self.store.wallet(org).unwrap().unwrap().wallet
    }
}

fn open(folder: &TempDir, clock: &Arc<ManualClock>) -> Arc<SqliteStore> {
    let directory = DataDirectory::new(folder.path());
    let clock = Arc::clone(clock) as crate::service::time::SharedClock;
    Arc::new(SqliteStore::open(directory, clock, StoreOptions::default()).unwrap())
}

pub fn dimensions() -> Arc<Dimensions> {
    Arc::new(Dimensions {
        project: Some("search".into()),
        feature: Some("enrich".into()),
        ..Dimensions::default()
    })
}

pub fn usage_write(
    org: OrgId,
    hold: Option<HoldId>,
    price: Option<i64>,
    event: u128,
    charge: u128,
) -> UsageWrite {
    let event_id = EventId::new(event);
    let pricing = price.map(|price| {
        let usd = Decimal::from_i128_with_scale(i128::from(price), 10);
        (ChargeId::new(charge), pricing(price, usd))
    });
    UsageWrite {
        org,
        event_id,
        occurred_at_ms: NOW - 5,
        hold,
        reach: Reach::Wallet,
        last: true,
        dimensions: dimensions(),
        event: UsageEvent {
            provider: "openai".into(),
            model_asked: Some("gpt-5".into()),
            model_served: Some("gpt-5-2025-08-07".into()),
            service_tier: None,
            region: None,
            feature: Some("enrich".into()),
            pools: vec![
                Pool::new(Meter::Input, Quantity::from(1_200)),
                Pool::new(Meter::Output, Quantity::from(340)),
            ],
            provider_cost_usd: None,
        },
        raw_usage: Some((*br#"{"prompt_tokens":1200,"completion_tokens":340}"#).into()),
        audit: CallAudit {
            latency_ms: Some(812),
            status: Some(200),
            streaming: Some(false),
            response_id: Some("chatcmpl-1".into()),
            external_id: None,
        },
        personal: Personal {
            client_ip: Some("192.0.2.7".into()),
            user_agent: None,
        },
        charge: pricing,
        unpriced: None,
        counts: Vec::new(),
    }
}

pub fn pricing(price: i64, usd: Decimal) -> Pricing {
    Pricing {
        release: None,
        facts: Facts::new(Deployment::Hosted, KeySource::Managed, NOW - 5),
        lines: vec![Line {
            kind: LineKind::Usage,
            meter: Some(Meter::Input),
            quantity: Decimal::ONE,
            unit_price_usd: usd,
            amount_usd: usd,
            reason: Reason::Rate(RateReason {
                model: "gpt-5".into(),
                ..RateReason::default()
            }),
        }],
        price_usd: usd,
        provider_cost_usd: usd,
        market_usd: Some(usd),
        rounding: Rounding::AwayFromZero,
        below_cost: false,
        commodity: CREDITS,
        peg: Peg::DEFAULT,
        price: nanos(price),
        cost: nanos(price),
    }
}

pub fn idempotency(key: &str, request: &str) -> Option<Idempotency> {
    Some(Idempotency {
        key_digest: Sha256::digest(key).into(),
        request_digest: Sha256::digest(request).into(),
    })
}

pub fn response(id: &str) -> Option<Once> {
    Some(Once::Response(farebox_ledger::idempotency::ResponseId(
        Sha256::digest(id).into(),
    )))
}
