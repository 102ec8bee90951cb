//! L3: available never falls below the credit limit, whatever the concurrency.

use super::*;
use farebox_ledger::refusal::{PlaceHoldRefusal, Refusal};

#[test]
fn l3_a_thousand_callers_of_a_nearly_empty_wallet_never_overdraw_it() {
    let house = House::new();
    let org = house.org("acme", 137);
    let store = Arc::clone(&house.store);
    let writes: Vec<_> = (0..1_000)
        .map(|_| {
            let (_, command) = house.hold_command(org, 10);
            house.wrap(Action::Ledger {
                command,
                note: None,
            })
        })
        .collect();
    let tasks: Vec<_> = writes
        .into_iter()
        .map(|write| {
            let store = Arc::clone(&store);
            house
                .runtime
                .spawn(async move { store.submit(write).await })
        })
        .collect();
    let (mut placed, mut refused) = (0, 0);
    for task in tasks {
        match house.runtime.block_on(task).unwrap() {
            Ok(_) => placed += 1,
            Err(WriteError::Refused(Refusal::PlaceHold(PlaceHoldRefusal::ExceedsCredits(_)))) => {
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((placed, refused), (13, 987));
    assert_eq!(house.wallet(org).available_nanos(), 7);
}

#[test]
fn a_full_queue_says_busy_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(NOW));
    let store = SqliteStore::open(
        DataDirectory::new(folder.path()),
        Arc::clone(&clock) as crate::service::time::SharedClock,
        StoreOptions { queue_bound: 4 },
    )
    .unwrap();
    // Another connection holds the database, so the writer waits in its first commit.
    let blocker = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let write = || Write {
        at_ms: NOW,
        actor: Actor::Host,
        request_id: "r".into(),
        idempotency: None,
        once: None,
        action: Action::Directory(DirectoryWrite::CreateCommodity(Commodity::of_usd(
            CREDITS,
            "credit".into(),
            Peg::DEFAULT,
        ))),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut waiting: Vec<_> = (0..2_000).map(|_| store.submit(write())).collect();
    let last = waiting.pop().unwrap();
    assert!(matches!(runtime.block_on(last), Err(WriteError::Busy)));
    blocker.execute_batch("COMMIT").unwrap();
    assert!(runtime.block_on(waiting.remove(0)).is_ok());
    store.close();
    let late = store.submit(write());
    assert!(matches!(
        runtime.block_on(late),
        Err(WriteError::ShuttingDown)
    ));
}
