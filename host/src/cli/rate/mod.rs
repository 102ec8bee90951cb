//! `farebox rate`: price recorded calls offline, through the same engine and checks as the server.

mod explain;
pub mod input;
pub mod output;

use super::failure::{self, Failure};
use super::price_book;
use crate::app::offline::Offline;
use crate::config::{self, DeploymentOption};
use crate::service::failures::{Fate, Understood, understand};
use clap::{Args, ValueEnum};
use explain::Explain;
use farebox_pricing::book::Book;
use farebox_pricing::currency::Pegs;
use farebox_pricing::event::{Deployment, Facts, KeySource};
use farebox_pricing::meter::Attribute;
use farebox_pricing::money::Peg;
use output::{ErrorLine, PricedLine};
use rust_decimal::Decimal;
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Price recorded calls, offline: JSON lines in, one JSON line out for each, in the same order.
///
/// A line is one of
///   {"provider","model","usage":{POOL: NUMBER,…},"service_tier"?,"feature"?,"occurred_at"?}
///   {"provider","api","status"?,"request":{…},"response":{…}}  (or "sse": "…")
///   {"provider","feature","provider_cost_usd"}
/// each perhaps with "facts":{NAME: TEXT,…} (count:RULE, named as in lines: what the customer has
/// used so far of what the rule counts; used:NAME: units of a provider's allowance so far; known_at:
/// milliseconds, to price by what was known then), "aborted":true (the caller went away), "cut_off_bytes" (a gateway ended the stream after so many bytes of text) or "status" (the provider's; an error from 400 on), and comes out as
///   {"provider_cost_usd","market_usd","price_usd","credits","lines":[…]}
/// or, when it has no price, as {"error":{"type","detail"}}. Amounts are decimal strings.
///
/// Lines without a price are answers, not failures: the command still ends with 0.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Rate {
    /// A price book (TOML or JSON) instead of the shipped one.
    #[arg(long, value_name = "FILE")]
    price_book: Option<PathBuf>,
    /// A policy component instead of the shipped standard policy.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where the calls ran.
    #[arg(long, value_enum, default_value = "hosted")]
    deployment: DeploymentOption,
    /// Whose provider key served them.
    #[arg(long, value_enum, default_value = "managed")]
    key_source: KeySourceOption,
    /// The customer's plan.
    #[arg(long, value_name = "NAME")]
    plan: Option<Box<str>>,
    /// The customer: an org's id, for rules of a contract.
    #[arg(long, value_name = "ID")]
    org: Option<Box<str>>,
    /// What one credit is worth, in USD.
    #[arg(long, value_name = "USD", default_value = "0.10")]
    credit_usd: Decimal,
    /// What one credit is worth in another currency, and dated rates to USD, as `serve` reads them.
    #[arg(long, value_name = "FILE", conflicts_with = "credit_usd")]
    credit_rates: Option<PathBuf>,
    /// Say beside each answer how the call ended, which rule of the book that meets, and which
    /// rule of names found its model.
    #[arg(long)]
    explain: bool,
    /// The calls; `-` or nothing: standard input.
    file: Option<PathBuf>,
}

/// Whose provider key served a call.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeySourceOption {
    /// The operator's.
    Managed,
    /// The customer's own.
    Own,
}

impl Rate {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let pegs = self.pegs()?;
        let offline = self.open()?;
        let book = self.explain.then(|| offline.book()).transpose();
        let book = book.map_err(|error| Failure::unavailable("cannot read the book", error))?;
        let mut input = self.input()?;
        let mut line = Vec::new();
        loop {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let trimmed = line.trim_ascii();
            if !trimmed.is_empty() {
                write_line(out, &self.answer(&offline, &pegs, book.as_ref(), trimmed))?;
            }
        }
    }

    fn open(&self) -> Result<Offline, Failure> {
        let book = self
            .price_book
            .as_deref()
            .map(price_book::load_to_price)
            .transpose()?;
        let component = self.policy.as_deref().map(failure::read).transpose()?;
        Offline::open(
            component.as_deref(),
            book.map(|compiled| compiled.canonical),
            config::user_cache_dir(),
        )
        .map_err(|error| Failure::unavailable("cannot load the policy", error))
    }

    fn input(&self) -> Result<Box<dyn BufRead>, Failure> {
        match self.file.as_deref() {
            Some(path) if path != Path::new("-") => {
                let file = File::open(path).map_err(|source| Failure::Read {
                    path: path.to_owned(),
                    source,
                })?;
                Ok(Box::new(BufReader::new(file)))
            }
            _ => Ok(Box::new(std::io::stdin().lock())),
        }
    }

    fn pegs(&self) -> Result<Pegs, Failure> {
        if let Some(path) = &self.credit_rates {
            return config::credit_rates(path)
                .map_err(|error| Failure::unavailable("cannot use the exchange rates", error));
        }
        let peg = Peg::new(self.credit_usd).ok_or_else(|| {
            Failure::Usage(format!(
                "`--credit-usd {}` is not a peg: above 0, at most 1000000, at most nine decimal \
                 places",
                self.credit_usd
            ))
        })?;
        Ok(Pegs::usd(peg))
    }

    fn answer(&self, offline: &Offline, pegs: &Pegs, book: Option<&Book>, line: &[u8]) -> Answer {
        let call = input::Line::parse(line).and_then(|line| {
            let (engine, release) = (offline.engine(), offline.release());
            let understood =
                line.with_report(|report| understand(report, line.ending(), engine, &release))?;
            Ok((understood, line.occurred_at_ms()?, line.facts()))
        });
        let (understood, occurred_at_ms, other) = match call {
            Ok(call) => call,
            Err(error) => return Answer::from(ErrorLine::from(&error)),
        };
        let explain = book.map(|book| Explain::new(book, &understood));
        let answer = self.rated(offline, pegs, &understood, occurred_at_ms, other);
        Answer { answer, explain }
    }

    fn rated(
        &self,
        offline: &Offline,
        pegs: &Pegs,
        understood: &Understood,
        occurred_at_ms: Option<i64>,
        other: Vec<Attribute>,
    ) -> Rated {
        let key_source = match self.key_source {
            KeySourceOption::Managed => KeySource::Managed,
            KeySourceOption::Own => KeySource::Own,
        };
        let occurred_at_ms = occurred_at_ms.unwrap_or_else(|| offline.now_ms());
        let mut facts = Facts::new(
            Deployment::from(self.deployment),
            key_source,
            occurred_at_ms,
        );
        facts.plan.clone_from(&self.plan);
        facts.org.clone_from(&self.org);
        facts.other = other;
        match (understood.fate, understood.outcome) {
            (Fate::Rate, _) => {}
            (Fate::Nothing, _) => return Rated::Priced(PricedLine::nothing()),
            (Fate::Unpriced(reason), outcome) => {
                return Rated::Error(ErrorLine::held(reason, outcome));
            }
        }
        match offline.rate(&understood.intake.event, &facts) {
            Ok(priced) => match PricedLine::new(&priced, pegs.at(facts.occurred_at_ms)) {
                Ok(line) => Rated::Priced(line),
                Err(error) => Rated::Error(ErrorLine::out_of_range(error)),
            },
            Err(error) => Rated::Error(ErrorLine::from(&error)),
        }
    }
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    answer: Rated,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explain>,
}

impl From<ErrorLine> for Answer {
    fn from(error: ErrorLine) -> Self {
        Self {
            answer: Rated::Error(error),
            explain: None,
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Rated {
    Priced(PricedLine),
    Error(ErrorLine),
}

fn write_line(out: &mut dyn Write, answer: &Answer) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, answer).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}
