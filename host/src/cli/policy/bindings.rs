//! `farebox policy activate`, `rollback`, `bindings` and `history`: which release prices whom.

use super::door::{Door, Place, brief};
use crate::cli::failure::Failure;
use crate::cli::remote::show;
use crate::config::DeploymentOption;
use clap::{Args, Subcommand, ValueEnum as _};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::io::Write;

const ACTIVATE_EXAMPLES: &str = "\
Examples:
  farebox policy activate rel_5b0c2a
  farebox policy activate november --plan pro --why 'the new list prices'
  farebox policy activate none --org org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01";

/// Whom a binding is for; without any: everyone where the server runs.
#[derive(Debug, Args)]
pub struct Scope {
    /// Where.
    #[arg(long, value_enum)]
    deployment: Option<DeploymentOption>,
    /// Only the orgs on this plan.
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// Only this org.
    #[arg(long, value_name = "ORG", conflicts_with = "plan")]
    org: Option<String>,
}

/// How a binding is changed.
#[derive(Debug, Args)]
pub struct Change {
    /// What must be bound to exactly this scope, a release or `none`; else nothing changes. Without
    /// it: what is bound when the command begins.
    #[arg(long, value_name = "RELEASE")]
    expect: Option<String>,
    /// Why, for whoever reads the history.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// Change and show which release prices whom.
#[derive(Debug, Subcommand)]
pub enum BindingCommand {
    /// Let a release price a scope, at once and for all workers.
    ///
    /// The most specific scope wins: an org's, else its plan's, else the deployment's. Calls that
    /// are held under another release are charged under that one.
    #[command(after_help = ACTIVATE_EXAMPLES)]
    Activate {
        #[command(flatten)]
        place: Place,
        /// Its address, the beginning of it, or its name where only one has it. `none` takes a
        /// plan's or an org's own release away.
        release: String,
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        change: Change,
    },
    /// Go back to what a scope was bound to before.
    ///
    /// Each rollback goes one activation further back, past releases that were revoked.
    Rollback {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        change: Change,
    },
    /// Show what is bound now, scope by scope.
    Bindings {
        #[command(flatten)]
        place: Place,
    },
    /// Show every change of what prices whom, newest first: who, when and why.
    History {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        scope: Scope,
        /// At most so many, 1 to 1000.
        #[arg(long, value_name = "COUNT", default_value = "20")]
        limit: u16,
    },
}

impl Scope {
    fn deployment(&self) -> Option<String> {
        let value = self.deployment?.to_possible_value()?;
        Some(value.get_name().to_owned())
    }

    /// As answers name it, such as `hosted/plan:pro`.
    pub(super) fn text(&self, door: &Door<'_>) -> Result<String, Failure> {
        let deployment = match self.deployment() {
            Some(deployment) => deployment,
            None => {
                let all = door.get("/v1/admin/bindings", None)?;
                let here = all.get("deployment").and_then(Value::as_str);
                here.unwrap_or_default().to_owned()
            }
        };
        Ok(match (&self.plan, &self.org) {
            (Some(plan), _) => format!("{deployment}/plan:{plan}"),
            (None, Some(org)) => format!("{deployment}/org:{org}"),
            (None, None) => deployment,
        })
    }

    /// The fields of a request.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let named = [
            ("deployment", self.deployment()),
            ("plan", self.plan.clone()),
            ("org_id", self.org.clone()),
        ];
        named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?))))
            .collect()
    }

    /// Where the commands of a running server mean its own deployment, a data directory may have
    /// been served in both: then nothing is guessed.
    pub(super) fn require_deployment(&self, door: &Door<'_>) -> Result<(), Failure> {
        if self.deployment.is_some() || !door.is_stopped() {
            return Ok(());
        }
        let all = door.get("/v1/admin/bindings", None)?;
        let items = all.get("items").and_then(Value::as_array);
        let deployments = items
            .into_iter()
            .flatten()
            .map(|item| item.get("deployment"));
        match deployments.collect::<HashSet<_>>().len() {
            0 | 1 => Ok(()),
            _ => Err(Failure::Usage(
                "the data directory has bindings of both deployments: name one with `--deployment`"
                    .to_owned(),
            )),
        }
    }

    /// What is bound to exactly this scope now, or `none`.
    fn bound(&self, door: &Door<'_>) -> Result<Value, Failure> {
        let all = door.get("/v1/admin/bindings", None)?;
        let here = all.get("deployment").cloned().unwrap_or_default();
        let deployment = self.deployment().map_or(here, Value::String);
        let is_it = |item: &&Value| {
            let field = |name: &str| item.get(name).and_then(Value::as_str);
            item.get("deployment") == Some(&deployment)
                && field("plan") == self.plan.as_deref()
                && field("org_id") == self.org.as_deref()
        };
        let items = all.get("items").and_then(Value::as_array);
        let bound = items
            .into_iter()
            .flatten()
            .find(is_it)
            .and_then(|item| item.get("release_id"))
            .filter(|release| release.is_string());
        Ok(bound.cloned().unwrap_or_else(|| json!("none")))
    }

    /// The fields of a request that changes the binding.
    fn change(&self, door: &Door<'_>, change: &Change) -> Result<Map<String, Value>, Failure> {
        self.require_deployment(door)?;
        let mut fields = self.fields();
        let expected = match change.expect.as_deref() {
            None => self.bound(door)?,
            Some("none") => json!("none"),
            Some(named) => json!(door.release(named)?),
        };
        fields.insert("expected".to_owned(), expected);
        if let Some(why) = &change.why {
            fields.insert("why".to_owned(), json!(why));
        }
        Ok(fields)
    }
}

impl BindingCommand {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let (answer, json) = match self {
            Self::Activate {
                place,
                release,
                scope,
                change,
            } => {
                let door = place.open()?;
                let release = match release.as_str() {
                    "none" => "none".to_owned(),
                    named => door.release(named)?,
                };
                let mut fields = scope.change(&door, change)?;
                fields.insert("release_id".to_owned(), json!(release));
                let path = "/v1/admin/bindings/activate";
                (door.post(path, &Value::Object(fields))?, place.json())
            }
            Self::Rollback {
                place,
                scope,
                change,
            } => {
                let door = place.open()?;
                let fields = scope.change(&door, change)?;
                let path = "/v1/admin/bindings/rollback";
                (door.post(path, &Value::Object(fields))?, place.json())
            }
            Self::Bindings { place } => {
                let answer = place.open()?.get("/v1/admin/bindings", None)?;
                let fields = ["scope", "release_id", "at", "by", "why"];
                (brief(answer, &fields, place.json()), place.json())
            }
            Self::History {
                place,
                scope,
                limit,
            } => {
                let mut path = format!("/v1/admin/bindings/history?limit={limit}");
                for (name, value) in scope.fields() {
                    let value = value.as_str().unwrap_or_default();
                    path.push_str(&format!("&{name}={}", encoded(value)));
                }
                let door = place.open()?;
                if scope.plan.is_some() || scope.org.is_some() {
                    scope.require_deployment(&door)?;
                }
                let answer = door.get(&path, None)?;
                let fields = [
                    "at",
                    "kind",
                    "scope",
                    "release_id",
                    "before_release_id",
                    "by",
                    "why",
                ];
                (brief(answer, &fields, place.json()), place.json())
            }
        };
        show::answer(&answer, json, out)
    }
}

/// A value as it stands in a query: every byte that could mean something there is escaped.
pub(super) fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_any_name_can_be_asked_for() {
        assert_eq!(encoded("pro"), "pro");
        assert_eq!(encoded("a b&c=ä"), "a%20b%26c%3D%C3%A4");
    }
}
