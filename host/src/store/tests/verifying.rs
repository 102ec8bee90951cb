//! The verifier on ledgers that somebody tampered with, and backups.

use super::damage::{DAMAGES, rewrite_history, rewrite_transactions, tamper};
use super::*;
use crate::service::ledger::past::{Corrected, Past};
use crate::service::ledger::releases::{ReleaseParts, ReleaseRecord};
use crate::service::ledger::view::SignedHead;
use crate::service::ledger::write::{CorrectionWrite, Counted, Made, SettleWrite, Way};
use crate::service::policy::{Digest as PolicyDigest, LimitClass, ReleaseId, Trust};
use crate::store::backup::{BackupError, backup, restore};
use crate::store::migrate::MigrateError;
use crate::store::migrate::tests::{as_left_by, earlier_versions, version_of};
use crate::store::verify::{Evidence, Finding, Report, VerifyError, verify};
use farebox_ledger::budget::{Budget, BudgetKind, BudgetScope};
use farebox_ledger::command::{AbsorbShortfall, PutBudget, RefundCharge, ReleaseHold};
use farebox_ledger::ids::{BudgetId, RefundId};
use farebox_ledger::window::{Window, Zone};
use farebox_pricing::book::Per;
use farebox_pricing::canonical::BookView;
use farebox_pricing::rating;
use std::path::Path;

/// A ledger with some of everything in it, and one of its charges.
fn lived_in() -> (House, OrgId) {
    let house = House::new();
    let org = house.org("acme", 5_000);
    house.org("other", 70);
    let book = CountingBook::admit(&house);
    let mut charges = Vec::new();
    for round in 0..20 {
        house.clock.advance(1_000);
        if round % 6 == 5 {
            put_budgets(&house, org, round);
        }
        let hold = house.hold(org, 300).unwrap();
        let mut usage = house.usage(org, Some(hold), Some(200 + round));
        usage.last = round % 2 == 0;
        if round % 3 == 0 {
            let (_, pricing) = usage.charge.as_mut().unwrap();
            usage
                .event
                .pools
                .push(Pool::new(Meter::Search, Quantity::from(2)));
            usage.counts = book.counted(&usage.event, pricing);
        }
        charges.extend(usage.charge.as_ref().map(|(charge, _)| *charge));
        let write = Write {
            idempotency: idempotency(&round.to_string(), "a"),
            once: response(&round.to_string()),
            ..house.wrap(Action::Usage(Box::new(usage)))
        };
        house.send(write).unwrap();
        if round % 4 == 1 {
            house
                .command(Command::ReleaseHold(ReleaseHold { org, hold }))
                .unwrap();
        }
    }
    // One that no budget counted, one that they count.
    for charge in [charges[1], charges[19]] {
        house
            .command(Command::RefundCharge(RefundCharge {
                org,
                charge,
                refund: RefundId::new(house.id()),
                amount: Some(nanos(90)),
                grant: GrantId::new(house.id()),
                detail_digest: [0; 32],
            }))
            .unwrap();
    }
    let waiting = house.usage(org, None, None);
    house.write(Action::Usage(Box::new(waiting))).unwrap();
    let late = house.usage(org, None, None);
    let event_id = late.event_id;
    let mut settled = pricing(9_000, Decimal::new(9_000, 10));
    let counts = book.counted(&late.event, &mut settled);
    house.write(Action::Usage(Box::new(late))).unwrap();
    house
        .write(Action::Settle(Box::new(SettleWrite {
            org,
            event_id,
            charge: ChargeId::new(house.id()),
            pricing: settled,
            counts,
        })))
        .unwrap();
    house
        .write(Action::Ledger {
            command: Command::AbsorbShortfall(AbsorbShortfall {
                org,
                amount: None,
                detail_digest: [0; 32],
            }),
            note: Some("goodwill".into()),
        })
        .unwrap();
    house.hold(house.org("third", 40), 15).unwrap();
    (house, org)
}

/// A release whose book counts: ten searches a month are free, and a day costs no more than 2 USD.
struct CountingBook {
    release: ReleaseId,
    book: BookView,
}

