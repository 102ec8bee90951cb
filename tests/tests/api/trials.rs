//! A candidate is tried beside what is bound: nobody pays by a shadow, few by a canary, and what
//! passes its bounds ends by itself.

use super::releases::{activate, post, priced, pushed};
use super::server::{Answer, Customer, Server, call, release_file, usage};
use farebox::clock::{ManualClock, SystemClock};
use farebox::engine::package::Package;
use farebox::service::time::{Clock as _, SharedClock};
use hyper::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

async fn start(server: &Server, body: Value) -> Answer {
    post(server, "/v1/admin/trials", body).await
}

async fn shown(server: &Server, trial: &Value) -> Value {
    let path = format!("/v1/admin/trials/{}", trial["id"].as_str().unwrap());
    let answer = server.client.admin(Method::GET, &path, Value::Null).await;
    answer.expect(200)
}

/// The trial, once it is so.
async fn until(server: &Server, trial: &Value, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let looked = async {
        loop {
            last = shown(server, trial).await;
            if is_so(&last) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), looked).await;
    assert!(in_time.is_ok(), "{last}");
    last
}

fn compared(count: u64) -> impl Fn(&Value) -> bool {
    move |trial| trial["result"]["compared"] == count
}

/// A server that is bound to `cheap`, the candidate `dear`, and a customer.
async fn two_releases() -> (Server, String, String, Customer) {
    releases_at(Arc::new(SystemClock::new())).await
}

async fn releases_at(clock: SharedClock) -> (Server, String, String, Customer) {
    let server = Server::start_at(clock).await;
    let customer = server.customer("acme", "100").await;
    let first = server.bound(None).await;
    let cheap = pushed(&server, "cheap", "10").await;
    let dear = pushed(&server, "dear", "12").await;
    activate(&server, &cheap, &first).await.expect(200);
    (server, cheap, dear, customer)
}

async fn charge(customer: &Customer) -> (String, String) {
    let charged = customer.post("/v1/usage", usage()).await.expect(200);
    priced(customer, &charged).await
}

#[tokio::test]
async fn a_shadow_compares_what_was_charged_and_charges_nobody() {
    let clock = Arc::new(ManualClock::at(SystemClock::new().now_ms()));
    let (server, cheap, dear, customer) = releases_at(Arc::clone(&clock) as _).await;
    // What was charged before it began does not count.
    charge(&customer).await;
    clock.set(clock.now_ms() + 1_000);
    let body = json!({"kind": "shadow", "release_id": dear, "why": "the new list"});
    let trial = start(&server, body).await.expect(201);
    assert_eq!(
        (&trial["kind"], &trial["scope"], &trial["end"]),
        (&json!("shadow"), &json!("hosted"), &Value::Null)
    );
    for _ in 0..3 {
        assert_eq!(charge(&customer).await, ("0.011".into(), cheap.clone()));
    }
    let seen = until(&server, &trial, compared(3)).await;
    let result = &seen["result"];
    assert_eq!(
        (&result["dearer"], &result["same"], &result["faults"]),
        (&json!(3), &json!(0), &json!(0))
    );
    // 1,100 tokens at 10 and at 12 per million.
    assert_eq!(result["bound_usd"], "0.033");
    assert_eq!(result["candidate_usd"], "0.0396");
    let sample = &seen["samples"][0];
    assert_eq!(
        (
            &sample["bound_usd"],
            &sample["candidate_usd"],
            &sample["org_id"]
        ),
        (&json!("0.011"), &json!("0.0132"), &json!(customer.org))
    );
    // It goes on after a restart, and finds the same.
    let server = server.restart().await;
    let again = until(&server, &trial, compared(3)).await;
    assert_eq!(again["result"], *result);
    let path = format!("/v1/admin/trials/{}/stop", trial["id"].as_str().unwrap());
    let stopped = post(&server, &path, json!({"why": "seen enough"}))
        .await
        .expect(200);
    assert_eq!(stopped["end"]["ending"], "stopped");
    assert_eq!(stopped["result"], *result);
    post(&server, &path, json!({}))
        .await
        .problem(409, "conflict");
    // What it showed is kept.
    let server = server.restart().await;
    let kept = shown(&server, &trial).await;
    assert_eq!(
        (&kept["result"], &kept["samples"]),
        (result, &seen["samples"])
    );
}

