//! `farebox key` against a running server: made, shown once, listed, used and ended.

use crate::serving::{ADMIN_KEY, Server};
use serde_json::Value;
use std::process::{Command, Output};

fn farebox(server: &Server, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(arguments)
        .env("FAREBOX_URL", &server.url)
        .env("FAREBOX_ADMIN_KEY", ADMIN_KEY)
        .output()
        .unwrap()
}

/// The JSON answer of a command that works.
fn json_of(server: &Server, arguments: &[&str]) -> Value {
    let output = farebox(server, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The status with which the wallet of a key's org is answered.
fn wallet(server: &Server, key: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let answer = agent
        .get(format!("{}/v1/wallet", server.url))
        .header("authorization", format!("Bearer {key}"))
        .call();
    answer.unwrap().status().as_u16()
}

#[test]
fn a_key_is_made_listed_and_ended_from_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let nothing: [&str; 0] = [];
    let server = Server::start(&folder.path().join("data"), nothing);
    let org = json_of(&server, &["org", "create", "acme"])["id"].clone();
    let org = org.as_str().unwrap();
    let made = json_of(
        &server,
        &[
            "key",
            "create",
            org,
            "gateway",
            "--scope",
            "org:read",
            "--expires-at",
            "2099-01-01T00:00:00Z",
        ],
    );
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(made["scopes"], serde_json::json!(["org:read"]));
    assert_eq!(wallet(&server, key), 200);

    let listed = farebox(&server, &["key", "list", org]);
    let told = String::from_utf8(listed.stdout).unwrap();
    assert!(told.contains(id) && told.contains("gateway"), "{told}");
    assert!(!told.contains(key), "a key is shown once: {told}");
    let listed = json_of(&server, &["key", "list", org]);
    let listed = listed.get("items").unwrap_or(&listed);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["revoked_at"], Value::Null);

    json_of(&server, &["key", "revoke", org, id]);
    assert_eq!(wallet(&server, key), 401);
    let listed = json_of(&server, &["key", "list", org]);
    let listed = listed.get("items").unwrap_or(&listed);
    assert!(listed[0]["revoked_at"].is_string(), "{listed}");

    let nobody = "key_00000000000000000000000000000000";
    let unknown = farebox(&server, &["key", "revoke", org, nobody]);
    assert_eq!(unknown.status.code(), Some(1));
    let scope = farebox(&server, &["key", "create", org, "x", "--scope", "all"]);
    assert_eq!(scope.status.code(), Some(1));
    assert!(!scope.stderr.is_empty());
}