impl CountingBook {
    fn admit(house: &House) -> Self {
        let text = r#"
            name = "counts"
            as_of = "2026-09-01"
            [plans.trial]
            markup = "1.5"
            maximum_per_day_usd = "2"
            [[rules]]
            name = "trial searches"
            when = { plan = "trial" }
            terms = { free = [{ meter = "search", quantity = "10", per = "month" }], loss_leader = true }
            [[models]]
            provider = "openai"
            model = "gpt-5"
            prefixes = ["gpt-5-"]
            per_million = { input = "1", output = "4" }
            per_unit = { search = "0.01" }
        "#;
        let book = farebox_book::compile(text, farebox_book::Format::Toml).unwrap();
        let component: Arc<[u8]> = (*b"component").into();
        let release = ReleaseId {
            component: PolicyDigest(Sha256::digest(&component).into()),
            book: PolicyDigest(Sha256::digest(&book.canonical).into()),
        };
        house
            .write(Action::Directory(DirectoryWrite::AdmitRelease {
                release: ReleaseRecord {
                    id: release,
                    name: "counts".into(),
                    contract: "1.0.0".into(),
                    class: LimitClass::Native,
                    trust: Trust::Trusted,
                    component_bytes: 0,
                    book_bytes: 0,
                    admitted_at_ms: NOW,
                    admitted_by: Box::default(),
                    revoked: None,
                    signatures: Vec::new(),
                    filters: Vec::new(),
                },
                parts: ReleaseParts {
                    component,
                    book: book.canonical.as_slice().into(),
                    book_source: None,
                    signatures: [].into(),
                    filters: [].into(),
                },
            }))
            .unwrap();
        Self {
            release,
            book: BookView::open(book.canonical).unwrap(),
        }
    }

    /// Makes this release the one that priced the event; what its book counts of it.
    fn counted(&self, event: &UsageEvent, pricing: &mut Pricing) -> Vec<Counted> {
        pricing.release = Some(self.release);
        pricing.facts.plan = Some("trial".into());
        let counts = rating::counts(&self.book, event, &pricing.facts, pricing.price_usd).unwrap();
        assert!(!counts.is_empty());
        counts
            .into_iter()
            .map(|count| Counted {
                period: match count.per {
                    Per::Day => "2026-09-21".into(),
                    Per::Month | Per::Call => "2026-09".into(),
                },
                rule: count.rule,
                quantity: count.quantity,
            })
            .collect()
    }
}

/// A total that goes on whatever its limit, and a month that begins again with another scope.
fn put_budgets(house: &House, org: OrgId, round: i64) {
    let scope = match round {
        5 => BudgetScope::Org,
        _ => BudgetScope::Feature("enrich".into()),
    };
    for (id, scope, window) in [
        (1, BudgetScope::Org, Window::Total),
        (2, scope, Window::Month),
    ] {
        house
            .command(Command::PutBudget(PutBudget {
                org,
                budget: Budget {
                    id: BudgetId::new(id),
                    scope,
                    kind: BudgetKind::Warning,
                    window,
                    zone: Zone::utc(),
                    limit: nanos(1_000 + round),
                },
                spent: nanos(7),
            }))
            .unwrap();
    }
}

fn report(house: &House) -> Report {
    verify(
        &DataDirectory::new(house.folder.path()),
        Evidence::default(),
    )
    .unwrap()
}

#[test]
fn a_ledger_that_lived_is_clean() {
    let (house, _) = lived_in();
    let report = report(&house);
    assert_eq!(report.findings, []);
    assert_eq!(
        (report.orgs, report.receipts, report.usage_events),
        (3, 21, 22)
    );
    assert!(
        report.transactions >= 24 && report.holds == 21,
        "{report:?}"
    );
}

#[test]
fn every_kind_of_tampering_is_found() {
    for (number, (invariant, said, damage)) in DAMAGES.iter().enumerate() {
        let (house, _) = lived_in();
        damage(&house);
        let findings = report(&house).findings;
        let found = findings
            .iter()
            .any(|finding| finding.invariant == *invariant && finding.what.contains(said));
        assert!(found, "damage {number} ({invariant} {said}): {findings:#?}");
    }
}

