//! L9: what was acknowledged is durable. The power is cut, and the disk fails, at random instants
//! of a busy store; afterwards no acknowledged write is missing, none is there that nobody sent,
//! and the ledger verifies clean.
//!
//! `FAREBOX_SEED` repeats a run; every failure names its seed.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the whole program is a test"
)]

mod disk;

use disk::{Files, Plan};
use farebox::clock::SystemClock;
use farebox::service::ledger::LedgerStore;
use farebox::service::ledger::directory::{DirectoryWrite, OrgRecord};
use farebox::service::ledger::receipt::Pricing;
use farebox::service::ledger::view::{PageRequest, UsageFilter};
use farebox::service::ledger::write::{
    Action, Actor, CallAudit, Personal, UsageWrite, Write, WriteError,
};
use farebox::service::time::{Clock, SharedClock};
use farebox::store::directory::DataDirectory;
use farebox::store::verify::{Evidence, verify};
use farebox::store::{SqliteStore, StoreOptions};
use farebox_ledger::command::{Command, GrantCredits, OpenWallet, PlaceHold, Reach};
use farebox_ledger::commodity::Commodity;
use farebox_ledger::grant::GrantSource;
use farebox_ledger::hold::Dimensions;
use farebox_ledger::idempotency::Idempotency;
use farebox_ledger::ids::{ChargeId, CommodityId, EventId, GrantId, HoldId, OrgId};
use farebox_pricing::event::{Deployment, Facts, KeySource, UsageEvent};
use farebox_pricing::meter::{Meter, Pool, Quantity};
use farebox_pricing::money::{Nanos, Peg, Rounding};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

const CREDITS: CommodityId = CommodityId::new(1);
const PRICE: i64 = 1_000;

/// The events that were sent, and those that were acknowledged.
#[derive(Clone, Default)]
struct Known {
    sent: BTreeSet<EventId>,
    acknowledged: BTreeSet<EventId>,
}

/// A small generator: the test must not depend on another's stream of numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn seed() -> u64 {
    let seed = std::env::var("FAREBOX_SEED").ok().map_or_else(
        || {
            let id = u64::try_from(SystemClock::new().next_id() & u128::from(u64::MAX));
            id.unwrap() | 1
        },
        |text| text.parse().unwrap(),
    );
    println!("FAREBOX_SEED={seed}");
    seed
}

fn open(folder: &Path) -> (SharedClock, Arc<SqliteStore>) {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let store = SqliteStore::open(
        DataDirectory::new(folder),
        Arc::clone(&clock),
        StoreOptions::default(),
    );
    (clock, Arc::new(store.unwrap()))
}

fn write(clock: &SharedClock, action: Action) -> Write {
    Write {
        at_ms: clock.now_ms(),
        actor: Actor::Host,
        request_id: "r".into(),
        idempotency: None,
        once: None,
        action,
    }
}

async fn org(clock: &SharedClock, store: &SqliteStore) -> OrgId {
    let commodity = Commodity::of_usd(CREDITS, "credit".into(), Peg::DEFAULT);
    let create = DirectoryWrite::CreateCommodity(commodity);
    store
        .submit(write(clock, Action::Directory(create)))
        .await
        .unwrap();
    let org = OrgId::new(clock.next_id());
    let create = Action::CreateOrg {
        org: OrgRecord {
            id: org,
            name: org.to_string().into(),
            plan: None,
            created_at_ms: clock.now_ms(),
        },
        wallet: OpenWallet {
            org,
            commodity: CREDITS,
            credit_limit: Nanos::ZERO,
        },
    };
    store.submit(write(clock, create)).await.unwrap();
    let grant = Command::GrantCredits(GrantCredits {
        org,
        grant: GrantId::new(clock.next_id()),
        source: GrantSource::Purchase,
        amount: Nanos::new(1_000_000_000_000).unwrap(),
        cash_paid: None,
        priority: 10,
        expires_at_ms: None,
        features: Box::default(),
        detail_digest: [0; 32],
    });
    let grant = Action::Ledger {
        command: grant,
        note: None,
    };
    store.submit(write(clock, grant)).await.unwrap();
    org
}

