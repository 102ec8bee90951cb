//! `farebox policy test`: a policy's own table of cases, in the real engine with every check of the
//! host, and no server.
//!
//! A policy first passes the trial that each one passes when it is pushed. Then every case is priced
//! one by one, in a batch, and in an instance that is kept, which must agree in every digit; what it
//! is quoted before must bound what it pays after. Answers are compared with what the cases expect,
//! and with a golden file that holds all of them whole.

mod cases;
mod golden;
mod trial;

use crate::cli::failure::{self, Failure};
use crate::cli::price_book;
use crate::engine::package::Package;
use cases::{Case, Table};
use clap::Args;
use golden::Golden;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use trial::{Answered, Trial};

const EXAMPLES: &str = "\
Examples:
  farebox policy test dist/mine.wasm --cases cases.json
  farebox policy test dist/mine.wasm --cases cases.json --update";

/// The refusals that the contract has, as answers name them.
const REFUSALS: [&str; 4] = ["unknown-model", "not-priced", "not-allowed", "out-of-range"];

/// Run a policy's table of cases, with every check of the host and without a server.
///
/// The cases are JSON: a price book and calls as `farebox rate` reads them, each with what must come
/// of it (docs/custom-policies.md). Ends with 1 when an answer is not what its case or the golden
/// file says, when the policy faults, or when a quote does not bound the price of its call.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Test {
    /// The policy: a component, with or without its book.
    file: PathBuf,
    /// The table of cases.
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
    /// The price book. Without it: the one that the table names, else the one in the policy's file.
    #[arg(long, value_name = "FILE")]
    book: Option<PathBuf>,
    /// The answers as they were accepted. Without it: `golden.json` beside the cases.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Accept the answers: write the golden file anew. Read what changed before you keep it.
    #[arg(long)]
    update: bool,
}

impl Test {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let table = Table::read(&self.cases)?;
        let trial = Trial::begin(self.package(&table)?)?;
        writeln!(
            out,
            "policy     {} {}, {} limits",
            trial.said.name,
            trial.said.version,
            trial.class.name()
        )?;
        let answered = trial.ask(&table);
        let mut failures = Vec::new();
        for (case, answered) in table.cases.iter().zip(&answered) {
            let wrong = answered.broken.clone();
            if let Some(what) = wrong.or_else(|| case.difference(&answered.answer)) {
                failures.push(Failed::of(&case.name, what));
            }
        }
        let golden = self.golden(&table, &answered, &mut failures)?;
        for Failed { case, what } in &failures {
            writeln!(out, "failed     {case}: {what}")?;
        }
        let failed = |case: &&Case| failures.iter().any(|failed| failed.case == case.name);
        let all = table.cases.len();
        let passed = all.saturating_sub(table.cases.iter().filter(failed).count());
        writeln!(out, "cases      {passed} of {all} as expected")?;
        writeln!(out, "golden     {golden}")?;
        writeln!(out, "refusals   {}", refusals(&answered))?;
        writeln!(
            out,
            "fuel       {} per event at most, of {}",
            trial.fuel_max(&table)?,
            trial.class.limits().call_fuel(1)
        )?;
        if failures.is_empty() {
            return Ok(());
        }
        Err(Failure::Found(format!("{} failed", failures.len())))
    }

    fn package(&self, table: &Table) -> Result<Package, Failure> {
        let file = failure::read(&self.file)?;
        let found = |error: &dyn std::fmt::Display| {
            Failure::Found(format!("{}: {error}", self.file.display()))
        };
        let mut package = Package::open(&file).map_err(|error| found(&error))?;
        let given = self.book.as_deref().map(price_book::load).transpose()?;
        let book = match given {
            Some(book) => Some(book.canonical),
            None => table.book(&self.cases)?,
        };
        if let Some(book) = book {
            package.book = Some(book);
            package.book_source = None;
            // Who signed the file signed another book.
            package.signatures.clear();
        }
        if package.book.is_none() {
            return Err(Failure::Usage(
                "there is no price book: name one in the cases, or give `--book`".to_owned(),
            ));
        }
        Ok(package)
    }

    /// Compares with the golden file, or writes it; what there is to say of it.
    fn golden(
        &self,
        table: &Table,
        answered: &[Answered],
        failures: &mut Vec<Failed>,
    ) -> Result<String, Failure> {
        let path = self
            .golden
            .clone()
            .unwrap_or_else(|| self.cases.with_file_name("golden.json"));
        let got = Golden::of(table, answered);
        if self.update {
            if failures.is_empty() {
                failure::write(&path, got.text().as_bytes())?;
                return Ok(format!("written to {}", path.display()));
            }
            return Ok("not written: first the cases must hold".to_owned());
        }
        let Some(kept) = Golden::read(&path)? else {
            let what = "there is none yet: make it with `--update`".to_owned();
            failures.push(Failed::of(&path.display().to_string(), what));
            return Ok("missing".to_owned());
        };
        let differences = got.differences(&kept);
        let equal = differences.is_empty();
        let differences = differences.into_iter();
        failures.extend(differences.map(|(case, what)| Failed::of(&case, what)));
        Ok(if equal { "equal" } else { "differs" }.to_owned())
    }
}

/// A case, or a file, that is not as it should be.
struct Failed {
    case: String,
    what: String,
}

impl Failed {
    fn of(case: &str, what: String) -> Self {
        Self {
            case: case.to_owned(),
            what,
        }
    }
}

/// Which refusals the table provoked, how often and with which rules, and which it did not.
fn refusals(answered: &[Answered]) -> String {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for answered in answered {
        let error = answered.answer.get("error");
        let kind = error.and_then(|error| error.get("type")?.as_str());
        if let Some(kind) = REFUSALS.iter().find(|refusal| Some(**refusal) == kind) {
            let times = seen.entry(kind).or_default();
            *times = times.saturating_add(1);
        }
    }
    let shown = REFUSALS.iter().map(|refusal| match seen.get(refusal) {
        Some(times) => format!("{refusal} {times}×"),
        None => format!("{refusal} never"),
    });
    shown.collect::<Vec<_>>().join(", ")
}
