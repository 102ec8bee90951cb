//! Corrections against the real ledger: whatever a charge should come to, one after the other, it
//! comes to it.

use super::{House, nanos};
use crate::service::ledger::past::Past;
use crate::service::ledger::write::{Action, CorrectionWrite, Made};
use crate::service::policy::{Digest, ReleaseId};
use crate::service::repair::due::{after, due};
use crate::store::directory::DataDirectory;
use crate::store::verify::{Evidence, verify};
use farebox_ledger::command::{Command, RefundCharge};
use farebox_ledger::ids::{ChargeId, GrantId, OrgId, RefundId};
use farebox_pricing::money::Nanos;
use proptest::prelude::*;

const GRANTED: i64 = 1_000_000;

/// What an operator does to a charge.
#[derive(Clone, Copy, Debug)]
enum Done {
    /// A repair under a release that prices it so.
    Repaired(i64),
    /// Part of what is left of it is given back.
    Refunded(i64),
}

/// What a repair does: works out what is due, and posts it step by step.
fn repair(house: &House, org: OrgId, charge: ChargeId, [price, should]: [Nanos; 2]) {
    let mut seen = house.store.corrected(charge).unwrap();
    let Some((first, second)) = due(price, should, seen) else {
        return;
    };
    for step in [Some(first), second].into_iter().flatten() {
        let (way, amount) = step;
        let correction = CorrectionWrite {
            org,
            charge,
            release: ReleaseId {
                component: Digest([1; 32]),
                book: Digest([2; 32]),
            },
            way,
            amount,
            seen,
            refund: RefundId::new(house.id()),
            grant: GrantId::new(house.id()),
            why: None,
        };
        house.write(Action::Correct(Box::new(correction))).unwrap();
        seen = after(seen, step).unwrap();
    }
    assert_eq!(house.store.corrected(charge).unwrap(), seen);
}

fn refund(house: &House, org: OrgId, charge: ChargeId, amount: i64) {
    let refunded = house.command(Command::RefundCharge(RefundCharge {
        org,
        charge,
        refund: RefundId::new(house.id()),
        amount: Some(nanos(amount)),
        grant: GrantId::new(house.id()),
        detail_digest: [0; 32],
    }));
    refunded.unwrap();
}

#[expect(clippy::arithmetic_side_effects, reason = "numbers of a test")]
fn comes_to(house: &House, charge: ChargeId, price: i64) -> i64 {
    let seen = house.store.corrected(charge).unwrap();
    let [refunded, taken, returned] =
        [seen.refunded, seen.taken, seen.returned].map(|amount| i128::from(amount.get()));
    i64::try_from(i128::from(price) - refunded + taken - returned).unwrap()
}

#[expect(clippy::arithmetic_side_effects, reason = "numbers of a test")]
fn check(house: &House, price: i64, all: &[Done]) {
    let org = house.org(&format!("org {}", house.id()), GRANTED);
    let usage = house.usage(org, None, Some(price));
    let charged = house.write(Action::Usage(Box::new(usage))).unwrap();
    let Made::Usage(_, Some(charge)) = charged.made else {
        panic!("{charged:?}");
    };
    let mut by_hand = 0;
    for done in all {
        match *done {
            Done::Repaired(should) => {
                repair(house, org, charge, [nanos(price), nanos(should)]);
                let now = comes_to(house, charge, price);
                if by_hand == 0 {
                    assert_eq!(now, should, "{all:?}");
                }
                // What was given by hand is never taken again, nor given twice.
                assert!(now <= should && should - by_hand <= now, "{all:?}");
                let seen = house.store.corrected(charge).unwrap();
                assert_eq!(due(nanos(price), nanos(should), seen), None, "{all:?}");
            }
            Done::Refunded(part) => {
                let refunded = house.store.corrected(charge).unwrap().refunded.get();
                let amount = (price - refunded).min(part);
                if amount > 0 {
                    refund(house, org, charge, amount);
                    by_hand += amount;
                }
            }
        }
        let available = house.wallet(org).available_nanos();
        assert_eq!(available, GRANTED - comes_to(house, charge, price));
    }
}

fn some() -> impl Strategy<Value = Vec<Done>> {
    let done = prop_oneof![
        4 => (0_i64..200).prop_map(Done::Repaired),
        1 => (1_i64..60).prop_map(Done::Refunded),
    ];
    prop::collection::vec(done, 1..8)
}

#[test]
fn a_charge_comes_to_whatever_it_should_one_repair_after_the_other() {
    let house = House::new();
    use Done::{Refunded, Repaired};
    // A typo under `--debit`, put right: all of it goes back, though the charge itself is small.
    check(&house, 1, &[Repaired(100), Repaired(1)]);
    check(&house, 25, &[15, 25, 15, 25, 15].map(Repaired));
    check(&house, 10, &[Refunded(4), Repaired(30), Repaired(3)]);
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(24)
    };
    proptest!(config, |(price in 1_i64..100, all in some())| {
        check(&house, price, &all);
    });
    let directory = DataDirectory::new(house.folder.path());
    let report = verify(&directory, Evidence::default()).unwrap();
    assert_eq!(report.findings, []);
}
