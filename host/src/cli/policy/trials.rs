//! `farebox policy shadow`, `canary`, `trials`, `stop-trial` and `promote`: a candidate is tried beside
//! what is bound, before it is activated.

use super::bindings::Scope;
use super::door::{Door, Place, brief};
use crate::cli::failure::Failure;
use crate::cli::remote::show;
use clap::{Args, Subcommand};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::io::Write;

const SHADOW_EXAMPLES: &str = "\
Examples:
  farebox policy shadow november
  farebox policy shadow november --plan pro --max-change 5";

const CANARY_EXAMPLES: &str = "\
Examples:
  farebox policy canary november --percent 5 --max-change 5
  farebox policy canary november --orgs org_0192f0c8b7a67c1e9f3a5d2b4c6e8f01";

/// When a trial ends by itself.
#[derive(Debug, Args)]
pub struct Bounds {
    /// More faults of the candidate than this end the trial.
    #[arg(long, value_name = "COUNT", default_value = "0")]
    max_faults: u64,
    /// More calls than this that only one of the two releases prices end the trial. Without it: none
    /// do.
    #[arg(long, value_name = "COUNT")]
    max_refused: Option<u64>,
    /// The trial ends when the prices under the two releases differ, call by call and whichever way,
    /// by more than so many percent of the sum under what is bound. Without it: whatever they differ
    /// by.
    #[arg(long, value_name = "PERCENT")]
    max_change: Option<Decimal>,
    /// So many calls are compared before `--max-change` may end the trial.
    #[arg(long, value_name = "COUNT", default_value = "100")]
    after_calls: u64,
    /// Why, for whoever reads the history.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

/// Try a release beside what is bound, before it is activated.
#[derive(Debug, Subcommand)]
pub enum TrialCommand {
    /// Price again with a candidate what is charged. Nobody pays by it.
    ///
    /// What differs is counted, off the path of any call, until the trial is stopped or promoted, or
    /// passes a bound.
    #[command(after_help = SHADOW_EXAMPLES)]
    Shadow {
        #[command(flatten)]
        place: Place,
        /// The candidate: its address, the beginning of it, or its name where only one has it.
        release: String,
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        bounds: Bounds,
    },
    /// Let a candidate price the calls of some orgs, and what is bound those of all others.
    ///
    /// Their charges are priced again by what is bound, and what differs is counted. When the trial
    /// passes a bound, what is bound prices everyone again at once. A canary of the same candidate
    /// that runs already, or its shadow, ends with it.
    #[command(after_help = CANARY_EXAMPLES)]
    Canary {
        #[command(flatten)]
        place: Place,
        /// The candidate: its address, the beginning of it, or its name where only one has it.
        release: String,
        /// The share of the scope's orgs, above 0 and at most 100. Which ones follows from their
        /// ids; those of a smaller share are among those of a larger one.
        #[arg(long, value_name = "PERCENT", required_unless_present = "orgs")]
        percent: Option<Decimal>,
        /// These orgs instead.
        #[arg(
            long,
            value_name = "ORG",
            value_delimiter = ',',
            conflicts_with = "percent"
        )]
        orgs: Vec<String>,
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        bounds: Bounds,
    },
    /// Show trials, newest first; of one that is named, all that it showed.
    Trials {
        #[command(flatten)]
        place: Place,
        /// The trial.
        trial: Option<String>,
        /// At most so many, 1 to 1000.
        #[arg(long, value_name = "COUNT", default_value = "20")]
        limit: u16,
    },
    /// End the trial that runs for a scope: what is bound prices everyone again, at once.
    StopTrial {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        scope: Scope,
        /// Why, for whoever reads the history.
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// Activate the candidate of the trial that runs for a scope, and end the trial, in one step.
    Promote {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        scope: Scope,
        /// Why, for whoever reads the history.
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
}

const PATH: &str = "/v1/admin/trials";

impl Bounds {
    fn fields(&self, door: &Door<'_>, release: &str, scope: &Scope) -> Result<Fields, Failure> {
        scope.require_deployment(door)?;
        let mut fields = scope.fields();
        let own = [
            ("release_id", Some(json!(door.release(release)?))),
            ("max_faults", Some(json!(self.max_faults))),
            ("max_refused", self.max_refused.map(|max| json!(max))),
            (
                "max_change_percent",
                self.max_change.map(|max| json!(max.to_string())),
            ),
            ("after_calls", Some(json!(self.after_calls))),
            ("why", self.why.as_ref().map(|why| json!(why))),
        ];
        fields.extend(
            own.into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        Ok(fields)
    }
}

type Fields = Map<String, Value>;

/// The trial that runs for a scope.
fn running(door: &Door<'_>, scope: &Scope) -> Result<String, Failure> {
    scope.require_deployment(door)?;
    let all = door.get(&format!("{PATH}?limit=1000"), None)?;
    let wanted = scope.text(door)?;
    let items = all.get("items").and_then(Value::as_array);
    let found = items.into_iter().flatten().find(|item| {
        item.get("end").is_none_or(Value::is_null)
            && item.get("scope").and_then(Value::as_str) == Some(&wanted)
    });
    let id = found
        .and_then(|item| item.get("id"))
        .and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| {
        Failure::Found(format!(
            "no trial runs for `{wanted}`; `farebox policy trials` shows them"
        ))
    })
}

fn end(door: &Door<'_>, scope: &Scope, how: &str, why: Option<&str>) -> Result<Value, Failure> {
    let trial = running(door, scope)?;
    let body = match why {
        Some(why) => json!({ "why": why }),
        None => json!({}),
    };
    door.post(&format!("{PATH}/{trial}/{how}"), &body)
}

/// What people see of each trial in a list.
const COLUMNS: [&str; 11] = [
    "kind",
    "scope",
    "release_id",
    "ending",
    "compared",
    "dearer",
    "cheaper",
    "refused",
    "faults",
    "change_usd",
    "id",
];

/// What a trial showed and how it ended, beside what it is.
fn in_one_row(mut answer: Value) -> Value {
    let items = answer.get_mut("items").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
        for part in ["result", "end"] {
            if let Some(Value::Object(fields)) = item.remove(part) {
                item.extend(
                    fields
                        .into_iter()
                        .filter(|(name, _)| COLUMNS.contains(&&**name)),
                );
            }
        }
    }
    answer
}

