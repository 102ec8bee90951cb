//! `farebox ledger`: prove, back up and restore a data directory.

use super::failure::{self, Failure};
use super::progress;
use crate::app::replay::{Replayed, Replayer};
use crate::clock::SystemClock;
use crate::config;
use crate::service::ledger::LedgerStore;
use crate::service::ledger::view::SignedHead;
use crate::service::rerate::Control;
use crate::store::SqliteStore;
use crate::store::backup::{self, BackupError};
use crate::store::directory::DataDirectory;
use crate::store::verify::{self, Evidence, Report};
use clap::{Args, Subcommand};
use farebox_ledger::chain::Head;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Commands on a ledger.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Prove the invariants of a ledger, and say exactly what is broken.
    ///
    /// Reads only, so it may run beside a serving process. Ends with 1 when anything is broken.
    Verify(Verify),
    /// Copy a ledger to one file, while it is served from or not.
    Backup {
        #[command(flatten)]
        data: DataDir,
        /// The file, which must not exist yet.
        file: PathBuf,
    },
    /// Make a data directory out of a backup, and verify it.
    Restore {
        #[command(flatten)]
        data: DataDir,
        /// The backup.
        file: PathBuf,
    },
    /// Print the signed head of every org's hash chain, as JSON lines.
    ///
    /// Keep them elsewhere: a ledger that was cut off or written anew no longer passes through a
    /// head that was exported before (`farebox ledger verify --heads`).
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
    /// Heads that were exported earlier, which the ledger must still pass through.
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
            Self::Heads { data } => heads(data, out),
        }
    }
}

impl Verify {
    fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let known = self
            .heads
            .as_deref()
            .map(read_heads)
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

/// A signed head as it travels: one JSON object a line, bytes in hexadecimal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadLine {
    org: String,
    seq: u64,
    hash: String,
    signed_at_ms: i64,
    signature: String,
    public_key: String,
}

impl From<&SignedHead> for HeadLine {
    fn from(signed: &SignedHead) -> Self {
        Self {
            org: signed.head.org.to_string(),
            seq: signed.head.seq,
            hash: hex::encode(signed.head.hash),
            signed_at_ms: signed.signed_at_ms,
            signature: hex::encode(signed.signature),
            public_key: hex::encode(signed.public_key),
        }
    }
}

impl HeadLine {
    fn into_head(self) -> Option<SignedHead> {
        fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
            let mut bytes = [0; N];
            hex::decode_to_slice(text, &mut bytes).ok()?;
            Some(bytes)
        }
        Some(SignedHead {
            head: Head {
                org: self.org.parse().ok()?,
                seq: self.seq,
                hash: bytes(&self.hash)?,
            },
            signed_at_ms: self.signed_at_ms,
            signature: bytes(&self.signature)?,
            public_key: bytes(&self.public_key)?,
        })
    }
}

fn heads(data: &DataDir, out: &mut dyn Write) -> Result<(), Failure> {
    let store = SqliteStore::open_read_only(data.open(), Arc::new(SystemClock::new()))
        .map_err(|error| Failure::unavailable("the ledger cannot be opened", error))?;
    let heads = store
        .signed_heads()
        .map_err(|error| Failure::unavailable("the heads cannot be read", error))?;
    if heads.is_empty() {
        return Err(Failure::Found(
            "there is no head to sign: no org yet, or nobody has served from this directory".into(),
        ));
    }
    for head in &heads {
        serde_json::to_writer(&mut *out, &HeadLine::from(head)).map_err(std::io::Error::from)?;
        writeln!(out)?;
    }
    Ok(())
}

fn read_heads(path: &Path) -> Result<Vec<SignedHead>, Failure> {
    let text = failure::read_text(path)?;
    let head = |(number, line): (usize, &str)| {
        serde_json::from_str::<HeadLine>(line)
            .ok()
            .and_then(HeadLine::into_head)
            .ok_or_else(|| {
                let number = number.saturating_add(1);
                Failure::Usage(format!(
                    "{} line {number} is not a signed head",
                    path.display()
                ))
            })
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(head)
        .collect()
}
