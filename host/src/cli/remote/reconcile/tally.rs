//! What became of the lines of a log, counted, with those by name that are left to do.

use crate::cli::failure::Failure;
use farebox_pricing::exact;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::io::Write;

/// How many lines that are left are told by name.
const NAMED_MAX: usize = 1_000;

/// Where a line stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// The log.
    pub log: String,
    /// Its line, from 1.
    pub line: u64,
}

/// What became of the lines.
#[derive(Debug, Default)]
pub struct Tally {
    dry_run: bool,
    lines: u64,
    without: u64,
    known: u64,
    missing: u64,
    missing_usd: Decimal,
    untold: u64,
    charged: u64,
    charged_credits: Decimal,
    shortfall_credits: Decimal,
    unpriced: u64,
    nothing: u64,
    left: u64,
    named: Vec<(Place, String)>,
}

const fn up(count: &mut u64) {
    *count = count.saturating_add(1);
}

impl Tally {
    pub fn new(dry_run: bool) -> Self {
        Self {
            dry_run,
            ..Self::default()
        }
    }

    /// A line was read.
    pub const fn line(&mut self) {
        up(&mut self.lines);
    }

    /// It has no call.
    pub const fn without(&mut self) {
        up(&mut self.without);
    }

    /// The ledger has its call.
    pub const fn known(&mut self) {
        up(&mut self.known);
    }

    /// The ledger does not have it, and is not told. Its caller was told this price, in USD.
    ///
    /// # Errors
    /// The sum is no exact decimal.
    pub fn missing(&mut self, price_usd: Option<Decimal>) -> Result<(), Failure> {
        up(&mut self.missing);
        match price_usd {
            Some(price_usd) => self.missing_usd = plus(self.missing_usd, price_usd)?,
            None => up(&mut self.untold),
        }
        Ok(())
    }

    /// It is charged now: so many credits, of which nobody could pay some.
    ///
    /// # Errors
    /// One is no amount.
    pub fn charged(&mut self, credits: &str, shortfall: Option<&str>) -> Result<(), Failure> {
        up(&mut self.charged);
        self.charged_credits = plus(self.charged_credits, amount(credits)?)?;
        let shortfall = amount(shortfall.unwrap_or("0"))?;
        self.shortfall_credits = plus(self.shortfall_credits, shortfall)?;
        Ok(())
    }

    /// It is recorded now, and waits for a price.
    pub const fn unpriced(&mut self) {
        up(&mut self.unpriced);
    }

    /// Its provider failed, and the book charges nothing for that.
    pub const fn nothing(&mut self) {
        up(&mut self.nothing);
    }

    /// It cannot be reconciled.
    pub fn leave(&mut self, place: Place, why: String) {
        up(&mut self.left);
        if self.named.len() < NAMED_MAX {
            self.named.push((place, why));
        }
    }

    /// How many cannot.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Prints it. `whole`: all of the logs was read and asked about.
    ///
    /// # Errors
    /// Standard output is gone.
    pub fn show(&self, json: bool, whole: bool, out: &mut dyn Write) -> Result<(), Failure> {
        if json {
            return Ok(writeln!(out, "{:#}", self.json(whole))?);
        }
        let row = |out: &mut dyn Write, name: &str, count: u64| writeln!(out, "{name:<24} {count}");
        row(out, "lines", self.lines)?;
        row(out, "without a call", self.without)?;
        row(out, "recorded before", self.known)?;
        if self.dry_run {
            let usd = self.missing_usd.normalize();
            let missing = self.missing;
            writeln!(out, "{:<24} {missing} ({usd} USD as told)", "missing")?;
            if self.untold > 0 {
                row(out, "  of them without price", self.untold)?;
            }
        } else {
            let credits = self.charged_credits.normalize();
            let charged = self.charged;
            writeln!(out, "{:<24} {charged} ({credits} credits)", "charged now")?;
            row(out, "waiting for a price", self.unpriced)?;
            row(out, "charged nothing", self.nothing)?;
            if !self.shortfall_credits.is_zero() {
                let shortfall = self.shortfall_credits.normalize();
                let name = "beyond the wallets";
                writeln!(out, "{name:<24} {shortfall} credits, now shortfall")?;
            }
        }
        row(out, "not reconciled", self.left)?;
        for (Place { log, line }, why) in &self.named {
            writeln!(out, "  {log}:{line}: {why}")?;
        }
        let named = u64::try_from(self.named.len()).unwrap_or(u64::MAX);
        let more = self.left.saturating_sub(named);
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
        if !whole {
            writeln!(out, "stopped: what was done stands; run it again to go on")?;
        }
        Ok(())
    }

    fn json(&self, whole: bool) -> Value {
        let named = self.named.iter();
        let named = named
            .map(|(place, why)| json!({"log": place.log, "line": place.line, "reason": why}))
            .collect::<Vec<_>>();
        json!({
            "whole": whole,
            "dry_run": self.dry_run,
            "lines": self.lines,
            "without_call": self.without,
            "recorded_before": self.known,
            "missing": self.missing,
            "missing_price_usd": self.missing_usd.normalize().to_string(),
            "charged": self.charged,
            "charged_credits": self.charged_credits.normalize().to_string(),
            "shortfall_credits": self.shortfall_credits.normalize().to_string(),
            "unpriced": self.unpriced,
            "charged_nothing": self.nothing,
            "not_reconciled": self.left,
            "reasons": named,
        })
    }
}

fn amount(text: &str) -> Result<Decimal, Failure> {
    Decimal::from_str_exact(text)
        .map_err(|_| Failure::Found(format!("the server's amount `{text}` cannot be read")))
}

fn plus(sum: Decimal, more: Decimal) -> Result<Decimal, Failure> {
    exact::add(sum, more).map_err(|error| Failure::unavailable("amounts cannot be summed", error))
}