fn usage(clock: &SharedClock, org: OrgId, hold: HoldId, event_id: EventId) -> UsageWrite {
    let usd = Decimal::new(PRICE, 10);
    UsageWrite {
        org,
        event_id,
        occurred_at_ms: clock.now_ms(),
        hold: Some(hold),
        reach: Reach::Wallet,
        last: true,
        dimensions: Arc::new(Dimensions::default()),
        event: UsageEvent {
            provider: "openai".into(),
            model_asked: Some("gpt-5".into()),
            model_served: None,
            service_tier: None,
            region: None,
            feature: None,
            pools: vec![Pool::new(Meter::Input, Quantity::from(12))],
            provider_cost_usd: None,
        },
        raw_usage: Some(Box::from(&b"{\"prompt_tokens\":12}"[..])),
        audit: CallAudit::default(),
        personal: Personal::default(),
        charge: Some((
            ChargeId::new(clock.next_id()),
            Pricing {
                release: None,
                facts: Facts::new(Deployment::Hosted, KeySource::Managed, clock.now_ms()),
                lines: vec![farebox_pricing::answer::Line {
                    kind: farebox_pricing::answer::LineKind::ProviderCost,
                    meter: None,
                    quantity: Decimal::ONE,
                    unit_price_usd: usd,
                    amount_usd: usd,
                    reason: farebox_pricing::answer::Reason::ProviderCost,
                }],
                price_usd: usd,
                provider_cost_usd: usd,
                market_usd: None,
                rounding: Rounding::AwayFromZero,
                below_cost: false,
                commodity: CREDITS,
                peg: Peg::DEFAULT,
                price: Nanos::new(PRICE).unwrap(),
                cost: Nanos::new(PRICE).unwrap(),
            },
        )),
        unpriced: None,
        counts: Vec::new(),
    }
}

