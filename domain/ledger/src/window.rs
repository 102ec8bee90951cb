//! When a budget starts again: days and months in a named time zone.
//!
//! Days are not 24 hours: where clocks change, a day has 23 or 25. The rules come from the time
//! zone database compiled into the program, so that every machine agrees; nothing here reads the
//! system's clock, files or environment.

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use std::sync::OnceLock;

/// How long a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// From midnight to midnight in the budget's time zone.
    Day,
    /// From the first of the month to the next.
    Month,
    /// For ever.
    Total,
}

impl Window {
    /// The name used in rows and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The window with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Day, Self::Month, Self::Total]
            .into_iter()
            .find(|window| window.name() == name)
    }
}

/// Why there is no such window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The time zone database does not have the name.
    #[error("no time zone is named `{name}`")]
    UnknownZone {
        /// What was given.
        name: Box<str>,
    },
    /// The instant is beyond the years the calendar covers.
    #[error("the time `{at_ms}` is beyond the calendar")]
    OutOfRange {
        /// Milliseconds since the Unix epoch.
        at_ms: i64,
    },
}

/// A named time zone, known to exist.
#[derive(Clone, Debug)]
pub struct Zone {
    name: Box<str>,
    rules: TimeZone,
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

fn zones() -> &'static TimeZoneDatabase {
    static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();
    ZONES.get_or_init(TimeZoneDatabase::bundled)
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self {
            name: "UTC".into(),
            rules: TimeZone::UTC,
        }
    }

    /// The zone with this IANA name, such as `Europe/Berlin`.
    ///
    /// # Errors
    /// `UnknownZone`.
    pub fn new(name: &str) -> Result<Self, WindowError> {
        if name == "UTC" {
            return Ok(Self::utc());
        }
        let unknown = || WindowError::UnknownZone {
            name: name.chars().take(64).collect(),
        };
        let rules = zones().get(name).map_err(|_| unknown())?;
        let name = rules.iana_name().ok_or_else(unknown)?.into();
        Ok(Self { name, rules })
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The stretch of time `start_ms ≤ t < end_ms` in which a budget counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Milliseconds since the Unix epoch; `i64::MIN` for a total.
    pub start_ms: i64,
    /// Milliseconds since the Unix epoch, exclusive; `i64::MAX` for a total.
    pub end_ms: i64,
}

/// The window in which `at_ms` lies.
///
/// # Errors
/// `OutOfRange` for an instant beyond the years −9999 to 9999.
pub fn span(window: Window, zone: &Zone, at_ms: i64) -> Result<Span, WindowError> {
    if window == Window::Total {
        return Ok(Span {
            start_ms: i64::MIN,
            end_ms: i64::MAX,
        });
    }
    calendar_span(window, zone, at_ms).map_err(|_| WindowError::OutOfRange { at_ms })
}

fn calendar_span(window: Window, zone: &Zone, at_ms: i64) -> Result<Span, jiff::Error> {
    let day = Timestamp::from_millisecond(at_ms)?
        .to_zoned(zone.rules.clone())
        .date();
    let (first, next) = match window {
        Window::Month => (
            day.first_of_month(),
            day.first_of_month().checked_add(1.month())?,
        ),
        Window::Day | Window::Total => (day, day.tomorrow()?),
    };
    // Where midnight does not exist, the day begins at the first instant that does.
    let start_of = |date: Date| -> Result<i64, jiff::Error> {
        Ok(date
            .to_zoned(zone.rules.clone())?
            .start_of_day()?
            .timestamp()
            .as_millisecond())
    };
    Ok(Span {
        start_ms: start_of(first)?,
        end_ms: start_of(next)?,
    })
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests may overflow loudly")]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn hours(window: Window, zone: &str, instant: &str) -> i64 {
        let span = span(window, &Zone::new(zone).unwrap(), at(instant)).unwrap();
        assert!(span.start_ms <= at(instant) && at(instant) < span.end_ms);
        assert_eq!((span.end_ms - span.start_ms) % HOUR_MS, 0);
        (span.end_ms - span.start_ms) / HOUR_MS
    }

    #[test]
    fn a_day_is_as_long_as_its_clock_says() {
        assert_eq!(hours(Window::Day, "UTC", "2026-03-29T12:00:00Z"), 24);
        assert_eq!(
            hours(Window::Day, "Europe/Berlin", "2026-03-29T12:00:00Z"),
            23
        );
        assert_eq!(
            hours(Window::Day, "Europe/Berlin", "2026-10-25T12:00:00Z"),
            25
        );
        // Midnight does not exist on this day in Santiago: it begins at one o'clock.
        assert_eq!(
            hours(Window::Day, "America/Santiago", "2026-09-06T12:00:00Z"),
            23
        );
    }

    #[test]
    fn midnight_belongs_to_the_new_day() {
        let zone = Zone::new("Asia/Kolkata").unwrap();
        let midnight = at("2026-11-20T18:30:00Z");
        let before = span(Window::Day, &zone, midnight - 1).unwrap();
        let after = span(Window::Day, &zone, midnight).unwrap();
        assert_eq!(before.end_ms, midnight);
        assert_eq!(after.start_ms, midnight);
    }

    #[test]
    fn months_are_calendar_months() {
        assert_eq!(hours(Window::Month, "UTC", "2028-02-29T23:59:59Z"), 29 * 24);
        assert_eq!(
            hours(Window::Month, "America/New_York", "2026-03-31T12:00:00Z"),
            31 * 24 - 1
        );
        let december = span(Window::Month, &Zone::utc(), at("2026-12-31T23:59:59Z")).unwrap();
        assert_eq!(december.end_ms, at("2027-01-01T00:00:00Z"));
    }

    #[test]
    fn unknown_zones_and_absurd_times_are_errors() {
        assert!(matches!(
            Zone::new("Mars/Olympus"),
            Err(WindowError::UnknownZone { .. })
        ));
        assert_eq!(Zone::new("europe/berlin").unwrap().name(), "Europe/Berlin");
        assert_eq!(
            span(Window::Day, &Zone::utc(), i64::MAX),
            Err(WindowError::OutOfRange { at_ms: i64::MAX })
        );
        assert!(span(Window::Total, &Zone::utc(), i64::MAX).is_ok());
    }
}
