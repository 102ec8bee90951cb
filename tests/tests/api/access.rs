//! Keys: who is let in, and who no longer is.

use super::server::{ADMIN, Server, call, usage};
use farebox::clock::ManualClock;
use hyper::Method;
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn a_wrong_key_is_refused_whatever_is_wrong_with_it() {
    let server = Server::start().await;
    let customer = server.customer("acme", "1").await;
    let mut mistyped = customer.key.clone();
    let last = if mistyped.pop() == Some('0') {
        '1'
    } else {
        '0'
    };
    mistyped.push(last);
    // Well formed, with a checksum that fits, and never made.
    let unknown =
        farebox::service::secret::KeyText::generate(farebox_ledger::ids::KeyId::new(7)).unwrap();
    for key in ["", "nonsense", &mistyped, unknown.reveal(), &ADMIN[1..]] {
        let answer = server
            .client
            .with_key(key, Method::GET, "/v1/wallet", Value::Null)
            .await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        answer.problem(401, "unauthenticated");
    }
    let basic = [("authorization", "Basic dXNlcjpwYXNz")];
    let answer = server
        .client
        .send(Method::GET, "/v1/wallet", &basic, "")
        .await;
    answer.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_revoked_key_ends_at_once() {
    let server = Server::start().await;
    let customer = server.customer("acme", "1").await;
    customer.get("/v1/wallet").await.expect(200);
    let path = format!(
        "/v1/admin/orgs/{}/keys/{}/revoke",
        customer.org, customer.key_id
    );
    let revoked = server
        .client
        .admin(Method::POST, &path, json!({}))
        .await
        .expect(200);
    assert!(revoked["revoked_at"].is_string());
    customer.get("/v1/wallet").await.problem(401, "key-ended");
    let again = server
        .client
        .admin(Method::POST, &path, json!({}))
        .await
        .expect(200);
    assert_eq!(again["revoked_at"], revoked["revoked_at"]);
}

#[tokio::test]
async fn an_expired_key_ends_by_the_clock() {
    let start_ms = 1_800_000_000_000;
    let clock = Arc::new(ManualClock::at(start_ms));
    let server = Server::start_at(clock.clone()).await;
    let customer = server.customer("acme", "1").await;
    let path = format!("/v1/admin/orgs/{}/keys", customer.org);
    let body = json!({"name": "short", "scopes": ["org:read"],
        "expires_at": "2027-01-15T08:00:10Z"});
    let key = server.client.make_key(&customer.org, body).await;
    let key = key["key"].as_str().unwrap();
    let wallet = || {
        server
            .client
            .with_key(key, Method::GET, "/v1/wallet", Value::Null)
    };
    wallet().await.expect(200);
    clock.advance(10_000);
    wallet().await.problem(401, "key-ended");
    let late = json!({"name": "late", "scopes": ["org:read"],
        "expires_at": "2027-01-15T08:00:10Z"});
    let refused = server.client.admin(Method::POST, &path, late).await;
    refused.problem(400, "invalid-request");
}

#[tokio::test]
async fn a_scope_that_is_missing_is_named() {
    let server = Server::start().await;
    let customer = server.customer("acme", "1").await;
    let path = format!("/v1/admin/orgs/{}/keys", customer.org);
    let body = json!({"name": "reader", "scopes": ["org:read"]});
    let reader = server.client.make_key(&customer.org, body).await;
    let reader = reader["key"].as_str().unwrap();
    let post = |path, body| server.client.with_key(reader, Method::POST, path, body);
    for (path, body) in [
        ("/v1/quotes", json!({"call": call()})),
        ("/v1/holds", json!({"call": call()})),
        ("/v1/usage", usage()),
    ] {
        let problem = post(path, body).await.problem(403, "forbidden");
        assert!(
            problem["detail"].as_str().unwrap().contains("org:write"),
            "{problem}"
        );
    }
    let bad = json!({"name": "x", "scopes": ["root"]});
    let refused = server.client.admin(Method::POST, &path, bad).await;
    refused.problem(400, "invalid-request");
    let none = json!({"name": "x", "scopes": []});
    let refused = server.client.admin(Method::POST, &path, none).await;
    refused.problem(400, "invalid-request");
}

#[tokio::test]
async fn the_text_of_a_key_is_shown_once_and_kept_nowhere() {
    let server = Server::start().await;
    let customer = server.customer("acme", "1").await;
    let path = format!("/v1/admin/orgs/{}/keys", customer.org);
    let listed = server.client.admin(Method::GET, &path, Value::Null).await;
    let secret = customer.key.rsplit('_').next().unwrap();
    assert!(!listed.text().contains(secret));
    let body = json!({"name": "once", "scopes": ["org:read"]});
    let once = [("idempotency-key", "key-1")];
    let create = || {
        server
            .client
            .with_headers(ADMIN, Method::POST, &path, &once, body.clone())
    };
    create().await.expect(201);
    create().await.problem(409, "conflict");
    for file in std::fs::read_dir(server.folder().join("data")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn an_admin_names_the_org_and_the_bootstrap_admin_must() {
    let server = Server::start().await;
    let customer = server.customer("acme", "1").await;
    let named = [("farebox-org", customer.org.as_str())];
    let wallet = server
        .client
        .with_headers(ADMIN, Method::GET, "/v1/wallet", &named, Value::Null)
        .await
        .expect(200);
    assert_eq!(wallet["org_id"], customer.org);
    let unnamed = server
        .client
        .admin(Method::GET, "/v1/wallet", Value::Null)
        .await;
    unnamed.problem(400, "invalid-request");
    let wrong = [("farebox-org", "acme")];
    server
        .client
        .with_headers(ADMIN, Method::GET, "/v1/wallet", &wrong, Value::Null)
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn an_org_is_made_once_however_often_it_is_asked_for() {
    let server = Server::start().await;
    let once = [("idempotency-key", "org-1")];
    let create = |body: Value| {
        let client = server.client.clone();
        async move {
            client
                .with_headers(ADMIN, Method::POST, "/v1/admin/orgs", &once, body)
                .await
        }
    };
    let acme = json!({"name": "acme", "credit_limit_credits": "1"});
    let first = create(acme.clone()).await.expect(201);
    assert_eq!(create(acme).await.expect(201), first);
    let other = json!({"name": "acme", "credit_limit_credits": "2"});
    create(other).await.problem(422, "idempotency-conflict");
    create(json!({"name": "else"}))
        .await
        .problem(422, "idempotency-conflict");
    let listed = server
        .client
        .admin(Method::GET, "/v1/admin/orgs", Value::Null)
        .await
        .expect(200);
    assert_eq!(listed["items"], json!([first]));
    // Without the key the name is taken.
    let again = server
        .client
        .admin(Method::POST, "/v1/admin/orgs", json!({"name": "acme"}))
        .await;
    again.problem(409, "conflict");
}

#[tokio::test]
async fn what_was_done_is_in_the_audit_under_the_request_id() {
    let server = Server::start().await;
    let customer = server.customer("acme", "1").await;
    let path = format!("/v1/admin/orgs/{}/grants", customer.org);
    let headers = [("x-request-id", "req-42")];
    let body = json!({"amount_credits": "1", "source": "promotional"});
    let answer = server
        .client
        .with_headers(ADMIN, Method::POST, &path, &headers, body)
        .await;
    assert_eq!(answer.headers["x-request-id"], "req-42");
    answer.expect(201);
    let audit = customer.get("/v1/audit").await.expect(200);
    let entry = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["request_id"] == "req-42")
        .unwrap();
    assert_eq!(entry["actor"], "admin");
    let answer = server.client.send(Method::GET, "/healthz", &[], "").await;
    assert_eq!(answer.headers["x-request-id"].len(), 32);
}
