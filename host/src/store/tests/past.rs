//! The past, read again: nothing of a range is missed, whatever the clock did.

use super::*;
use crate::service::ledger::past::{Lines, Past as _};

#[test]
fn a_range_is_whole_though_the_clock_was_set_back() {
    let house = House::new();
    let org = house.org("acme", 1_000_000);
    let mut charged = Vec::new();
    let mut charge = |times: usize, at_ms: i64| {
        house.clock.set(at_ms);
        for _ in 0..times {
            let usage = house.usage(org, None, Some(1));
            let (id, _) = usage.charge.clone().unwrap();
            charged.push(id);
            house.write(Action::Usage(Box::new(usage))).unwrap();
            house.clock.advance(10);
        }
    };
    // Three chunks each: forward, an hour back, and forward again.
    charge(96, NOW);
    charge(96, NOW - 3_600_000);
    charge(96, NOW + 60_000);
    let read = |range: std::ops::Range<i64>| -> Vec<(ChargeId, i64)> {
        let span = house.store.charges_posted(range).unwrap();
        let parts = span.parts.clone();
        let charges = parts.flat_map(|part| {
            let charges = house.store.charges_of(&span, part, Lines::LeftOut);
            charges.unwrap()
        });
        charges
            .map(|charge| (charge.charge, charge.posted_at_ms))
            .collect()
    };
    let all = read(i64::MIN..i64::MAX);
    let found: Vec<_> = all.iter().map(|(charge, _)| *charge).collect();
    assert_eq!(found, charged);
    for range in [
        NOW..NOW + 500,
        NOW - 3_600_000..NOW,
        NOW - 3_599_500..NOW - 3_599_400,
        NOW + 60_000..i64::MAX,
        NOW + 7_200_000..i64::MAX,
    ] {
        let mut expected = all.clone();
        expected.retain(|(_, posted_at_ms)| range.contains(posted_at_ms));
        assert_eq!(read(range.clone()), expected, "{range:?}");
    }
}