/// One caller: `pairs` holds and captures, whatever storage answers.
async fn caller(
    (clock, store): (SharedClock, Arc<SqliteStore>),
    org: OrgId,
    pairs: u32,
    known: Arc<Mutex<Known>>,
) {
    for _ in 0..pairs {
        let hold = HoldId::new(clock.next_id());
        let command = Command::PlaceHold(PlaceHold {
            org,
            hold,
            amount: Nanos::new(PRICE).unwrap(),
            expires_at_ms: clock.now_ms() + 3_600_000,
            dimensions: Arc::default(),
            context: Arc::from(&b""[..]),
        });
        let place = Action::Ledger {
            command,
            note: None,
        };
        match store.submit(write(&clock, place)).await {
            Ok(_) => {}
            Err(WriteError::Storage(_)) => continue,
            Err(error) => panic!("{error}"),
        }
        let event = EventId::new(clock.next_id());
        known.lock().unwrap().sent.insert(event);
        let key = Sha256::digest(event.to_bytes()).into();
        let capture = Write {
            idempotency: Some(Idempotency {
                key_digest: key,
                request_digest: key,
            }),
            ..write(
                &clock,
                Action::Usage(Box::new(usage(&clock, org, hold, event))),
            )
        };
        match store.submit(capture).await {
            Ok(_) => {
                known.lock().unwrap().acknowledged.insert(event);
            }
            Err(WriteError::Storage(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn load(
    store: &(SharedClock, Arc<SqliteStore>),
    org: OrgId,
    known: &Arc<Mutex<Known>>,
    pairs: u32,
) {
    runtime().block_on(async {
        let callers: Vec<_> = (0..16)
            .map(|_| {
                let store = (Arc::clone(&store.0), Arc::clone(&store.1));
                tokio::spawn(caller(store, org, pairs, Arc::clone(known)))
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
}

/// Nothing acknowledged is missing, nothing is there that nobody sent, every invariant holds.
fn check(folder: &Path, org: OrgId, known: &Known, context: &str) {
    let (_, store) = open(folder);
    let mut found = BTreeSet::new();
    let mut page = PageRequest {
        after: None,
        limit: 1_000,
    };
    loop {
        let part = store.usage(org, &UsageFilter::default(), page).unwrap();
        found.extend(part.items.iter().map(|item| item.id));
        page.after = part.next;
        if page.after.is_none() {
            break;
        }
    }
    let lost: Vec<_> = known.acknowledged.difference(&found).collect();
    assert!(
        lost.is_empty(),
        "{context}: acknowledged and lost: {lost:?}"
    );
    let invented: Vec<_> = found.difference(&known.sent).collect();
    assert!(invented.is_empty(), "{context}: never sent: {invented:?}");
    let wallet = store.wallet(org).unwrap().unwrap().wallet;
    let charged = i64::try_from(found.len()).unwrap() * PRICE;
    assert_eq!(
        wallet.posted_nanos(),
        1_000_000_000_000 - charged,
        "{context}"
    );
    let report = verify(&DataDirectory::new(folder), Evidence::default()).unwrap();
    assert_eq!(report.findings, [], "{context}");
}

/// The two tests share one disk, so they are one test.
#[test]
fn l9_nothing_acknowledged_is_lost_and_nothing_is_invented() {
    disk::install();
    let seed = seed();
    let mut random = Random(seed);
    power_cuts(seed, &mut random);
    failing_operations(seed, &mut random);
}

type Cut = (Files, Known);

fn power_cuts(seed: u64, random: &mut Random) {
    disk::clear();
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let org = runtime().block_on(org(&store.0, &store.1));
    let known = Arc::new(Mutex::new(Known::default()));
    let cuts: Arc<Mutex<Vec<Cut>>> = Arc::default();
    let places: Vec<u64> = (0..24).map(|_| 1 + random.below(2_500)).collect();
    let (seen, knew) = (Arc::clone(&cuts), Arc::clone(&known));
    disk::begin(Plan::Cut(
        places,
        Box::new(move |files| {
            let known = knew.lock().unwrap().clone();
            seen.lock().unwrap().push((files, known));
        }),
    ));
    load(&store, org, &known, 60);
    store.1.close();
    let operations = disk::end();
    let cuts = std::mem::take(&mut *cuts.lock().unwrap());
    assert!(
        cuts.len() >= 5,
        "only {} cuts in {operations} operations",
        cuts.len()
    );
    for (nth, (files, known)) in cuts.into_iter().enumerate() {
        // Lucky, unlucky, and everything between: how many of 8 unsynced sectors survive.
        for luck in [0, 1, 4, 7, 8] {
            let after = tempfile::tempdir().unwrap();
            files.write_to(after.path(), &mut || random.below(8) < luck);
            let context = format!("seed {seed}, cut {nth}, luck {luck}/8");
            check(after.path(), org, &known, &context);
        }
    }
}

fn failing_operations(seed: u64, random: &mut Random) {
    for round in 0..24 {
        disk::clear();
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let org = runtime().block_on(org(&store.0, &store.1));
        let known = Arc::new(Mutex::new(Known::default()));
        let first = 1 + random.below(300);
        let last = first + 1 + random.below(20);
        let code = [
            rusqlite::ffi::SQLITE_IOERR_WRITE,
            rusqlite::ffi::SQLITE_IOERR_FSYNC,
            rusqlite::ffi::SQLITE_FULL,
        ][usize::try_from(random.below(3)).unwrap()];
        disk::begin(Plan::Fail(first..last, code));
        // How many writes share a commit is up to the machine, so the load goes on until it has
        // gone through the whole failure.
        while disk::operations() < last {
            load(&store, org, &known, 12);
        }
        let context = format!("seed {seed}, round {round}, {first}..{last} fail with {code}");
        disk::end();
        // The store goes on by itself.
        let before = known.lock().unwrap().acknowledged.len();
        load(&store, org, &known, 2);
        let after = known.lock().unwrap().acknowledged.len();
        assert_eq!(after, before + 32, "{context}");
        store.1.close();
        drop(store);
        let known = known.lock().unwrap().clone();
        check(folder.path(), org, &known, &context);
    }
}
