//! What the disk does: how long one small write takes to be durable, which bounds whatever waits
//! for a commit, and how much room there is.

use crate::step;
use anyhow::{Context, Result};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const WRITES: usize = 200;

/// The median time of one appended and synced write of 4 KiB below `folder`, in microseconds.
///
/// # Errors
/// The folder cannot be written.
pub fn durable_write_us(folder: &Path) -> Result<u64> {
    let mut file = tempfile::tempfile_in(folder)?;
    let page = [1_u8; 4096];
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let median = times.get(WRITES.div_euclid(2)).context("no write")?;
    Ok(u64::try_from(median.as_micros())?)
}

/// Free bytes where `folder` is.
///
/// # Errors
/// There is no `df`, or it says something else.
pub fn free_bytes(folder: &Path) -> Result<u64> {
    let mut df = Command::new("df");
    let said = step::output(df.args(["--output=avail", "--block-size=1"]).arg(folder))?;
    let last = said.lines().last().context("`df` said nothing")?;
    Ok(last.trim().parse()?)
}
