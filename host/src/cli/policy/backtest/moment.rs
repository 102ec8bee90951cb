//! A time as people say it: so long ago, a day, or exactly.

use crate::clock::SystemClock;
use crate::service::time::Clock;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::str::FromStr;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(i64);

/// The text names no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected so long ago (`30d`, `12h`, `2w`), a day (`2026-11-01`), or an RFC 3339 time")]
pub struct MomentError;

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        parse(text, SystemClock::new().now_ms())
            .map(Self)
            .ok_or(MomentError)
    }
}

impl Moment {
    /// As RFC 3339.
    pub fn text(self) -> String {
        let at = Timestamp::from_millisecond(self.0).unwrap_or_default();
        format!("{at:.3}")
    }
}

fn parse(text: &str, now_ms: i64) -> Option<i64> {
    const HOUR_MS: i64 = 3_600_000;
    for (unit, hours) in [("h", 1), ("d", 24), ("w", 168)] {
        if let Some(count) = text.strip_suffix(unit) {
            let count: u32 = count.parse().ok()?;
            let hours = i64::from(count).checked_mul(hours)?;
            let at_ms = now_ms.checked_sub(hours.checked_mul(HOUR_MS)?)?;
            return Timestamp::from_millisecond(at_ms).ok().map(|_| at_ms);
        }
    }
    if let Ok(day) = text.parse::<Date>()
        && !text.contains('T')
    {
        let at = day.to_zoned(TimeZone::UTC).ok()?;
        return Some(at.timestamp().as_millisecond());
    }
    text.parse::<Timestamp>()
        .ok()
        .map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_so_long_ago_a_day_or_exact() {
        let now_ms = 1_795_219_200_000;
        let check = |text: &str, expect: Option<&str>| {
            let at = parse(text, now_ms).map(|at_ms| Moment(at_ms).text());
            assert_eq!(at.as_deref(), expect, "{text}");
        };
        check("1d", Some("2026-11-20T00:00:00.000Z"));
        check("2w", Some("2026-11-07T00:00:00.000Z"));
        check("36h", Some("2026-11-19T12:00:00.000Z"));
        check("2026-11-01", Some("2026-11-01T00:00:00.000Z"));
        check(
            "2026-11-01T01:00:00+01:00",
            Some("2026-11-01T00:00:00.000Z"),
        );
        for wrong in ["", "30", "d", "-1d", "yesterday", "2026-11", "99999999999w"] {
            check(wrong, None);
        }
    }
}
