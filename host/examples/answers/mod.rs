//! What the loads of `cargo xtask bench` have in common: whether an answer is there, and how long
//! answers took.

use std::error::Error;

/// Why a load ends early.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The value below which so many percent of them lie.
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let index = sorted.len().saturating_mul(percent).div_ceil(100);
    sorted
        .get(index.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// Whether an answer has arrived to its last byte.
pub fn is_whole(received: &[u8]) -> Result<bool, Failure> {
    let Some(head_end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(false);
    };
    let (head, rest) = received.split_at(head_end);
    let head = std::str::from_utf8(head)?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match length {
        Some((_, length)) => {
            let length: usize = length.trim().parse()?;
            Ok(rest.len() >= length.saturating_add(4))
        }
        None => Ok(rest.ends_with(b"\r\n0\r\n\r\n")),
    }
}
