//! What the kernel says of a running process.

use anyhow::{Context, Result};

/// What the kernel counts CPU time in, on every Linux that Rust runs on.
const TICK_US: u64 = 10_000;

/// User and system time so far, in microseconds.
///
/// # Errors
/// The kernel has no `/proc`, or the process is gone.
pub fn cpu_us(id: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program stands in parentheses and may hold spaces.
    let (_, after_name) = stat.rsplit_once(") ").context("an odd /proc/…/stat")?;
    let fields = after_name.split(' ').skip(11).take(2);
    let ticks: u64 = fields
        .map(|field| Ok(field.parse::<u64>()?))
        .sum::<Result<u64>>()?;
    Ok(ticks.saturating_mul(TICK_US))
}

/// Resident memory in KiB.
///
/// # Errors
/// The kernel has no `/proc`, or the process is gone.
pub fn resident_kib(id: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .context("the kernel does not say how much memory the process has")
}
