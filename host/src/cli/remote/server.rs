//! One call of a server's API, and what its answer means for the command.

use crate::cli::failure::Failure;
use clap::Args;
use serde_json::Value;
use std::time::Duration;
use ureq::http::{Method, Request};

/// Longer than any server takes; a server that is gone is noticed at once.
const TIMEOUT: Duration = Duration::from_secs(60);

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
        self.call(Method::GET, path, org, None)
    }

    /// `POST path` with a body.
    ///
    /// # Errors
    /// See [`Server::call`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, None, Some(body))
    }

    /// `PUT path` with a body.
    ///
    /// # Errors
    /// See [`Server::call`].
    pub fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PUT, path, None, Some(body))
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
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
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
        let text = body.map(Value::to_string);
        if text.is_some() {
            request = request.header("content-type", "application/json");
            if let Some(key) = &self.idempotency_key {
                request = request.header("idempotency-key", key);
            }
        }
        let cannot_send = |error| Failure::Usage(format!("`{url}` cannot be called: {error}"));
        let agent = agent();
        let sent = match text {
            Some(text) => agent.run(request.body(text).map_err(cannot_send)?),
            None => agent.run(request.body(()).map_err(cannot_send)?),
        };
        let unreachable = |error| Failure::unavailable(format!("cannot call `{url}`"), error);
        let mut answer = sent.map_err(unreachable)?;
        let text = answer.body_mut().read_to_string().map_err(unreachable)?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if answer.status().is_success() {
            return Ok(body);
        }
        Err(Failure::Found(problem(answer.status().as_u16(), &body)))
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into()
}

/// A refusal in one line: what the server says, else its status alone.
fn problem(status: u16, body: &Value) -> String {
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
