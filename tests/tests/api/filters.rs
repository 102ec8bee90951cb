//! Filters: which build of a gateway's filter belongs to which component, and who is refused.

use super::server::{Answer, Customer, Server, release_file};
use axum::http::Method;
use farebox::config::{EdgeFiltersOption, Options};
use farebox::engine::package::Package;
use farebox::service::policy::Digest;
use serde_json::{Value, json};

const OWN: u8 = 0xA1;
const OTHER: u8 = 0xB2;

fn file(name: &str, filters: &[u8]) -> Vec<u8> {
    let filters = filters.iter().map(|filter| Digest([*filter; 32]));
    Package {
        filters: filters.collect(),
        ..Package::open(&release_file(name, "3")).unwrap()
    }
    .to_file()
}

fn hex(filter: u8) -> String {
    hex::encode([filter; 32])
}

async fn hold(customer: &Customer, filter: Option<&str>) -> Answer {
    let call = json!({"provider": "openai", "model": "gpt-4o-mini", "body_bytes": 100,
        "max_output_tokens": 100});
    let body = json!({"call": call, "filter": filter});
    customer.post("/v1/holds", body).await
}

async fn lease(customer: &Customer, filter: &str) -> Answer {
    let body = json!({"edge": "edge-1", "needed_credits": "0.01", "filter": filter});
    customer.post("/v1/leases", body).await
}

async fn renew(customer: &Customer, lease: &Value, filter: &str) -> Answer {
    let body = json!({"turn": lease["turn"], "keep_credits": "0", "free_credits": "0",
        "recent_credits": "0", "filter": filter});
    let path = format!("/v1/leases/{}/renew", lease["id"].as_str().unwrap());
    customer.post(&path, body).await
}

#[tokio::test]
async fn a_filter_holds_and_leases_only_for_its_own_component() {
    let server = Server::start().await;
    let customer = server.customer("acme", "100").await;
    // A gateway of another kind has none to state.
    hold(&customer, None).await.expect(201);
    let own = hex(OWN);
    let before = customer.available().await;
    let told = hold(&customer, Some(&own)).await;
    let told = told.problem(403, "filter-not-known");
    assert_eq!(told["filter"], own.as_str());
    lease(&customer, &own)
        .await
        .problem(403, "filter-not-known");
    assert_eq!(customer.available().await, before, "nothing was held");

    let release = server.push(&file("with", &[OWN])).await.expect(201);
    assert_eq!(release["component"], told["component"]);
    assert_eq!(release["filters"][0]["filter"], own.as_str());
    // The configured release is another, of the same component.
    hold(&customer, Some(&own)).await.expect(201);
    let leased = lease(&customer, &own).await.expect(201);
    renew(&customer, &leased, &hex(OTHER))
        .await
        .problem(403, "filter-not-known");
    renew(&customer, &leased, &own).await.expect(200);
    let other = hex(OTHER);
    hold(&customer, Some(&other))
        .await
        .problem(403, "filter-not-known");
    for wrong in ["", "a1", &own[1..]] {
        let told = hold(&customer, Some(wrong)).await;
        told.problem(400, "invalid-request");
    }
    let page = server.client.send(Method::GET, "/metrics", &[], "").await;
    let page = page.text();
    let counted = "farebox_edge_filters_refused 4";
    assert!(page.lines().any(|line| line == counted), "{page}");
}

#[tokio::test]
async fn what_was_said_of_filters_only_grows_and_comes_back_with_the_file() {
    let server = Server::start().await;
    server.push(&file("same", &[])).await.expect(201);
    let both = file("same", &[OWN, OTHER]);
    server.push(&file("same", &[OWN])).await.expect(201);
    server.push(&file("same", &[OTHER])).await.expect(201);
    let release = server.push(&file("same", &[])).await.expect(201);
    let filters = release["filters"].as_array().unwrap();
    assert_eq!(filters.len(), 2, "{release}");
    let path = format!(
        "/v1/admin/policies/{}/file",
        release["id"].as_str().unwrap()
    );
    let exported = server.client.admin(Method::GET, &path, Value::Null).await;
    assert_eq!(exported.body, both);

    let server = server.restart_as(|_| {}).await;
    let customer = server.customer("acme", "100").await;
    for filter in [OWN, OTHER] {
        hold(&customer, Some(&hex(filter))).await.expect(201);
    }
    let shown = server
        .client
        .admin(Method::GET, "/v1/admin/policies", Value::Null)
        .await;
    let shown = shown.expect(200);
    let of = |name: &str| {
        let mut all = shown.as_array().unwrap().iter();
        all.find(|release| release["name"] == name).unwrap().clone()
    };
    assert_eq!(of("same")["filters"], release["filters"]);
}

#[tokio::test]
async fn any_filter_holds_where_that_is_declared() {
    let any = |options: &mut Options| options.edge_filters = Some(EdgeFiltersOption::Any);
    let server = Server::start_as(any).await;
    let customer = server.customer("acme", "100").await;
    hold(&customer, Some(&hex(OTHER))).await.expect(201);
    lease(&customer, &hex(OTHER)).await.expect(201);
}
