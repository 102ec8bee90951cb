//! Every operation of the API's description, with a body that it takes and ids to fill its path with.
//! An operation that is new and has neither makes the tests fail that go through all.

use super::server::{Customer, Server, call, release_file, usage};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An operation of the document.
pub struct Operation {
    pub method: Method,
    pub path: String,
    /// Asks for no key.
    pub is_public: bool,
    /// Takes a body of JSON.
    pub has_body: bool,
    /// Takes the file of a release.
    pub takes_file: bool,
}

impl Operation {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn is_for_admins(&self) -> bool {
        self.path.starts_with("/v1/admin/")
    }
}

/// Every operation of the document.
pub fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(farebox::http::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                is_public: operation["security"] == json!([{}]),
                has_body: operation["requestBody"]["content"]["application/json"].is_object(),
                takes_file: operation["requestBody"]["content"]["application/wasm"].is_object(),
            });
        }
    }
    found
}

/// A body that each operation with one takes, and the status of its answer.
pub fn examples(ids: &Ids) -> BTreeMap<&'static str, (Value, u16)> {
    let budget = json!({"scope": "project", "value": "p", "kind": "hard", "window": "month",
        "limit_credits": "5"});
    BTreeMap::from([
        (
            "POST /v1/quotes",
            (json!({"call": call(), "keep": true}), 200),
        ),
        ("POST /v1/holds", (json!({"call": call()}), 201)),
        (
            "POST /v1/holds/{hold_id}/renew",
            (json!({"ttl_ms": 60_000}), 200),
        ),
        (
            "POST /v1/leases",
            (json!({"edge": "edge-1", "needed_credits": "0.1"}), 201),
        ),
        (
            "POST /v1/leases/{lease_id}/renew",
            (
                json!({"turn": ids.renewed.1, "keep_credits": "0.1", "free_credits": "0.1",
                    "recent_credits": "0.1"}),
                200,
            ),
        ),
        (
            "POST /v1/leases/{lease_id}/release",
            (json!({"turn": ids.returned.1}), 200),
        ),
        ("POST /v1/holds/{hold_id}/release", (json!({}), 200)),
        ("POST /v1/usage", (usage(), 200)),
        ("POST /v1/usage/batch", (json!({"items": [usage()]}), 200)),
        (
            "POST /v1/usage/lookup",
            (json!({"idempotency_keys": ["call-1"]}), 200),
        ),
        (
            "POST /v1/data-queries",
            (json!({"name": "company_search"}), 201),
        ),
        ("POST /v1/charges/{charge_id}/replay", (json!({}), 200)),
        ("POST /v1/admin/orgs", (json!({"name": "another"}), 201)),
        (
            "PUT /v1/admin/orgs/{org_id}/plan",
            (json!({"plan": null}), 200),
        ),
        (
            "PUT /v1/admin/orgs/{org_id}/credit-limit",
            (json!({"credit_limit_credits": "1"}), 200),
        ),
        (
            "DELETE /v1/admin/orgs/{org_id}/personal",
            (Value::Null, 204),
        ),
        (
            "POST /v1/admin/orgs/{org_id}/keys",
            (json!({"name": "k", "scopes": ["org:read"]}), 201),
        ),
        (
            "POST /v1/admin/orgs/{org_id}/keys/{key_id}/revoke",
            (json!({}), 200),
        ),
        (
            "POST /v1/admin/orgs/{org_id}/grants",
            (json!({"amount_credits": "1", "source": "promotional"}), 201),
        ),
        (
            "POST /v1/admin/orgs/{org_id}/adjustments",
            (json!({"amount_credits": "-1", "note": "test"}), 200),
        ),
        (
            "POST /v1/admin/orgs/{org_id}/refunds",
            (
                json!({"charge_id": ids.charge, "amount_credits": "0.0001"}),
                201,
            ),
        ),
        (
            "POST /v1/admin/orgs/{org_id}/usage/{event_id}/settle",
            (json!({"write_off": true}), 200),
        ),
        ("POST /v1/admin/usage/settle-unpriced", (json!({}), 200)),
        (
            "POST /v1/admin/bindings/activate",
            (
                json!({"release_id": ids.release, "expected": ids.bound}),
                200,
            ),
        ),
        (
            "POST /v1/admin/bindings/rollback",
            (json!({"expected": ids.release}), 200),
        ),
        (
            "POST /v1/admin/policies/{release_id}/revoke",
            (json!({"why": "test"}), 200),
        ),
        (
            "POST /v1/admin/backtests",
            (json!({"release_id": ids.release}), 202),
        ),
        (
            "DELETE /v1/admin/backtests/{backtest_id}",
            (Value::Null, 202),
        ),
        (
            "POST /v1/admin/trials",
            (json!({"kind": "shadow", "release_id": ids.tried}), 201),
        ),
        ("POST /v1/admin/trials/{trial_id}/stop", (json!({}), 200)),
        ("POST /v1/admin/trials/{trial_id}/promote", (json!({}), 200)),
        (
            "POST /v1/admin/repairs",
            (
                json!({"wrong_release_id": ids.release, "corrected_release_id": ids.bound}),
                202,
            ),
        ),
        ("DELETE /v1/admin/repairs/{repair_id}", (Value::Null, 202)),
        // Their body is a file: see `takes_file`.
        ("POST /v1/admin/backtests/file", (Value::Null, 202)),
        ("POST /v1/admin/policies", (Value::Null, 201)),
        // Nothing is open: an answer all the same.
        (
            "POST /v1/admin/orgs/{org_id}/shortfall/absorb",
            (json!({}), 409),
        ),
        (
            "POST /v1/admin/orgs/{org_id}/budgets",
            (budget.clone(), 201),
        ),
        (
            "PUT /v1/admin/orgs/{org_id}/budgets/{budget_id}",
            (budget, 200),
        ),
        (
            "DELETE /v1/admin/orgs/{org_id}/budgets/{budget_id}",
            (Value::Null, 204),
        ),
    ])
}