#[test]
fn a_missing_guard_is_found() {
    let (house, _) = lived_in();
    house.store.close();
    let connection = rusqlite::Connection::open(house.folder.path().join("ledger.db")).unwrap();
    connection
        .execute_batch("DROP TRIGGER receipts_are_never_updated")
        .unwrap();
    let findings = report(&house).findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(
        findings[0].to_string(),
        "L4: the guard `receipts_are_never_updated` of an append-only table is missing or changed"
    );
}

/// What is found of a directory that must pass through these heads.
fn against(folder: &Path, heads: &[SignedHead]) -> Vec<Finding> {
    let evidence = Evidence { heads };
    verify(&DataDirectory::new(folder), evidence)
        .unwrap()
        .findings
}

/// The only finding: L5, of this org, in these words.
#[track_caller]
fn assert_only_head(findings: &[Finding], org: OrgId, said: &str) {
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(
        (&*findings[0].invariant, findings[0].org),
        ("L5", Some(org))
    );
    assert!(findings[0].what.contains(said), "{findings:?}");
}

#[test]
fn l5_a_rewritten_journal_does_not_pass_through_an_exported_head() {
    let (mut house, org) = lived_in();
    let mut heads = house.store.signed_heads().unwrap();
    house.grant(org, 5);
    assert_eq!(against(house.folder.path(), &heads), []);
    rewrite_history(&house, org, |transaction| {
        transaction.at_ms += i64::from(transaction.seq == 3);
    });
    // Nothing in it tells that it is another: only what was exported before.
    assert_eq!(report(&house).findings, []);
    let said = "an exported head says otherwise of transaction";
    assert_only_head(&against(house.folder.path(), &heads), org, said);
    // It signs what it is now, which takes nothing back.
    house.reopen();
    heads.extend(house.store.signed_heads().unwrap());
    assert_only_head(&against(house.folder.path(), &heads), org, said);
}

#[test]
fn l5_a_journal_that_was_cut_off_does_not_pass_through_an_exported_head() {
    let (house, org) = lived_in();
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("ledger.backup");
    backup(&DataDirectory::new(house.folder.path()), &file).unwrap();
    house.grant(org, 5);
    let heads = house.store.signed_heads().unwrap();
    assert_eq!(against(house.folder.path(), &heads), []);
    // What stood there before the last grant is a ledger in itself.
    let cut = other.path().join("data");
    let report = restore(&file, &DataDirectory::new(&cut)).unwrap();
    assert_eq!(report.findings, []);
    let said = "an exported head says otherwise of transaction";
    assert_only_head(&against(&cut, &heads), org, said);
}

#[test]
fn l5_a_head_that_was_changed_is_not_taken_for_one_that_was_signed() {
    let (house, org) = lived_in();
    let mut forged = house.store.signed_heads().unwrap();
    let place = forged.iter().position(|head| head.head.org == org).unwrap();
    forged[place].head.hash[0] ^= 1;
    let findings = against(house.folder.path(), &forged);
    assert_only_head(&findings, org, "was not signed by its key");
}

#[test]
fn b5_a_correction_that_was_not_posted_is_found() {
    let house = House::new();
    let org = house.org("acme", 1_000_000);
    let charged = house
        .write(Action::Usage(Box::new(house.usage(org, None, Some(9_000)))))
        .unwrap();
    let Made::Usage(_, Some(charge)) = charged.made else {
        panic!("{charged:?}");
    };
    let correction = CorrectionWrite {
        org,
        charge,
        release: ReleaseId {
            component: PolicyDigest([1; 32]),
            book: PolicyDigest([2; 32]),
        },
        way: Way::Back,
        amount: nanos(4_000),
        seen: Corrected::default(),
        refund: RefundId::new(house.id()),
        grant: GrantId::new(house.id()),
        why: None,
    };
    house.write(Action::Correct(Box::new(correction))).unwrap();
    let corrected = house.store.corrected(charge).unwrap();
    assert_eq!(
        (corrected.refunded, corrected.given_back),
        (nanos(4_000), nanos(4_000))
    );
    assert_eq!(report(&house).findings, []);
    // A row that claims more, and one without a transaction: none of the ledger's own ways writes
    // them.
    let sql = "UPDATE corrections SET amount_nanos = -5000;
        INSERT INTO corrections VALUES (x'01', x'02', x'03', x'04', 7, 0)";
    tamper(&house, sql);
    let findings = report(&house).findings;
    let found: Vec<_> = findings.iter().map(|finding| &*finding.invariant).collect();
    assert_eq!(found, ["B5", "B5"], "{findings:?}");
}

