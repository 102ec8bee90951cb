//! What the machine does to a ledger: a directory in use, a full disk, a clock that jumps.

use super::*;
use crate::service::ledger::failure::StorageError;
use crate::store::OpenError;
use crate::store::directory::DirectoryError;
use crate::store::verify::{Evidence, verify};

#[test]
fn a_directory_in_use_is_refused_by_name_and_can_be_read() {
    let house = House::new();
    let org = house.org("acme", 70);
    house.hold(org, 30).unwrap();
    let directory = DataDirectory::new(house.folder.path());
    let clock = || Arc::clone(&house.clock) as crate::service::time::SharedClock;
    let second = SqliteStore::open(directory.clone(), clock(), StoreOptions::default());
    let Err(OpenError::Directory(DirectoryError::InUse { path })) = second else {
        panic!("a second writer was let in");
    };
    assert_eq!(path, house.folder.path());
    let reader = SqliteStore::open_read_only(directory, clock()).unwrap();
    let wallet = reader.wallet(org).unwrap().unwrap().wallet;
    assert_eq!(wallet.available_nanos(), 40);
    let refused =
        house
            .runtime
            .block_on(reader.submit(house.wrap(Action::Directory(
                DirectoryWrite::ErasePersonal { org, event: None },
            ))));
    assert!(matches!(refused, Err(WriteError::ShuttingDown)));
}

/// The most pages the database may have, for the writer's own connection: a disk with a limit.
fn limit_pages(house: &mut House, pages: Option<u32>) {
    super::super::connection::tests::PAGES_MAX.with_borrow_mut(|limit| *limit = pages);
    house.reopen();
    super::super::connection::tests::PAGES_MAX.with_borrow_mut(|limit| *limit = None);
}

#[test]
fn a_full_disk_refuses_writes_loses_nothing_and_goes_on_when_there_is_space() {
    let mut house = House::new();
    let org = house.org("acme", 1_000_000);
    limit_pages(&mut house, Some(130));
    let mut charged = 0;
    let error = loop {
        match house.write(Action::Usage(Box::new(house.usage(org, None, Some(10))))) {
            Ok(_) => charged += 10,
            Err(error) => break error,
        }
        assert!(charged < 100_000, "the disk never filled");
    };
    assert!(
        matches!(error, WriteError::Storage(StorageError::DiskFull(_))),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "the disk is full");
    // Reads go on, nothing is half-written, the next write says the same.
    assert_eq!(house.wallet(org).posted_nanos(), 1_000_000 - charged);
    assert!(
        house
            .write(Action::Usage(Box::new(house.usage(org, None, Some(10)))))
            .is_err()
    );
    let directory = DataDirectory::new(house.folder.path());
    assert_eq!(
        verify(&directory, Evidence::default()).unwrap().findings,
        []
    );
    limit_pages(&mut house, None);
    house
        .write(Action::Usage(Box::new(house.usage(org, None, Some(10)))))
        .unwrap();
    assert_eq!(house.wallet(org).posted_nanos(), 1_000_000 - charged - 10);
    assert_eq!(
        verify(&directory, Evidence::default()).unwrap().findings,
        []
    );
}

#[test]
fn a_clock_that_jumps_back_between_starts_breaks_no_order() {
    let mut house = House::new();
    let org = house.org("acme", 1_000);
    house
        .write(Action::Usage(Box::new(house.usage(org, None, Some(10)))))
        .unwrap();
    house.clock = Arc::new(ManualClock::at(NOW - 86_400_000));
    house.reopen();
    house
        .write(Action::Usage(Box::new(house.usage(org, None, Some(10)))))
        .unwrap();
    house.reopen();
    house.grant(org, 10);
    let directory = DataDirectory::new(house.folder.path());
    assert_eq!(
        verify(&directory, Evidence::default()).unwrap().findings,
        []
    );
    assert_eq!(house.wallet(org).posted_nanos(), 990);
}

#[test]
fn a_row_the_database_refuses_fails_alone() {
    let house = House::new();
    let org = house.org("acme", 1_000);
    let usage = house.usage(org, None, Some(10));
    house.write(Action::Usage(Box::new(usage.clone()))).unwrap();
    // The same event again, among others of the same commit.
    let writes = [
        house.usage(org, None, Some(10)),
        usage,
        house.usage(org, None, Some(10)),
    ]
    .map(|usage| {
        house
            .store
            .submit(house.wrap(Action::Usage(Box::new(usage))))
    });
    let answers = writes.map(|answer| house.runtime.block_on(answer));
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(matches!(
        answers[1],
        Err(WriteError::Storage(StorageError::Constraint(_)))
    ));
    assert_eq!(house.wallet(org).posted_nanos(), 970);
    let directory = DataDirectory::new(house.folder.path());
    assert_eq!(
        verify(&directory, Evidence::default()).unwrap().findings,
        []
    );
}
