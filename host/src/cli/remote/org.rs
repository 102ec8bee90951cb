//! `farebox org`: the operator's customers.

use super::server::Server;
use super::show;
use crate::cli::failure::Failure;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  farebox org create acme --plan pro
  farebox org list --json";

/// Create and change orgs on a running server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Org {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create an org with an empty wallet.
    Create {
        /// A name that no other org has.
        name: String,
        /// Its plan, one of the price book's.
        #[arg(long)]
        plan: Option<String>,
        /// How far its available credits may go below zero.
        #[arg(long, value_name = "CREDITS")]
        credit_limit: Option<String>,
    },
    /// List orgs, oldest first.
    List {
        /// The id of the last org of the page before.
        #[arg(long, value_name = "ORG")]
        after: Option<String>,
    },
    /// Show an org.
    Show {
        /// The org's id.
        org: String,
    },
    /// Put an org on another plan; open holds keep theirs.
    Plan {
        /// The org's id.
        org: String,
        /// The plan; absent: none.
        plan: Option<String>,
    },
    /// Set how far an org's available credits may go below zero.
    CreditLimit {
        /// The org's id.
        org: String,
        /// The limit, at least 0.
        credits: String,
    },
}

impl Org {
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let answer = self.command.call(&self.server)?;
        show::answer(&answer, self.server.json, out)
    }
}

impl Command {
    fn call(&self, server: &Server) -> Result<Value, Failure> {
        match self {
            Self::Create {
                name,
                plan,
                credit_limit,
            } => server.post(
                "/v1/admin/orgs",
                &json!({ "name": name, "plan": plan, "credit_limit_credits": credit_limit }),
            ),
            Self::List { after: None } => server.get("/v1/admin/orgs", None),
            Self::List { after: Some(after) } => {
                server.get(&format!("/v1/admin/orgs?cursor={after}"), None)
            }
            Self::Show { org } => server.get(&format!("/v1/admin/orgs/{org}"), None),
            Self::Plan { org, plan } => server.put(
                &format!("/v1/admin/orgs/{org}/plan"),
                &json!({ "plan": plan }),
            ),
            Self::CreditLimit { org, credits } => server.put(
                &format!("/v1/admin/orgs/{org}/credit-limit"),
                &json!({ "credit_limit_credits": credits }),
            ),
        }
    }
}
