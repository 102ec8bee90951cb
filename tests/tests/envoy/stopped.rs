//! An Envoy that is stopped in order has told the host everything, and keeps nobody's money.

use super::client::whole;
use super::house::{House, PRICE, USUAL, Wish, decimal};
use rust_decimal::Decimal;

#[test]
fn an_envoy_that_is_drained_has_reported_all_and_given_back_its_leases() {
    // Under leases, and with each call held by itself.
    for leases in [true, false] {
        let mut house = House::new(&Wish { leases, ..USUAL });
        let keys = [house.host.sell_to("10"), house.host.sell_to("20")];
        for key in &keys {
            for _ in 0..3 {
                assert_eq!(house.post(0, key, 1_000).status, 200);
            }
        }
        let stream = house.begin(0, &keys[0]);
        assert!(house.balance(&keys[0], "held_credits") > Decimal::ZERO);
        let envoy = house.envoys.remove(0);
        envoy.drain();
        // What runs goes on to its end.
        house.end_streams();
        let streamed = house.runtime.block_on(whole(stream));
        assert_eq!(streamed.in_comment().unwrap().0["credits"], PRICE);
        envoy.until_idle();
        // Nothing is waited for: the host's clock stands still, so no lease has expired.
        for (key, credits, calls) in [(&keys[0], "10", 4), (&keys[1], "20", 3)] {
            assert_eq!(house.balance(key, "held_credits"), Decimal::ZERO);
            let spent = decimal(PRICE) * Decimal::from(calls);
            let left = decimal(credits) - spent;
            assert_eq!(house.balance(key, "available_credits"), left);
        }
        drop(envoy.record());
        house.host.verify();
    }
}