#[test]
fn a_backup_of_a_serving_ledger_is_restored_and_goes_on() {
    let (house, org) = lived_in();
    let directory = DataDirectory::new(house.folder.path());
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("ledger.backup");
    backup(&directory, &file).unwrap();
    assert!(matches!(
        backup(&directory, &file),
        Err(BackupError::Exists { .. })
    ));
    let before = house.wallet(org);
    house.grant(org, 5);

    let target = DataDirectory::new(other.path().join("data"));
    let report = restore(&file, &target).unwrap();
    assert_eq!((report.orgs, report.receipts), (3, 21));
    assert!(matches!(
        restore(&file, &target),
        Err(BackupError::Exists { .. })
    ));
    let clock = Arc::clone(&house.clock) as crate::service::time::SharedClock;
    let store = SqliteStore::open(target, clock, StoreOptions::default()).unwrap();
    assert_eq!(store.wallet(org).unwrap().unwrap().wallet, before);
    let usage = house.usage(org, None, Some(1));
    let write = house.wrap(Action::Usage(Box::new(usage)));
    house.runtime.block_on(store.submit(write)).unwrap();
}

#[test]
fn a_broken_backup_is_not_restored() {
    let (house, _) = lived_in();
    rewrite_transactions(&house, |transaction| {
        transaction.at_ms += i64::from(transaction.seq == 3);
        true
    });
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("ledger.backup");
    backup(&DataDirectory::new(house.folder.path()), &file).unwrap();
    let target = other.path().join("data");
    let refused = restore(&file, &DataDirectory::new(&target));
    assert!(matches!(refused, Err(BackupError::Broken(_))));
    assert!(!target.join("ledger.db").exists());
    assert!(matches!(
        verify(&DataDirectory::new(&target), Evidence::default()),
        Err(VerifyError::Directory(_))
    ));
    // The backup is as broken as it was, and can be looked at again.
    let again = restore(&file, &DataDirectory::new(&target));
    assert!(matches!(again, Err(BackupError::Broken(_))));
}

/// What a report has looked at.
fn seen(report: &Report) -> [u64; 5] {
    [
        report.orgs,
        report.transactions,
        report.receipts,
        report.usage_events,
        report.holds,
    ]
}

