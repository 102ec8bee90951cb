//! Several books in one filter, as the host has bound them to plans and orgs: each call is priced by
//! the one that the host names for it, and by none where the filter does not have that one.

use super::client::{Caller, Got, whole};
use super::held::{House, REQUEST};
use super::operator::{activate, charges, operate, push};
use super::proxy::{HOST, list, refused, until};
use farebox_book::{Format, compile};
use farebox_tests::books::two_models_text;
use farebox_tests::http::HttpServer;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;

/// What a call costs by each book.
const PRICES: [&str; 3] = ["0.004375", "0.00525", "0.007"];
const MARKUPS: [&str; 3] = ["1.25", "1.5", "2"];

fn text(number: usize) -> String {
    let markup = format!("markup = \"{}\"", MARKUPS[number]);
    two_models_text(&format!("book-{number}")).replace("markup = \"1.25\"", &markup)
}

fn book(text: &str) -> Vec<u8> {
    compile(text, Format::Toml).unwrap().canonical
}

fn org(host: &HttpServer, key: &str) -> String {
    let wallet = host.read(key, "/v1/wallet");
    wallet["org_id"].as_str().unwrap().to_owned()
}

fn call(house: &House, key: &str, number: usize) -> Got {
    let bearer = format!("Bearer {key}");
    let got = house.post(&format!("call={number}"), &[("authorization", &bearer)]);
    assert_eq!(got.status, 200, "{got:?}");
    got
}

fn sells_by_the_book_of_each(leases: bool) {
    let (first, second) = (book(&text(0)), book(&text(1)));
    let house = House::planned(
        &text(0),
        "closed",
        |_, host| vec![host],
        |_, plan| {
            plan.book = list(&[&first, &second]);
            plan.settings["host"]["leases"] = json!(leases);
        },
    );
    let host = house.host.address();
    let releases = [0, 1, 2].map(|number| push(host, text(number)));
    let keys = ["1", "2", "3"].map(|credits| house.host.sell_to(credits));
    let pro = org(&house.host, &keys[1]);
    let plan = json!({"plan": "pro"});
    let path = format!("/v1/admin/orgs/{pro}/plan");
    assert_eq!(house.host.administer("PUT", &path, &plan).0, 200);
    activate(host, &releases[1], "none", plan);
    let own = json!({"org_id": org(&house.host, &keys[2])});
    activate(host, &releases[2], "none", own);

    let mut number = 0;
    for _ in 0..3 {
        for (key, price) in keys.iter().zip(PRICES) {
            number += 1;
            let told = call(&house, key, number).in_headers();
            if price == PRICES[2] {
                assert_eq!(told["unpriced"], "other_book", "{told:?}");
                assert_eq!(told.get("price_usd"), None);
            } else {
                assert_eq!(told["price_usd"], price, "{told:?}");
            }
        }
    }
    house.until_reported(9);
    for ((key, price), release) in keys.iter().zip(PRICES).zip(releases) {
        let charges = charges(&house.host, key);
        assert_eq!(charges.len(), 3);
        for charge in charges.into_values() {
            assert_eq!(charge, (price.to_owned(), release.clone()));
        }
    }
    assert_eq!(house.envoy.counted("farebox.other_book"), 3);
    assert_eq!(house.envoy.counted("farebox.difference"), 0);
    let leased = house.envoy.counted("farebox.leased");
    assert_eq!(leased > 0, leases, "{leased}");
}

#[test]
fn envoy_sells_by_the_book_of_each_plan_and_org_under_leases() {
    sells_by_the_book_of_each(true);
}

#[test]
fn envoy_sells_by_the_book_of_each_plan_and_org_under_holds() {
    sells_by_the_book_of_each(false);
}

/// Of several books nobody says which one it is while the host is away.
#[test]
fn envoy_tells_no_price_where_nobody_said_by_which_book() {
    let (first, second) = (book(&text(0)), book(&text(1)));
    let house = House::planned(
        &text(0),
        "open",
        |_, _| Vec::new(),
        |_, plan| plan.book = list(&[&first, &second]),
    );
    let key = house.host.sell_to("1");
    let told = call(&house, &key, 1).in_headers();
    assert_eq!(told["unpriced"], "other_book", "{told:?}");
    assert_eq!(house.envoy.counted("farebox.other_book"), 1);
}

/// The price is the same to the digit, and still it is not what priced the call.
#[test]
fn a_call_that_another_book_priced_than_envoy_told_by_is_counted() {
    let house = House::planned(&text(0), "closed", |_, host| vec![host], |_, _| {});
    let host = house.host.address();
    let first = push(host, text(0));
    let second = push(host, two_models_text("same-prices"));
    let key = house.host.sell_to("1");
    let bearer = format!("Bearer {key}");
    let told = house.runtime.block_on(async {
        let caller = Caller::new(house.envoy.address, false);
        let path = "/openai/v1/chat/completions?call=1&live=1";
        let headers = [("authorization", bearer.as_str())];
        let mut answer = caller.send(Method::POST, path, &headers, REQUEST).await;
        answer.frame().await.unwrap().unwrap();
        // The call is held under a release that is revoked before it ends.
        activate(host, &second, &first, json!({}));
        let path = format!("/v1/admin/policies/{first}/revoke");
        let why = json!({"why": "test"}).to_string().into_bytes();
        operate(host, "POST", &path, "application/json", why);
        let upstream = house.live.lock().unwrap().take().unwrap();
        let rest = r#"data: {"id":"1","object":"chat.completion.chunk","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#;
        let rest = format!("{rest}\n\ndata: [DONE]\n\n");
        upstream.send(Ok(Bytes::from(rest))).await.unwrap();
        drop(upstream);
        let got = whole(answer).await;
        let (told, _) = got.in_comment().unwrap();
        told
    });
    assert_eq!(told["price_usd"], PRICES[0]);
    house.until_reported(1);
    let charge = charges(&house.host, &key).remove("1").unwrap();
    assert_eq!(charge, (PRICES[0].to_owned(), second));
    until(|| match house.envoy.counted("farebox.difference") {
        1 => Ok(()),
        other => Err(format!("{other} differences")),
    });
}

#[test]
fn envoy_does_not_start_with_several_books_and_nobody_who_says_whose() {
    let house = House::planned(
        &text(0),
        "closed",
        |_, host| vec![host],
        |_, plan| {
            let (first, second) = (book(&text(0)), book(&text(1)));
            let one = std::mem::replace(&mut plan.book, list(&[&first, &second]));
            let settings = plan.settings.clone();
            plan.settings = json!({"deployment": "hosted"});
            let output = refused(plan);
            assert!(!output.status.success());
            let log = String::from_utf8_lossy(&output.stderr);
            assert!(log.contains("several books need a `host`"), "{log}");
            (plan.book, plan.settings) = (one, settings);
        },
    );
    assert_eq!(house.envoy.counted("farebox.held"), 0, "{HOST}");
}