/// Things of one org, three releases and two trials.
pub struct Ids {
    /// What is bound.
    pub bound: String,
    /// What is not.
    pub release: String,
    /// What is tried.
    pub tried: String,
    /// By one that is stopped.
    pub trial: String,
    /// By one that is promoted.
    pub promoted: String,
    pub org: String,
    pub key: String,
    pub hold: String,
    /// A lease to renew, and its turn.
    pub renewed: (String, String),
    /// A lease to return, and its turn.
    pub returned: (String, String),
    pub quote: String,
    pub event: String,
    pub unpriced: String,
    pub charge: String,
    pub grant: String,
    pub budget: String,
    /// One that has ended.
    pub backtest: String,
    /// One that has ended.
    pub repair: String,
}

impl Ids {
    pub async fn of(server: &Server, customer: &Customer) -> Self {
        let id = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
        let hold = customer
            .post("/v1/holds", json!({"call": call()}))
            .await
            .expect(201);
        let mut leases = Vec::new();
        for edge in ["renews", "returns"] {
            let body = json!({"edge": edge, "needed_credits": "0.1"});
            let lease = customer.post("/v1/leases", body).await.expect(201);
            leases.push((id(&lease, "id"), id(&lease, "turn")));
        }
        let quote = json!({"call": call(), "keep": true});
        let quote = customer.post("/v1/quotes", quote).await.expect(200);
        let charged = customer.post("/v1/usage", usage()).await.expect(200);
        let unknown = json!({"provider": "openai", "model": "gpt-99", "usage": {"input": 1}});
        let unpriced = customer.post("/v1/usage", unknown).await.expect(202);
        let admin = format!("/v1/admin/orgs/{}", customer.org);
        let budget = json!({"scope": "org", "kind": "warning", "window": "day",
            "limit_credits": "1000"});
        let path = format!("{admin}/budgets");
        let budget = server
            .client
            .admin(Method::POST, &path, budget)
            .await
            .expect(201);
        let key = json!({"name": "second", "scopes": ["org:read"]});
        let path = format!("{admin}/keys");
        let key = server
            .client
            .admin(Method::POST, &path, key)
            .await
            .expect(201);
        let wallet = customer.get("/v1/wallet").await.expect(200);
        let bound = server.bound(None).await;
        let pushed = server.push(&release_file("ids", "3")).await.expect(201);
        let release = id(&pushed, "id");
        let backtest = super::backtests::ended(server, json!({"release_id": release})).await;
        let tried = server.push(&release_file("tried", "5")).await.expect(201);
        let tried = id(&tried, "id");
        let mut trials = Vec::new();
        for part in [json!({"plan": "pro"}), json!({"org_id": customer.org})] {
            let mut body = json!({"kind": "shadow", "release_id": tried});
            body.as_object_mut()
                .unwrap()
                .extend(part.as_object().unwrap().clone());
            let path = "/v1/admin/trials";
            let trial = server.client.admin(Method::POST, path, body).await;
            trials.push(id(&trial.expect(201), "id"));
        }
        let question = json!({"wrong_release_id": bound, "corrected_release_id": release});
        let repair = super::repairs::over(server, &question).await;
        Self {
            trial: trials.remove(0),
            promoted: trials.remove(0),
            tried,
            bound,
            release,
            org: customer.org.clone(),
            key: id(&key, "id"),
            hold: id(&hold, "id"),
            renewed: leases.remove(0),
            returned: leases.remove(0),
            quote: id(&quote, "id"),
            event: id(&charged, "event_id"),
            unpriced: id(&unpriced, "event_id"),
            charge: id(&charged, "charge_id"),
            grant: id(&wallet["grants"][0], "id"),
            budget: id(&budget, "id"),
            backtest: id(&backtest, "id"),
            repair: id(&repair, "id"),
        }
    }

    /// The path with these ids in it.
    pub fn fill(&self, path: &str) -> String {
        let event = if path.ends_with("/settle") {
            &self.unpriced
        } else {
            &self.event
        };
        let trial = if path.ends_with("/promote") {
            &self.promoted
        } else {
            &self.trial
        };
        let (lease, _) = if path.ends_with("/renew") {
            &self.renewed
        } else {
            &self.returned
        };
        let filled = path
            .replace("{lease_id}", lease)
            .replace("{trial_id}", trial)
            .replace("{org_id}", &self.org)
            .replace("{key_id}", &self.key)
            .replace("{hold_id}", &self.hold)
            .replace("{event_id}", event)
            .replace("{charge_id}", &self.charge)
            .replace("{budget_id}", &self.budget)
            .replace("{release_id}", &self.release)
            .replace("{backtest_id}", &self.backtest)
            .replace("{repair_id}", &self.repair)
            .replace("{slug}", "not-found");
        assert!(
            !filled.contains('{'),
            "`{path}` has an id this test does not know"
        );
        filled
    }
}

/// The body of an operation, and the status of its answer. One without an example is a mistake.
pub fn body_of(
    examples: &BTreeMap<&'static str, (Value, u16)>,
    operation: &Operation,
) -> (Value, u16) {
    match examples.get(operation.name().as_str()) {
        Some(example) => example.clone(),
        None => {
            assert_eq!(
                operation.method,
                Method::GET,
                "{} has no example",
                operation.name()
            );
            (Value::Null, 200)
        }
    }
}
