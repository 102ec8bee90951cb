//! Moments as people write them, in books and wherever else they name one.

/// Milliseconds since the Unix epoch of `YYYY-MM-DD` (midnight UTC) or an RFC 3339 time; `None` when
/// it is neither.
pub fn moment(text: &str) -> Option<i64> {
    let day = || {
        let date = text.parse::<jiff::civil::Date>().ok()?;
        let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(midnight.timestamp())
    };
    let moment = if text.len() == 10 {
        day()
    } else {
        text.parse::<jiff::Timestamp>().ok()
    };
    moment.map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        for (text, at_ms) in [
            ("1970-01-02", Some(86_400_000)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("1970-01-01T00:00:00", None),
            ("1970-13-01", None),
            ("soon", None),
        ] {
            assert_eq!(moment(text), at_ms, "{text}");
        }
    }
}
