//! What each calculator answers to each call: a price as decimal text, or why there is none.

use super::Peer;
use super::environment::{Call, Environment};
use crate::step;
use anyhow::{Context, Result, bail};
use rust_decimal::Decimal;
use serde_json::Value;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a calculator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// USD.
    Price(Decimal),
    /// It cannot be asked this: it would answer another question and not say so.
    NotAsked(String),
    /// It has no price.
    Refused(String),
}

impl Answer {
    /// The price, where there is one.
    pub const fn price(&self) -> Option<Decimal> {
        match self {
            Self::Price(price) => Some(*price),
            Self::NotAsked(_) | Self::Refused(_) => None,
        }
    }
}

/// Every answer to every call, each list in the order of the calls.
pub struct Answers {
    /// Of the peers, in the order of [`Peer::ALL`].
    pub peers: Vec<Vec<Answer>>,
    /// Of Farebox on the book made of each peer's file.
    pub ours: Vec<Vec<Answer>>,
    /// Of Farebox on the book that it ships.
    pub shipped: Vec<Answer>,
}

/// Asks everybody.
///
/// # Errors
/// A calculator does not run, or does not answer every call.
pub fn all(
    environment: &Environment,
    binary: &Path,
    books: &[PathBuf],
    calls: &[Call],
) -> Result<Answers> {
    let file = environment.file("calls.jsonl");
    write_asked(&file, calls.iter())?;
    let mut peers = Vec::new();
    let mut ours = Vec::new();
    let mut shipped = Vec::new();
    for (peer, book) in Peer::ALL.iter().zip(books) {
        let text = step::output(
            environment
                .script("ask.py")
                .arg(peer.short())
                .arg(environment.prices(*peer))
                .arg(&file),
        )?;
        peers.push(read(&text, calls.len(), of_peer)?);
        let rated = environment.file(&format!("{}.jsonl", peer.name()));
        write_rated(&rated, *peer, calls.iter())?;
        ours.push(rate(binary, Some(book), &rated, calls.len())?);
        if *peer == Peer::Litellm {
            shipped = rate(binary, None, &rated, calls.len())?;
        }
    }
    Ok(Answers {
        peers,
        ours,
        shipped,
    })
}

/// Writes the calls as `farebox rate` reads them, for the book of `peer`.
///
/// # Errors
/// The file cannot be written, or a call has no such line.
pub fn write_rated<'a>(
    path: &Path,
    peer: Peer,
    calls: impl Iterator<Item = &'a Call>,
) -> Result<()> {
    let lines: Vec<&str> = calls
        .map(|call| {
            Ok(call
                .books
                .get(peer.short())
                .context("no line to rate")?
                .get())
        })
        .collect::<Result<_>>()?;
    write_lines(path, lines.into_iter())
}

/// Writes the calls as the peers read them.
///
/// # Errors
/// The file cannot be written.
pub fn write_asked<'a>(path: &Path, calls: impl Iterator<Item = &'a Call>) -> Result<()> {
    write_lines(path, calls.map(|call| call.text.as_str()))
}

fn write_lines<'a>(path: &Path, lines: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut file = std::io::BufWriter::new(File::create(path)?);
    for line in lines {
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

fn rate(binary: &Path, book: Option<&Path>, calls: &Path, count: usize) -> Result<Vec<Answer>> {
    let mut command = Command::new(binary);
    command.arg("rate").stderr(Stdio::inherit());
    if let Some(book) = book {
        command.arg("--price-book").arg(book);
    }
    let text = step::output(command.arg(calls))?;
    read(&text, count, of_farebox)
}

fn read(
    text: &str,
    count: usize,
    answer: impl Fn(&Value) -> Option<Answer>,
) -> Result<Vec<Answer>> {
    let answers: Vec<Answer> = text
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line)?;
            answer(&value).with_context(|| format!("`{line}` is no answer"))
        })
        .collect::<Result<_>>()?;
    if answers.len() != count {
        bail!("{} answers to {count} calls", answers.len());
    }
    Ok(answers)
}

fn of_peer(value: &Value) -> Option<Answer> {
    if let Some(price) = value.get("usd") {
        return Some(Answer::Price(decimal(price.as_str()?)?));
    }
    let error = value.get("error")?.as_str()?;
    Some(match error.strip_prefix("NotAsked: ") {
        Some(why) => Answer::NotAsked(why.to_owned()),
        None => Answer::Refused(error.to_owned()),
    })
}

/// The provider's list price, which no markup moves; a vouched cost where there is no list price.
fn of_farebox(value: &Value) -> Option<Answer> {
    if let Some(error) = value.get("error") {
        return Some(Answer::Refused(error.get("detail")?.as_str()?.to_owned()));
    }
    let market = value.get("market_usd").and_then(Value::as_str);
    let cost = value.get("provider_cost_usd").and_then(Value::as_str);
    Some(Answer::Price(decimal(market.or(cost)?)?))
}

fn decimal(text: &str) -> Option<Decimal> {
    let plain = text.parse().ok();
    plain.or_else(|| Decimal::from_scientific(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_told_apart() {
        let price = |text: &str| Some(Answer::Price(decimal(text).unwrap()));
        assert_eq!(of_peer(&json!({"usd": "2.5e-06"})), price("0.0000025"));
        assert_eq!(
            of_peer(&json!({"error": "NotAsked: no batch"})),
            Some(Answer::NotAsked("no batch".to_owned()))
        );
        assert_eq!(of_peer(&json!({})), None);
        let priced = json!({"market_usd": null, "provider_cost_usd": "0.1"});
        assert_eq!(of_farebox(&priced), price("0.1"));
        let refused = json!({"error": {"type": "unknown-model", "detail": "no price"}});
        assert_eq!(
            of_farebox(&refused),
            Some(Answer::Refused("no price".to_owned()))
        );
    }
}
