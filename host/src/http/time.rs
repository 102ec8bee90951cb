//! Instants in JSON: RFC 3339 in UTC, with milliseconds.

use super::problem::{Kind, Problem};
use jiff::Timestamp;

/// `at_ms`, milliseconds since the Unix epoch, as RFC 3339. Beyond the calendar: its nearest end.
pub fn show(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or(if at_ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    format!("{at:.3}")
}

/// The instant that `text`, RFC 3339 with an offset, names, in milliseconds since the Unix epoch.
pub fn read(field: &str, text: &str) -> Result<i64, Problem> {
    text.parse::<Timestamp>()
        .map(Timestamp::as_millisecond)
        .map_err(|_| {
            let shown: String = text.chars().take(64).collect();
            Problem::new(
                Kind::InvalidRequest,
                format!(
                    "`{field}` is `{shown}`, but must be a time such as `2026-01-31T12:00:00Z`"
                ),
            )
        })
}

/// The same for a field that may be absent.
pub fn read_some(field: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    text.map(|text| read(field, text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_come_back_as_they_were() {
        assert_eq!(show(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(
            read("at", "2023-11-14T23:13:20.123+01:00").unwrap(),
            1_700_000_000_123
        );
        for bad in ["", "yesterday", "2023-11-14", "1700000000"] {
            assert!(read("at", bad).is_err(), "{bad}");
        }
    }
}
