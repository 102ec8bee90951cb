//! What every operation refuses alike: a key that is wrong or over, a body that is too large, is no
//! JSON or says more than is understood. Generated from the document, so no route is left out.

use super::operations::{Ids, Operation, body_of, examples, operations};
use super::server::{ADMIN, Answer, Server};
use farebox::clock::ManualClock;
use hyper::Method;
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn a_key_that_is_wrong_expired_or_revoked_opens_no_operation() {
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let server = Server::start_at(clock.clone()).await;
    let customer = server.customer("acme", "10").await;
    let ids = Ids::of(&server, &customer).await;
    let examples = examples(&ids);
    let keys = format!("/v1/admin/orgs/{}/keys", customer.org);
    let make = async |expires_at: Value| {
        let body = json!({"name": "k", "scopes": ["admin", "org:read", "org:write"],
            "expires_at": expires_at});
        server.client.make_key(&customer.org, body).await
    };
    let expired = make(json!("2027-01-15T08:00:10Z")).await;
    let revoked = make(Value::Null).await;
    let revoke = format!("{keys}/{}/revoke", revoked["id"].as_str().unwrap());
    let answer = server.client.admin(Method::POST, &revoke, json!({})).await;
    answer.expect(200);
    clock.advance(10_000);
    let unknown =
        farebox::service::secret::KeyText::generate(farebox_ledger::ids::KeyId::new(7)).unwrap();
    let mut tried = 0;
    for operation in operations().iter().filter(|operation| !operation.is_public) {
        let (body, _) = body_of(&examples, operation);
        let path = ids.fill(&operation.path);
        for (key, slug) in [
            (unknown.reveal(), "unauthenticated"),
            (&ADMIN[1..], "unauthenticated"),
            (expired["key"].as_str().unwrap(), "key-ended"),
            (revoked["key"].as_str().unwrap(), "key-ended"),
        ] {
            let answer = server
                .client
                .with_key(key, operation.method.clone(), &path, body.clone())
                .await;
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            answer.problem(401, slug);
            tried += 1;
        }
    }
    assert!(tried > 120, "{tried}");
    // None of it took effect.
    assert_eq!(
        customer.get("/v1/wallet").await.expect(200)["org_id"],
        customer.org
    );
}

/// Sends `body` as it is to `operation`, with a key that may do everything.
async fn raw(server: &Server, ids: &Ids, operation: &Operation, kind: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {ADMIN}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("farebox-org", ids.org.as_str()),
        ("content-type", kind),
    ];
    let path = ids.fill(&operation.path);
    let method = operation.method.clone();
    server
        .client
        .send(method, &path, &headers, body.to_owned())
        .await
}

#[tokio::test]
async fn a_body_that_is_not_understood_is_refused_by_every_operation_with_one() {
    let server = Server::start_as(|options| options.body_bytes_max = Some(1_024)).await;
    let customer = server.customer("acme", "10").await;
    let ids = Ids::of(&server, &customer).await;
    let examples = examples(&ids);
    let wallet = customer.get("/v1/wallet").await.expect(200);
    let mut tried = 0;
    for operation in operations().iter().filter(|operation| operation.has_body) {
        let (body, _) = body_of(&examples, operation);
        assert!(body.is_object(), "{}", operation.name());
        let send = async |kind: &str, body: &str| raw(&server, &ids, operation, kind, body).await;
        let mut surprise = body.clone();
        surprise["surprise"] = json!(1);
        let refused = send("application/json", &surprise.to_string()).await;
        let problem = refused.problem(400, "invalid-request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("surprise"),
            "{}: {detail}",
            operation.name()
        );
        for cut in ["", "{", "{]", "\u{0}"] {
            let refused = send("application/json", cut).await;
            refused.problem(400, "malformed-json");
        }
        let refused = send("application/json", "[]").await;
        refused.problem(400, "invalid-request");
        let large = format!("{{\"surprise\":\"{}\"}}", "x".repeat(2_048));
        let refused = send("application/json", &large).await;
        refused.problem(413, "body-too-large");
        let refused = send("text/plain", &body.to_string()).await;
        refused.problem(415, "unsupported-media-type");
        tried += 1;
    }
    assert!(tried > 18, "{tried}");
    assert_eq!(customer.get("/v1/wallet").await.expect(200), wallet);
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused_by_every_list() {
    let server = Server::start().await;
    let customer = server.customer("acme", "10").await;
    let ids = Ids::of(&server, &customer).await;
    let document = serde_json::to_value(farebox::http::openapi()).unwrap();
    let mut tried = 0;
    for operation in operations() {
        let described = &document["paths"][&operation.path]["get"]["parameters"];
        let takes_query = described
            .as_array()
            .is_some_and(|all| all.iter().any(|parameter| parameter["in"] == "query"));
        if operation.method != Method::GET || !takes_query {
            continue;
        }
        let path = ids.fill(&operation.path);
        let headers = [("farebox-org", ids.org.as_str())];
        for query in ["surprise=1", "limit=0", "limit=1001", "limit=x"] {
            let answer = server
                .client
                .with_headers(
                    ADMIN,
                    Method::GET,
                    &format!("{path}?{query}"),
                    &headers,
                    Value::Null,
                )
                .await;
            answer.problem(400, "invalid-request");
        }
        tried += 1;
    }
    assert!(tried > 6, "{tried}");
}
