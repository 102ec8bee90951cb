//! Calls under leases: held and charged by Envoy itself, with a real host as the authority on money.

use super::client::Got;
use super::house::{DOUBT_MS, House, PRICE, TTL_MS, USUAL, Wish, decimal, send, send_as};
use super::proxy::until;
use rust_decimal::Decimal;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn calls_under_a_lease_of_envoy_ask_the_host_nothing() {
    let house = House::new(&Wish {
        report_ms: 2_000,
        ..USUAL
    });
    let key = house.host.sell_to("100");
    let told = |got: Got| {
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.in_headers()["credits"], PRICE);
    };
    // The first asks for a lease, which grows with what calls take, until renewals that come late
    // on a busy machine still come in time.
    let enough = decimal("5");
    until(|| {
        told(house.post(0, &key, 1_000));
        match house.balance(&key, "held_credits") {
            held if held < enough => Err(format!("{held} credits are leased")),
            _ => Ok(()),
        }
    });
    let asked = || {
        let routes = ["/v1/holds", "/v1/leases", "/v1/usage"];
        routes.map(|route| house.host.requests("POST", route))
    };
    // Those that were held by themselves until then are reported by themselves.
    let before = until(|| match asked() {
        [holds, _, reports] if reports < holds => Err(format!("{reports} of {holds}")),
        asked => Ok(asked),
    });
    let batches = house.host.requests("POST", "/v1/usage/batch");
    (0..60).for_each(|_| told(house.post(0, &key, 1_000)));
    assert_eq!(asked(), before);
    let batches = house.host.requests("POST", "/v1/usage/batch") - batches;
    assert!(batches < 30, "{batches} for 60 calls");
    assert!(house.counted("farebox.leased") >= 60);
    house.settle(&key, "100");
}

/// Whatever number of workers and Envoys: the money is spent once, and all that is spent was there.
#[test]
fn two_envoys_and_one_nearly_empty_wallet_end_at_zero_or_above() {
    let house = House::new(&Wish { envoys: 2, ..USUAL });
    // A hundred calls and a half.
    let credits = "4.396875";
    let key = house.host.sell_to(credits);
    let is_empty = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..16_usize)
        .map(|number| {
            let (is_empty, key) = (Arc::clone(&is_empty), key.clone());
            let envoy = house.envoys[number % 2].address;
            house.runtime.spawn(async move {
                let mut served = 0_u64;
                while !is_empty.load(Ordering::SeqCst) {
                    let got = send(envoy, &key, 1_000).await;
                    match got.status.as_u16() {
                        200 => served += 1,
                        402 => is_empty.store(true, Ordering::SeqCst),
                        _ => panic!("{got:?}"),
                    }
                }
                served
            })
        })
        .collect();
    let mut served = 0;
    for caller in callers {
        served += house.runtime.block_on(caller).unwrap();
    }
    assert_eq!(served, house.served.load(Ordering::SeqCst));
    assert!(house.counted("farebox.leased") > 0);
    // Nobody calls any more, so all that was leased comes back.
    house.until_reported();
    house.until_free(&key);
    house.settle(&key, credits);
}

#[test]
fn one_dollar_over_two_envoys_still_buys_a_call_of_sixty_cents() {
    let house = House::new(&Wish {
        envoys: 2,
        // Idle leases go back by themselves, but not that soon.
        renew_ms: 2_000,
        ..USUAL
    });
    let key = house.host.sell_to("10");
    for envoy in 0..2 {
        // Each could cost twenty cents: half of what is there is leased, and half of the rest.
        let got = house.post(envoy, &key, 60_000);
        assert_eq!(got.status, 200, "{got:?}");
    }
    assert!(house.balance(&key, "available_credits") < Decimal::from(6));
    let got = house.post(1, &key, 185_000);
    assert_eq!(got.status, 200, "{got:?}");
    house.settle(&key, "10");
}

#[test]
fn calls_go_on_in_envoy_without_a_host_until_the_lease_is_spent() {
    let house = House::new(&Wish {
        timeout_ms: 500,
        renew_ms: 15_000,
        ..USUAL
    });
    let key = house.host.sell_to("10");
    assert_eq!(house.post(0, &key, 1_000).status, 200);
    house.until_reported();
    let leased = house.balance(&key, "held_credits");
    assert!(leased > Decimal::ZERO);
    house.door.is_shut.send(true).unwrap();
    let before = house.served.load(Ordering::SeqCst);
    let got = loop {
        let got = house.post(0, &key, 1_000);
        if got.status != 200 {
            break got;
        }
    };
    assert_eq!(got.status, 503);
    let problem: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(problem["type"], "/problems/unavailable");
    let alone = house.served.load(Ordering::SeqCst) - before;
    assert!(alone > 0);
    assert!(
        Decimal::from(alone) * decimal(PRICE) <= leased,
        "{alone} of {leased}"
    );
    // What they used is told when somebody listens.
    house.door.is_shut.send(false).unwrap();
    house.settle(&key, "10");
}

#[test]
fn what_a_killed_envoy_had_leased_comes_back_and_its_loss_is_bounded() {
    let mut house = House::new(&Wish {
        report_ms: 600_000,
        ..USUAL
    });
    let key = house.host.sell_to("10");
    for _ in 0..5 {
        assert_eq!(house.post(0, &key, 1_000).status, 200);
    }
    // It dies before it has told of anything.
    house.envoys.clear();
    // A renewal that it had sent may still arrive: each is one request, so it is soon over.
    let mut before = Decimal::MIN;
    let leased = house.until_held(&key, |held| std::mem::replace(&mut before, *held) == *held);
    assert!(house.spent() <= leased, "what is lost was leased");
    assert_eq!(house.balance(&key, "posted_credits"), Decimal::from(10));
    house.host.advance(TTL_MS);
    assert_eq!(house.balance(&key, "held_credits"), leased, "in doubt");
    house.host.advance(DOUBT_MS);
    house.until_free(&key);
    assert_eq!(house.balance(&key, "available_credits"), Decimal::from(10));
    house.host.verify();
}

#[test]
fn a_revoked_key_is_stopped_in_envoy_when_its_lease_is_renewed() {
    let house = House::new(&USUAL);
    let key = house.host.sell_to("10");
    assert_eq!(house.post(0, &key, 1_000).status, 200);
    house.revoke(&key);
    let refused = loop {
        let got = house.post(0, &key, 1_000);
        if got.status != 200 {
            break got;
        }
    };
    assert_eq!(refused.status, 401);
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(problem["type"], "/problems/key-ended");
    // What ran before is charged all the same.
    house.until_reported();
    drop(house.envoys);
    house.host.verify();
}

/// Envoy takes a caller's word for the id of its request.
#[test]
fn no_callers_request_id_keeps_its_call_from_being_charged_in_envoy() {
    let house = House::new(&USUAL);
    let key = house.host.sell_to("10");
    let long = "x".repeat(400);
    for id in [long.as_str(), "a b c", "m\u{fc}ll", "same", "same"] {
        let sent = send_as(house.envoys[0].address, &key, 1_000, id);
        assert_eq!(house.runtime.block_on(sent).status, 200);
    }
    house.settle(&key, "10");
}
