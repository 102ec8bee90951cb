//! What somebody may do to a ledger's file, and what the verifier must say of it.

use super::*;
use crate::store::chunks::{Entries, List, Place, Seen, encode};
use crate::store::rows::cbor::Out;
use crate::store::rows::ledger::postings_bytes;
use crate::store::rows::records;
use farebox_ledger::chain;
use farebox_ledger::hold::EndedHold;
use farebox_ledger::transaction::Transaction;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Changes the file behind the ledger's back.
pub fn tamper(house: &House, sql: &str) {
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

pub fn rewrite_transactions(house: &House, change: impl Fn(&mut Transaction) -> bool) {
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

/// Writes an org's journal anew, as somebody who knows how it is chained: every hash follows from the
/// one before it, and the wallet's head is the last.
pub fn rewrite_history(house: &House, org: OrgId, change: impl Fn(&mut Transaction)) {
    let last = Cell::new([0; 32]);
    rewrite_transactions(house, |transaction| {
        if transaction.org == org {
            change(transaction);
            transaction.prev_hash = last.get();
            transaction.hash = chain::hash(transaction);
            last.set(transaction.hash);
        }
        true
    });
    let [head, org] = [&last.get()[..], &org.to_bytes()].map(hex::encode);
    let sql = format!("UPDATE wallets SET head_hash = x'{head}' WHERE org = x'{org}'");
    tamper(house, &sql);
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

pub type Damage = (&'static str, &'static str, fn(&House));

/// What somebody may do to a file, the invariant it breaks, and a part of what must be said.
pub const DAMAGES: &[Damage] = &[
    ("L4", "is not what its digest", |house| {
        tamper(
            house,
            "UPDATE contents SET bytes = x'00' WHERE digest = (SELECT book FROM releases LIMIT 1)",
        )
    }),
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
    ("T4", "did not count charge", |house| {
        tamper(
            house,
            "DELETE FROM counts WHERE charge =
             (SELECT max(charge) FROM counts WHERE rule LIKE '%search')",
        );
    }),
    ("T4", "counts 3 of charge", |house| {
        tamper(
            house,
            "UPDATE counts SET quantity = '3' WHERE rule LIKE '%search'",
        );
    }),
    ("T4", "in 2026-10, and no receipt says so", |house| {
        tamper(
            house,
            "INSERT INTO counts SELECT org, rule, '2026-10', charge, quantity FROM counts",
        );
    }),
    ("T4", "and no receipt says so", |house| {
        tamper(
            house,
            "INSERT INTO counts SELECT org, rule, period, zeroblob(16), '1' FROM counts LIMIT 1",
        );
    }),
    ("L10", "is missing, or not what its digest says", |house| {
        tamper(house, "UPDATE contents SET bytes = zeroblob(9)");
    }),
];
