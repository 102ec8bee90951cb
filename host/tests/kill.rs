//! L9 with the real binary: `kill -9` in the middle of the load. What was acknowledged is there,
//! nothing was invented, every invariant holds, and the same directory serves on.
//!
//! A killed process leaves the page cache behind, so this does not test fsync: that is
//! `tests/tests/power_loss`.

use crate::serving::{ADMIN_KEY, Server};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const NO_OPTIONS: [&str; 0] = [];
const WORKERS: usize = 8;
/// Charges of one round before the process is killed, with calls of every worker in flight.
const CHARGES_PER_ROUND: usize = 150;
const ROUNDS: usize = 3;

/// One client. A transport error is the process dying under it.
#[derive(Clone)]
struct Client {
    agent: ureq::Agent,
    url: String,
    key: String,
}

impl Client {
    fn new(url: &str, key: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.into(),
            url: url.to_owned(),
            key: key.to_owned(),
        }
    }

    fn post(&self, path: &str, idempotency_key: &str, body: &Value) -> Option<(u16, Value)> {
        let mut response = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.key))
            .header("idempotency-key", idempotency_key)
            .header("content-type", "application/json")
            .send(body.to_string())
            .ok()?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().ok()?;
        Some((status, serde_json::from_str(&text).unwrap()))
    }

    fn get(&self, path: &str) -> Value {
        let mut response = self
            .agent
            .get(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.key))
            .call()
            .unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    }
}

/// A charge whose acknowledgement reached the client.
#[derive(Clone, Debug)]
struct Acknowledged {
    usage_key: String,
    usage: Value,
    charge: String,
    credits: String,
}

fn call(client: &Client, name: &str) -> Option<Acknowledged> {
    let hold = json!({"call": {
        "provider": "openai", "model": "gpt-4o-mini", "body_bytes": 400, "max_output_tokens": 200
    }});
    let (status, held) = client.post("/v1/holds", &format!("{name}-hold"), &hold)?;
    assert_eq!(status, 201, "{held}");
    let usage = json!({
        "hold_id": held["id"], "provider": "openai", "model": "gpt-4o-mini",
        "usage": {"input": 100, "output": 50}
    });
    let usage_key = format!("{name}-usage");
    let (status, charged) = client.post("/v1/usage", &usage_key, &usage)?;
    assert!((200..300).contains(&status), "{charged}");
    Some(Acknowledged {
        usage_key,
        usage,
        charge: charged["charge_id"].as_str().unwrap().to_owned(),
        credits: charged["credits"].as_str().unwrap().to_owned(),
    })
}

fn serve(data_dir: &Path) -> Server {
    Server::start(data_dir, NO_OPTIONS)
}

fn load_until_killed(server: Server, key: &str, round: usize) -> Vec<Acknowledged> {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let charges = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let client = Client::new(&server.url, key);
            let (acknowledged, charges) = (Arc::clone(&acknowledged), Arc::clone(&charges));
            std::thread::spawn(move || {
                for number in 0.. {
                    let Some(done) = call(&client, &format!("{round}-{worker}-{number}")) else {
                        return;
                    };
                    acknowledged.lock().unwrap().push(done);
                    charges.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    while charges.load(Ordering::SeqCst) < CHARGES_PER_ROUND {
        assert!(
            workers.iter().all(|worker| !worker.is_finished()),
            "a worker failed"
        );
        std::thread::yield_now();
    }
    drop(server);
    for worker in workers {
        worker.join().unwrap();
    }
    Arc::try_unwrap(acknowledged).unwrap().into_inner().unwrap()
}

fn farebox(arguments: &[&str], data_dir: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_farebox"))
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{errors}");
    text
}

/// Credits as nano-credits.
fn nanos(credits: &str) -> i128 {
    let (whole, fraction) = credits.split_once('.').unwrap_or((credits, ""));
    format!("{whole}{fraction:0<9}").parse().unwrap()
}

#[test]
fn l9_kill_9_under_load_loses_no_acknowledged_charge_and_invents_none() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");

    let server = serve(&data_dir);
    let admin = Client::new(&server.url, ADMIN_KEY);
    let (_, org) = admin
        .post("/v1/admin/orgs", "org", &json!({"name": "acme"}))
        .unwrap();
    let org = org["id"].as_str().unwrap().to_owned();
    let keys = format!("/v1/admin/orgs/{org}/keys");
    let (_, key) = admin
        .post(
            &keys,
            "key",
            &json!({"name": "gateway", "scopes": ["org:read", "org:write"]}),
        )
        .unwrap();
    let key = key["key"].as_str().unwrap().to_owned();
    let grants = format!("/v1/admin/orgs/{org}/grants");
    let grant = json!({"source": "promotional", "amount_credits": "1000"});
    let (status, granted) = admin.post(&grants, "grant", &grant).unwrap();
    assert_eq!(status, 201, "{granted}");

    let mut acknowledged = Vec::new();
    let mut running = Some(server);
    for round in 0..ROUNDS {
        let server = running.take().unwrap_or_else(|| serve(&data_dir));
        acknowledged.extend(load_until_killed(server, &key, round));
        let report = farebox(&["ledger", "verify", "--replay"], &data_dir);
        assert!(report.contains("every invariant holds"), "{report}");
    }
    assert!(acknowledged.len() >= ROUNDS * CHARGES_PER_ROUND);

    // Each acknowledged charge is there, and a retry is answered with it instead of a second one.
    let server = serve(&data_dir);
    let client = Client::new(&server.url, &key);
    for done in &acknowledged {
        let (_, again) = client
            .post("/v1/usage", &done.usage_key, &done.usage)
            .unwrap();
        assert_eq!(again["charge_id"], json!(done.charge), "{again}");
        assert_eq!(again["replayed"], json!(true), "{again}");
        assert_eq!(again["credits"], json!(done.credits));
    }

    // What was charged beyond the acknowledged is at most one call in flight per worker and round.
    let wallet = client.get("/v1/wallet");
    let charged = nanos(wallet["totals"]["charged_credits"].as_str().unwrap());
    let known: i128 = acknowledged.iter().map(|done| nanos(&done.credits)).sum();
    let each = nanos(&acknowledged[0].credits);
    assert!(charged >= known, "{charged} charged, {known} acknowledged");
    assert!(
        charged - known <= each * (WORKERS * ROUNDS) as i128,
        "{charged} charged, {known} known"
    );
}