#[tokio::test]
async fn a_canary_prices_those_orgs_alone_until_it_is_promoted() {
    let (server, cheap, dear, acme) = two_releases().await;
    let other = server.customer("other", "100").await;
    let body = json!({"kind": "shadow", "release_id": dear});
    let shadow = start(&server, body).await.expect(201);
    let body = json!({"kind": "canary", "release_id": dear, "org_ids": [acme.org]});
    let canary = start(&server, body).await.expect(201);
    // It follows the shadow without a gap.
    assert_eq!(shown(&server, &shadow).await["end"]["ending"], "followed");
    assert_eq!(charge(&acme).await, ("0.0132".into(), dear.clone()));
    assert_eq!(charge(&other).await, ("0.011".into(), cheap.clone()));
    let seen = until(&server, &canary, compared(1)).await;
    assert_eq!(
        (
            &seen["result"]["bound_usd"],
            &seen["result"]["candidate_usd"]
        ),
        (&json!("0.011"), &json!("0.0132"))
    );
    // What is held under the candidate is charged under it, whatever becomes of the trial.
    let hold = acme.post("/v1/holds", json!({"call": call()})).await;
    let mut report = usage();
    report["hold_id"] = hold.expect(201)["id"].clone();
    let path = format!("/v1/admin/trials/{}", canary["id"].as_str().unwrap());
    post(&server, &format!("{path}/stop"), json!({}))
        .await
        .expect(200);
    assert_eq!(charge(&acme).await, ("0.011".into(), cheap.clone()));
    let captured = acme.post("/v1/usage", report).await.expect(200);
    assert_eq!(
        priced(&acme, &captured).await,
        ("0.0132".into(), dear.clone())
    );
    // Everyone, which is not yet an activation; then that.
    let body = json!({"kind": "canary", "release_id": dear, "percent": "100"});
    let canary = start(&server, body).await.expect(201);
    assert_eq!(charge(&other).await, ("0.0132".into(), dear.clone()));
    assert_eq!(server.bound(None).await, cheap);
    let path = format!("/v1/admin/trials/{}", canary["id"].as_str().unwrap());
    let change = post(&server, &format!("{path}/promote"), json!({"why": "good"}))
        .await
        .expect(200);
    assert_eq!(
        (
            &change["release_id"],
            &change["before_release_id"],
            &change["why"]
        ),
        (&json!(dear), &json!(cheap), &json!("good"))
    );
    assert_eq!(shown(&server, &canary).await["end"]["ending"], "promoted");
    assert_eq!(server.bound(None).await, dear);
    assert_eq!(charge(&other).await.1, dear);
}

#[tokio::test]
async fn what_is_bound_anew_ends_the_trial_beside_it() {
    let (server, cheap, dear, acme) = two_releases().await;
    let everyone = || json!({"kind": "canary", "release_id": dear, "percent": "100"});
    let ending = async |trial: &Value| shown(&server, trial).await["end"]["ending"].clone();
    let canary = start(&server, everyone()).await.expect(201);
    assert_eq!(charge(&acme).await.1, dear);
    activate(&server, &dear, &cheap).await.expect(200);
    assert_eq!(ending(&canary).await, "promoted");
    let path = "/v1/admin/bindings/rollback";
    let body = json!({"expected": dear, "why": "too dear"});
    post(&server, path, body).await.expect(200);
    // Nobody is left with what was gone back from.
    assert_eq!(charge(&acme).await, ("0.011".into(), cheap.clone()));
    let canary = start(&server, everyone()).await.expect(201);
    assert_eq!(charge(&acme).await.1, dear);
    let seen = until(&server, &canary, compared(1)).await;
    let third = pushed(&server, "third", "11").await;
    activate(&server, &third, &cheap).await.expect(200);
    assert_eq!(ending(&canary).await, "stopped");
    assert_eq!(shown(&server, &canary).await["result"], seen["result"]);
    assert_eq!(charge(&acme).await.1, third);
    // What an operator activated meanwhile is not undone by who promotes later.
    let promote = format!(
        "/v1/admin/trials/{}/promote",
        canary["id"].as_str().unwrap()
    );
    let told = post(&server, &promote, json!({})).await;
    told.problem(409, "conflict");
    assert_eq!(server.bound(None).await, third);
}

