//! A moment as the text that the host reads: RFC 3339 in UTC.

const DAY_MS: i64 = 86_400_000;

/// The moment, in milliseconds since the Unix epoch, as text.
pub fn text(at_ms: i64) -> String {
    let (days, rest_ms) = (at_ms.div_euclid(DAY_MS), at_ms.rem_euclid(DAY_MS));
    let (year, month, day) = date(days);
    let part = |unit_ms: i64, of: i64| {
        let count = rest_ms.checked_div(unit_ms).unwrap_or_default();
        count.checked_rem(of).unwrap_or_default()
    };
    let (hour, minute) = (part(3_600_000, 24), part(60_000, 60));
    let (second, milli) = (part(1_000, 60), part(1, 1_000));
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The date of a day, counted from the Unix epoch: Howard Hinnant's `civil_from_days`. Years of his
/// eras begin in March, so that the leap day is the last of its year.
fn date(days: i64) -> (i64, i64, i64) {
    let of = |a: i64, b: i64| a.checked_div(b).unwrap_or_default();
    let days = days.saturating_add(719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = of(day, 36_524)
        .saturating_sub(of(day, 1_460))
        .saturating_sub(of(day, 146_096));
    let year = of(day.saturating_add(leap_days), 365);
    let before = year
        .saturating_mul(365)
        .saturating_add(of(year, 4))
        .saturating_sub(of(year, 100));
    let of_year = day.saturating_sub(before);
    let month = of(of_year.saturating_mul(5).saturating_add(2), 153);
    let first = of(month.saturating_mul(153).saturating_add(2), 5);
    let day = of_year.saturating_sub(first).saturating_add(1);
    let month = match month {
        0..10 => month.saturating_add(3),
        _ => month.saturating_sub(9),
    };
    let year = era.saturating_mul(400).saturating_add(year);
    (
        if month <= 2 {
            year.saturating_add(1)
        } else {
            year
        },
        month,
        day,
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn moments_are_those_of_the_calendar() {
        for (at_ms, expect) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
            (1_795_219_200_000, "2026-11-21T00:00:00.000Z"),
            (1_798_761_599_123, "2026-12-31T23:59:59.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(super::text(at_ms), expect);
        }
    }
}
