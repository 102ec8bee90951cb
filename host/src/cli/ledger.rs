//! `farebox ledger`: prove, back up and restore a data directory.

mod heads;

use super::failure::Failure;
use super::progress;
use crate::app::replay::{Replayed, Replayer};
use crate::config;
use crate::service::rerate::Control;
use crate::store::backup::{self, BackupError};
use crate::store::directory::DataDirectory;
use crate::store::verify::{self, Evidence, Report};
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Commands on a ledger.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Prove the invariants of a ledger, and say exactly what is broken.
    ///
    /// Reads only, so it may run beside a serving process. Ends with 1 when anything is broken.
    ///
    /// A ledger of an earlier version stays as it is: a copy of it is brought to this version and
    /// proved. The copy takes as much room as the ledger, in the folder for temporary files
    /// (`SQLITE_TMPDIR`, else `TMPDIR`, else `/var/tmp`).
    Verify(Verify),
    /// Copy a ledger to one file, while it is served from or not.
    ///
    /// Everything is in it but the key that signs heads.
    Backup {
        #[command(flatten)]
        data: DataDir,
        /// The file, which must not exist yet.
        file: PathBuf,
    },
    /// Make a data directory out of a backup, and verify it.
    ///
    /// A backup of an earlier version is brought to this one on the way; the file itself stays as it
    /// is. Ends with 1, and leaves no ledger, when the backup is broken.
    Restore {
        #[command(flatten)]
        data: DataDir,
        /// The backup.
        file: PathBuf,
    },
    /// Print the signed head of every org's hash chain, as JSON lines.
    ///
    /// Keep them elsewhere: a ledger that was cut off or written anew no longer passes through a
    /// head that was exported before (`farebox ledger verify --heads`). `GET /v1/admin/heads` gives
    /// the same heads.
    Heads {
        #[command(flatten)]
        data: DataDir,
    },
}

/// Which data directory.
#[derive(Debug, Args)]
pub struct DataDir {
    /// The data directory.
    #[arg(
        long,
        env = "FAREBOX_DATA_DIR",
        value_name = "DIR",
        default_value = "farebox-data"
    )]
    data_dir: PathBuf,
}

impl DataDir {
    fn open(&self) -> DataDirectory {
        DataDirectory::new(&self.data_dir)
    }
}

/// What to verify.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    data: DataDir,
    /// Price every charge again from its receipt, under the release that priced it, on all cores;
    /// each must give the same lines and amounts. Says which releases are missing, if any.
    #[arg(long)]
    replay: bool,
    /// Heads that were exported earlier, which the ledger must still pass through: what `farebox
    /// ledger heads` printed, one or many times, or what `GET /v1/admin/heads` answered.
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
}

impl Ledger {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Verify(command) => command.run(out),
            Self::Backup { data, file } => {
                backup::backup(&data.open(), file)
                    .map_err(|error| Failure::unavailable("the backup was not made", error))?;
                Ok(writeln!(out, "backed up to {}", file.display())?)
            }
            Self::Restore { data, file } => restore(&data.open(), file, out),
            Self::Heads { data } => heads::print(data.open(), out),
        }
    }
}

impl Verify {
    fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let known = self
            .heads
            .as_deref()
            .map(heads::read)
            .transpose()?
            .unwrap_or_default();
        let evidence = Evidence { heads: &known };
        let report = verify::verify(&self.data.open(), evidence)
            .map_err(|error| Failure::unavailable("the ledger cannot be verified", error))?;
        let mut broken = say(&report, out)?;
        if self.replay {
            broken = broken.saturating_add(self.replay(out)?);
        }
        judge(broken, out)
    }

    /// Prices every charge again; how many are not proved.
    fn replay(&self, out: &mut dyn Write) -> Result<u64, Failure> {
        let replayer = Replayer::open(self.data.open(), config::user_cache_dir())
            .map_err(|error| Failure::unavailable("nothing can be priced again", error))?;
        let bar = progress::bar();
        let control = Control::default();
        let replayed = progress::beside(&bar, &control, || replayer.prove(&control))
            .map_err(|error| Failure::unavailable("charges cannot be read", error))?;
        let Replayed { proof, took } = replayed;
        for difference in &proof.differences {
            writeln!(
                out,
                "L10: `{}`: {} (org `{}`)",
                difference.charge, difference.what, difference.org
            )?;
        }
        for (release, charges) in &proof.missing {
            let why = replayer.why_missing(release);
            writeln!(
                out,
                "L10: {charges} charges cannot be priced again: release `{release}` {why}"
            )?;
        }
        let took_ms = took.as_millis().max(1);
        let rate = u128::from(proof.charges())
            .saturating_mul(1_000)
            .checked_div(took_ms)
            .unwrap_or_default();
        writeln!(
            out,
            "{} charges priced again in {took_ms} ms ({rate} a second): {} the same, {} written off",
            proof.charges(),
            proof.same,
            proof.written_off
        )?;
        let missing = u64::try_from(proof.missing.len()).unwrap_or(u64::MAX);
        let differ = u64::try_from(proof.differences.len()).unwrap_or(u64::MAX);
        Ok(differ.saturating_add(proof.more).saturating_add(missing))
    }
}

/// Prints a report; how much is broken.
fn say(report: &Report, out: &mut dyn Write) -> Result<u64, Failure> {
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    writeln!(
        out,
        "{} orgs, {} transactions, {} receipts, {} usage events, {} holds",
        report.orgs, report.transactions, report.receipts, report.usage_events, report.holds,
    )?;
    let found = u64::try_from(report.findings.len()).unwrap_or(u64::MAX);
    Ok(found.saturating_add(report.more))
}

fn judge(broken: u64, out: &mut dyn Write) -> Result<(), Failure> {
    match broken {
        0 => Ok(writeln!(out, "every invariant holds")?),
        found => Err(Failure::Found(format!(
            "the ledger is broken: {found} findings"
        ))),
    }
}

fn show(report: &Report, out: &mut dyn Write) -> Result<(), Failure> {
    let broken = say(report, out)?;
    judge(broken, out)
}

fn restore(directory: &DataDirectory, file: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    match backup::restore(file, directory) {
        Ok(report) => show(&report, out),
        Err(BackupError::Broken(report)) => show(&report, out),
        Err(error) => Err(Failure::unavailable("nothing was restored", error)),
    }
}