#[tokio::test]
async fn a_failure_is_of_the_canary_that_priced_the_call() {
    let (server, _, _, acme) = two_releases().await;
    let mut file = Package::open(&treacherous()).unwrap();
    file.book_source = None;
    let pushed = server.push(&file.to_file()).await.expect(201);
    let lenient = |scope: Value| {
        let mut body = json!({"kind": "canary", "release_id": pushed["id"], "percent": "100",
            "max_faults": 100});
        body.as_object_mut()
            .unwrap()
            .extend(scope.as_object().unwrap().clone());
        body
    };
    let all = start(&server, lenient(json!({}))).await.expect(201);
    let own = start(&server, lenient(json!({"org_id": acme.org})))
        .await
        .expect(201);
    acme.post("/v1/usage", usage()).await.expect(202);
    let faults = async |trial: &Value| shown(&server, trial).await["result"]["faults"].clone();
    assert_eq!(
        (faults(&all).await, faults(&own).await),
        (json!(0), json!(1))
    );
}

#[tokio::test]
async fn a_trial_that_passes_a_bound_ends_by_itself() {
    let (server, cheap, dear, acme) = two_releases().await;
    // 20 % dearer: more than 19.99, once two calls were compared.
    let body = json!({"kind": "canary", "release_id": dear, "percent": "100",
        "max_change_percent": "19.99", "after_calls": 2});
    let trial = start(&server, body).await.expect(201);
    charge(&acme).await;
    let seen = until(&server, &trial, compared(1)).await;
    assert_eq!(seen["end"], Value::Null);
    charge(&acme).await;
    let over = until(&server, &trial, |trial| !trial["end"].is_null()).await;
    assert_eq!(
        (&over["end"]["ending"], &over["end"]["by"]),
        (&json!("halted"), &json!("host"))
    );
    let why = over["end"]["why"].as_str().unwrap();
    assert!(why.contains("more than 19.99 %"), "{why}");
    assert_eq!(charge(&acme).await, ("0.011".into(), cheap));
    let page = server.client.send(Method::GET, "/metrics", &[], "").await;
    let page = page.text();
    for line in ["farebox_policy_trials 0", "farebox_policy_trials_halted 1"] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn who_pays_more_is_not_made_good_by_who_pays_less() {
    let server = Server::start().await;
    let acme = server.customer("acme", "100").await;
    let first = server.bound(None).await;
    let two = |name: &str, prices: [&str; 2]| {
        let mut book = format!("name = \"{name}\"\nas_of = \"2026-11-21\"\n");
        for (model, price) in ["gpt-4o-mini", "gpt-4o"].iter().zip(prices) {
            book.push_str(&format!(
                "[[models]]\nprovider = \"openai\"\nmodel = \"{model}\"\n\
                 per_million = {{ input = \"{price}\", output = \"{price}\" }}\n"
            ));
        }
        let compiled = farebox_book::compile(&book, farebox_book::Format::Toml).unwrap();
        Package {
            book: Some(compiled.canonical),
            book_source: Some(book.into_bytes()),
            ..Package::open(&release_file(name, "10")).unwrap()
        }
        .to_file()
    };
    let id = |pushed: Answer| pushed.expect(201)["id"].as_str().unwrap().to_owned();
    let even = id(server.push(&two("even", ["10", "10"])).await);
    let odd = id(server.push(&two("odd", ["15", "5"])).await);
    activate(&server, &even, &first).await.expect(200);
    let body = json!({"kind": "canary", "release_id": odd, "percent": "100",
        "max_change_percent": "40", "after_calls": 2});
    let trial = start(&server, body).await.expect(201);
    charge(&acme).await;
    let mut other = usage();
    other["model"] = json!("gpt-4o");
    acme.post("/v1/usage", other).await.expect(200);
    let over = until(&server, &trial, |trial| !trial["end"].is_null()).await;
    let result = &over["result"];
    assert_eq!(
        (
            &result["bound_usd"],
            &result["candidate_usd"],
            &result["moved_usd"]
        ),
        (&json!("0.022"), &json!("0.022"), &json!("0.011"))
    );
    assert_eq!(over["end"]["ending"], "halted");
}

#[tokio::test]
async fn a_candidate_that_refuses_what_ran_is_out_as_well() {
    let (server, cheap, _, acme) = two_releases().await;
    // It quotes the model, and no rating of what it used is in its book.
    let book = "name = \"half\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\n\
        model = \"gpt-4o-mini\"\nper_million = { input = \"10\" }\n";
    let compiled = farebox_book::compile(book, farebox_book::Format::Toml).unwrap();
    let half = Package {
        book: Some(compiled.canonical),
        book_source: Some(book.into()),
        ..Package::open(&release_file("half", "10")).unwrap()
    };
    let half = server.push(&half.to_file()).await.expect(201);
    for report in [
        usage(),
        json!({"items": [usage(), {"provider": "openai", "model": "gpt-99", "usage": {"input": 1}}]}),
    ] {
        let body = json!({"kind": "canary", "release_id": half["id"], "percent": "100",
            "max_refused": 0});
        let canary = start(&server, body).await.expect(201);
        let path = match report.get("items") {
            Some(_) => "/v1/usage/batch",
            None => "/v1/usage",
        };
        let waits = acme.post(path, report).await;
        assert!(waits.status.is_success(), "{waits:?}");
        let over = until(&server, &canary, |trial| !trial["end"].is_null()).await;
        assert_eq!(over["end"]["ending"], "halted");
        // What is bound refuses the unknown model as well.
        assert_eq!(over["result"]["refused"], 1);
        assert_eq!(charge(&acme).await, ("0.011".into(), cheap.clone()));
    }
}

/// A policy that passes its trial, and traps on a call of gpt-4o-mini: that model is not among those
/// it is asked for.
fn treacherous() -> Vec<u8> {
    let mut book = "name = \"trap_on_mini\"\nas_of = \"2026-11-21\"\n".to_owned();
    let others = (0..40).map(|number| format!("m{number:02}"));
    for model in ["a".to_owned(), "gpt-4o-mini".to_owned()]
        .into_iter()
        .chain(others)
    {
        book.push_str(&format!(
            "[[models]]\nprovider = \"openai\"\nmodel = \"{model}\"\n\
             per_million = {{ input = \"10\", output = \"10\" }}\n"
        ));
    }
    let compiled = farebox_book::compile(&book, farebox_book::Format::Toml).unwrap();
    Package {
        component: farebox_tests::guests::component(farebox_tests::guests::HOSTILE),
        book: Some(compiled.canonical),
        ..Package::open(&release_file("x", "10")).unwrap()
    }
    .to_file()
}

#[tokio::test]
async fn a_candidate_that_fails_is_out_at_once() {
    let (server, cheap, _, acme) = two_releases().await;
    let mut file = Package::open(&treacherous()).unwrap();
    file.book_source = None;
    let pushed = server.push(&file.to_file()).await.expect(201);
    let body = json!({"kind": "canary", "release_id": pushed["id"], "percent": "100"});
    let canary = start(&server, body).await.expect(201);
    // What was used is not lost, and not charged by another release.
    let waits = acme.post("/v1/usage", usage()).await.expect(202);
    assert_eq!(waits["reason"], "policy_fault");
    let over = until(&server, &canary, |trial| !trial["end"].is_null()).await;
    assert_eq!(over["end"]["ending"], "halted");
    assert_eq!(over["result"]["faults"], 1);
    assert_eq!(charge(&acme).await, ("0.011".into(), cheap.clone()));
    // In a shadow it fails where nobody waits for it.
    let body = json!({"kind": "shadow", "release_id": pushed["id"]});
    let shadow = start(&server, body).await.expect(201);
    assert_eq!(charge(&acme).await, ("0.011".into(), cheap));
    let over = until(&server, &shadow, |trial| !trial["end"].is_null()).await;
    assert_eq!(over["end"]["ending"], "halted");
}

#[tokio::test]
async fn what_cannot_be_tried_is_refused_and_says_what_to_do() {
    let (server, cheap, dear, acme) = two_releases().await;
    let canary = |percent: &str| json!({"kind": "canary", "release_id": dear, "percent": percent});
    for (body, part) in [
        (canary("0"), "begin a `shadow` instead"),
        (canary("100.01"), "more than 100"),
        (canary("0.001"), "at most two decimal places"),
        (canary("-5"), "above 0"),
        (
            json!({"kind": "canary", "release_id": dear}),
            "needs `percent` or `org_ids`",
        ),
        (
            json!({"kind": "canary", "release_id": dear, "org_ids": []}),
            "1 to 1000 orgs",
        ),
        (
            json!({"kind": "shadow", "release_id": dear, "percent": "5"}),
            "of a canary",
        ),
        (
            json!({"kind": "shadow", "release_id": dear, "deployment": "self-hosted"}),
            "this server has none",
        ),
        (
            json!({"kind": "shadow", "release_id": "dear"}),
            "a release's address",
        ),
    ] {
        let problem = start(&server, body).await.problem(400, "invalid-request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{detail}");
    }
    let never = format!("rel_{}", "0".repeat(64));
    let body = json!({"kind": "shadow", "release_id": never});
    start(&server, body).await.problem(404, "not-found");
    let body = json!({"kind": "shadow", "release_id": cheap});
    start(&server, body).await.problem(409, "conflict");
    // One at a time for a scope: of two operators, the second is told.
    let trial = start(&server, canary("5")).await.expect(201);
    let third = pushed(&server, "third", "11").await;
    let body = json!({"kind": "shadow", "release_id": third});
    let told = start(&server, body.clone()).await.problem(409, "conflict");
    let id = trial["id"].as_str().unwrap();
    assert!(told["detail"].as_str().unwrap().contains(id), "{told}");
    // What is tried is not revoked under those who are priced by it.
    let path = format!("/v1/admin/policies/{dear}/revoke");
    let told = post(&server, &path, json!({"why": "wrong"})).await;
    let told = told.problem(409, "conflict");
    assert!(
        told["detail"]
            .as_str()
            .unwrap()
            .contains("stop the trial first"),
        "{told}"
    );
    // An org that another release prices would never be in the canary.
    let own = json!({"release_id": third, "expected": "none", "org_id": acme.org});
    post(&server, "/v1/admin/bindings/activate", own)
        .await
        .expect(200);
    let listed = json!({"kind": "canary", "release_id": dear, "org_ids": [acme.org]});
    let told = start(&server, listed).await.problem(400, "invalid-request");
    assert!(
        told["detail"]
            .as_str()
            .unwrap()
            .contains("would not be in the canary"),
        "{told}"
    );
    // A larger canary of the same candidate follows the smaller one.
    start(&server, canary("20")).await.expect(201);
    assert_eq!(shown(&server, &trial).await["end"]["ending"], "followed");
    let path = "/v1/admin/trials";
    let all = server.client.admin(Method::GET, path, Value::Null).await;
    assert_eq!(all.expect(200)["items"].as_array().unwrap().len(), 2);
}
