//! How long each of the three takes for the same calls, in the same run.
//!
//! Everybody is measured on the calls that everybody prices, with what has to be read and built
//! for a call made ready before: the peers' usage objects, Farebox's events. Farebox runs its
//! whole way through the sandbox, with every check of the host.

use super::Peer;
use super::answers::{Answers, write_asked, write_rated};
use super::environment::{Call, Environment};
use crate::server::{self, Build};
use crate::step;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How long each is measured.
const SECONDS: &str = "10";

/// Nanoseconds per call.
pub struct Speeds {
    /// How many different calls.
    pub calls: usize,
    /// The peers, in the order of [`Peer::ALL`].
    pub peers_ns: Vec<u64>,
    /// Farebox, one call at a time.
    pub single_ns: u64,
    /// Farebox, 256 calls at a time.
    pub batch_ns: u64,
}

/// Measures all three.
///
/// # Errors
/// One of them does not run.
pub fn measure(
    root: &Path,
    environment: &Environment,
    books: &[PathBuf],
    calls: &[Call],
    answers: &Answers,
) -> Result<Speeds> {
    let everybody = answers.peers.iter().chain(&answers.ours);
    let lists: Vec<_> = everybody.collect();
    let priced: Vec<&Call> = calls
        .iter()
        .enumerate()
        .filter(|(at, _)| {
            let answer = |list: &&Vec<_>| list.get(*at).is_some_and(has_price);
            lists.iter().all(answer)
        })
        .map(|(_, call)| call)
        .collect();
    if priced.is_empty() {
        bail!("there is no call that all three price");
    }
    let asked = environment.file("speed.jsonl");
    write_asked(&asked, priced.iter().copied())?;
    let mut peers_ns = Vec::new();
    for peer in Peer::ALL {
        let mut script = environment.script("ask.py");
        script
            .arg(peer.short())
            .arg(environment.prices(peer))
            .arg(&asked)
            .args(["--speed", SECONDS]);
        let (ns, _) = figures(&step::output(&mut script)?)?;
        peers_ns.push(ns);
    }
    let rated = environment.file("speed-rated.jsonl");
    write_rated(&rated, Peer::Litellm, priced.iter().copied())?;
    let selection = ["--example", "rate_speed"];
    let example = server::built(root, Build::Release, &selection, "rate_speed")?;
    let book = books.first().context("no book")?;
    let mut ours = Command::new(example);
    ours.arg(book).arg(&rated).arg(SECONDS);
    let (single_ns, batch_ns) = figures(&step::output(ours.stderr(Stdio::inherit()))?)?;
    Ok(Speeds {
        calls: priced.len(),
        peers_ns,
        single_ns,
        batch_ns: batch_ns.context("no figure for batches")?,
    })
}

fn has_price(answer: &super::answers::Answer) -> bool {
    answer.price().is_some()
}

fn figures(text: &str) -> Result<(u64, Option<u64>)> {
    let figures: Value = serde_json::from_str(text)?;
    let of = |name: &str| figures.get(name).and_then(Value::as_u64);
    let single = of("event_ns").with_context(|| format!("no figure in {text}"))?;
    Ok((single, of("batch_event_ns")))
}
