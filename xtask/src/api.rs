//! The calls of the HTTP API that the demo and the bench make, by what they are for.

use crate::client::{Answer, Client};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// What an operator does.
pub struct Admin {
    client: Client,
}

impl Admin {
    /// Acts with an admin key.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates an org and returns its id.
    ///
    /// # Errors
    /// The call fails.
    pub fn create_org(&self, name: &str, plan: Option<&str>) -> Result<String> {
        let mut body = json!({ "name": name });
        if let (Some(plan), Some(fields)) = (plan, body.as_object_mut()) {
            fields.insert("plan".into(), plan.into());
        }
        let org = self.client.post("/v1/admin/orgs", None, &body)?.ok()?;
        text(&org, "/id")
    }

    /// Creates a key that may do all a customer may, and returns its secret.
    ///
    /// # Errors
    /// The call fails.
    pub fn create_key(&self, org: &str) -> Result<String> {
        let body = json!({ "name": "demo", "scopes": ["org:read", "org:write"] });
        let path = format!("/v1/admin/orgs/{org}/keys");
        let key = self.client.post(&path, None, &body)?.ok()?;
        text(&key, "/key")
    }

    /// Creates an org with credits and a key, and returns the key's secret.
    ///
    /// # Errors
    /// A call fails.
    pub fn create_customer(&self, name: &str, credits: &str) -> Result<String> {
        let org = self.create_org(name, None)?;
        self.grant(&org, credits)?;
        self.create_key(&org)
    }

    /// Gives credits away.
    ///
    /// # Errors
    /// The call fails.
    pub fn grant(&self, org: &str, credits: &str) -> Result<Value> {
        let body = json!({ "source": "promotional", "amount_credits": credits });
        let path = format!("/v1/admin/orgs/{org}/grants");
        self.client.post(&path, None, &body)?.ok()
    }

    /// Sets a hard monthly budget for a project.
    ///
    /// # Errors
    /// The call fails.
    pub fn project_budget(&self, org: &str, project: &str, credits: &str) -> Result<Value> {
        let body = json!({
            "scope": "project",
            "value": project,
            "kind": "hard",
            "window": "month",
            "time_zone": "Europe/Berlin",
            "limit_credits": credits,
        });
        let path = format!("/v1/admin/orgs/{org}/budgets");
        self.client.post(&path, None, &body)?.ok()
    }
}

/// What a customer's gateway does around each call.
#[derive(Clone)]
pub struct Customer {
    client: Client,
}

impl Customer {
    /// Acts with a customer's key.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The worst case of a call.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn quote(&self, before: &Map<String, Value>) -> Result<Answer> {
        self.client
            .post("/v1/quotes", None, &json!({ "call": before }))
    }

    /// Reserves the worst case of a call.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn hold(&self, idempotency_key: &str, before: &Map<String, Value>) -> Result<Answer> {
        let body = json!({ "call": before });
        self.client.post("/v1/holds", Some(idempotency_key), &body)
    }

    /// Reports what was used.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn usage(&self, idempotency_key: &str, after: &Map<String, Value>) -> Result<Answer> {
        let body = Value::Object(after.clone());
        self.client.post("/v1/usage", Some(idempotency_key), &body)
    }

    /// Logs a free query.
    ///
    /// # Errors
    /// The call fails.
    pub fn data_query(&self, body: &Value) -> Result<Value> {
        self.client.post("/v1/data-queries", None, body)?.ok()
    }

    /// The wallet.
    ///
    /// # Errors
    /// The call fails.
    pub fn wallet(&self) -> Result<Value> {
        self.client.get("/v1/wallet")?.ok()
    }

    /// Prices a charge again.
    ///
    /// # Errors
    /// The call fails.
    pub fn replay(&self, charge: &str) -> Result<Value> {
        let path = format!("/v1/charges/{charge}/replay");
        self.client.post(&path, None, &json!({}))?.ok()
    }
}

/// A text at a JSON pointer.
///
/// # Errors
/// There is none.
pub fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("no text at `{pointer}` in {value}"))?
        .to_owned())
}
