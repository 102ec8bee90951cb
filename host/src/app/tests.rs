//! A whole server on a disk with a limit, spoken to over HTTP.

use super::server::{RunningApp, start};
use crate::config::{Config, Options};
use crate::store::directory::DataDirectory;
use crate::store::verify::{Evidence, verify};
use serde_json::{Value, json};
use std::path::Path;
use tokio::runtime::Runtime;

const ADMIN_KEY: &str = "full-disk-test-admin-key";

/// A server whose database may have so many pages.
struct House {
    runtime: Runtime,
    app: RunningApp,
    agent: ureq::Agent,
}

impl House {
    fn start(folder: &Path, pages_max: Option<u32>) -> Self {
        let options = Options {
            data_dir: Some(folder.join("data")),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            admin_key: Some(ADMIN_KEY.to_owned()),
            price_book: Some(folder.join("book.toml")),
            ..Options::default()
        };
        let runtime = Runtime::new().unwrap();
        crate::store::PAGES_MAX.with_borrow_mut(|limit| *limit = pages_max);
        let app = runtime.block_on(start(&Config::load(options).unwrap()));
        crate::store::PAGES_MAX.with_borrow_mut(|limit| *limit = None);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        Self {
            app: app.unwrap(),
            runtime,
            agent,
        }
    }

    /// Posts under an idempotency key: status, `Retry-After` and body of the answer.
    fn post(&self, path: &str, org: &str, key: &str, body: &Value) -> (u16, Option<String>, Value) {
        let mut answer = self
            .agent
            .post(format!("http://{}{path}", self.app.address()))
            .header("authorization", format!("Bearer {ADMIN_KEY}"))
            .header("content-type", "application/json")
            .header("farebox-org", org)
            .header("idempotency-key", key)
            .send(body.to_string())
            .unwrap();
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        let text = answer.body_mut().read_to_string().unwrap();
        (
            answer.status().as_u16(),
            retry_after,
            serde_json::from_str(&text).unwrap(),
        )
    }

    fn get(&self, path: &str, org: &str) -> Value {
        let mut answer = self
            .agent
            .get(format!("http://{}{path}", self.app.address()))
            .header("authorization", format!("Bearer {ADMIN_KEY}"))
            .header("farebox-org", org)
            .call()
            .unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    fn stop(self) {
        self.runtime.block_on(self.app.stop());
    }
}

/// A call that costs a whole credit.
fn report() -> Value {
    json!({"provider": "openai", "model": "gpt", "usage": {"input": 100_000}})
}

#[test]
fn a_full_disk_is_a_507_that_loses_nothing_and_ends_when_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let book = "name = \"disk\"\nas_of = \"2026-11-21\"\n[[models]]\nprovider = \"openai\"\n\
                model = \"gpt\"\nper_million = { input = \"1\" }\n";
    std::fs::write(folder.path().join("book.toml"), book).unwrap();
    let house = House::start(folder.path(), None);
    let nobody = "org_00000000000000000000000000000000";
    let (status, _, org) = house.post("/v1/admin/orgs", nobody, "o", &json!({"name": "acme"}));
    assert_eq!(status, 201, "{org}");
    let org = org["id"].as_str().unwrap().to_owned();
    let grant = json!({"amount_credits": "100000", "source": "purchase"});
    let path = format!("/v1/admin/orgs/{org}/grants");
    assert_eq!(house.post(&path, &org, "g", &grant).0, 201);
    house.stop();

    // The component, the book and the first rows are there; beside them something else, and a
    // little more fits.
    let database = folder.path().join("data/ledger.db");
    rusqlite::Connection::open(&database)
        .and_then(|other| {
            other.execute_batch(
                "CREATE TABLE ballast (bytes BLOB); INSERT INTO ballast VALUES (zeroblob(1 << 20))",
            )
        })
        .unwrap();
    let pages = std::fs::metadata(&database).unwrap().len() / 8_192;
    let house = House::start(folder.path(), Some(u32::try_from(pages).unwrap() + 8));
    let mut charged = 0_u32;
    let refused_key = loop {
        let key = format!("u-{charged}");
        let (status, retry_after, answer) = house.post("/v1/usage", &org, &key, &report());
        if status == 507 {
            assert_eq!(answer["type"], "/problems/storage-full");
            assert_eq!(retry_after.as_deref(), Some("5"));
            break key;
        }
        assert_eq!(status, 200, "{answer}");
        charged += 1;
        assert!(charged < 10_000, "the disk never filled");
    };
    assert!(charged > 0);
    // Reads go on, and show nothing of what was refused.
    let left = format!("{}", 100_000 - charged);
    let wallet = house.get("/v1/wallet", &org);
    assert_eq!(wallet["balance"]["available_credits"], *left);
    let usage = house.get("/v1/usage?group_by=model", &org);
    assert_eq!(usage["items"][0]["events"], charged);
    let directory = DataDirectory::new(folder.path().join("data"));
    let found = verify(&directory, Evidence::default()).unwrap().findings;
    assert_eq!(found, []);
    assert_eq!(house.post("/v1/usage", &org, "more", &report()).0, 507);

    // Somebody makes room while the server runs, and it goes on: what was refused is no effect
    // yet, and becomes one.
    rusqlite::Connection::open(&database)
        .and_then(|other| {
            other.busy_timeout(std::time::Duration::from_secs(60))?;
            other.execute_batch("DELETE FROM ballast")
        })
        .unwrap();
    let (status, _, answer) = house.post("/v1/usage", &org, &refused_key, &report());
    assert_eq!((status, &answer["replayed"]), (200, &json!(false)));
    let (status, _, again) = house.post("/v1/usage", &org, &refused_key, &report());
    assert_eq!((status, &again["replayed"]), (200, &json!(true)));
    assert_eq!(again["charge_id"], answer["charge_id"]);
    let left = format!("{}", 100_000 - charged - 1);
    let wallet = house.get("/v1/wallet", &org);
    assert_eq!(wallet["balance"]["available_credits"], *left);
    house.stop();
    let found = verify(&directory, Evidence::default()).unwrap().findings;
    assert_eq!(found, []);
}