#[test]
fn a_backup_of_every_earlier_version_is_restored_and_goes_on() {
    let (house, org) = lived_in();
    let expected = seen(&report(&house));
    let before = house.wallet(org);
    house.store.close();
    let database = house.folder.path().join("ledger.db");
    for version in earlier_versions() {
        let other = tempfile::tempdir().unwrap();
        let then = DataDirectory::new(other.path().join("then"));
        then.create().unwrap();
        as_left_by(version, &database, &then.database());
        // Taken by the new program, before it ever serves.
        let file = other.path().join("ledger.backup");
        backup(&then, &file).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(version_of(&file), version);

        let target = DataDirectory::new(other.path().join("data"));
        let restored = restore(&file, &target).unwrap();
        assert_eq!(restored.findings, [], "schema {version}");
        assert_eq!(seen(&restored), expected, "schema {version}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "schema {version}");
        assert_eq!(
            version_of(&target.database()),
            earlier_versions().end,
            "schema {version}"
        );
        let clock = Arc::clone(&house.clock) as crate::service::time::SharedClock;
        let store = SqliteStore::open(target, clock, StoreOptions::default()).unwrap();
        assert_eq!(store.wallet(org).unwrap().unwrap().wallet, before);
        let usage = house.usage(org, None, Some(1));
        let write = house.wrap(Action::Usage(Box::new(usage)));
        house.runtime.block_on(store.submit(write)).unwrap();
    }
}

#[test]
fn a_ledger_of_every_earlier_version_is_verified_and_stays_as_it_is() {
    let (house, org) = lived_in();
    let expected = seen(&report(&house));
    let heads = house.store.signed_heads().unwrap();
    house.store.close();
    let database = house.folder.path().join("ledger.db");
    let broken = House::new();
    let told = broken.org("acme", 70);
    rewrite_transactions(&broken, |transaction| {
        transaction.at_ms += 1;
        true
    });
    for version in earlier_versions() {
        let other = tempfile::tempdir().unwrap();
        let then = DataDirectory::new(other.path());
        as_left_by(version, &database, &then.database());
        let bytes = std::fs::read(then.database()).unwrap();
        let found = verify(&then, Evidence { heads: &heads }).unwrap();
        assert_eq!(found.findings, [], "schema {version}");
        assert_eq!(seen(&found), expected, "schema {version}");
        assert_eq!(std::fs::read(then.database()).unwrap(), bytes);
        let mut forged = heads.clone();
        let place = forged.iter().position(|head| head.head.org == org).unwrap();
        forged[place].head.hash[0] ^= 1;
        assert_only_head(
            &against(other.path(), &forged),
            org,
            "was not signed by its key",
        );

        let other = tempfile::tempdir().unwrap();
        let then = DataDirectory::new(other.path());
        let database = broken.folder.path().join("ledger.db");
        as_left_by(version, &database, &then.database());
        let findings = against(other.path(), &[]);
        assert_only_head(&findings, told, "transaction 1 is not what was written");
    }
}

#[test]
fn what_a_newer_program_wrote_and_what_is_no_ledger_is_neither_restored_nor_verified() {
    let (house, _) = lived_in();
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("ledger.backup");
    backup(&DataDirectory::new(house.folder.path()), &file).unwrap();
    let target = DataDirectory::new(other.path().join("data"));
    let set = |version: i64| {
        let connection = rusqlite::Connection::open(&file).unwrap();
        let sql = format!("PRAGMA user_version = {version}");
        connection.execute_batch(&sql).unwrap();
    };
    set(99);
    let known = earlier_versions().end;
    let told = restore(&file, &target).unwrap_err().to_string();
    assert_eq!(
        told,
        format!("the ledger has schema 99, this program knows up to {known}: use a newer one")
    );
    // A file that somebody's empty database is.
    set(0);
    assert!(matches!(
        restore(&file, &target),
        Err(BackupError::Schema(MigrateError::Empty))
    ));
    assert!(!target.database().exists());
    std::fs::copy(&file, target.database()).unwrap();
    assert!(matches!(
        verify(&target, Evidence::default()),
        Err(VerifyError::Schema(MigrateError::Empty))
    ));
    let told = backup(&target, &other.path().join("none")).unwrap_err();
    assert!(matches!(told, BackupError::Schema(MigrateError::Empty)));
    // One that says that it is a ledger of an earlier version, and is none.
    std::fs::remove_file(target.database()).unwrap();
    std::fs::remove_file(&file).unwrap();
    set(3);
    assert!(matches!(
        restore(&file, &target),
        Err(BackupError::Schema(MigrateError::Storage(_)))
    ));
    let left: Vec<_> = std::fs::read_dir(target.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn a_log_that_another_ledger_left_is_not_taken_for_one_of_what_is_restored() {
    let (house, _) = lived_in();
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("ledger.backup");
    backup(&DataDirectory::new(house.folder.path()), &file).unwrap();
    let target = DataDirectory::new(other.path().join("data"));
    target.create().unwrap();
    for left in ["ledger.db-wal", "ledger.db-journal"] {
        let left = target.path().join(left);
        std::fs::write(&left, "of a ledger that was moved away").unwrap();
        match restore(&file, &target) {
            Err(BackupError::Exists { path }) => assert_eq!(path, left),
            other => panic!("{other:?}"),
        }
        std::fs::remove_file(&left).unwrap();
    }
    assert!(restore(&file, &target).unwrap().is_clean());
}