impl TrialCommand {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let (answer, json) = match self {
            Self::Shadow {
                place,
                release,
                scope,
                bounds,
            } => {
                let door = place.open()?;
                let mut fields = bounds.fields(&door, release, scope)?;
                fields.insert("kind".to_owned(), json!("shadow"));
                (door.post(PATH, &Value::Object(fields))?, place.json())
            }
            Self::Canary {
                place,
                release,
                percent,
                orgs,
                scope,
                bounds,
            } => {
                let door = place.open()?;
                let mut fields = bounds.fields(&door, release, scope)?;
                fields.insert("kind".to_owned(), json!("canary"));
                match percent {
                    Some(percent) => {
                        fields.insert("percent".to_owned(), json!(percent.to_string()))
                    }
                    None => fields.insert("org_ids".to_owned(), json!(orgs)),
                };
                (door.post(PATH, &Value::Object(fields))?, place.json())
            }
            Self::Trials {
                place,
                trial: Some(trial),
                ..
            } => {
                let door = place.open()?;
                (door.get(&format!("{PATH}/{trial}"), None)?, place.json())
            }
            Self::Trials {
                place,
                trial: None,
                limit,
            } => {
                let answer = place.open()?.get(&format!("{PATH}?limit={limit}"), None)?;
                let answer = match place.json() {
                    true => answer,
                    false => brief(in_one_row(answer), &COLUMNS, false),
                };
                (answer, place.json())
            }
            Self::StopTrial { place, scope, why } => {
                let door = place.open()?;
                let answer = end(&door, scope, "stop", why.as_deref())?;
                (answer, place.json())
            }
            Self::Promote { place, scope, why } => {
                let door = place.open()?;
                let answer = end(&door, scope, "promote", why.as_deref())?;
                (answer, place.json())
            }
        };
        show::answer(&answer, json, out)
    }
}
