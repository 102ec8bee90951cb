//! The verifier on ledgers that somebody tampered with, and backups.

use super::*;
use crate::service::ledger::receipt::Receipt;
use crate::service::ledger::view::SignedHead;
use crate::service::ledger::write::SettleWrite;
use crate::store::backup::{BackupError, backup, restore};
use crate::store::chunks::{Entries, List, Place, Seen, encode};
use crate::store::rows::cbor::Out;
use crate::store::rows::ledger::postings_bytes;
use crate::store::rows::records;
use crate::store::verify::{Evidence, Report, verify};
use farebox_ledger::budget::{Budget, BudgetKind, BudgetScope};
use farebox_ledger::command::{AbsorbShortfall, PutBudget, RefundCharge, ReleaseHold};
use farebox_ledger::hold::EndedHold;
use farebox_ledger::ids::{BudgetId, RefundId};
use farebox_ledger::transaction::Transaction;
use farebox_ledger::window::{Window, Zone};
use std::collections::BTreeMap;

/// A ledger with some of everything in it, and one of its charges.
fn lived_in() -> (House, OrgId) {
    let house = House::new();
    let org = house.org("acme", 5_000);
    house.org("other", 70);
    let mut charges = Vec::new();
    for round in 0..20 {
        house.clock.advance(1_000);
        if round % 6 == 5 {
            put_budgets(&house, org, round);
        }
        let hold = house.hold(org, 300).unwrap();
        let mut usage = house.usage(org, Some(hold), Some(200 + round));
        usage.last = round % 2 == 0;
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
    house.write(Action::Usage(Box::new(late))).unwrap();
    house
        .write(Action::Settle(Box::new(SettleWrite {
            org,
            event_id,
            charge: ChargeId::new(house.id()),
            pricing: pricing(9_000, Decimal::new(9_000, 10)),
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

/// Changes the file behind the ledger's back.
fn tamper(house: &House, sql: &str) {
    house.store.close();
    let connection = rusqlite::Connection::open(house.folder.path().join("ledger.db")).unwrap();
    let guards: Vec<(String, String)> = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for (name, _) in &guards {
        connection
            .execute_batch(&format!("DROP TRIGGER {name}"))
            .unwrap();
    }
    connection
        .execute_batch("PRAGMA foreign_keys = OFF")
        .unwrap();
    connection.execute_batch(sql).unwrap();
    assert!(connection.changes() > 0, "{sql}");
    for (_, sql) in &guards {
        connection.execute_batch(sql).unwrap();
    }
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

/// Rewrites every entry of a list behind the ledger's back; an entry that becomes `None` is cut
/// out, and what came after it in its chunk moves up.
fn rewrite(house: &House, list: List, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    house.store.close();
    let connection = rusqlite::Connection::open(house.folder.path().join("ledger.db")).unwrap();
    let mut chunks: BTreeMap<i64, (Vec<u8>, Vec<u32>)> = BTreeMap::new();
    let mut entries = Entries::new(&connection, list);
    let mut changed = false;
    while let Some(Seen::Entry(place, bytes)) = entries.next().unwrap() {
        let new = change(bytes);
        changed |= new.as_deref() != Some(bytes);
        let (all, ends) = chunks.entry(place.chunk()).or_default();
        if let Some(new) = new {
            all.extend_from_slice(&new);
            ends.push(u32::try_from(all.len()).unwrap());
        }
    }
    assert!(changed, "nothing of {list:?} was changed");
    let table = list.table();
    let sql: String = chunks
        .iter()
        .map(|(number, (all, ends))| {
            let bytes = hex::encode(encode(all, ends));
            format!("UPDATE {table} SET entries = x'{bytes}' WHERE chunk = {number};")
        })
        .collect();
    drop(connection);
    tamper(house, &sql);
}

fn rewrite_transactions(house: &House, change: impl Fn(&mut Transaction) -> bool) {
    rewrite(house, List::Transactions, |bytes| {
        let mut record = records::transaction(bytes).unwrap();
        if !change(&mut record.transaction) {
            return None;
        }
        let mut out = Out::onto(Vec::new());
        records::put_transaction(&mut out, &record.transaction, record.previous);
        Some(out.into_bytes())
    });
}

fn rewrite_usage(house: &House, change: impl Fn(&mut records::UsageRecord) -> bool) {
    rewrite(house, List::Usage, |bytes| {
        let mut record = records::usage(bytes).unwrap();
        if !change(&mut record) {
            return None;
        }
        let new = records::NewUsage {
            id: record.id,
            org: record.org,
            occurred_at_ms: record.occurred_at_ms,
            recorded_at_ms: record.recorded_at_ms,
            hold: record.hold,
            charge: record.charge,
            dimensions: &record.dimensions,
            body: &record.body,
            raw: record.raw.as_deref(),
        };
        let mut out = Out::onto(Vec::new());
        records::put_usage(&mut out, &new, record.seq, record.previous);
        Some(out.into_bytes())
    });
}

fn rewrite_receipts(house: &House, change: impl Fn(&mut records::ReceiptRecord) -> bool) {
    rewrite(house, List::Receipts, |bytes| {
        let mut record = records::receipt(bytes).unwrap();
        if !change(&mut record) {
            return None;
        }
        let new = records::NewReceipt {
            charge: record.charge,
            org: record.org,
            event: record.event,
            usage: record.usage,
            transaction: record.transaction,
            body: &record.body,
        };
        let mut out = Out::onto(Vec::new());
        records::put_receipt(&mut out, &new);
        Some(out.into_bytes())
    });
}

fn rewrite_hold_ends(house: &House, change: impl Fn(&mut EndedHold) -> bool) {
    rewrite(house, List::Holds, |bytes| {
        let record = records::hold(bytes).unwrap();
        let records::HoldFact::Ended(mut ended, before) = record.what else {
            return Some(bytes.to_vec());
        };
        if !change(&mut ended) {
            return None;
        }
        let mut out = Out::onto(Vec::new());
        records::put_hold_end(&mut out, record.org, &ended, before);
        Some(out.into_bytes())
    });
}

type Damage = (&'static str, &'static str, fn(&House));

/// What somebody may do to a file, the invariant it breaks, and a part of what must be said.
const DAMAGES: &[Damage] = &[
    ("L5", "", |house| {
        rewrite_transactions(house, |transaction| {
            transaction.at_ms += i64::from(transaction.seq == 3);
            true
        });
    }),
    ("L1", "sum to", |house| {
        rewrite(house, List::Transactions, |bytes| {
            let record = records::transaction(bytes).unwrap();
            let postings = postings_bytes(&record.transaction.postings);
            let mut bytes = bytes.to_vec();
            if record.transaction.seq == 3 {
                let at = bytes
                    .windows(postings.len())
                    .position(|part| part == postings);
                bytes[at.unwrap() + 8] ^= 1;
            }
            Some(bytes)
        });
    }),
    ("L5", "", |house| {
        rewrite_transactions(house, |transaction| transaction.seq != 4);
    }),
    ("L5", "", |house| {
        tamper(house, "DELETE FROM transactions WHERE chunk = 9")
    }),
    ("L5", "", |house| {
        tamper(
            house,
            "DELETE FROM transactions WHERE chunk = (SELECT max(chunk) FROM transactions)",
        );
    }),
    ("L4", "chunk 7 of `receipts` cannot be read", |house| {
        tamper(
            house,
            "UPDATE receipts SET entries = substr(entries, 1, 40) WHERE chunk = 7",
        );
    }),
    ("L5", "is not what was chained", |house| {
        rewrite_receipts(house, |receipt| {
            receipt.body[10] ^= 1;
            true
        });
    }),
    ("L5", "is missing", |house| {
        tamper(
            house,
            "DELETE FROM receipts WHERE chunk = (SELECT max(chunk) FROM receipts)",
        );
    }),
    ("L5", "belongs to no transaction", |house| {
        rewrite_receipts(house, |receipt| {
            receipt.transaction = Place::new(receipt.transaction.chunk(), 9);
            true
        });
    }),
    ("L6", "`receipts` are found by id", |house| {
        rewrite_receipts(house, |receipt| {
            receipt.charge = ChargeId::new(receipt.charge.get() ^ 1);
            true
        });
    }),
    ("L6", "`usage_events` are found by id", |house| {
        tamper(house, "DELETE FROM ids WHERE list = 1")
    }),
    ("L7", "`holds` are found by id", |house| {
        tamper(house, "DELETE FROM holds_ended")
    }),
    ("L5", "is not what was chained", |house| {
        rewrite_usage(house, |usage| {
            usage.raw = Some(b"{}".as_slice().into());
            true
        });
    }),
    ("L5", "is not linked", |house| {
        rewrite_usage(house, |usage| {
            usage.previous = None;
            true
        });
    }),
    ("L4", "usage events of", |house| {
        rewrite_usage(house, |usage| usage.charge.is_some())
    }),
    ("L5", "is not what was chained", |house| {
        tamper(house, "UPDATE notes SET note = 'invoice 8'")
    }),
    ("L2", "", |house| {
        tamper(
            house,
            "UPDATE lots SET remaining_nanos = remaining_nanos + 1",
        )
    }),
    ("L6", "neither a charge nor a place", |house| {
        tamper(house, "DELETE FROM unpriced")
    }),
    ("L6", "effects that are gone", |house| {
        tamper(house, "DELETE FROM effects");
    }),
    ("L2", "this month counts", |house| {
        tamper(
            house,
            "UPDATE wallets SET month_nanos = month_nanos + 1 WHERE month > 0",
        );
    }),
    ("L2", "` counts", |house| {
        tamper(
            house,
            "UPDATE budgets SET spent_nanos = spent_nanos - 1 WHERE window = 'total'",
        );
    }),
    ("L2", "` counts", |house| {
        tamper(
            house,
            "UPDATE budgets SET spent_nanos = spent_nanos + 1 WHERE window = 'month'",
        );
    }),
    ("L6", "are there twice", |house| {
        tamper(
            house,
            "INSERT INTO dedupe_recent SELECT generation, 1000 + \"commit\", entries
             FROM dedupe_recent WHERE \"commit\" = 3",
        );
    }),
    ("L6", "are there twice", |house| {
        tamper(
            house,
            "INSERT INTO dedupe_filters VALUES (0, x'00');
             INSERT INTO dedupe_entries SELECT 0, zeroblob(16), entries FROM dedupe_recent
             WHERE \"commit\" = 3",
        );
    }),
    ("L7", "is active and over", |house| {
        tamper(
            house,
            "INSERT INTO holds_ended SELECT id, place FROM holds_active",
        );
    }),
    ("L7", "", |house| {
        rewrite_hold_ends(house, |ended| {
            ended.returned = ended.returned.checked_add(nanos(1_000)).unwrap();
            true
        });
    }),
    ("L2", "", |house| {
        tamper(
            house,
            "UPDATE wallets SET overdraft_nanos = overdraft_nanos + 7",
        )
    }),
];

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

#[test]
fn l5_a_rewritten_journal_does_not_pass_through_an_exported_head() {
    let (house, org) = lived_in();
    let heads = house.store.signed_heads().unwrap();
    let check = |heads: &[SignedHead]| {
        let evidence = Evidence {
            heads,
            reprice: None,
        };
        verify(&DataDirectory::new(house.folder.path()), evidence).unwrap()
    };
    house.grant(org, 5);
    assert_eq!(check(&heads).findings, []);
    // A head of another history, signed by the same key, and a head with a forged signature.
    let mut forged = heads.clone();
    let place = forged.iter().position(|head| head.head.org == org).unwrap();
    forged[place].head.hash[0] ^= 1;
    let findings = check(&forged).findings;
    assert!(findings[0].what.contains("was not signed"), "{findings:?}");
}

#[test]
fn l10_a_pricer_that_differs_is_heard() {
    let (house, _) = lived_in();
    let mut calls = 0;
    let mut reprice = |_: OrgId, receipt: &Receipt| {
        calls += 1;
        if receipt.pricing.price == nanos(9_000) {
            Err("0.0001 instead".to_owned())
        } else {
            Ok(())
        }
    };
    let report = verify(
        &DataDirectory::new(house.folder.path()),
        Evidence {
            heads: &[],
            reprice: Some(&mut reprice),
        },
    )
    .unwrap();
    assert_eq!((calls, report.repriced, report.findings.len()), (21, 21, 1));
    assert_eq!(report.findings[0].invariant, "L10");
    assert!(
        report.findings[0]
            .what
            .ends_with("priced again differs: 0.0001 instead")
    );
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
        Err(crate::store::verify::VerifyError::Directory(_))
    ));
}
