//! `farebox usage repair`: wrong bills put right, first told and then posted.

use super::server::Server;
use super::show;
use crate::cli::failure::Failure;
use crate::cli::policy::backtest::Range;
use crate::cli::policy::backtest::follow::{self, Interrupt};
use crate::cli::policy::door::Door;
use crate::wire::{RepairJson, RepairReportJson};
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;

/// How many customers are shown.
const SHOWN: usize = 20;

/// Put right what a wrong release charged: price it again under a corrected one, and post the
/// differences.
///
/// Without `--post` it only shows, by customer, what was charged too much and too little. With it,
/// what was too much goes back at once, as a refund of the charge; what was too little is taken only
/// with `--debit`, as a deduction. Each correction names its charge. Running it again changes
/// nothing; one that was stopped goes on where it ended.
#[derive(Debug, Args)]
pub struct Repair {
    /// The release that charged wrongly: its address, the beginning of it, or its name.
    #[arg(long, value_name = "RELEASE")]
    wrong: String,
    /// The release that should have; it is pushed, and need not be active.
    #[arg(long, value_name = "RELEASE")]
    corrected: String,
    #[command(flatten)]
    range: Range,
    /// Post the corrections; without it they are only shown.
    #[arg(long)]
    post: bool,
    /// Take what was charged too little, too.
    #[arg(long)]
    debit: bool,
    /// Why; customers see it beside each correction.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

impl Repair {
    pub(super) fn run(&self, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
        let interrupt = Interrupt::listen()?;
        let door = Door::Running(server);
        let mut fields = self.range.fields();
        for (name, value) in [
            ("wrong_release_id", json!(door.release(&self.wrong)?)),
            (
                "corrected_release_id",
                json!(door.release(&self.corrected)?),
            ),
            ("post", json!(self.post)),
            ("debit", json!(self.debit)),
        ] {
            fields.insert(name.to_owned(), value);
        }
        if let Some(why) = &self.why {
            fields.insert("why".to_owned(), json!(why));
        }
        let begun = door.post("/v1/admin/repairs", &Value::Object(fields))?;
        let ended = follow::to_its_end(&door, "/v1/admin/repairs", begun, &interrupt)?;
        let job: RepairJson = serde_json::from_value(ended.clone())
            .map_err(|error| Failure::unavailable("the server's answer cannot be read", error))?;
        let Some(report) = &job.report else {
            let why = job.failure.as_deref().unwrap_or("it gave no reason");
            return Err(Failure::Found(format!("the repair failed: {why}")));
        };
        if server.json {
            writeln!(out, "{ended:#}")?;
        } else {
            tell(&job, report, out)?;
        }
        match left(report) {
            None => Ok(()),
            Some(why) => Err(Failure::Found(why)),
        }
    }
}

/// What is still to do, where there is something.
fn left(report: &RepairReportJson) -> Option<String> {
    if !report.whole {
        return Some("stopped: what was posted stands; run it again to go on".to_owned());
    }
    let refused = report.refused.values();
    let refused = refused.fold(0_u64, |sum, count| sum.saturating_add(*count));
    if refused > 0 {
        return Some(format!(
            "{refused} corrections were refused; run it again to try again"
        ));
    }
    if report.posted_before > 0 {
        let moved = report.posted_before;
        return Some(format!(
            "{moved} charges were corrected or refunded by somebody else meanwhile; run it again to see \
             what is still due"
        ));
    }
    let missed = report.missed.iter();
    let unavailable = missed
        .filter(|missed| missed.reason == "unavailable")
        .fold(0_u64, |sum, missed| sum.saturating_add(missed.charges));
    (unavailable > 0).then(|| format!("{unavailable} charges could not be priced again"))
}

fn tell(job: &RepairJson, report: &RepairReportJson, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "charges of the wrong release  {}", report.charges)?;
    let (due, posted) = (&report.due, &report.posted);
    writeln!(
        out,
        "due                           {} charges: {} USD back to customers, {} USD from them",
        due.charges, due.back_usd, due.taken_usd
    )?;
    if job.post {
        writeln!(
            out,
            "posted                        {} corrections: {} USD back, {} USD taken",
            posted.charges, posted.back_usd, posted.taken_usd
        )?;
    } else {
        writeln!(out, "posted                        nothing: --post does")?;
    }
    if !report.by_org.is_empty() {
        writeln!(out)?;
        let rows = report.by_org.iter().take(SHOWN).map(|org| {
            json!({ "org": org.org_id, "name": org.name, "charges": org.due.charges,
                "back_credits": org.due.back_credits, "from_credits": org.due.taken_credits,
                "posted_back": org.posted.back_credits, "posted_from": org.posted.taken_credits })
        });
        show::answer(&rows.collect(), false, out)?;
        let more = report.by_org.len().saturating_sub(SHOWN);
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        let more = more.saturating_add(report.left_off);
        if more > 0 {
            writeln!(out, "and {more} more customers")?;
        }
    }
    for missed in &report.missed {
        writeln!(
            out,
            "\nnot corrected: {} charges, which the corrected release cannot price ({})",
            missed.charges, missed.reason
        )?;
    }
    for (why, count) in &report.refused {
        writeln!(out, "\nrefused: {count} corrections ({why})")?;
    }
    Ok(())
}
