//! `farebox key`: the API keys of an org.

use super::server::Server;
use super::show;
use crate::cli::failure::Failure;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  farebox key create org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01 gateway
  farebox key revoke org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01 key_0192f0c8b7a67c1e9f3a5d2b4c6e8f02";

/// Create, list and revoke API keys on a running server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Key {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key. Its text is shown once and kept nowhere.
    Create {
        /// The org's id.
        org: String,
        /// A name to recognise it by.
        name: String,
        /// What it may do: `org:read`, `org:write`, `admin`. Can be given several times.
        #[arg(long = "scope", value_name = "SCOPE", default_values = ["org:read", "org:write"])]
        scopes: Vec<String>,
        /// When it no longer works, such as `2027-01-01T00:00:00Z`.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// List an org's keys, oldest first.
    List {
        /// The org's id.
        org: String,
    },
    /// End a key at once.
    Revoke {
        /// The org's id.
        org: String,
        /// The key's id.
        // Not `key`: that names the admin key of every command here, which this would take the place
        // of.
        #[arg(value_name = "KEY")]
        key_id: String,
    },
}

impl Key {
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let answer = self.command.call(&self.server)?;
        show::answer(&answer, self.server.json, out)
    }
}

impl Command {
    fn call(&self, server: &Server) -> Result<Value, Failure> {
        match self {
            Self::Create {
                org,
                name,
                scopes,
                expires_at,
            } => server.post(
                &format!("/v1/admin/orgs/{org}/keys"),
                &json!({ "name": name, "scopes": scopes, "expires_at": expires_at }),
            ),
            Self::List { org } => server.get(&format!("/v1/admin/orgs/{org}/keys"), None),
            Self::Revoke { org, key_id } => server.post(
                &format!("/v1/admin/orgs/{org}/keys/{key_id}/revoke"),
                &json!({}),
            ),
        }
    }
}
