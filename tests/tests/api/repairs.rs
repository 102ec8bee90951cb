//! Wrong bills put right: to the nano, once, and so that the receipt, the history and the verifier
//! agree about it.

use super::backtests::{charged, of_feature, sells};
use super::server::{Customer, Server, release_file};
use farebox::store::directory::DataDirectory;
use farebox::store::verify::{Evidence, verify};
use hyper::Method;
use serde_json::{Value, json};

const PATH: &str = "/v1/admin/repairs";

async fn begin(server: &Server, question: &Value) -> Value {
    let begun = server.client.admin(Method::POST, PATH, question.clone());
    begun.await.expect(202)
}

async fn follow(server: &Server, begun: &Value) -> Value {
    server.ended(PATH, begun).await
}

/// The report of a repair that was followed to its end.
async fn ended(server: &Server, question: &Value) -> Value {
    let begun = begin(server, question).await;
    follow(server, &begun).await["report"].clone()
}

/// A repair that has ended.
pub async fn over(server: &Server, question: &Value) -> Value {
    let begun = begin(server, question).await;
    follow(server, &begun).await
}

async fn pushed(server: &Server, name: &str, per_million: &str) -> String {
    let pushed = server.push(&release_file(name, per_million)).await;
    pushed.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn receipt(customer: &Customer, charged: &Value) -> Value {
    let charge = charged["charge_id"].as_str().unwrap();
    let path = format!("/v1/charges/{charge}/receipt");
    customer.get(&path).await.expect(200)
}

/// What the customer was charged for one feature, and what became of it by now.
async fn summed(customer: &Customer) -> [String; 3] {
    let sums = customer.get("/v1/usage?group_by=feature").await.expect(200);
    let text = |field: &str| sums["items"][0][field].as_str().unwrap().to_owned();
    ["credits", "refunded_credits", "taken_credits"].map(text)
}

fn proved(server: &Server) {
    let directory = DataDirectory::new(server.folder().join("data"));
    let report = verify(&directory, Evidence::default()).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

#[tokio::test]
async fn what_was_too_much_goes_back_once_and_what_was_too_little_only_on_demand() {
    let server = Server::start().await;
    let wrong = sells(&server, &release_file("wrong", "5")).await;
    let right = pushed(&server, "right", "3").await;
    let customer = server.customer("acme", "10").await;
    // 5,000 tokens at five dollars per million are 0.25 credits.
    let first = charged(&customer, of_feature("chat", 5_000)).await;
    sells(&server, &release_file("after", "3")).await;
    charged(&customer, of_feature("chat", 5_000)).await;
    assert_eq!(customer.available().await, "9.6");

    // Only told.
    let question = json!({"wrong_release_id": wrong, "corrected_release_id": right});
    let told = ended(&server, &question).await;
    assert_eq!(told["charges"], 1);
    assert_eq!(told["due"]["back_usd"], "0.01");
    assert_eq!(told["by_org"][0]["due"]["back_credits"], "0.1");
    assert_eq!(told["posted"]["charges"], 0);
    assert_eq!(customer.available().await, "9.6");

    // Posted, and nothing more to do afterwards.
    let mut question = question;
    question["post"] = json!(true);
    question["why"] = json!("the book had the wrong price");
    let posted = ended(&server, &question).await;
    assert_eq!(posted["posted"]["back_usd"], "0.01");
    assert_eq!(posted["by_org"][0]["posted"]["back_credits"], "0.1");
    assert_eq!(customer.available().await, "9.7");
    assert_eq!(summed(&customer).await, ["0.4", "0.1", "0"]);
    let again = ended(&server, &question).await;
    assert_eq!(
        (&again["charges"], &again["due"]["charges"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(customer.available().await, "9.7");

    // The receipt and the history name it.
    let shown = receipt(&customer, &first).await;
    assert_eq!(shown["corrections"][0]["release_id"], right.as_str());
    assert_eq!(shown["corrections"][0]["way"], "back");
    assert_eq!(shown["corrections"][0]["credits"], "0.1");
    let history = customer.get("/v1/transactions?limit=1").await.expect(200);
    let newest = &history["items"][0];
    assert_eq!(newest["kind"], "charge_refund");
    assert_eq!(newest["charge_id"], first["charge_id"]);
    assert_eq!(newest["id"], shown["corrections"][0]["transaction_id"]);
    let note = newest["note"].as_str().unwrap();
    assert!(note.ends_with(": the book had the wrong price"), "{note}");

    // Even that was wrong: it should have been four. What went back is compared with, too.
    let dearer = pushed(&server, "dearer", "4").await;
    let mut question = json!({"wrong_release_id": wrong, "corrected_release_id": dearer,
        "post": true});
    let told = ended(&server, &question).await;
    assert_eq!(told["due"]["taken_usd"], "0.005");
    assert_eq!(told["posted"]["charges"], 0);
    assert_eq!(customer.available().await, "9.7");
    question["debit"] = json!(true);
    let posted = ended(&server, &question).await;
    assert_eq!(posted["posted"]["taken_usd"], "0.005");
    assert_eq!(customer.available().await, "9.65");
    assert_eq!(summed(&customer).await, ["0.4", "0.1", "0.05"]);
    let again = ended(&server, &question).await;
    assert_eq!(again["due"]["charges"], 0);
    let shown = receipt(&customer, &first).await;
    assert_eq!(shown["corrections"][1]["way"], "taken");
    let history = customer.get("/v1/transactions?limit=1").await.expect(200);
    assert_eq!(history["items"][0]["kind"], "deduction");
    assert_eq!(history["items"][0]["charge_id"], first["charge_id"]);
    // And back to three, through the same release as at first.
    let question = json!({"wrong_release_id": wrong, "corrected_release_id": right, "post": true});
    let posted = ended(&server, &question).await;
    assert_eq!(posted["posted"]["back_usd"], "0.005");
    assert_eq!(customer.available().await, "9.7");
    assert_eq!(summed(&customer).await, ["0.4", "0.1", "0"]);
    proved(&server);
}

#[tokio::test]
async fn refunds_by_hand_are_not_given_twice() {
    let server = Server::start().await;
    let wrong = sells(&server, &release_file("wrong", "5")).await;
    let right = pushed(&server, "right", "3").await;
    let customer = server.customer("acme", "10").await;
    let charged = charged(&customer, of_feature("chat", 5_000)).await;
    let refunds = format!("/v1/admin/orgs/{}/refunds", customer.org);
    let body = json!({"charge_id": charged["charge_id"], "amount_credits": "0.04"});
    server
        .client
        .admin(Method::POST, &refunds, body)
        .await
        .expect(201);
    let question = json!({"wrong_release_id": wrong, "corrected_release_id": right, "post": true});
    let posted = ended(&server, &question).await;
    assert_eq!(posted["posted"]["back_usd"], "0.006");
    assert_eq!(customer.available().await, "9.85");
    assert_eq!(ended(&server, &question).await["due"]["charges"], 0);
    proved(&server);
}

#[tokio::test]
async fn a_wallet_without_credits_is_not_overdrawn_by_a_debit() {
    let server = Server::start().await;
    let wrong = sells(&server, &release_file("wrong", "3")).await;
    let right = pushed(&server, "right", "5").await;
    let customer = server.customer("acme", "0.15").await;
    charged(&customer, of_feature("chat", 5_000)).await;
    let question = json!({"wrong_release_id": wrong, "corrected_release_id": right,
        "post": true, "debit": true});
    let refused = ended(&server, &question).await;
    assert_eq!(refused["posted"]["charges"], 0);
    assert_eq!(
        refused["refused"].as_object().unwrap().len(),
        1,
        "{refused}"
    );
    // A refusal is no effect: after a top-up it is tried again.
    let grants = format!("/v1/admin/orgs/{}/grants", customer.org);
    let grant = json!({"amount_credits": "1", "source": "purchase"});
    server
        .client
        .admin(Method::POST, &grants, grant)
        .await
        .expect(201);
    let posted = ended(&server, &question).await;
    assert_eq!(posted["posted"]["taken_usd"], "0.01");
    assert_eq!(customer.available().await, "0.9");
    proved(&server);
}

#[tokio::test]
async fn two_repairs_at_once_and_one_that_is_stopped_post_each_correction_once() {
    let server = Server::start().await;
    let wrong = sells(&server, &release_file("wrong", "5")).await;
    let right = pushed(&server, "right", "3").await;
    let customer = server.customer("acme", "1000").await;
    for _ in 0..8 {
        let items = vec![of_feature("chat", 5_000); 256];
        let batch = customer.post("/v1/usage/batch", json!({"items": items}));
        batch.await.expect(200);
    }
    // 2,048 charges of 0.25 credits, which should have been 0.15.
    assert_eq!(customer.available().await, "488");
    let question = json!({"wrong_release_id": wrong, "corrected_release_id": right, "post": true});
    let stopped = begin(&server, &question).await;
    let path = format!("{PATH}/{}", stopped["id"].as_str().unwrap());
    let answer = server
        .client
        .admin(Method::DELETE, &path, Value::Null)
        .await;
    answer.expect(202);
    let mut posted = follow(&server, &stopped).await["report"]["posted"]["charges"]
        .as_u64()
        .unwrap();
    let (one, other) = (
        begin(&server, &question).await,
        begin(&server, &question).await,
    );
    for begun in [one, other] {
        let report = follow(&server, &begun).await["report"].clone();
        assert_eq!(report["refused"], json!({}));
        posted += report["posted"]["charges"].as_u64().unwrap();
    }
    assert_eq!(posted, 2_048);
    assert_eq!(customer.available().await, "692.8");
    assert_eq!(ended(&server, &question).await["due"]["charges"], 0);
    proved(&server);
}

#[tokio::test]
async fn repairs_at_once_under_two_releases_give_no_money_twice() {
    let server = Server::start().await;
    let wrong = sells(&server, &release_file("wrong", "5")).await;
    let (three, four) = (
        pushed(&server, "three", "3").await,
        pushed(&server, "four", "4").await,
    );
    let customer = server.customer("acme", "1000").await;
    for _ in 0..4 {
        let items = vec![of_feature("chat", 5_000); 256];
        let batch = customer.post("/v1/usage/batch", json!({"items": items}));
        batch.await.expect(200);
    }
    // 1,024 charges of 0.25 credits, which should have been 0.15, or 0.20.
    assert_eq!(customer.available().await, "744");
    let under = |corrected: &str| {
        json!({"wrong_release_id": wrong,
        "corrected_release_id": corrected, "post": true})
    };
    let (one, other) = (
        begin(&server, &under(&three)).await,
        begin(&server, &under(&four)).await,
    );
    for begun in [one, other] {
        follow(&server, &begun).await;
    }
    // Whichever came first to a charge, it is right after the next.
    ended(&server, &under(&three)).await;
    assert_eq!(customer.available().await, "846.4");
    assert_eq!(ended(&server, &under(&three)).await["due"]["charges"], 0);
    proved(&server);
}

#[tokio::test]
async fn a_charge_that_comes_to_what_it_was_before_is_corrected_again() {
    let server = Server::start().await;
    let wrong = sells(&server, &release_file("wrong", "5")).await;
    let right = pushed(&server, "right", "3").await;
    let as_it_was = pushed(&server, "as it was", "5").await;
    let customer = server.customer("acme", "10").await;
    charged(&customer, of_feature("chat", 5_000)).await;
    let (low, high) = ((&right, "9.85"), (&as_it_was, "9.75"));
    for (corrected, credits) in [low, high, low, high, low] {
        let question = json!({"wrong_release_id": wrong, "corrected_release_id": corrected,
            "post": true, "debit": true});
        let report = ended(&server, &question).await;
        assert_eq!(
            (&report["posted"]["charges"], &report["posted_before"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(customer.available().await, credits);
    }
    proved(&server);
}

#[tokio::test]
async fn what_a_debit_took_too_much_goes_back_beyond_the_price_of_the_charge() {
    let server = Server::start().await;
    let wrong = sells(&server, &release_file("wrong", "5")).await;
    let typo = pushed(&server, "typo", "100").await;
    let right = pushed(&server, "right", "3").await;
    let customer = server.customer("acme", "10").await;
    let first = charged(&customer, of_feature("chat", 5_000)).await;
    for (corrected, credits) in [(&typo, "5"), (&right, "9.85")] {
        let question = json!({"wrong_release_id": wrong, "corrected_release_id": corrected,
            "post": true, "debit": true});
        let report = ended(&server, &question).await;
        assert_eq!(report["posted"], report["due"]);
        assert_eq!(report["posted"]["charges"], 1);
        assert_eq!(customer.available().await, credits);
        assert_eq!(ended(&server, &question).await["due"]["charges"], 0);
    }
    // 4.75 of what was taken, as a lot, and 0.1 of the charge itself: both name it.
    let shown = receipt(&customer, &first).await;
    let corrections = shown["corrections"].as_array().unwrap();
    let found: Vec<_> = corrections
        .iter()
        .map(|one| {
            (
                one["way"].as_str().unwrap(),
                one["credits"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [("taken", "4.75"), ("back", "4.75"), ("back", "0.1")]
    );
    let history = customer.get("/v1/transactions?limit=2").await.expect(200);
    for (item, kind) in [(0, "charge_refund"), (1, "grant")] {
        assert_eq!(history["items"][item]["kind"], kind);
        assert_eq!(history["items"][item]["charge_id"], first["charge_id"]);
    }
    proved(&server);
}

#[tokio::test]
async fn a_repair_that_cannot_be_meant_is_refused() {
    let server = Server::start().await;
    let wrong = server.bound(None).await;
    let right = pushed(&server, "right", "3").await;
    let ask = async |question: Value| server.client.admin(Method::POST, PATH, question).await;
    let same = json!({"wrong_release_id": wrong, "corrected_release_id": wrong});
    ask(same).await.problem(400, "invalid-request");
    let nobody = format!("rel_{}", "5".repeat(64));
    let unknown = json!({"wrong_release_id": wrong, "corrected_release_id": nobody});
    ask(unknown).await.problem(404, "not-found");
    let ahead = json!({"wrong_release_id": wrong, "corrected_release_id": right,
        "since": "2999-01-01T00:00:00Z"});
    ask(ahead).await.problem(400, "invalid-request");
    let revoke = format!("/v1/admin/policies/{right}/revoke");
    let why = json!({"why": "wrong too"});
    server
        .client
        .admin(Method::POST, &revoke, why)
        .await
        .expect(200);
    let revoked = json!({"wrong_release_id": wrong, "corrected_release_id": right});
    ask(revoked).await.problem(409, "conflict");
}
