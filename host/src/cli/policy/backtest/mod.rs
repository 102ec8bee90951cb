//! `farebox policy backtest`: what the past would have cost under a release, as tables, JSON, or a
//! page to show around. The server does the work, as a job; this watches it.

pub mod follow;
mod moment;
mod page;
mod table;

use super::bindings::encoded;
use super::door::{Door, Place};
use crate::cli::failure::{self, Failure};
use crate::wire::BacktestJson;
use clap::Args;
use moment::Moment;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  farebox policy backtest november --since 30d
  farebox policy backtest november.wasm --since 2026-10-01 --until 2026-11-01 --html november.html
  farebox policy backtest november --data-dir farebox-data --json";

/// Rate past charges again under a release, and show what would change. Nothing is charged by it.
///
/// Shows revenue, cost and margin as they were charged and as the release rates them, the change by
/// org, feature, model and plan, who would win and lose most, what would be sold below cost, and
/// what would have no price. Ctrl-C stops it and shows what it found until then; it ends with 1
/// then.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Backtest {
    #[command(flatten)]
    place: Place,
    /// A release of the ledger: its address, the beginning of it, or its name where only one has
    /// it. Or a file that ends in `.wasm`, which is tried and not kept.
    release: String,
    #[command(flatten)]
    range: Range,
    /// Only charges that this release priced.
    #[arg(long, value_name = "RELEASE")]
    priced_by: Option<String>,
    /// Write a page for a browser too: one file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Which charges, by the time they were posted.
#[derive(Debug, Args)]
pub struct Range {
    /// From here on: a time before now such as `30d`, `12h` or `2w`, a day, or an RFC 3339 time.
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Before this; without it: up to now.
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
}

impl Range {
    /// The fields of a request.
    pub fn fields(&self) -> Map<String, Value> {
        let named = [("since", &self.since), ("until", &self.until)];
        named
            .into_iter()
            .filter_map(|(name, moment)| Some((name.to_owned(), json!(moment.as_ref()?.text()))))
            .collect()
    }
}

impl Backtest {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let interrupted = follow::Interrupt::listen()?;
        let door = self.place.open()?;
        let begun = self.begin(&door)?;
        let ended = follow::to_its_end(&door, "/v1/admin/backtests", begun, &interrupted)?;
        let job: BacktestJson = serde_json::from_value(ended.clone())
            .map_err(|error| Failure::unavailable("the server's answer cannot be read", error))?;
        let Some(report) = &job.report else {
            let why = job.failure.as_deref().unwrap_or("it gave no reason");
            return Err(Failure::Found(format!("the backtest failed: {why}")));
        };
        if let Some(path) = &self.html {
            failure::write(path, page::page(&job, report).as_bytes())?;
        }
        if self.place.json() {
            writeln!(out, "{ended:#}")?;
        } else {
            table::show(&job, report, out)?;
            if let Some(path) = &self.html {
                writeln!(out, "\nwrote {}", path.display())?;
            }
        }
        if report.whole {
            return Ok(());
        }
        Err(Failure::Found(match &report.last_posted_at {
            Some(last) => format!("stopped: this is all that was posted up to {last}"),
            None => "stopped before the first charge was rated".to_owned(),
        }))
    }

    fn begin(&self, door: &Door<'_>) -> Result<Value, Failure> {
        let mut fields = self.range.fields();
        if let Some(named) = &self.priced_by {
            fields.insert("priced_by".to_owned(), json!(door.release(named)?));
        }
        if is_file(&self.release) {
            let file = failure::read(Path::new(&self.release))?;
            let query: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}={}", encoded(value.as_str().unwrap_or(""))))
                .collect();
            let path = format!("/v1/admin/backtests/file?{}", query.join("&"));
            return door.post_file(&path, "application/wasm", file);
        }
        fields.insert("release_id".to_owned(), json!(door.release(&self.release)?));
        door.post("/v1/admin/backtests", &Value::Object(fields))
    }
}

fn is_file(named: &str) -> bool {
    Path::new(named)
        .extension()
        .is_some_and(|extension| extension == "wasm")
}
