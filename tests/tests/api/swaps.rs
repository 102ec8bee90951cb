//! A thousand swaps of what is bound, under calls that never stop: none fails, and each is held,
//! charged and receipted under exactly one release.

use super::server::{Customer, Server, call, release_file, usage};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SWAPS: usize = 1_000;
const CALLERS: usize = 8;

/// A call from hold to charge, as its caller saw it.
struct Seen {
    held_credits: String,
    charge: String,
    credits: String,
}

async fn run(customer: &Customer) -> Seen {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let hold = customer.post("/v1/holds", json!({"call": call()})).await;
    let hold = hold.expect(201);
    let mut report = usage();
    report["hold_id"] = hold["id"].clone();
    let charged = customer.post("/v1/usage", report).await.expect(200);
    Seen {
        held_credits: text(&hold["credits"]),
        charge: text(&charged["charge_id"]),
        credits: text(&charged["credits"]),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_swaps_under_traffic_fail_no_call_and_mix_no_release() {
    let server = Server::start().await;
    let start = server.bound(None).await;
    let mut releases = Vec::new();
    for (name, price) in [("cheap", "10"), ("dear", "20")] {
        let pushed = server.push(&release_file(name, price)).await.expect(201);
        releases.push(pushed["id"].as_str().unwrap().to_owned());
    }
    let swap = async |to: &str, expected: &str| {
        let body = json!({"release_id": to, "expected": expected});
        let path = "/v1/admin/bindings/activate";
        server
            .client
            .admin(Method::POST, path, body)
            .await
            .expect(200);
    };
    swap(&releases[0], &start).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let customer = server.customer(&format!("org-{number}"), "1000000").await;
        let done = Arc::clone(&done);
        callers.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                seen.push(run(&customer).await);
            }
            (customer, seen)
        }));
    }
    for number in 0..SWAPS {
        let (from, to) = (number % 2, (number + 1) % 2);
        swap(&releases[to], &releases[from]).await;
    }
    done.store(true, Ordering::Relaxed);
    // What one release holds and charges for this call; two releases, two pairs.
    let mut pairs: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for caller in callers {
        let (customer, seen) = caller.await.unwrap();
        for seen in seen {
            let path = format!("/v1/charges/{}/receipt", seen.charge);
            let receipt = customer.get(&path).await.expect(200);
            let release = receipt["release"]["id"].as_str().unwrap().to_owned();
            *calls.entry(release.clone()).or_default() += 1;
            let pair = (seen.held_credits, seen.credits);
            let first = pairs.entry(release).or_insert_with(|| pair.clone());
            assert_eq!(*first, pair);
        }
    }
    assert_eq!(pairs.keys().collect::<Vec<_>>(), {
        let mut both: Vec<_> = releases.iter().collect();
        both.sort();
        both
    });
    let charged = |release: &str| pairs[release].1.as_str();
    assert_eq!(
        (charged(&releases[0]), charged(&releases[1])),
        ("0.11", "0.22")
    );
    assert!(calls.values().all(|calls| *calls > 10), "{calls:?}");
    // Every swap is in the history, in order.
    let mut path = "/v1/admin/bindings/history?limit=1000".to_owned();
    let mut history = Vec::new();
    loop {
        let page = server.client.admin(Method::GET, &path, Value::Null).await;
        let page = page.expect(200);
        history.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/v1/admin/bindings/history?limit=1000&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(history.len(), SWAPS + 2);
    assert!(
        history
            .windows(2)
            .all(|pair| { pair[0]["before_release_id"] == pair[1]["release_id"] })
    );
}
