//! Which calls of a log the ledger does not have, and their reports, org by org: so many at once as
//! the server takes, and never more in memory than a few of those.

use super::log::Call;
use super::tally::{Place, Tally};
use crate::cli::failure::Failure;
use crate::cli::remote::server::{Server, problem};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many calls go as one: what the server takes.
const TOGETHER_MAX: usize = 256;
/// How many bytes of reports go as one.
const TOGETHER_BYTES: usize = 1 << 20;
/// How many bytes of reports wait, over all orgs.
const WAITING_BYTES: usize = 16 << 20;
/// What a call takes beside its report, in bytes.
const CALL_BYTES: usize = 512;
/// Why a call is left whose record has no report.
const WITH_CONTENT: &str = "the answer could not be told without its content, which no log has";
/// Why a call is left that is too large by itself.
const TOO_LARGE: &str = "it is larger than the server takes (`body_bytes_max`)";
/// How often a server that is busy is asked again, a second later each time.
const TRIES_MAX: usize = 30;

/// Calls that nobody was asked about yet.
pub struct Missing<'a> {
    server: &'a Server,
    dry_run: bool,
    waiting: BTreeMap<String, Waiting>,
    bytes: usize,
}

/// Those of one org.
#[derive(Default)]
struct Waiting {
    calls: Vec<(Place, Call)>,
    bytes: usize,
}

/// What the server said.
enum Answer {
    /// What was asked for.
    Body(Value),
    /// Not for this org.
    Refused(String),
    /// Not so much at once.
    TooLarge,
}

impl<'a> Missing<'a> {
    pub const fn new(server: &'a Server, dry_run: bool) -> Self {
        Self {
            server,
            dry_run,
            waiting: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// One more call.
    ///
    /// # Errors
    /// The server cannot be asked, or knows no such admin.
    pub fn add(&mut self, place: Place, call: Call, tally: &mut Tally) -> Result<(), Failure> {
        let report = call.report.as_ref().map_or(0, |report| report.get().len());
        let bytes = report.saturating_add(CALL_BYTES);
        let org = call.org.clone();
        let waiting = self.waiting.entry(org.clone()).or_default();
        waiting.calls.push((place, call));
        waiting.bytes = waiting.bytes.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        if waiting.calls.len() >= TOGETHER_MAX || waiting.bytes >= TOGETHER_BYTES {
            let ready = self.waiting.remove(&org).unwrap_or_default();
            self.bytes = self.bytes.saturating_sub(ready.bytes);
            return self.settle(&org, ready.calls, tally);
        }
        if self.bytes >= WAITING_BYTES {
            return self.settle_all(tally);
        }
        Ok(())
    }

    /// Whatever waits.
    ///
    /// # Errors
    /// As for [`Missing::add`].
    pub fn settle_all(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        self.bytes = 0;
        while let Some((org, ready)) = self.waiting.pop_first() {
            self.settle(&org, ready.calls, tally)?;
        }
        Ok(())
    }

    fn settle(
        &self,
        org: &str,
        mut calls: Vec<(Place, Call)>,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let keys: Vec<&str> = calls
            .iter()
            .map(|(_, call)| call.idempotency_key.as_str())
            .collect();
        let body = json!({"idempotency_keys": keys}).to_string();
        let found = match self.ask("/v1/usage/lookup", org, body)? {
            Answer::Body(found) => items(found, calls.len())?,
            Answer::TooLarge if calls.len() > 1 => {
                let half = calls.split_off(calls.len() / 2);
                self.settle(org, calls, tally)?;
                return self.settle(org, half, tally);
            }
            Answer::TooLarge => return leave_all(calls, TOO_LARGE, tally),
            Answer::Refused(why) => return leave_all(calls, &why, tally),
        };
        let mut reports = Vec::new();
        for ((place, call), found) in calls.into_iter().zip(found) {
            if found.get("recorded") == Some(&Value::Bool(true)) {
                tally.known();
                continue;
            }
            match call.report {
                None => tally.leave(place, WITH_CONTENT.to_owned()),
                Some(_) if self.dry_run => tally.missing(call.price_usd)?,
                Some(report) => reports.push((place, report)),
            }
        }
        if reports.is_empty() {
            return Ok(());
        }
        self.report(org, reports, tally)
    }

    fn report(
        &self,
        org: &str,
        mut reports: Vec<(Place, Box<RawValue>)>,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let texts: Vec<&str> = reports.iter().map(|(_, report)| report.get()).collect();
        let body = format!("{{\"items\":[{}]}}", texts.join(","));
        let answers = match self.ask("/v1/usage/batch", org, body)? {
            Answer::Body(answers) => items(answers, reports.len())?,
            Answer::TooLarge if reports.len() > 1 => {
                let half = reports.split_off(reports.len() / 2);
                self.report(org, reports, tally)?;
                return self.report(org, half, tally);
            }
            Answer::TooLarge => return leave_all(reports, TOO_LARGE, tally),
            Answer::Refused(why) => return leave_all(reports, &why, tally),
        };
        for ((place, _), answer) in reports.into_iter().zip(answers) {
            recorded(place, &answer, tally)?;
        }
        Ok(())
    }

    /// The server's answer. One that is busy is asked again: the same takes effect once.
    fn ask(&self, path: &str, org: &str, body: String) -> Result<Answer, Failure> {
        let body = body.into_bytes();
        let mut tries = 0_usize;
        loop {
            let (status, answer) = self.server.ask(path, org, body.clone())?;
            match status {
                200 => return Ok(Answer::Body(answer)),
                401 => return Err(Failure::Found(problem(status, &answer))),
                429 | 503 if tries < TRIES_MAX => {
                    tries = tries.saturating_add(1);
                    std::thread::sleep(Duration::from_secs(1));
                }
                413 => return Ok(Answer::TooLarge),
                400..=499 if status != 429 => {
                    return Ok(Answer::Refused(problem(status, &answer)));
                }
                _ => {
                    return Err(Failure::unavailable(
                        "the server cannot do it now: run it again",
                        problem(status, &answer),
                    ));
                }
            }
        }
    }
}

fn leave_all<T>(lines: Vec<(Place, T)>, why: &str, tally: &mut Tally) -> Result<(), Failure> {
    for (place, _) in lines {
        tally.leave(place, why.to_owned());
    }
    Ok(())
}

/// What became of one report.
fn recorded(place: Place, answer: &Value, tally: &mut Tally) -> Result<(), Failure> {
    if let Some(refusal) = answer.get("problem") {
        let status = refusal.get("status").and_then(Value::as_u64);
        let status = status.and_then(|status| u16::try_from(status).ok());
        let reason = refusal.get("reason").and_then(Value::as_str);
        if status == Some(422) && reason == Some("provider_error") {
            tally.nothing();
        } else {
            tally.leave(place, problem(status.unwrap_or_default(), refusal));
        }
        return Ok(());
    }
    if answer.get("replayed") == Some(&Value::Bool(true)) {
        tally.known();
        return Ok(());
    }
    let credits = |at: &str| answer.pointer(at).and_then(Value::as_str);
    match credits("/credits") {
        Some(charged) => tally.charged(charged, credits("/paid/shortfall_credits")),
        None => {
            tally.unpriced();
            Ok(())
        }
    }
}

/// The items of an answer, one for each that was asked about.
fn items(mut answer: Value, count: usize) -> Result<Vec<Value>, Failure> {
    match answer.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if items.len() == count => Ok(items),
        _ => Err(Failure::unavailable(
            "the server's answer cannot be read",
            "it has not one item for each that was sent",
        )),
    }
}
