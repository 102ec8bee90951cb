//! What an operator does at a running host: releases, bindings, and what was charged under them.

use farebox::app::shipped::STANDARD_COMPONENT;
use farebox::engine::package::Package;
use farebox_book::{Format, compile};
use farebox_tests::http::{ADMIN_KEY, HttpServer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What the operator asks of the host.
pub fn operate(host: SocketAddr, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Value {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("http://{host}{path}"))
        .header("authorization", format!("Bearer {ADMIN_KEY}"))
        .header("content-type", kind);
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = agent.build().into();
    let mut answer = agent.run(request.body(body).unwrap()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(answer.status().is_success(), "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Pushes the release of this book; its address.
pub fn push(host: SocketAddr, text: String) -> String {
    let package = Package {
        component: STANDARD_COMPONENT.to_vec(),
        book: Some(compile(&text, Format::Toml).unwrap().canonical),
        book_source: Some(text.into_bytes()),
        ..Package::default()
    };
    let path = "/v1/admin/policies";
    let release = operate(host, "POST", path, "application/wasm", package.to_file());
    release["id"].as_str().unwrap().to_owned()
}

/// Binds it for everyone, or for the part of them that `part` names.
pub fn activate(host: SocketAddr, release: &str, expected: &str, part: Value) {
    let mut body = json!({"release_id": release, "expected": expected, "why": "test"});
    let (Value::Object(body_fields), Value::Object(part)) = (&mut body, part) else {
        panic!("a part is an object");
    };
    body_fields.extend(part);
    let body = body.to_string().into_bytes();
    let path = "/v1/admin/bindings/activate";
    operate(host, "POST", path, "application/json", body);
}

/// Each charge by the number of its call: its price and its release.
pub fn charges(host: &HttpServer, key: &str) -> BTreeMap<String, (String, String)> {
    let mut all = BTreeMap::new();
    let mut page = "/v1/usage?limit=100".to_owned();
    loop {
        let items = host.read(key, &page);
        for event in items["items"].as_array().unwrap() {
            let charge = event["charge_id"].as_str().unwrap();
            let receipt = host.read(key, &format!("/v1/charges/{charge}/receipt"));
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let of = (
                text(&receipt["price"]["price_usd"]),
                text(&receipt["release"]["id"]),
            );
            let number = text(&event["response_id"]);
            assert!(all.insert(number, of).is_none(), "charged twice: {event}");
        }
        match items["next_cursor"].as_str() {
            Some(cursor) => page = format!("/v1/usage?limit=100&cursor={cursor}"),
            None => return all,
        }
    }
}
