//! The description of the API is the API: every operation in it answers, asks for a key, and knows
//! nothing of another org's ids. Generated from the document, so a new route is tested at once.

use super::operations::{Ids, body_of, examples, operations};
use super::server::{ADMIN, Server, call, release_file, usage};
use hyper::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn every_operation_answers_as_documented() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let mut tried = 0;
    // What ends a thing comes last.
    let mut operations = operations();
    operations.sort_by_key(|operation| {
        (
            operation.method == Method::DELETE,
            operation.path.ends_with("/release"),
            operation.name(),
        )
    });
    let ids = Ids::of(&server, &customer).await;
    let examples = examples(&ids);
    for operation in &operations {
        let (body, status) = body_of(&examples, operation);
        let key = if operation.is_for_admins() {
            ADMIN
        } else {
            &customer.key
        };
        let path = ids.fill(&operation.path);
        let answer = if operation.takes_file {
            server
                .send_file(&path, &release_file("documented", "4"))
                .await
        } else {
            server
                .client
                .with_key(key, operation.method.clone(), &path, body)
                .await
        };
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{}: {}",
            operation.name(),
            String::from_utf8_lossy(&answer.body)
        );
        assert!(
            answer.headers.contains_key("x-request-id"),
            "{}",
            operation.name()
        );
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

#[tokio::test]
async fn every_operation_asks_for_a_key() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let ids = Ids::of(&server, &customer).await;
    let examples = examples(&ids);
    let mut asked = 0;
    for operation in operations().iter().filter(|operation| !operation.is_public) {
        let path = ids.fill(&operation.path);
        let (body, _) = body_of(&examples, operation);
        let json = [("content-type", "application/json")];
        let answer = server
            .client
            .send(operation.method.clone(), &path, &json, body.to_string())
            .await;
        answer.problem(401, "unauthenticated");
        if operation.is_for_admins() {
            let answer = server
                .client
                .with_key(&customer.key, operation.method.clone(), &path, body)
                .await;
            answer.problem(403, "forbidden");
        }
        asked += 1;
    }
    assert!(asked > 25, "{asked}");
}

#[tokio::test]
async fn another_orgs_ids_do_not_exist_on_any_route() {
    let server = Server::start().await;
    let acme = server.customer("acme", "10").await;
    let ids = Ids::of(&server, &acme).await;
    let examples = examples(&ids);
    let other = server.customer("other", "10").await;
    let foreign = |path: &str| Ids::fill(&ids, &path.replace("{org_id}", &other.org));
    let mut tried = 0;
    for operation in operations() {
        // An id besides the org's own: the other org names it. Some things are no org's.
        let mut own = operation.path.replace("{org_id}", "");
        for nobodys in ["{release_id}", "{backtest_id}", "{repair_id}", "{trial_id}"] {
            own = own.replace(nobodys, "");
        }
        let has_id = own.contains('{');
        if operation.is_public || !has_id {
            continue;
        }
        let key = if operation.is_for_admins() {
            ADMIN
        } else {
            &other.key
        };
        let (body, _) = body_of(&examples, &operation);
        let path = foreign(&operation.path);
        let answer = server
            .client
            .with_key(key, operation.method.clone(), &path, body)
            .await;
        assert_eq!(
            answer.status.as_u16(),
            404,
            "{} {:?}",
            operation.name(),
            answer.text()
        );
        tried += 1;
    }
    assert!(tried >= 10, "{tried}");
    // Ids inside bodies and queries.
    let mut report = usage();
    report["hold_id"] = json!(ids.hold);
    other
        .post("/v1/usage", report)
        .await
        .problem(404, "not-found");
    let hold = json!({"call": call(), "quote_id": ids.quote});
    other
        .post("/v1/holds", hold)
        .await
        .problem(404, "not-found");
    let refunds = format!("/v1/admin/orgs/{}/refunds", other.org);
    for refund in [
        json!({"charge_id": ids.charge}),
        json!({"grant_id": ids.grant}),
    ] {
        let answer = server.client.admin(Method::POST, &refunds, refund).await;
        answer.problem(404, "not-found");
    }
    let named = [("farebox-org", ids.org.as_str())];
    let answer = server
        .client
        .with_headers(&other.key, Method::GET, "/v1/wallet", &named, Value::Null)
        .await;
    answer.problem(404, "not-found");
    let usage = other
        .get(&format!("/v1/usage?key_id={}", ids.key))
        .await
        .expect(200);
    assert_eq!(usage["items"], json!([]));
}

#[tokio::test]
async fn an_org_that_is_not_there_is_not_found() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let mut ids = Ids::of(&server, &customer).await;
    let examples = examples(&ids);
    ids.org = "org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01".to_owned();
    let mut tried = 0;
    for operation in operations() {
        if !operation.path.contains("{org_id}") {
            continue;
        }
        let (body, _) = body_of(&examples, &operation);
        let path = ids.fill(&operation.path);
        let answer = server
            .client
            .admin(operation.method.clone(), &path, body)
            .await;
        assert_eq!(
            answer.status.as_u16(),
            404,
            "{} {:?}",
            operation.name(),
            answer.text()
        );
        tried += 1;
    }
    assert!(tried > 10, "{tried}");
}

#[tokio::test]
async fn the_document_is_served_and_is_the_one_in_docs() {
    let server = Server::start().await;
    let served = server
        .client
        .send(Method::GET, "/openapi.json", &[], "")
        .await;
    let text = served.text() + "\n";
    assert_eq!(
        served.json()["openapi"].as_str().unwrap().split('.').next(),
        Some("3")
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    if std::env::var_os("FAREBOX_UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == text,
        "docs/openapi.json is old: run the test with FAREBOX_UPDATE_DOCS=1"
    );
}

#[tokio::test]
async fn every_kind_of_problem_is_described_where_its_type_points() {
    let server = Server::start().await;
    let all = server.client.send(Method::GET, "/problems", &[], "").await;
    let all = all.expect(200);
    assert!(all.as_array().unwrap().len() > 20);
    for kind in all.as_array().unwrap() {
        let path = kind["type"].as_str().unwrap();
        let one = server.client.send(Method::GET, path, &[], "").await;
        assert_eq!(one.expect(200), *kind);
    }
}
