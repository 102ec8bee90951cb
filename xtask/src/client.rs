//! A small JSON client of the HTTP API, as a customer would write one.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use ureq::http::{Request, Response};

/// Calls one server, with one key.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    key: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null where it is not JSON.
    pub body: Value,
}

impl Client {
    /// A client without a key.
    pub fn new(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Self {
            agent: agent.into(),
            base: format!("http://{address}"),
            key: None,
        }
    }

    /// The same connections, with a key.
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..self.clone()
        }
    }

    /// `GET path`.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.call("GET", path, None, None)
    }

    /// `POST path`, with an idempotency key where one is given.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn post(&self, path: &str, idempotency_key: Option<&str>, body: &Value) -> Result<Answer> {
        self.call("POST", path, idempotency_key, Some(body))
    }

    /// `POST path` with a file of WebAssembly.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn post_file(&self, path: &str, file: &[u8]) -> Result<Answer> {
        let mut request = Request::builder()
            .method("POST")
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/wasm");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let answer = self.agent.run(request.body(file)?);
        read(answer.with_context(|| format!("POST {path}"))?)
    }

    fn call(
        &self,
        method: &str,
        path: &str,
        idempotency_key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let answer = match body {
            Some(_) => self.agent.run(request.body(text)?),
            None => self.agent.run(request.body(())?),
        };
        read(answer.with_context(|| format!("{method} {path}"))?)
    }
}

fn read(mut answer: Response<ureq::Body>) -> Result<Answer> {
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string()?;
    Ok(Answer {
        status,
        body: serde_json::from_str(&text).unwrap_or_default(),
    })
}

impl Answer {
    /// The body of a call that must have succeeded.
    ///
    /// # Errors
    /// The status is not 2xx; the problem's text is in the message.
    pub fn ok(self) -> Result<Value> {
        if !(200..300).contains(&self.status) {
            bail!("HTTP {}: {}", self.status, self.body);
        }
        Ok(self.body)
    }

    /// The body of a call that must have been refused with `status`.
    ///
    /// # Errors
    /// It was answered with another status.
    pub fn refused(self, status: u16) -> Result<Value> {
        if self.status != status {
            bail!("expected HTTP {status}, got {}: {}", self.status, self.body);
        }
        Ok(self.body)
    }
}
