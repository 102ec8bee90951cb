//! One call of a server's API, and what its answer means for the command.

use crate::cli::failure::Failure;
use clap::Args;
use serde_json::Value;
use std::time::Duration;
use ureq::http::{Method, Request, Response};

/// Longer than any server takes, but for a release that it has to compile; a server that is gone is
/// noticed at once.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The largest answer, in bytes: the file of a release.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Which server, and as whom.
#[derive(Debug, Args)]
pub struct Server {
    /// Where the server listens. Plain HTTP: call it from its own machine or through a tunnel.
    #[arg(
        long,
        env = "FAREBOX_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8787",
        global = true,
        help_heading = "Server"
    )]
    url: String,
    /// An admin key. Better set by the environment than by a flag, which other users of the
    /// machine can see.
    #[arg(
        long = "key",
        env = "FAREBOX_ADMIN_KEY",
        value_name = "KEY",
        hide_env_values = true,
        global = true,
        help_heading = "Server"
    )]
    key: Option<String>,
    /// Makes a retry safe: the same key with the same command takes effect once.
    #[arg(long, value_name = "TEXT", global = true, help_heading = "Server")]
    idempotency_key: Option<String>,
    /// Print the answer as JSON, for programs.
    #[arg(long, global = true, help_heading = "Server")]
    pub json: bool,
}

impl Server {
    /// `GET path`, for `org` where one is named.
    ///
    /// # Errors
    /// See [`Server::call`].
    pub fn get(&self, path: &str, org: Option<&str>) -> Result<Value, Failure> {
        self.json_of(Method::GET, path, org, None)
    }

    /// `POST path` with a body.
    ///
    /// # Errors
    /// See [`Server::call`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json_of(Method::POST, path, None, Some(Body::json(body)))
    }

    /// `PUT path` with a body.
    ///
    /// # Errors
    /// See [`Server::call`].
    pub fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json_of(Method::PUT, path, None, Some(Body::json(body)))
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// See [`Server::call`].
    pub fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.json_of(Method::DELETE, path, None, None)
    }

    /// `POST path` with a file of this media type.
    ///
    /// # Errors
    /// See [`Server::call`].
    pub fn post_file(
        &self,
        path: &str,
        kind: &'static str,
        bytes: Vec<u8>,
    ) -> Result<Value, Failure> {
        self.json_of(Method::POST, path, None, Some(Body { kind, bytes }))
    }

    /// `GET path`, whatever it holds.
    ///
    /// # Errors
    /// See [`Server::call`].
    pub fn get_file(&self, path: &str) -> Result<Vec<u8>, Failure> {
        self.call(Method::GET, path, None, None)
    }

    /// The same wishes for another server.
    pub fn to(&self, url: String, key: String) -> Self {
        Self {
            url,
            key: Some(key),
            idempotency_key: self.idempotency_key.clone(),
            json: self.json,
        }
    }

    /// `POST path` for `org`, whatever is answered: the status and the body. A refusal of one org's
    /// is not the end for those who ask for many.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when the server cannot be reached, [`Failure::Usage`] for a URL or
    /// key that cannot be sent.
    pub fn ask(&self, path: &str, org: &str, body: Vec<u8>) -> Result<(u16, Value), Failure> {
        let body = Body {
            kind: "application/json",
            bytes: body,
        };
        let (status, body) = self.send(Method::POST, path, Some(org), Some(body))?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    fn json_of(
        &self,
        method: Method,
        path: &str,
        org: Option<&str>,
        body: Option<Body>,
    ) -> Result<Value, Failure> {
        let answer = self.call(method, path, org, body)?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// One call.
    ///
    /// # Errors
    /// [`Failure::Found`] with the problem's text when the server refuses,
    /// [`Failure::Unavailable`] when it cannot be reached, [`Failure::Usage`] for a URL or key
    /// that cannot be sent.
    fn call(
        &self,
        method: Method,
        path: &str,
        org: Option<&str>,
        body: Option<Body>,
    ) -> Result<Vec<u8>, Failure> {
        let (status, body) = self.send(method, path, org, body)?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Err(Failure::Found(problem(status, &body)))
    }

    /// The status and the body of the answer.
    fn send(
        &self,
        method: Method,
        path: &str,
        org: Option<&str>,
        body: Option<Body>,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let key = self.key.as_deref().ok_or_else(|| {
            Failure::Usage("an admin key is needed: set FAREBOX_ADMIN_KEY or give --key".to_owned())
        })?;
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {key}"));
        if let Some(org) = org {
            request = request.header("farebox-org", org);
        }
        if let Some(body) = &body {
            request = request.header("content-type", body.kind);
            if let Some(key) = &self.idempotency_key {
                request = request.header("idempotency-key", key);
            }
        }
        let cannot_send = |error| Failure::Usage(format!("`{url}` cannot be called: {error}"));
        let agent = agent();
        let sent = match body {
            Some(body) => agent.run(request.body(body.bytes).map_err(cannot_send)?),
            None => agent.run(request.body(()).map_err(cannot_send)?),
        };
        let unreachable = |error| Failure::unavailable(format!("cannot call `{url}`"), error);
        let mut answer = sent.map_err(unreachable)?;
        let body = read(&mut answer).map_err(unreachable)?;
        Ok((answer.status().as_u16(), body))
    }
}

/// What is sent.
struct Body {
    kind: &'static str,
    bytes: Vec<u8>,
}

impl Body {
    fn json(value: &Value) -> Self {
        Self {
            kind: "application/json",
            bytes: value.to_string().into_bytes(),
        }
    }
}

fn read(answer: &mut Response<ureq::Body>) -> Result<Vec<u8>, ureq::Error> {
    answer
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into()
}

/// A refusal in one line: what the server says, else its status alone.
pub fn problem(status: u16, body: &Value) -> String {
    let field = |name| body.get(name).and_then(Value::as_str);
    match (field("detail").or(field("title")), field("type")) {
        (Some(text), Some(kind)) => format!("{text} ({status}, {kind})"),
        (Some(text), None) => format!("{text} ({status})"),
        (None, _) => format!("the server answered with status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = json!({ "type": "/problems/not-found", "detail": "there is no such org" });
        assert_eq!(
            problem(404, &body),
            "there is no such org (404, /problems/not-found)"
        );
        assert_eq!(
            problem(502, &Value::Null),
            "the server answered with status 502"
        );
    }
}
