//! The way to a ledger's releases: the API of a running server, or the data directory of a stopped
//! one, which is served from for the moment that the command takes. Either way it is the same API,
//! so there is one set of rules and one audit.

use crate::app::server::{self, RunningApp};
use crate::cli::failure::Failure;
use crate::cli::remote::server::Server;
use crate::config::{Config, Options};
use crate::service::releases::Address;
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// Where the releases are.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    server: Server,
    /// The data directory of a server that is stopped, to work on it directly. The audit then names
    /// `local`.
    #[arg(long, value_name = "DIR", global = true, help_heading = "Server")]
    data_dir: Option<PathBuf>,
}

/// An open way. Ends with the command.
pub enum Door<'a> {
    /// A running server.
    Running(&'a Server),
    /// A stopped one's data directory.
    Stopped(Box<Local>),
}

/// A data directory that is served from for a moment.
pub struct Local {
    server: Server,
    // In this order: the server is stopped on its runtime.
    app: Option<RunningApp>,
    runtime: Runtime,
}

impl Place {
    /// Whether answers are printed as JSON.
    pub const fn json(&self) -> bool {
        self.server.json
    }

    /// Opens the way.
    ///
    /// # Errors
    /// The data directory is in use, or holds no ledger.
    pub fn open(&self) -> Result<Door<'_>, Failure> {
        match &self.data_dir {
            None => Ok(Door::Running(&self.server)),
            Some(path) => Ok(Door::Stopped(Box::new(Local::open(path, &self.server)?))),
        }
    }
}

impl Local {
    fn open(data_dir: &Path, like: &Server) -> Result<Self, Failure> {
        let what = || format!("`{}` cannot be worked on", data_dir.display());
        let cannot = |error: getrandom::Error| Failure::unavailable(what(), error.to_string());
        let mut secret = [0_u8; 24];
        getrandom::fill(&mut secret).map_err(cannot)?;
        let key = hex::encode(secret);
        let options = Options {
            data_dir: Some(data_dir.to_owned()),
            listen: Some(([127, 0, 0, 1], 0).into()),
            admin_key: Some(key.clone()),
            settle_interval_ms: Some(0),
            ..Options::default()
        };
        let config = Config::load(options).map_err(|error| Failure::Usage(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let app = runtime
            .block_on(server::maintain(&config))
            .map_err(|error| Failure::unavailable(what(), error))?;
        let url = format!("http://{}", app.address());
        Ok(Self {
            server: like.to(url, key),
            app: Some(app),
            runtime,
        })
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(app) = self.app.take() {
            self.runtime.block_on(app.stop());
        }
    }
}

impl std::ops::Deref for Door<'_> {
    type Target = Server;

    fn deref(&self) -> &Server {
        match self {
            Self::Running(server) => server,
            Self::Stopped(local) => &local.server,
        }
    }
}

impl Door<'_> {
    /// Whether it leads to a stopped server's data.
    pub const fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped(_))
    }

    /// The address of the release that `named` means: an address, the beginning of one, or the name
    /// of a book that only one release has.
    ///
    /// # Errors
    /// No release is meant, or more than one.
    pub fn release(&self, named: &str) -> Result<String, Failure> {
        if named.parse::<Address>().is_ok() {
            return Ok(named.to_owned());
        }
        let all = self.get("/v1/admin/policies", None)?;
        let text = |release: &Value, field: &str| {
            let text = release.get(field).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let is_meant = |release: &&Value| {
            let id = text(release, "id");
            text(release, "name") == named
                || id.starts_with(named)
                || id
                    .strip_prefix("rel_")
                    .is_some_and(|id| id.starts_with(named))
        };
        let meant: Vec<String> = all
            .as_array()
            .into_iter()
            .flatten()
            .filter(is_meant)
            .map(|release| text(release, "id"))
            .collect();
        match meant.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(Failure::Found(format!(
                "`{named}` names no release; `farebox policy list` shows them"
            ))),
            all => Err(Failure::Found(format!(
                "`{named}` names {} releases: give more digits of one of {}",
                all.len(),
                all.join(", ")
            ))),
        }
    }
}

/// A list for people: of each item these fields, and of a release's address enough to name it.
/// Programs get all of it.
pub fn brief(answer: Value, fields: &[&str], json: bool) -> Value {
    if json {
        return answer;
    }
    let items = match answer {
        Value::Array(items) => items,
        mut other => match other.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items,
            _ => return other,
        },
    };
    let row = |item: Value| {
        let fields = fields.iter().map(|name| {
            let value = item.get(*name).map_or(Value::Null, short);
            ((*name).to_owned(), value)
        });
        Value::Object(fields.collect())
    };
    items.into_iter().map(row).collect()
}

/// How many digits of an address a list shows.
const DIGITS: usize = 12;

fn short(value: &Value) -> Value {
    match value {
        Value::String(text) if text.parse::<Address>().is_ok() => {
            let digits = text.chars().take("rel_".len().saturating_add(DIGITS));
            Value::String(digits.collect())
        }
        Value::Object(fields) => fields.get("at").cloned().unwrap_or_default(),
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => items.iter().map(signer).collect(),
        other => other.clone(),
    }
}

/// Who signed, as people know them: by name, else by the beginning of the key.
fn signer(item: &Value) -> Value {
    let text = |field| item.get(field).and_then(Value::as_str);
    match (text("name"), text("key")) {
        (Some(name), _) => Value::String(name.to_owned()),
        (None, Some(key)) => Value::String(key.chars().take(DIGITS).collect()),
        (None, None) => item.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_for_people_has_short_addresses_and_only_what_it_names() {
        let address = format!("rel_{}", "5".repeat(64));
        let answer = json!([{ "id": address, "name": "november", "more": 1, "bound_to": [],
            "revoked": { "at": "then", "why": "because" },
            "signed_by": [{ "name": "releaser", "key": "1".repeat(64) }, { "key": "2".repeat(64) }] }]);
        let fields = ["id", "name", "bound_to", "revoked", "signed_by"];
        assert_eq!(
            brief(answer.clone(), &fields, false),
            json!([{ "id": "rel_555555555555", "name": "november", "bound_to": null,
                "revoked": "then", "signed_by": ["releaser", "222222222222"] }])
        );
        assert_eq!(brief(answer.clone(), &fields, true), answer);
    }
}
