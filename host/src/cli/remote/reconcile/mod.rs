//! `farebox usage reconcile`: calls that a killed proxy never reported, out of its access log.
//!
//! Each call in the log is looked up by the key under which its report counts once; what the ledger
//! does not have is reported, by the same door and under the same key as the proxy would have. So
//! running it again, or beside a proxy that lives, changes nothing. A log is read once, line by line.

mod log;
mod missing;
mod tally;

use super::server::Server;
use crate::cli::failure::Failure;
use clap::Args;
use flate2::bufread::MultiGzDecoder;
use log::{Found, Log};
use missing::Missing;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use tally::{Place, Tally};

/// How much of a log is read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

/// Charge calls that a killed Envoy never reported, out of its access log.
///
/// Reads logs in JSON lines in which a field has `%FILTER_STATE(wasm.farebox_report:PLAIN)%`, looks
/// each call up, and reports those that the ledger does not have: each counts once, however often
/// this runs. Beyond what is left of its lease, a call is paid by the wallet; what that cannot pay is
/// the org's shortfall. Ends with 1 when a line that has a call could not be reconciled: it is
/// named, and all others are.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// An access log, or `-` for standard input. Read as gzip where its name ends with `.gz`.
    #[arg(long = "access-log", value_name = "FILE", required = true)]
    access_logs: Vec<PathBuf>,
    /// The field of each line that has the report.
    #[arg(long, value_name = "NAME", default_value = "farebox_report")]
    field: String,
    /// Only show what is missing, at the prices that callers were told.
    #[arg(long)]
    dry_run: bool,
}

impl Reconcile {
    pub(super) fn run(&self, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
        let mut tally = Tally::new(self.dry_run);
        let ended = self.read_all(server, &mut tally);
        // What was done until then stands, so it is said.
        tally.show(server.json, ended.is_ok(), out)?;
        ended?;
        match tally.left() {
            0 => Ok(()),
            1 => Err(Failure::Found("1 line could not be reconciled".to_owned())),
            left => Err(Failure::Found(format!(
                "{left} lines could not be reconciled"
            ))),
        }
    }

    fn read_all(&self, server: &Server, tally: &mut Tally) -> Result<(), Failure> {
        let mut missing = Missing::new(server, self.dry_run);
        for path in &self.access_logs {
            let cannot_read = |source| Failure::Read {
                path: path.clone(),
                source,
            };
            let name = path.display().to_string();
            let mut log = Log::new(open(path).map_err(cannot_read)?, self.field.clone());
            while let Some((number, found)) = log.next().map_err(cannot_read)? {
                tally.line();
                let place = || Place {
                    log: name.clone(),
                    line: number,
                };
                match found {
                    Ok(Found::Nothing) => tally.without(),
                    Ok(Found::Call(call)) => missing.add(place(), *call, tally)?,
                    Err(error) => tally.leave(place(), error.to_string()),
                }
            }
        }
        missing.settle_all(tally)
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::with_capacity(READ_BYTES, io::stdin())));
    }
    let file = BufReader::with_capacity(READ_BYTES, File::open(path)?);
    if path.extension() == Some(OsStr::new("gz")) {
        let text = MultiGzDecoder::new(file);
        return Ok(Box::new(BufReader::with_capacity(READ_BYTES, text)));
    }
    Ok(Box::new(file))
}
